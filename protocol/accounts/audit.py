"""The audit trail: entries that are only ever added, each chained to the one before. It must not decide anything.

The chain (SHA-256 over the former link and the entry) shows a change made behind the program's back; it does not
prevent one.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3

from protocol.accounts.records import AuditEntry

_FIELDS = ("time", "who", "address", "action", "object", "before", "after")


def append(
    db: sqlite3.Connection,
    time: float,
    who: str,
    address: str,
    action: str,
    object: str,
    before: object = None,
    after: object = None,
) -> None:
    """Add one entry inside the caller's transaction, so that it stands or falls with the change it tells of."""
    values = (time, who, address, action, object, _json(before), _json(after))
    row = db.execute("SELECT chain FROM audit ORDER BY number DESC LIMIT 1").fetchone()
    db.execute(
        "INSERT INTO audit (time, who, address, action, object, before, after, chain) VALUES (?,?,?,?,?,?,?,?)",
        (*values, _link(row["chain"] if row else b"", values)),
    )


def entry(row: sqlite3.Row) -> AuditEntry:
    """A row as a record."""
    return AuditEntry(
        row["number"],
        row["time"],
        row["who"],
        row["address"],
        row["action"],
        row["object"],
        _value(row["before"]),
        _value(row["after"]),
    )


def first_broken(rows: list[sqlite3.Row], link: bytes = b"") -> int | None:
    """The number of the first entry (ascending, the first follows the one with this link) that does not fit the chain;
    None if all fit."""
    for row in rows:
        link = _link(link, tuple(row[field] for field in _FIELDS))
        if link != row["chain"]:
            return int(row["number"])
    return None


def _link(former: bytes, values: tuple[object, ...]) -> bytes:
    return hashlib.sha256(former + json.dumps(values, ensure_ascii=True).encode()).digest()


def _json(value: object) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False, sort_keys=True)


def _value(text: str | None) -> object:
    return None if text is None else json.loads(text)
