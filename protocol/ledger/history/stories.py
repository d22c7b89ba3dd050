"""What the ledger knows of one study and of one patient. It only reads, and never header values."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select

from protocol.ledger.history.asked import Plain
from protocol.ledger.history.rows import ARRIVAL_COLUMNS, plain, with_deliveries
from protocol.ledger.tables import arrival

MAX_ARRIVALS = 5000


def study(connection: Connection, node: str | None, study_uid: str) -> Plain | None:
    """A study: its figures and `arrivals` in the order of their opening, each with its `deliveries`; None if unknown.

    `node` None: of all nodes that write this ledger.
    """
    rows = with_deliveries(connection, _arrivals(connection, node, arrival.c.study_uid == study_uid))
    return {**_figures(study_uid, rows), "arrivals": rows} if rows else None


def patient(connection: Connection, node: str | None, patient_id: str) -> Plain | None:
    """A patient: `patient_id`, `patient_folded`, and `studies` with their figures, the newest first; None if unknown."""
    rows = _arrivals(connection, node, arrival.c.patient_id == patient_id)
    if not rows:
        return None
    studies: dict[str, list[Plain]] = {}
    for row in rows:
        studies.setdefault(row["study_uid"] or "", []).append(row)
    told = [_figures(uid, arrivals) for uid, arrivals in studies.items()]
    return {
        "patient_id": patient_id,
        "patient_folded": next((row["patient_folded"] for row in reversed(rows) if row["patient_folded"]), None),
        "studies": sorted(told, key=lambda one: one["first"] or 0.0, reverse=True),
    }


def _arrivals(connection: Connection, node: str | None, condition: Any) -> list[Plain]:
    wanted = select(*ARRIVAL_COLUMNS).where(condition)
    if node is not None:
        wanted = wanted.where(arrival.c.node == node)
    order = (arrival.c.opened, arrival.c.node, arrival.c.arrival)
    return plain(connection, wanted.order_by(*order).limit(MAX_ARRIVALS))


def _figures(study_uid: str, rows: list[Plain]) -> Plain:
    """What a line about a study says. `series` counts different series, `arrivals_count` also their late parts."""
    times = [row["opened"] for row in rows if row["opened"] is not None]
    return {
        "study_uid": study_uid,
        "first": min(times, default=None),
        "last": max(times, default=None),
        "arrivals_count": len(rows),
        "series": len({row["series_uid"] for row in rows}),
        "images": sum(row["images"] or 0 for row in rows),
        "bytes": sum(row["bytes"] or 0 for row in rows),
        **{name: _distinct(rows, name) for name in ("node", "modality", "calling_ae", "state", "accession")},
        "patient_id": next((row["patient_id"] for row in rows if row["patient_id"]), None),
        "patient_folded": next((row["patient_folded"] for row in rows if row["patient_folded"]), None),
    }


def _distinct(rows: list[Plain], name: str) -> list[str]:
    return sorted({row[name] for row in rows if row[name]})
