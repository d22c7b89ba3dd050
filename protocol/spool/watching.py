"""What the bookkeeper's watch looks at: what is held, quarantined, or waits too long, and when sources were seen.
It only reads, except that it keeps the hours of sources; it judges nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from protocol.records import record
from protocol.spool.database import Database
from protocol.spool.settling import plain
from protocol.states import Priority
from protocol.wire.codec import unpack_stored

COUNTED = 10_000  # held arrivals; nobody needs to know of more
MOST_SOURCES = 500
HOUR_S = 3600.0
_NEW_HOURS = (  # not of who was first seen today: AE titles are the peer's to invent
    "SELECT calling_ae, CAST(last / 3600 AS INTEGER) AS hour FROM sighting WHERE associations > 0 AND last > :since"
    " AND first < :since - 86400"
    " EXCEPT SELECT calling_ae, hour FROM source_hour WHERE hour >= :since / 3600 - 1"
)

_HELD_BY_PERSON = (  # what was held otherwise before is a person's from then on, since its time of holding is that of the act
    "(SELECT 1 FROM touched t JOIN command c ON c.id = t.command WHERE t.arrival = a.id AND t.delivery = 0 AND t.refused = ''"
    " AND t.time >= a.since AND c.kind = 'series.hold')"
)


class Some(NamedTuple):
    """So many, and one of them."""

    size: int
    example: int | str


@record
class Happened:
    """See Watching.happened."""

    arrival: Mapping[str, Any]
    rules: Sequence[str]
    header: Mapping[str, Any]


class Watching:
    """See the module."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def held(self, *, by_person: bool) -> dict[str, Some]:
        """Held arrivals by calling AE title: those that a person set aside, or those that wait for one."""
        with self._db.read() as connection:
            rows = connection.execute(
                "SELECT calling_ae, count(*), max(id) FROM (SELECT id, calling_ae, since FROM arrival INDEXED BY arrival_state"
                f" WHERE state = 'held' ORDER BY id DESC LIMIT ?) a WHERE {'' if by_person else 'NOT '}EXISTS {_HELD_BY_PERSON}"
                " GROUP BY calling_ae",
                (COUNTED,),
            ).fetchall()
        return {row[0]: Some(row[1], row[2]) for row in rows}

    def quarantined(self, since: float) -> dict[str, Some]:
        """Objects put into quarantine since then (seconds UTC) and still there, by calling AE title."""
        with self._db.read() as connection:
            rows = connection.execute(
                "SELECT calling_ae, count(*), hex(max(receipt)) FROM quarantine WHERE state = 'kept' AND stored > ? GROUP BY calling_ae",
                (since,),
            ).fetchall()
        return {row[0]: Some(row[1], row[2].lower()) for row in rows}

    def oldest(self, target: str, *, offpeak: bool) -> float | None:
        """When the oldest delivery was made that waits for a target, of off-peak priority or of the others (seconds UTC)."""
        compare = ">=" if offpeak else "<"
        found = []
        with self._db.read() as connection:
            for state in ("waiting", "retrying"):
                row = connection.execute(
                    f"SELECT created FROM delivery INDEXED BY delivery_state WHERE state = ? AND target = ? AND priority {compare} ?"
                    " ORDER BY id LIMIT 1",
                    (state, target, Priority.OFFPEAK.rank),
                ).fetchone()
                found += [float(row[0])] if row else []
        return min(found, default=None)

    def happened(self, arrival: int, keywords: Collection[str] = ()) -> Happened | None:
        """An arrival of which rules want something told: its row, the rules that routed it, and header values of its first image.

        None: its rows are gone.
        """
        with self._db.read() as connection:
            row = connection.execute("SELECT * FROM arrival WHERE id = ?", (arrival,)).fetchone()
            if row is None:
                return None
            rules = connection.execute(
                "SELECT rule FROM arrival_rule WHERE arrival = ? ORDER BY rule", (arrival,)
            ).fetchall()
        header = unpack_stored(row["header"]) if keywords and row["header"] else {}
        return Happened(
            plain(row), [one[0] for one in rules], {name: header[name] for name in keywords if name in header}
        )

    # ---- when sources were seen -----------------------------------------------------------------------------------
    def note_hours(self) -> None:
        """Keep the hours in which sources were seen last; to be called several times an hour."""
        since = {"since": self._db.clock.now() - 2 * HOUR_S}
        with self._db.read() as connection:
            if connection.execute(f"{_NEW_HOURS} LIMIT 1", since).fetchone() is None:
                return
        with self._db.write() as tx:
            tx.execute(f"INSERT OR IGNORE INTO source_hour {_NEW_HOURS}", since)

    def hours(self, since: float) -> dict[str, list[int]]:
        """The hours (since 1970 UTC, ascending) in which each calling AE title was seen since then (seconds UTC)."""
        found: dict[str, list[int]] = {}
        with self._db.read() as connection:
            names = connection.execute(
                "SELECT DISTINCT calling_ae FROM source_hour LIMIT ?", (MOST_SOURCES,)
            ).fetchall()
            for (name,) in names:
                rows = connection.execute(
                    "SELECT hour FROM source_hour WHERE calling_ae = ? AND hour >= ? ORDER BY hour",
                    (name, since / HOUR_S),
                ).fetchall()
                found[name] = [row[0] for row in rows]
        return found

    def forget_hours(self, before: float) -> int:
        """Let go of hours before then (seconds UTC); how many."""
        old = "SELECT calling_ae, hour FROM source_hour WHERE hour < ?"
        with self._db.read() as connection:
            if connection.execute(f"{old} LIMIT 1", (before / HOUR_S,)).fetchone() is None:
                return 0
        with self._db.write() as tx:
            return tx.changed(
                f"DELETE FROM source_hour WHERE (calling_ae, hour) IN ({old} LIMIT 500)", (before / HOUR_S,)
            )
