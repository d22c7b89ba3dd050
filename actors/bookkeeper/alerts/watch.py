"""The watch: looks, has judged what is wrong, and writes down what becomes of the alerts and of whom people are to be told.
It must not send anything; `post` does. All it decides on stands in the spool.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from actors.bookkeeper.alerts.conditions import Readings, symptoms
from actors.bookkeeper.alerts.life import Telling, steps, tellings
from actors.bookkeeper.alerts.words import When
from protocol.spool.letters import Item, Told

if TYPE_CHECKING:
    from actors.base import Context
    from protocol.settings.alerts import Alerts as Limits

KEEP_CLEARED_S, KEEP_LETTERS_S = 7 * 86_400.0, 30 * 86_400.0
TIDY_EVERY_S = 600.0
_ACTIONS = {"raise": "alert_raised", "clear": "alert_cleared"}


class Looks(Protocol):
    """Whoever looks at the node."""

    def look(self, unset: frozenset[str] = frozenset()) -> Readings:
        """What is seen now."""


def channels(limits: Limits) -> list[str]:
    """The ways to people that the settings have."""
    return [name for name, there in (("mail", limits.smtp.host), ("webhook", limits.webhook.url)) if there]


class Watch:
    """See the module."""

    def __init__(self, context: Context, reader: Looks, when: When) -> None:
        self._spool, self._clock, self._log = context.spool, context.clock, context.log
        self._limits, self._reader, self._when = context.settings.alerts, reader, when
        self._tidied = float("-inf")

    def look(self, unset: frozenset[str] = frozenset()) -> None:
        """Look, and write down what becomes of the alerts. `unset`: see Readings."""
        seen = self._reader.look(unset)
        before = self._spool.alerts.all()
        wrong = symptoms(seen, self._limits, self._when, {one.key: one.text for one in before if one.cleared is None})
        todo = steps(before, wrong, seen.now, self._limits.clear_after_s)
        self._spool.alerts.apply(todo)
        for step in todo:
            if action := _ACTIONS.get(step.what):
                self._log.warning(action, alert=step.symptom.key)

    def tell(self) -> None:
        """Write down of what people are to be told, and let go of what is old.

        Without any channel nothing is told, and nothing counts as told: who sets one up hears of all that stands.
        """
        there, now = channels(self._limits), self._clock.now()
        found = tellings(self._spool.alerts.all(), now, self._limits) if there else []
        if found:
            told = [Told(one.alert.key, one.alert.severity, one.what == "cleared") for one in found]
            self._spool.letters.tell(told, _items(found, there))
        if self._clock.monotonic() >= self._tidied + TIDY_EVERY_S:
            self._tidied = self._clock.monotonic()
            if not there:
                self._spool.alerts.forget_told()
            self._spool.alerts.tidy(now - KEEP_CLEARED_S)
            self._spool.letters.tidy(now - KEEP_LETTERS_S)


def _items(found: Sequence[Telling], recipients: Sequence[str]) -> list[Item]:
    return [Item(recipient, _body(one)) for one in found for recipient in recipients]


def _body(one: Telling) -> dict[str, Any]:
    alert = one.alert
    time = alert.cleared if one.what == "cleared" and alert.cleared is not None else alert.changed
    return {"kind": "alert", "what": one.what, "key": alert.key, "about": alert.about, "severity": alert.severity,
            "text": alert.text, "count": alert.count, "raised": alert.raised, "time": time}  # fmt: skip
