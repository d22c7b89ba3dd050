"""How often rules came to what, and what their quotas have counted. It never evaluates a rule.

Both are written in the transaction of the decision they count, so a decision counts exactly once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from protocol.spool.database import Database
from protocol.spool.transaction import Transaction

KEPT_DAYS = 400


class Rulebook:
    """The counters of rules."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def used(self, periods: Mapping[str, str]) -> dict[str, int]:
        """What quotas have counted: rule -> decisions in its period ({rule: period})."""
        with self._db.read() as connection:
            rows = [
                (rule, connection.execute(
                    "SELECT used FROM rule_quota WHERE rule = ? AND period = ?", (rule, period)
                ).fetchone())
                for rule, period in periods.items()
            ]  # fmt: skip
        return {rule: int(row[0]) for rule, row in rows if row is not None}

    def counts(self, since_day: str = "") -> dict[str, dict[str, int]]:
        """{rule: {result: how often}} since a day (UTC, 2026-11-26): of active rules true and error, of shadow rules all.

        The rule "" counts the decisions themselves, by outcome.
        """
        with self._db.read() as connection:
            rows = connection.execute(
                "SELECT rule, result, sum(count) FROM rule_count WHERE day >= ? GROUP BY rule, result", (since_day,)
            ).fetchall()
        found: dict[str, dict[str, int]] = {}
        for rule, result, count in rows:
            found.setdefault(rule, {})[result] = int(count)
        return found

    def daily(self, since_day: str = "") -> dict[str, dict[str, int]]:
        """{rule: {day (UTC): how often it was true}} since a day; of a shadow rule how often it would have applied."""
        with self._db.read() as connection:
            rows = connection.execute(
                "SELECT rule, day, sum(count) FROM rule_count WHERE day >= ? AND result = 'true' GROUP BY rule, day",
                (since_day,),
            ).fetchall()
        found: dict[str, dict[str, int]] = {}
        for rule, day, count in rows:
            found.setdefault(rule, {})[day] = int(count)
        return found

    def forget(self, before: float) -> int:
        """Drop counters of days, and of quotas' periods, before a time (seconds UTC); how many rows.

        What a quota without a period has counted stays. Names of periods begin with their day or month, so they compare.
        """
        day = day_of(before)
        with self._db.write() as tx:
            gone = tx.changed("DELETE FROM rule_count WHERE day < ?", (day,))
            return gone + tx.changed("DELETE FROM rule_quota WHERE period < ?", (day[: len("2026-11")],))


def day_of(time: float) -> str:
    """The day (UTC) of a time in seconds UTC."""
    return datetime.fromtimestamp(time, UTC).date().isoformat()


def count_rules(tx: Transaction, counted: Iterable[tuple[str, str]], times: int = 1) -> None:
    """Add to the counters of (rule, result)."""
    tx.many(
        "INSERT INTO rule_count (day, rule, result, count) VALUES (?,?,?,?)"
        " ON CONFLICT (day, rule, result) DO UPDATE SET count = count + excluded.count",
        [(day_of(tx.now), rule, result, times) for rule, result in counted],
    )


def use_quotas(tx: Transaction, used: Iterable[tuple[str, str]]) -> None:
    """Count decisions against the quotas of (rule, period), once for each time it is named."""
    tx.many(
        "INSERT INTO rule_quota (rule, period, used) VALUES (?,?,?)"
        " ON CONFLICT (rule, period) DO UPDATE SET used = used + excluded.used",
        [(rule, period, times) for (rule, period), times in Counter(used).items()],
    )
