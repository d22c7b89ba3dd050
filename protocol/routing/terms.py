"""On which terms a rule acts: until when, at what times, how often, and when a study counts as complete for it.

It must not read a clock: every question is put with the time an arrival was received, so the answer is the same later.
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from protocol.routing import shapes
from protocol.routing.conditions import Condition
from protocol.routing.fields import Count, Frozen, Seconds

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
"""As `datetime.weekday` counts them."""
_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d|24:00", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


def _time_of_day(text: str) -> str:
    if not _TIME.fullmatch(text):
        raise ValueError("a time of day is like 07:30, from 00:00 to 24:00")
    return text


def _expiry(text: str) -> str:
    try:
        if _DATE.fullmatch(text):
            date.fromisoformat(text)
            return text
        moment = datetime.fromisoformat(text)
    except ValueError as exc:
        raise ValueError("write a day, 2026-12-31, or a time with its zone, 2026-12-31T18:00+01:00") from exc
    if moment.tzinfo is None:
        raise ValueError("a time needs its zone, 2026-12-31T18:00+01:00; a day alone, 2026-12-31, needs none")
    return text


def _listed(value: Any) -> Any:
    """One window may stand alone."""
    return value if value is None or isinstance(value, (list, tuple)) else [value]


TimeOfDay = Annotated[str, AfterValidator(_time_of_day), shapes.TIME_OF_DAY]
Expiry = Annotated[str, AfterValidator(_expiry), shapes.EXPIRY]
"""The last day on which a rule acts, or the moment at which it ends."""
Return = Expiry
"""The first day on which a rule that was put off acts again, or the moment from which it does."""


class Quota(Frozen):
    """At most `max` decisions of a rule: series, studies or images, whatever it decides on. `per` None: ever."""

    max: Count
    per: Literal["hour", "day", "week", "month"] | None = None


class Window(Frozen):
    """Times of day, local to the node, from `start` up to but not including `end`; one over midnight belongs to the day
    on which it starts. Equal times are a whole day.
    """

    days: Annotated[tuple[Day, ...], Field(min_length=1)] = DAYS
    start: TimeOfDay = "00:00"
    end: TimeOfDay = "24:00"


_Windows = Annotated[tuple[Window, ...], Field(min_length=1)]
Schedule = Annotated[
    tuple[Window, ...] | None,
    Field(min_length=1),
    BeforeValidator(_listed, json_schema_input_type=_Windows | Window | None),
]


class StudyTerms(Frozen):
    """When a study counts as complete for a rule with the trigger `study`.

    Attributes:
        quiet_s: no series of it came for so many seconds; None: `router.study_quiet_s`.
        complete: a condition over all images of the study, such as any_image(Modality == 'CT'); then quiet alone does
            not complete a study that the rule wants, and this does at once.
        max_wait_s: seconds after the first series at which the wait ends in any case.
        then: what happens at that end: "decide" on what is there, or "hold" it for a person.
    """

    quiet_s: Seconds | None = None
    complete: Condition | None = None
    max_wait_s: Annotated[Seconds, Field(gt=0)] = 14_400.0
    then: Literal["decide", "hold"] = "decide"


def expired(expires: str | None, received: datetime) -> bool:
    """Whether a rule had expired when an arrival was received; `received` with the node's zone."""
    if expires is None:
        return False
    if _DATE.fullmatch(expires):
        return received.date() > date.fromisoformat(expires)
    return received >= datetime.fromisoformat(expires)


def resting(off_until: str | None, received: datetime) -> bool:
    """Whether a rule was still put off when an arrival was received; `received` with the node's zone."""
    if off_until is None:
        return False
    if _DATE.fullmatch(off_until):
        return received.date() < date.fromisoformat(off_until)
    return received < datetime.fromisoformat(off_until)


def first_moment(off_until: str, now: datetime) -> datetime:
    """When a rule that is put off is back, in the zone of `now`."""
    moment = datetime.fromisoformat(off_until)
    return moment if moment.tzinfo else moment.replace(tzinfo=now.tzinfo)


def not_in_force(expires: str | None, off_until: str | None, received: datetime) -> str:
    """Why a rule was as one that is off when an arrival was received; "" if it was in force."""
    if expired(expires, received):
        return f"expired ({expires})"
    return f"off until {off_until}" if resting(off_until, received) else ""


def within(schedule: tuple[Window, ...] | None, received: datetime) -> bool:
    """Whether a rule acts on what was received then (wall clock of the node: a window moves with daylight saving)."""
    return schedule is None or any(_inside(window, received) for window in schedule)


def _inside(window: Window, received: datetime) -> bool:
    today, yesterday = DAYS[received.weekday()], DAYS[received.weekday() - 1]
    now, start, end = received.strftime("%H:%M"), window.start, window.end
    if start == end:
        return today in window.days
    if start < end:
        return today in window.days and start <= now < end
    return (today in window.days and now >= start) or (yesterday in window.days and now < end)


def period_of(quota: Quota, received: datetime) -> str:
    """The name of the period that something received then counts in; "ever" without one."""
    day = received.date()
    if quota.per == "hour":
        return received.strftime("%Y-%m-%dT%H%z")  # with its offset: an hour that comes twice is two
    if quota.per == "day":
        return day.isoformat()
    if quota.per == "week":
        return (day - timedelta(days=day.weekday())).isoformat() + "/week"
    return day.strftime("%Y-%m") if quota.per == "month" else "ever"
