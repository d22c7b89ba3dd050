"""Reading the audit trail: searched, paged, checked. It must not add to it.

Other parts add entries in the transaction of the change they tell of (audit.py).
"""

from __future__ import annotations

from protocol.accounts import audit
from protocol.accounts.records import AuditEntry
from protocol.accounts.store import Store
from protocol.records import record

_BATCH = 5000


@record
class Wanted:
    """Which entries; empty means all. `object` may stand anywhere in the object's name; times are seconds since 1970 UTC."""

    who: str = ""
    action: str = ""
    object: str = ""
    since: float | None = None
    until: float | None = None


@record
class Checked:
    """How far the chain was held against its entries. `broken` is the number of the first that does not fit, or None."""

    entries: int = 0
    number: int = 0
    link: bytes = b""
    broken: int | None = None


class Trail:
    """The audit trail, newest first."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def search(self, wanted: Wanted = Wanted(), limit: int = 100, before: int | None = None) -> list[AuditEntry]:
        """The newest entries that fit, or the newest of those before entry number `before`."""
        parts, values = ["number < ?"], [before if before is not None else 2**62]
        for part, value in (
            ("who = ?", wanted.who), ("action = ?", wanted.action), ("instr(object, ?) > 0", wanted.object),
            ("time >= ?", wanted.since), ("time < ?", wanted.until),
        ):  # fmt: skip
            if value not in ("", None):
                parts.append(part)
                values.append(value)  # type: ignore[arg-type]
        sql = f"SELECT * FROM audit WHERE {' AND '.join(parts)} ORDER BY number DESC LIMIT ?"
        return [audit.entry(row) for row in self._store.database.rows(sql, *values, limit)]

    def refused_since(self, time: float) -> list[tuple[str, str, float]]:
        """(name, address, time) of refused log-ins since then, without those that a good one of that name from there
        followed; ascending. Names that do not exist are "(unknown)"."""
        found: dict[tuple[str, str], list[float]] = {}
        for row in self._store.database.rows(
            "SELECT who, address, action, time FROM audit WHERE time >= ? AND action IN ('login', 'login refused')"
            " ORDER BY number", time,
        ):  # fmt: skip
            key = (row["who"], row["address"])
            if row["action"] == "login":
                found.pop(key, None)
            else:
                found.setdefault(key, []).append(row["time"])
        told = [(who, address, time) for (who, address), times in found.items() for time in times]
        return sorted(told, key=lambda entry: entry[2])

    def choices(self) -> tuple[list[str], list[str]]:
        """Who and which actions occur, for the filters of a page."""
        who = self._store.database.rows("SELECT DISTINCT who FROM audit ORDER BY who LIMIT 500")
        actions = self._store.database.rows("SELECT DISTINCT action FROM audit ORDER BY action LIMIT 500")
        return [row[0] for row in who], [row[0] for row in actions]

    def check(self, after: Checked = Checked()) -> Checked:
        """Hold the entries after those of an earlier check against the chain; without one, all."""
        checked = after
        while checked.broken is None:
            rows = self._store.database.rows(
                "SELECT * FROM audit WHERE number > ? ORDER BY number LIMIT ?", checked.number, _BATCH
            )
            if not rows:
                break
            broken = audit.first_broken(rows, checked.link)
            last = rows[-1]
            checked = Checked(checked.entries + len(rows), last["number"], last["chain"], broken)
        return checked
