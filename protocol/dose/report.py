"""Reads a dose report: totals and irradiation events as plain values in fixed units, and what is wrong with it as flags.
It never raises on any bytes, and its work is bounded; it must not copy names or ids of the patient.

What is told in a unit that cannot be converted, or as no number, is left out and flagged: a wrong dose is worse than none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from protocol.dose import codes
from protocol.dose.tree import Code, Item, Tree, reader_for
from protocol.dose.units import factor
from protocol.header.datasets import Unreadable

DOSE_CLASSES = frozenset(("1.2.840.10008.5.1.4.1.1.88.67",))
"""SOP classes of dose reports: X-Ray Radiation Dose SR Storage."""
MAX_EVENTS = 1000  # of all reports of an arrival
MAX_ELEMENTS = 1_000_000  # of all reports of an arrival; well below a second
CLOSE = 0.02  # relative: so far the sum of the events may be from the total, since devices round
DCM, UCUM = "DCM", "UCUM"

UNREADABLE, NO_REPORT, CUT = "unreadable", "no dose report", "cut"
NUMBER, UNIT = "number", "unit"
EVENTS, SUM, NO_UID, SAME_UID = "events", "sum", "event uid missing", "event uid repeated"
FLAGS = {
    UNREADABLE: "the object cannot be read, or not to its end; what came before counts",
    NO_REPORT: "the root is not an X-Ray Radiation Dose Report (113701, DCM)",
    CUT: f"longer than is read ({MAX_EVENTS} events, {MAX_ELEMENTS} elements); what came before counts",
    NUMBER: "a value is no number, or negative",
    UNIT: "a value has a unit that is not that of its quantity, or none by UCUM",
    EVENTS: "the number of events is not the one that the report tells",
    SUM: "the events do not add up to the total",
    NO_UID: "an event has no irradiation event UID",
    SAME_UID: "two events have the same irradiation event UID",
}
"""What a flag means, for people."""


@dataclass
class _Found:
    totals: dict[str, float] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    device: dict[str, str] = field(default_factory=dict)
    flags: set[str] = field(default_factory=set)


class Reading:
    """Reads the reports of one arrival, with one bound on the work for all of them."""

    def __init__(self, most_elements: int = MAX_ELEMENTS, most_events: int = MAX_EVENTS) -> None:
        self._reader, self._events_left = reader_for(most_elements), most_events

    def report(self, data: bytes, transfer_syntax_uid: str) -> dict[str, Any]:
        """One report; `data` is its data set. Keys: sop_uid, zone, totals, device, events, flags."""
        found, sop_uid, zone = _Found(), "", ""
        try:
            tree = Tree(data, transfer_syntax_uid, self._reader)
            sop_uid, zone = tree.sop_uid, tree.zone
            if not _is(tree.concept, codes.REPORT):
                found.flags.add(NO_REPORT)
            else:
                for branch in tree.branches():
                    self._branch(branch, found)
        except Unreadable:
            found.flags.add(UNREADABLE if self._reader.left >= 0 else CUT)
        if UNREADABLE not in found.flags and CUT not in found.flags:
            _judge(found)
        return {"sop_uid": sop_uid, "zone": zone, "totals": found.totals, "device": found.device, "events": found.events,
                "flags": sorted(found.flags)}  # fmt: skip

    def _branch(self, branch: Item, found: _Found) -> None:
        concept = branch.concept
        if concept.scheme != DCM:
            return
        if concept.value in codes.ACCUMULATED:
            _totals(branch, found)
        elif concept.value in codes.DEVICE and branch.text:
            found.device.setdefault(codes.DEVICE[concept.value], branch.text)
        elif kind := codes.EVENTS.get(concept.value):
            if self._events_left <= 0:
                found.flags.add(CUT)
                return
            self._events_left -= 1
            found.events.append({"kind": kind, **_event(branch, found.flags)})


def read_report(data: bytes, transfer_syntax_uid: str) -> dict[str, Any]:
    """One report by itself, see `Reading.report`."""
    return Reading().report(data, transfer_syntax_uid)


def _totals(branch: Item, found: _Found) -> None:
    """Of two planes each tells its own; together they are what the patient got."""
    own: dict[str, float] = {}
    for item in _below(branch):
        _take(item, codes.TOTALS, own, found.flags)
    for name, value in own.items():
        found.totals[name] = found.totals.get(name, 0.0) + value


def _event(branch: Item, flags: set[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for item in _below(branch):
        _take(item, codes.NUMBERS, values, flags)
        if item.concept.scheme != DCM:
            continue
        name = item.concept.value
        if item.text and name in codes.TEXTS:
            values.setdefault(codes.TEXTS[name], item.text)
        elif item.code.value and name in codes.CODES:
            values.setdefault(codes.CODES[name], item.code.meaning or item.code.value)
            values.setdefault(f"{codes.CODES[name]}_code", f"{item.code.scheme}:{item.code.value}")
        elif name == codes.PLANE:
            _word(values, "plane", item.code, codes.PLANES)
        elif name == codes.PHANTOM:
            _word(values, "phantom", item.code, codes.PHANTOMS)
    if not values.get("event_uid"):
        flags.add(NO_UID)
    return values


def _word(values: dict[str, Any], name: str, code: Code, words: Mapping[str, str]) -> None:
    if code.scheme == DCM and code.value in words:
        values.setdefault(name, words[code.value])


def _take(item: Item, wanted: Mapping[str, tuple[str, str]], values: dict[str, Any], flags: set[str]) -> None:
    """A number in the unit of its column, if it is one of those that are wanted."""
    if item.kind != "NUM" or item.concept.scheme != DCM or item.concept.value not in wanted:
        return
    name, unit = wanted[item.concept.value]
    if item.odd or (item.number is not None and item.number < 0):
        flags.add(NUMBER)
    elif item.number is not None:
        by = factor(item.unit.value, unit) if item.unit.scheme == UCUM else None
        if by is None:
            flags.add(UNIT)
        else:
            values.setdefault(name, float(f"{item.number * by:.9g}"))  # without the noise of binary fractions


def _below(item: Item) -> Iterator[Item]:
    for child in item.children:
        yield child
        yield from _below(child)


def _is(code: Code, value: str) -> bool:
    return code.value == value and code.scheme == DCM


def _judge(found: _Found) -> None:
    """Whether the events are those that the totals are about."""
    uids = [one["event_uid"] for one in found.events if one.get("event_uid")]
    if len(set(uids)) < len(uids):
        found.flags.add(SAME_UID)
    told = found.totals.get("events_total")
    if told is not None and told != len(found.events):
        found.flags.add(EVENTS)
    for total, name in (("dlp_total", "dlp"), ("dose_area_total", "dose_area")):
        parts = [one[name] for one in found.events if name in one]
        whole = found.totals.get(total)
        if whole is not None and parts and abs(sum(parts) - whole) > CLOSE * max(whole, 1.0):
            found.flags.add(SUM)
