"""What the cleaner would let go of with a given retention, what it keeps, and why. It only reads.
It must not know windows and clocks: whether cleaning runs at that moment is for whoever asks.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field

from protocol.spool.cleaning import TO_BE_TOLD, reached_by
from protocol.spool.database import Database
from protocol.spool.retention import Retention
from protocol.states import ARRIVAL_DELETABLE

UNFINISHED = {
    "open": "images still come in",
    "closed": "not decided yet",
    "waiting": "waits for its study",
    "in_delivery": "not delivered everywhere yet",
    "held": "held until a person releases it",
}
PROMISED = "held, and promised to its scanner by storage commitment"
YOUNG = "younger than its retention"
WANTED = "finished, but a person wants it kept longer"
NEEDED = "finished, but still needed: a delivery, a study or a file's copy is not done"


@dataclass
class Amount:
    """So many series. `oldest` and `newest`: when they got into their state, seconds UTC; None if there are none."""

    series: int = 0
    images: int = 0
    bytes: int = 0
    oldest: float | None = None
    newest: float | None = None

    def add(self, other: Amount) -> None:
        self.series += other.series
        self.images += other.images
        self.bytes += other.bytes
        times = [one for one in (self.oldest, self.newest, other.oldest, other.newest) if one is not None]
        self.oldest, self.newest = (min(times), max(times)) if times else (None, None)


@dataclass
class Kind:
    """Series of one final state that reached the same targets."""

    state: str
    targets: list[str]
    amount: Amount


@dataclass
class Kept:
    """Series that stay, and why. `goes_at`: when the first of them may go, seconds UTC; None: nobody can tell."""

    why: str
    amount: Amount
    goes_at: float | None = None


@dataclass
class Forecast:
    """What goes and what stays at one moment (`at`, seconds UTC), as things stand now."""

    at: float
    goes: list[Kind] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    quarantined_goes: Amount = field(default_factory=Amount)
    quarantined_kept: Amount = field(default_factory=Amount)
    deleting: int = 0
    """Series that are marked already and still have files."""

    @property
    def total(self) -> Amount:
        """All that goes, without the quarantine."""
        total = Amount()
        for kind in self.goes:
            total.add(kind.amount)
        return total


def forecast(database: Database, retention: Retention, at: float) -> Forecast:
    """What `retention`, made for the moment `at`, lets go of, by state and targets; and what it keeps."""
    found = Forecast(at)
    with database.read() as connection:
        found.deleting = connection.execute(
            "SELECT count(*) FROM arrival INDEXED BY arrival_unlink WHERE state = 'deleted' AND files = 1"
        ).fetchone()[0]
        for state in sorted(ARRIVAL_DELETABLE):
            for reached in reached_by(connection, state):
                _finished(connection, found, retention, state, reached)
        _needed(connection, found, retention)
        _unfinished(connection, found)
        _quarantined(connection, found, retention.quarantined_before)
    found.goes = [kind for kind in found.goes if kind.amount.series > 0]
    found.kept.sort(key=lambda kept: kept.goes_at or float("inf"))
    return found


_FIGURES = "count(*), total(images), total(bytes), min(since), max(since)"


def _amount(row: sqlite3.Row) -> Amount:
    return Amount(int(row[0]), int(row[1]), int(row[2]), row[3], row[4])


def _finished(connection: sqlite3.Connection, found: Forecast, retention: Retention, state: str, reached: str) -> None:
    """Series of one kind, in two parts by their age."""
    targets = reached.split()
    before = retention.before(state, targets)
    part = f"SELECT {_FIGURES} FROM arrival INDEXED BY arrival_finished WHERE state = '{state}' AND reached = ?"
    cut = float("-inf") if before is None else before
    goes = _amount(connection.execute(f"{part} AND since < ?", (reached, cut)).fetchone())
    young = _amount(connection.execute(f"{part} AND since >= ?", (reached, cut)).fetchone())
    if goes.series:
        found.goes.append(Kind(state, targets, goes))
    if young.series and young.oldest is not None:
        to = f" ({', '.join(targets)})" if targets else ""
        found.kept.append(
            Kept(f"{state}{to}: {YOUNG}", young, None if before is None else young.oldest + found.at - before)
        )


def _needed(connection: sqlite3.Connection, found: Forecast, retention: Retention) -> None:
    """Finished ones that go by age, and that something needs all the same (see cleaning.STILL_NEEDED)."""
    rows = connection.execute(
        "SELECT state, reached, since, images, bytes, keep_until FROM arrival WHERE state IN ('delivered', 'discarded')"
        " AND id IN (SELECT id FROM arrival INDEXED BY arrival_kept WHERE keep_until > ? UNION"
        f" SELECT arrival FROM unsynced UNION SELECT arrival FROM {TO_BE_TOLD} UNION"
        " SELECT arrival FROM delivery WHERE state IN ('waiting', 'sending', 'retrying', 'confirming', 'parked', 'held'))",
        (retention.at,),
    ).fetchall()
    kept, wanted = Amount(), Amount()
    ends: list[float] = []
    for row in rows:
        before = retention.before(row["state"], row["reached"].split())
        if before is None or row["since"] >= before:
            continue
        one = Amount(1, row["images"], row["bytes"], row["since"], row["since"])
        if row["keep_until"] is not None and row["keep_until"] > retention.at:
            wanted.add(one)
            ends.append(row["keep_until"])
        else:
            kept.add(one)
        for kind in found.goes:
            if (kind.state, kind.targets) == (row["state"], row["reached"].split()):
                kind.amount.series -= 1
                kind.amount.images -= one.images
                kind.amount.bytes -= one.bytes
    if kept.series:
        found.kept.append(Kept(NEEDED, kept))
    if wanted.series:
        found.kept.append(Kept(WANTED, wanted, min(ends)))


def _unfinished(connection: sqlite3.Connection, found: Forecast) -> None:
    states = tuple(UNFINISHED)
    rows = connection.execute(
        f"SELECT {_FIGURES}, state, p.arrival IS NOT NULL AS promised FROM arrival a INDEXED BY arrival_state"
        f" LEFT JOIN promise p ON p.arrival = a.id AND a.state = 'held' WHERE state IN {states!r} GROUP BY state, promised"
    ).fetchall()
    for row in rows:
        found.kept.append(Kept(PROMISED if row["promised"] else UNFINISHED[row["state"]], _amount(row)))


def _quarantined(connection: sqlite3.Connection, found: Forecast, before: float | None) -> None:
    cut = float("-inf") if before is None else before
    part = "SELECT count(*), count(*), total(bytes), min(stored), max(stored) FROM quarantine WHERE state = 'kept'"
    found.quarantined_goes = _amount(connection.execute(f"{part} AND stored < ?", (cut,)).fetchone())
    found.quarantined_kept = _amount(connection.execute(f"{part} AND stored >= ?", (cut,)).fetchone())
    found.quarantined_goes.series = found.quarantined_kept.series = 0
