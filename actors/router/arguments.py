"""The arguments of a command, checked: whatever came in, the answer is clear and nothing else breaks.
It must not know the spool; only shapes are checked here. Everything raises StepRefused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from protocol.errors import StepRefused
from protocol.selection import Selection, read_selection
from protocol.spool.commands import Command
from protocol.states import Priority

MOST_IDS = 500  # one transaction; more go by what they have in common
LONGEST_REASON = 500
LONGEST_UNTIL_S = 200 * 365.25 * 86_400


class Arguments:
    """Reads what an act needs."""

    def __init__(self, command: Command) -> None:
        self._kind, self._given = command.kind, command.arguments

    def arrival(self) -> int:
        """The arrival it is about."""
        return self._number("arrival", self._given.get("arrival"))

    def commitment(self) -> int:
        """The request for storage commitment it is about."""
        return self._number("commitment", self._given.get("commitment"))

    def targets(self) -> list[str]:
        """`target` (one name) or `targets` (several), each once."""
        given = self._given.get("targets", self._given.get("target"))
        names = [given] if isinstance(given, str) else given
        if not isinstance(names, list | tuple) or not names or not all(isinstance(name, str) for name in names):
            raise StepRefused(f"{self._kind} needs a target")
        return list(dict.fromkeys(names))

    def target(self) -> str | None:
        """`target`, if it is given."""
        given = self._given.get("target")
        if given is not None and not isinstance(given, str):
            raise StepRefused(f"{self._kind}: target must be a name")
        return given

    def to(self) -> str:
        """`to`, the target or group where deliveries are to go."""
        given = self._given.get("to")
        if not isinstance(given, str) or not given:
            raise StepRefused(f"{self._kind} needs a target to go to")
        return given

    def arrivals(self) -> list[int]:
        """`arrival` (one) or `ids` (several) of arrivals, each once; [] if they are not given."""
        return [self.arrival()] if self._given.get("arrival") is not None else self.ids()

    def selection(self, what: str) -> Selection | None:
        """`where`: all that match, of `what` (delivery or arrival); None if nothing is said of that.

        Of deliveries also `target` and `all_parked` by themselves.
        """
        given = self._given.get("where") or {}
        if not isinstance(given, Mapping):
            raise StepRefused(f"{self._kind}: where must name what they have in common")
        selection = read_selection(given, what)
        if what == "delivery":
            selection = self._in_short(selection)
        return None if selection.empty else selection

    def _in_short(self, selection: Selection) -> Selection:
        if (target := self.target()) is not None:
            selection = replace(selection, target=target)
        if self.all_parked():
            if selection.states not in ((), ("parked",)):
                raise StepRefused(f"{self._kind}: all_parked and another state exclude each other")
            selection = replace(selection, states=("parked",))
        return selection

    def ids(self) -> list[int]:
        """`ids` of deliveries or arrivals, each once; [] if they are not given."""
        given = self._given.get("ids")
        if given is None:
            return []
        if not isinstance(given, list | tuple) or len(given) > MOST_IDS:
            raise StepRefused(f"{self._kind}: ids must be a list of at most {MOST_IDS} numbers")
        return list(dict.fromkeys(self._number("ids", one) for one in given))

    def all_parked(self) -> bool:
        """Everything that is parked."""
        return self._given.get("all_parked") is True

    def priority(self, *, needed: bool = False) -> Priority:
        """`priority`, normal if it is not given and not `needed`."""
        given = self._given.get("priority", None if needed else Priority.NORMAL)
        try:
            return Priority(given)
        except ValueError:
            raise StepRefused(f"{self._kind}: priority is one of {', '.join(Priority)}") from None

    def reason(self, otherwise: str) -> str:
        """`reason`, cut to a length that fits in lists."""
        given = self._given.get("reason")
        return given[:LONGEST_REASON] if isinstance(given, str) and given.strip() else otherwise

    def until(self, now: float) -> float | None:
        """`until`, seconds UTC in the future, or None for ever."""
        given: Any = self._given.get("until")
        if given is None:
            return None
        if isinstance(given, bool) or not isinstance(given, int | float) or not math.isfinite(given) or given <= now:
            raise StepRefused(f"{self._kind}: until must be a time in the future")
        if given > now + LONGEST_UNTIL_S:
            raise StepRefused(f"{self._kind}: until is too far away")
        return float(given)

    def restore(self) -> int:
        """`restore`: the act that is undone; 0 if none is."""
        given = self._given.get("restore")
        return 0 if given is None else self._number("restore", given)

    def act(self) -> int:
        """`act`: the act that it is about."""
        return self._number("act", self._given.get("act"))

    def _number(self, name: str, given: Any) -> int:
        if isinstance(given, bool) or not isinstance(given, int) or not 0 < given < 2**63:
            raise StepRefused(f"{self._kind}: {name} must be a number")
        return given
