"""The rows of dose reports out of the event of a completed arrival: `dose_changes`, pure; it never raises.
It must not judge a dose; what the router read and flagged (protocol/dose) is kept as it came.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from protocol.ledger.fit import fit_row
from protocol.ledger.mining.moments import moment_of_datetime
from protocol.ledger.tables import dose_event, dose_report
from protocol.wire.messages import Envelope

MAX_REPORTS, MAX_EVENTS = 100, 5000  # of an arrival; the router keeps below that
_DEVICE = ("manufacturer", "model", "device_serial")


class DoseRow(NamedTuple):
    """A row: of which table, its key without the node, its values."""

    table: str
    key: dict[str, Any]
    values: dict[str, Any]


def dose_rows(event: Envelope, scanner: str | None, received: float | None) -> Iterator[DoseRow]:
    """Reports and irradiations that `arrival.completed` tells; times are seconds since 1970 UTC.

    `scanner` and `received` are those of the series. What is of an odd form is left out.
    """
    told = _map(_map(event.phi).get("mining"))
    reports, zone = told.get("doses"), told.get("zone")
    left = MAX_EVENTS
    for number, one in enumerate(_list(reports)[:MAX_REPORTS], 1):
        report, key = _map(one), {"arrival": event.data["arrival"], "report": number}
        events = [_map(each) for each in _list(report.get("events"))[:left]]
        left -= len(events)
        values = {
            "received": received, "scanner": scanner, "calling_ae": event.data.get("calling_ae"),
            "study_uid": event.data.get("study_uid"), "sop_uid": report.get("sop_uid") or None,
            "kind": events[0].get("kind") if events else None, "events": len(events),
            "flags": ", ".join(str(flag) for flag in _list(report.get("flags"))) or None,
            **{name: value for name, value in _map(report.get("totals")).items() if name in dose_report.c},
            **{name: _map(report.get("device")).get(name) for name in _DEVICE},
        }  # fmt: skip
        yield DoseRow("dose_report", key, fit_row(dose_report, values, set()))
        for at, each in enumerate(events, 1):
            yield _irradiation({**key, "event": at}, each, str(report.get("zone") or ""), zone)


def _irradiation(key: dict[str, Any], told: Mapping[str, Any], offset: str, zone: Any) -> DoseRow:
    started = moment_of_datetime(told.get("started"), offset, zone if isinstance(zone, str) else "")
    names = [column.name for column in dose_event.c if not column.primary_key and column.name != "started"]
    values = {**{name: told.get(name) for name in names}, "started": started}
    return DoseRow("dose_event", key, fit_row(dose_event, values, set()))


def _map(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []
