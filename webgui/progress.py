"""How far the sends under way are, as they say it on the bus; rates out of that. It must not read anything.

What is not heard of any more leaves by itself: a finished send says so in the spool, where lists look.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from webgui import words

MEAN_S = 5.0
GONE_S = 30.0
"""A single large image may take so long between two words."""
FINISHED_S = 2.0
MOST = 500

Row = dict[str, Any]


@dataclass
class _Send:
    total: int
    samples: deque[tuple[float, int]] = field(default_factory=deque)


class Progress:
    """Fed by the bus; times are monotonic seconds."""

    def __init__(self) -> None:
        self._sends: dict[int, _Send] = {}

    def hear(self, delivery: int, sent: int, total: int, at: float) -> None:
        """One word of a dispatcher. A send that begins again begins again here, too."""
        one = self._sends.get(delivery)
        if one is None or one.total != total or (one.samples and sent < one.samples[-1][1]):
            if one is None and len(self._sends) >= MOST:
                return
            one = self._sends[delivery] = _Send(total)
        one.samples.append((at, sent))
        while len(one.samples) > 2 and at - one.samples[1][0] >= MEAN_S:
            one.samples.popleft()

    def rows(self, now: float) -> dict[str, Row]:
        """By delivery: images sent, total, percent, images per second, time left; all but percent as text."""
        for delivery, one in list(self._sends.items()):
            at, sent = one.samples[-1]
            if now - at > (FINISHED_S if sent >= one.total else GONE_S):
                del self._sends[delivery]
        return {str(delivery): _row(one) for delivery, one in self._sends.items()}


def _row(one: _Send) -> Row:
    (first_at, first), (at, sent) = one.samples[0], one.samples[-1]
    rate = (sent - first) / (at - first_at) if at > first_at else None
    left = words.duration((one.total - sent) / rate) if rate and sent < one.total else ""
    return {
        "sent": words.number(sent),
        "total": words.number(one.total),
        "percent": round(100 * sent / one.total, 1) if one.total else 0,
        "rate": f"{words.rate(rate)} images/s" if rate is not None else "",
        "left": f"{left} left" if left else "",
    }
