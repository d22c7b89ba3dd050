"""A spool with as many series as one likes, most of them delivered and the newest waiting for their targets: rows alone, no files.
One series goes the real way, SQL multiplies it. It must not be used on a spool that anybody works with.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.large_spool import _original, _row
from protocol.spool import open_spool
from protocol.spool.spool import Spool

TARGETS = ("pacs", "archive", "research", "ai")
CAUSES = ("timeout", "refused", "rejected")
DAYS = 30.0
CHUNK = 50_000  # series in one transaction
RULES = ("all", "odd")


@dataclass(frozen=True)
class Crowd:
    """`arrivals` in all, the newest `waiting` of them not delivered yet. Numbers begin with 2: the first is the real one."""

    arrivals: int
    waiting: int
    until: float  # when the last one came, seconds UTC

    def columns(self, table: str) -> dict[str, str]:
        """Column -> SQL of what differs from the first row; n counts from 1."""
        late = f"n > {self.arrivals - self.waiting}"
        when = f"({self.until - DAYS * 86_400} + n * {DAYS * 86_400 / self.arrivals})"
        state = (f"CASE WHEN {late} THEN CASE n % 97 WHEN 0 THEN 'held' ELSE 'in_delivery' END"
                 " WHEN n % 500 = 0 THEN 'discarded' ELSE 'delivered' END")  # fmt: skip
        tried = "CASE WHEN n % 50 = 0 THEN 'parked' WHEN n % 20 = 1 THEN 'retrying' WHEN n % 97 = 0 THEN 'held' ELSE 'waiting' END"
        cause = ("CASE WHEN n % 50 = 0 OR n % 20 = 1 THEN CASE n % 3 WHEN 0 THEN 'timeout' WHEN 1 THEN 'refused'"
                 " ELSE 'rejected' END ELSE '' END")  # fmt: skip
        target = (
            f"CASE n % {len(TARGETS)} "
            + " ".join(f"WHEN {at} THEN '{name}'" for at, name in enumerate(TARGETS))
            + " END"
        )
        study, one = (
            "'1.2.826.0.1.3680043.8.498.9.' || (n / 4)",
            "'1.2.826.0.1.3680043.8.498.9.' || (n / 4) || '.' || n",
        )
        calling = "'CT' || (n % 40)"
        association, receipt = "CAST(printf('a%015d', n) AS BLOB)", "CAST(printf('r%015d', n) AS BLOB)"
        return {
            "association": {"id": association, "opened": when, "closed": when, "calling_ae": calling},
            "arrival": {
                "id": "n + 1", "series_key": "CAST(printf('s%015d', n) AS BLOB)", "study_uid": study, "series_uid": one,
                "calling_ae": calling, "modality": "CASE n % 8 WHEN 0 THEN 'MR' WHEN 1 THEN 'US' ELSE 'CT' END", "state": state,
                "opened": when, "last_image": when, "closed": when, "since": when,
                "reached": f"CASE WHEN {late} THEN '' ELSE {target} END",
            },
            "arrival_association": {"arrival": "n + 1", "association": association},
            "image": {"receipt": receipt, "arrival": "n + 1", "association": association, "stored": when,
                      "sop_uid": f"{one} || '.1'", "file": "printf('2026/%015d.dcm', n)"},
            "decision": {"id": "n + 1", "arrival": "n + 1", "time": when},
            "delivery": {
                "id": "n + 1", "arrival": "n + 1", "decision": "n + 1", "target": target, "created": when, "due": when,
                "finished": f"CASE WHEN {late} THEN NULL ELSE {when} + 8 END",
                "state": f"CASE WHEN {late} THEN {tried} ELSE 'delivered' END",
                "cause": f"CASE WHEN {late} THEN {cause} ELSE '' END", "sent": f"CASE WHEN {late} THEN 0 ELSE 1 END",
                "error": f"CASE WHEN {late} AND {cause} <> '' THEN 'no answer' ELSE '' END",
            },
            "arrival_rule": {"rule": f"CASE n % 100 WHEN 0 THEN '{RULES[1]}' ELSE '{RULES[0]}' END", "arrival": "n + 1"},
        }[table]  # fmt: skip


TABLES = ("association", "arrival", "arrival_association", "image", "decision", "delivery", "arrival_rule")


def make(home: Path, crowd: Crowd) -> None:
    """Fill a fresh spool below `home`."""
    spool = open_spool(home, create=True, durability="relaxed")
    try:
        _original(spool)
        with spool.database.write() as tx:
            tx.execute("INSERT OR IGNORE INTO arrival_rule SELECT 'all', id FROM arrival")
        for first in range(1, crowd.arrivals + 1, CHUNK):
            _more(spool, crowd, first, min(first + CHUNK - 1, crowd.arrivals))
    finally:
        spool.close()


def _more(spool: Spool, crowd: Crowd, first: int, last: int) -> None:
    with spool.database.write() as tx:
        for table in TABLES:
            differs = crowd.columns(table)
            names = list(_row(spool, table))
            chosen = ", ".join(differs.get(name, f"o.{name}") for name in names)
            tx.execute(
                f"WITH RECURSIVE s(n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM s WHERE n < {last})"
                f" INSERT INTO {table} ({', '.join(names)}) SELECT {chosen} FROM s,"
                f" (SELECT * FROM {table} LIMIT 1) AS o"
            )
        tx.add("received", last - first + 1)
        tx.add("sent", max(0, min(last, crowd.arrivals - crowd.waiting) - first + 1))
