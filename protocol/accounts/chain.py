"""The end of the audit's chain: where it stands, entries with their links, and entries carried over from elsewhere once.

A chain shows what was changed, not what was cut off its end: for that its head is told to others (the event `audit.head`),
and held against the entries later. It must not judge what is audited.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from protocol.accounts import audit
from protocol.accounts.carrying import Entry, mark
from protocol.accounts.database import Database
from protocol.accounts.records import AuditEntry
from protocol.accounts.store import Store
from protocol.clock import Clock
from protocol.errors import AccountError

Place = tuple[int, int]


class Head(NamedTuple):
    """The newest entry's number and link (hexadecimal); 0 and "" while there is none."""

    number: int
    link: str

    @property
    def text(self) -> str:
        """Both in one, for keeping."""
        return f"{self.number} {self.link}"

    @classmethod
    def of(cls, text: str) -> Head:
        """Inverse of `text`."""
        number, _, link = text.partition(" ")
        return cls(int(number), link)


class Chain:
    """See the module."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @classmethod
    def open(cls, path: Path, clock: Clock) -> Chain:
        """Of accounts.sqlite3, made if it is not there. Raises AccountError."""
        return cls(Store(Database(path), clock))

    def close(self) -> None:
        """Close the file, of who opened it by `open`."""
        self._store.database.close()

    def head(self) -> Head:
        """The end of the chain."""
        rows = self._store.database.rows("SELECT number, chain FROM audit ORDER BY number DESC LIMIT 1")
        return Head(rows[0]["number"], rows[0]["chain"].hex()) if rows else Head(0, "")

    def missing(self, heads: Iterable[Head]) -> Head | None:
        """The first of the heads told earlier that the entries do not have any more; None if all are there."""
        for head in sorted(heads):
            rows = self._store.database.rows("SELECT chain FROM audit WHERE number = ?", head.number)
            if not rows or rows[0]["chain"].hex() != head.link:
                return head
        return None

    def entries(self, after: int = 0, limit: int = 1000) -> list[tuple[AuditEntry, str]]:
        """Entries behind a number with their links (hexadecimal), ascending: to be kept elsewhere and verified there."""
        rows = self._store.database.rows("SELECT * FROM audit WHERE number > ? ORDER BY number LIMIT ?", after, limit)
        return [(audit.entry(row), row["chain"].hex()) for row in rows]

    # ---- entries from elsewhere ---------------------------------------------------------------------------------------
    def place(self, name: str) -> Place:
        """How far the entries of this origin were carried over; (0, 0): not yet."""
        rows = self._store.database.rows("SELECT epoch, seq FROM carried WHERE name = ?", name)
        return (int(rows[0]["epoch"]), int(rows[0]["seq"])) if rows else (0, 0)

    def carry(self, name: str, before: Place, after: Place, entries: Sequence[Entry]) -> None:
        """Add entries with the place that they reach, in one transaction. Raises AccountError, also if somebody else did."""
        with self._store.database.transaction() as db:
            row = db.execute("SELECT epoch, seq FROM carried WHERE name = ?", (name,)).fetchone()
            if (tuple(row) if row else (0, 0)) != before:
                raise AccountError("the entries were carried over by somebody else")
            for entry in entries:
                who, object = entry.who, entry.object
                if entry.of:
                    asked = db.execute(
                        "SELECT who, object FROM audit WHERE action = ? AND instr(object, ?) ORDER BY number DESC LIMIT 1",
                        (entry.action.rpartition(" ")[0], f"({mark(entry.of)})"),
                    ).fetchone()
                    who, object = tuple(asked) if asked else (who, object)
                audit.append(db, entry.time, who, "", entry.action, object, None, dict(entry.after))
            db.execute("INSERT OR REPLACE INTO carried VALUES (?, ?, ?)", (name, *after))
