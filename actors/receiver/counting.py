"""Limits and pace over several worker processes: the desk that counts, in the process that accepts, and how a worker asks it.
Messages are plain dictionaries, fit for JSON. It must not know how they travel: both sides are handed a way to say one.

    worker -> desk   {"is": "enter", "ask": N, "association": HEX, "source": NAME|null, "address": A, "most": N|null,
                      "answers": BOOL}
                     {"is": "pace", "ask": N, "source": NAME, "per_s": RATE}
                     {"is": "leave", "association": HEX}
    desk -> worker   {"is": "counted", "ask": N, "reason": TEXT|null} or {"is": "counted", "ask": N, "delay_s": S}
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from actors.receiver.limits import Limits, Pace

ENTER, LEAVE, PACE, COUNTED = "enter", "leave", "pace", "counted"
WORDS = frozenset((ENTER, LEAVE, PACE))
ANSWER_S = 5.0
"""A desk answers in microseconds; one that does not is stopped or gone."""
Message = dict[str, Any]


class OpenNow(Protocol):
    """What a handler asks, in whichever process it lives: see Limits and Pace."""

    def enter(
        self,
        association: bytes,
        source: str | None,
        address: str,
        *,
        source_most: int | None = None,
        answers: bool = False,
    ) -> str | None: ...

    def leave(self, association: bytes) -> None: ...

    def delay(self, source: str, per_s: float) -> float: ...


class Here:
    """For a handler in the very process that counts."""

    def __init__(self, limits: Limits, pace: Pace, worker: str = "") -> None:
        self._limits, self._pace, self._worker = limits, pace, worker

    def enter(
        self,
        association: bytes,
        source: str | None,
        address: str,
        *,
        source_most: int | None = None,
        answers: bool = False,
    ) -> str | None:
        """See Limits."""
        return self._limits.enter(
            association, source, address, source_most=source_most, worker=self._worker, answers=answers
        )

    def leave(self, association: bytes) -> None:
        """See Limits."""
        self._limits.leave(association)

    def delay(self, source: str, per_s: float) -> float:
        """See Pace."""
        return self._pace.delay(source, per_s)


class Desk:
    """Answers workers. From any thread: several workers may be heard at the same time."""

    def __init__(self, limits: Limits, pace: Pace) -> None:
        self._limits, self._pace = limits, pace

    def hear(self, worker: str, message: Mapping[str, Any]) -> Message | None:
        """The answer to one of WORDS, None if it wants none. `worker` tells one life of a worker from another's."""
        word = message["is"]
        if word == LEAVE:
            self._limits.leave(bytes.fromhex(message["association"]))
            return None
        if word == PACE:
            delay_s = self._pace.delay(message["source"], message["per_s"])
            return {"is": COUNTED, "ask": message["ask"], "delay_s": delay_s}
        reason = self._limits.enter(
            bytes.fromhex(message["association"]), message["source"], message["address"],
            source_most=message["most"], worker=worker, answers=message["answers"],
        )  # fmt: skip
        return {"is": COUNTED, "ask": message["ask"], "reason": reason}

    def lost(self, worker: str) -> int:
        """That life of a worker is over: what it served is not open any more; how many associations."""
        return self._limits.lost(worker)


class Asking:
    """The worker's side. Association threads ask; whoever hears the desk calls `answered`.

    Args:
        say: sends one message to the desk, waiting for room if it must: a LEAVE that is dropped would leave a place taken.
            False if nobody hears it any more.
    """

    def __init__(self, say: Callable[[Message], bool], wait_s: float = ANSWER_S) -> None:
        self._say, self._wait_s = say, wait_s
        self._numbers = itertools.count(1)
        self._changed = threading.Condition()
        self._asked: dict[int, Mapping[str, Any] | None] = {}
        self._over = False

    def enter(
        self,
        association: bytes,
        source: str | None,
        address: str,
        *,
        source_most: int | None = None,
        answers: bool = False,
    ) -> str | None:
        """See Limits. Without an answer nobody is let in: a limit that holds only sometimes is none."""
        answer = self._ask(
            {
                "is": ENTER,
                "association": association.hex(),
                "source": source,
                "address": address,
                "most": source_most,
                "answers": answers,
            }
        )
        if answer is None:
            self.leave(association)  # it may have been counted, only the answer was late
            return "the receiver does not answer its worker"
        reason: str | None = answer["reason"]
        return reason

    def leave(self, association: bytes) -> None:
        """See Limits."""
        self._say({"is": LEAVE, "association": association.hex()})

    def delay(self, source: str, per_s: float) -> float:
        """See Pace. Without an answer nobody waits: the image is stored, and only its answer is concerned."""
        answer = self._ask({"is": PACE, "source": source, "per_s": per_s})
        return 0.0 if answer is None else float(answer["delay_s"])

    def answered(self, message: Mapping[str, Any]) -> None:
        """The desk said COUNTED. Nobody may be waiting for it any more."""
        with self._changed:
            if message["ask"] in self._asked:
                self._asked[message["ask"]] = message
                self._changed.notify_all()

    def end(self) -> None:
        """Nobody hears the desk any more: whoever waits is answered as if it were gone."""
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def _ask(self, message: Message) -> Mapping[str, Any] | None:
        number = next(self._numbers)
        with self._changed:
            self._asked[number] = None
        try:
            if not self._say({**message, "ask": number}):
                return None
            with self._changed:
                self._changed.wait_for(lambda: self._over or self._asked[number] is not None, self._wait_s)
                return self._asked[number]
        finally:
            with self._changed:
                del self._asked[number]
