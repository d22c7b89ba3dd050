"""Which deliveries or arrivals somebody means: one model for lists, for acts on all that match, and for whoever asks by API.
It must not know SQL or commands; what lists show and what acts touch is the same because both are handed one of these.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from protocol.errors import StepRefused
from protocol.records import record
from protocol.states import ArrivalState, DeliveryState

LONGEST_TEXT = 256
MOST_STATES = 16
STATES: Mapping[str, tuple[str, ...]] = {
    "delivery": tuple(map(str, DeliveryState)),
    "arrival": tuple(map(str, ArrivalState)),
}
TEXTS = ("target", "source", "rule", "cause", "study", "series", "modality")
TIMES = ("since", "until")


@record
class Selection:
    """All that is given must hold; what is not given does not matter.

    Attributes:
        states: any of these states, of deliveries or of arrivals, by what is selected.
        target: name of the target; of arrivals: one of their deliveries is for it.
        source: AE title of the sender (calling AE).
        rule: a rule that routed the series.
        cause: one of protocol/causes.py; of arrivals: one of their deliveries has it.
        study, series: Study and Series Instance UID.
        since, until: seconds UTC; when the delivery was made, or the first image of the arrival came in.
        act: number of an act of people: what it was done to.
    """

    states: tuple[str, ...] = ()
    target: str | None = None
    source: str | None = None
    rule: str | None = None
    cause: str | None = None
    study: str | None = None
    series: str | None = None
    modality: str | None = None
    since: float | None = None
    until: float | None = None
    act: int | None = None

    @property
    def empty(self) -> bool:
        """Nothing is given, so everything is meant."""
        return self == Selection()

    def plain(self) -> dict[str, Any]:
        """What is given, as plain values: for a command's arguments."""
        return {
            one.name: list(value) if isinstance(value, tuple) else value
            for one in fields(self)
            if (value := getattr(self, one.name)) not in (None, ())
        }


def read_selection(given: Mapping[str, Any], what: str) -> Selection:
    """A selection of `what` ("delivery" or "arrival") out of plain values that came from outside.

    Raises StepRefused naming what is wrong; a filter that does not exist is, since without it more would be selected.
    """
    filters = {one.name for one in fields(Selection)}
    if unknown := [str(name) for name in given if name not in filters]:
        raise StepRefused(f"there is no filter {unknown[0][:LONGEST_TEXT]!r}; there are {', '.join(sorted(filters))}")
    values: dict[str, Any] = {name: _text(name, given.get(name)) for name in TEXTS}
    values |= {name: _time(name, given.get(name)) for name in TIMES}
    values["act"] = _number("act", given.get("act"))
    return Selection(states=_states(given.get("states"), what), **values)


def _states(given: Any, what: str) -> tuple[str, ...]:
    if given is None:
        return ()
    if isinstance(given, str) or not isinstance(given, Sequence) or len(given) > MOST_STATES:
        raise StepRefused("states must be a list of states")
    for state in given:
        if state not in STATES[what]:
            raise StepRefused(f"there is no state {state!r}; {what} states are {', '.join(STATES[what])}")
    return tuple(dict.fromkeys(given))


def _text(name: str, given: Any) -> str | None:
    if given is None:
        return None
    if not isinstance(given, str) or not given or len(given) > LONGEST_TEXT or not given.isprintable():
        raise StepRefused(f"{name} must be a name")
    return given


def _number(name: str, given: Any) -> int | None:
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, int) or not 0 < given < 2**63:
        raise StepRefused(f"{name} must be a number")
    return given


def _time(name: str, given: Any) -> float | None:
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, int | float) or not math.isfinite(given):
        raise StepRefused(f"{name} must be a time, in seconds UTC")
    return float(given)
