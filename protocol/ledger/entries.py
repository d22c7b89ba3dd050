"""Rows out of events, before any database is asked: one `Entry` per event, its changes folded to one row per object.
Pure; what does not fit is replaced, flagged, and the whole envelope kept as bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from protocol.ledger.fit import Unfit, fit_row
from protocol.ledger.projection import Change, project
from protocol.ledger.tables import event, metadata
from protocol.wire.codec import pack
from protocol.wire.messages import Envelope

MAX_FLAG = 1000  # characters
TOLD_ELSEWHERE = frozenset({"arrival.completed"})
"""Types whose patient data has tables of its own, where it can be forgotten without touching the event."""


_NEEDED = {"type": "", "subject": "", "time": 0.0, "correlation": "", "causation": "", "severity": 0, "source": "",
           "data": {}, "epoch": 0, "seq": 0}  # fmt: skip


@dataclass
class Entry:
    """One event as it goes into the ledger: its row, and the changes of other rows (without the node)."""

    id: str
    row: dict[str, Any]
    envelope: Envelope
    changes: list[Change] = field(default_factory=list)
    elsewhere: bool = False  # its row is there already, under another node's name

    def flag(self, *why: str) -> None:
        """Say that the columns are not the whole truth, and keep the bytes."""
        self.row["flag"] = "; ".join(sorted(why))[:MAX_FLAG]
        self.row["raw"] = raw_of(self.envelope)

    def reduce(self, why: str) -> None:
        """Leave nothing but what a database must take: numbers, ASCII names, bytes."""
        self.flag(why)
        self.changes = []
        self.row |= {"data": {}, "phi": None, "receipt": None, "correlation": "", "causation": "", "subject": ""}
        for name in ("type", "source"):
            self.row[name] = self.row[name].encode("ascii", "replace").decode()


def entry_of(envelope: Envelope, node: str, now: float) -> Entry:
    """Never fails, whatever the envelope holds. `now` in seconds since 1970."""
    problems: set[str] = set()
    identity = _identity(envelope, problems)
    row = _event_row(envelope, identity, node, now, problems)
    entry = Entry(identity, row, envelope)
    entry.changes = _changes(envelope, problems)
    if problems:
        entry.flag(*problems)
    return entry


def raw_of(envelope: Envelope) -> bytes:
    """The envelope with its patient data as msgpack; as text if even that cannot be."""
    try:
        return pack(envelope.to_map(with_phi=True))
    except (TypeError, ValueError, OverflowError, RecursionError, UnicodeError):
        return repr(envelope).encode("utf-8", "backslashreplace")


def identity_of(envelope: Envelope) -> str:
    """The id that an event has in the ledger."""
    return _identity(envelope, set())


def _identity(envelope: Envelope, problems: set[str]) -> str:
    """Its id, or one made from the bytes if that cannot be one: the same again for the same event."""
    found = envelope.id
    if isinstance(found, str) and 0 < len(found) <= 64 and found.isascii() and found.isprintable():
        return found
    problems.add("id: not usable")
    return "made-" + hashlib.sha256(raw_of(envelope)).hexdigest()[:32]


def _event_row(envelope: Envelope, identity: str, node: str, now: float, problems: set[str]) -> dict[str, Any]:
    data: Mapping[str, Any] = envelope.data if isinstance(envelope.data, Mapping) else {}
    row = fit_row(event, {
        "id": identity, "node": node, "epoch": envelope.epoch, "seq": envelope.seq, "type": envelope.type,
        "subject": envelope.subject, "time": envelope.time, "recorded": now, "correlation": envelope.correlationid,
        "causation": envelope.causationid, "severity": envelope.severitynumber, "source": envelope.source,
        "arrival": data.get("arrival"), "delivery": data.get("delivery"), "receipt": data.get("receipt"),
        "data": envelope.data, "phi": None if envelope.type in TOLD_ELSEWHERE else envelope.phi, "flag": None, "raw": None,
    }, problems)  # fmt: skip
    for name, instead in _NEEDED.items():
        if row[name] is None:
            problems.add(f"{name}: missing")
            row[name] = now if name == "time" else instead
    return row


def _changes(envelope: Envelope, problems: set[str]) -> list[Change]:
    """Its changes with fitting values; those that cannot be made are named and left out."""
    fitting = []
    try:
        wanted = project(envelope)
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        problems.add(f"not projected: {type(exc).__name__}")
        return []
    for change in wanted:
        table = metadata.tables[change.table]
        try:
            key = fit_row(table, change.key, problems)
        except Unfit as exc:
            problems.add(f"not projected: {exc}")
            continue
        first = fit_row(table, change.first, problems) if change.first else None
        fitting.append(Change(change.table, key, fit_row(table, change.values, problems), first))
    return fitting


class Group(NamedTuple):
    """Rows of one table that one statement can write: all have the same columns."""

    table: str
    rows: list[dict[str, Any]]
    first: tuple[str, ...]  # columns that only a new row gets


def fold(changes: Iterable[Change], node: str) -> list[Group]:
    """One row per object of a node, later values over earlier ones, grouped by table and columns."""
    rows: dict[tuple[str, tuple[Any, ...]], tuple[dict[str, Any], dict[str, Any] | None]] = {}
    for table, key, values, first in changes:
        place = (table, tuple(key.values()))
        if place in rows:
            rows[place][0].update(values)
        else:
            rows[place] = ({"node": node, **key, **values}, first)
    groups: dict[tuple[str, tuple[str, ...], tuple[str, ...]], list[dict[str, Any]]] = {}
    for (table, _), (row, first) in rows.items():
        only = tuple(name for name in first if name not in row) if first else ()
        if first and only:
            row |= {name: first[name] for name in only}
        groups.setdefault((table, tuple(row), only), []).append(row)
    return [Group(table, found, only) for (table, _, only), found in groups.items()]
