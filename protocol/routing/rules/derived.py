"""Values that come of other values of an arrival: the patient's age, the hour and the day of the week of its receipt.

It must not read a clock: receipt is what the arrival says, on the clock of the node.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from typing import Protocol

from protocol.records import record
from protocol.routing.rules.moments import Moment
from protocol.routing.rules.values import MISSING, Fault, Kind, Value

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_AGE = re.compile(r"(\d{1,3})([DWMY])", re.ASCII)  # AS, PS3.5 section 6.2; some write fewer digits
_PER_YEAR = {"D": 365.25, "W": 365.25 / 7, "M": 12.0, "Y": 1.0}
_AGE_AT: tuple[tuple[str, Kind], ...] = (("StudyDate", "date"), ("ReceivedAt", "datetime"))

Reading = tuple[Value, str]
"""A value, and a note about where it comes from."""


class Values(Protocol):
    """Where names get their values."""

    def value(self, name: str, kind: Kind) -> Value:
        """The value of a name."""


@record
class Source:
    """A function without arguments: what it reads, how, and what it is called in English."""

    reads: tuple[tuple[str, Kind], ...]
    run: Callable[[Values], Reading]
    english: str


def _age(scope: Values) -> Reading:
    """Years: Patient's Age if it can be read, else from the birth date to the study's date, or to the day of receipt."""
    told = scope.value("PatientAge", "text")
    match = _AGE.fullmatch(told.upper()) if isinstance(told, str) else None
    if match:
        return _years(int(match[1]) / _PER_YEAR[match[2]]), "from PatientAge"
    born = scope.value("PatientBirthDate", "date")
    if born is MISSING:
        return (MISSING, "") if told is MISSING else (Fault("PatientAge cannot be read"), "")
    first = _day(born)
    if first is None:
        return Fault("PatientBirthDate is no whole date"), ""
    for name, kind in _AGE_AT:
        last = _day(scope.value(name, kind))
        if last is not None:
            return _between(first, last), f"from PatientBirthDate to {name}"
    return MISSING, "PatientBirthDate is there, but neither StudyDate nor ReceivedAt"


def _day(value: Value) -> date | None:
    if isinstance(value, Moment) and value.kind != "time" and len(value.parts) >= 3:
        return date(*value.parts[:3])
    return None


def _between(born: date, day: date) -> Value:
    if day < born:
        return Fault("PatientBirthDate lies after the examination")
    years = day.year - born.year - ((day.month, day.day) < (born.month, born.day))
    over = (day - _birthday(born, born.year + years)).days
    return _years(years + min(over / 366, 0.99))


def _birthday(born: date, year: int) -> date:
    """Who was born on 29 February has it on 1 March."""
    try:
        return born.replace(year=year)
    except ValueError:
        return date(year, 3, 1)


def _years(years: float) -> Value:
    """Cut to hundredths, never rounded up: nobody is 18 a day too early. Whole years are whole numbers."""
    cut = int(years * 100 + 1e-6) / 100
    return int(cut) if cut.is_integer() else cut


def _received(scope: Values) -> Moment | Value:
    value = scope.value("ReceivedAt", "datetime")
    if isinstance(value, Moment) and len(value.parts) < 6:
        return Fault("ReceivedAt is no time")
    return value


def _hour(scope: Values) -> Reading:
    received = _received(scope)
    if not isinstance(received, Moment):
        return received, ""
    return received.parts[3], f"received at {received}"


def _weekday(scope: Values) -> Reading:
    received = _received(scope)
    if not isinstance(received, Moment):
        return received, ""
    year, month, day = received.parts[:3]
    return WEEKDAYS[date(year, month, day).weekday()], f"received at {received}"


SOURCES: dict[str, Source] = {
    "age": Source(
        (("PatientAge", "text"), ("PatientBirthDate", "date"), *_AGE_AT),
        _age,
        "the patient's age in years",
    ),
    "hour": Source((("ReceivedAt", "datetime"),), _hour, "the hour of receipt"),
    "weekday": Source((("ReceivedAt", "datetime"),), _weekday, "the day of receipt"),
}
