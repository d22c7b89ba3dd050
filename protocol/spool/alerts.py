"""The list of alerts: what stands, who takes care of it, what is silenced. For pages, commands and the bookkeeper's watch.
It must not judge what is wrong nor whom to tell (the watch does); actors raise theirs through notices.py.
"""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any, Literal

from protocol.errors import NotFound, StepRefused
from protocol.records import record
from protocol.spool import alerting
from protocol.spool.alerting import SEVERITIES, Symptom
from protocol.spool.database import Database
from protocol.spool.transaction import Transaction
from protocol.wire.events import AlertAcknowledged, AlertSilenced, AlertUnsilenced

AT_ONCE = 200  # rows per transaction
LONGEST_SILENCE_S = 366 * 86_400.0
MOST_SILENCES = 1000
TEXT_LIMIT = 500  # characters of a pattern, a reason, a note


@record
class Silence:
    """Nobody is told of what matches `pattern` until then. Times are seconds UTC.

    A pattern is the key of an alert or what it is about (target/pacs, source/CT1), with * and ? as in file names.
    """

    id: int
    pattern: str
    made: float
    until: float
    by: str
    reason: str

    def covers(self, key: str, about: str) -> bool:
        """Whether an alert with this key, about this object, is meant."""
        pattern = self.pattern.replace("[", "[[]")  # AE titles may hold one; only * and ? stand for others
        return fnmatchcase(key, pattern) or (about != "" and fnmatchcase(about, pattern))


@record
class Alert:
    """Something that needs a person, or did. Times are seconds UTC, None: not (yet).

    `severity` is info, warning or critical; `count` how many of it there are; `gone` since when it seems to be over;
    `by` and `note`: who acknowledged it, in their words; `silence` covers it now; `tells`: how often people were told.
    """

    key: str
    about: str
    severity: str
    text: str
    count: int
    keeper: str
    raised: float
    changed: float
    gone: float | None = None
    ends: float | None = None
    cleared: float | None = None
    acknowledged: float | None = None
    by: str = ""
    note: str = ""
    told: float | None = None
    told_severity: str = ""
    tells: int = 0
    silence: Silence | None = None

    @property
    def state(self) -> str:
        """cleared, silenced, acknowledged or open: what people look for first."""
        if self.cleared is not None:
            return "cleared"
        return "silenced" if self.silence else "acknowledged" if self.acknowledged is not None else "open"

    def clears_at(self, clear_after_s: float) -> float | None:
        """When it clears if it does not come back (seconds UTC); None while it goes on, or once it is cleared."""
        return None if self.gone is None or self.cleared is not None else self.gone + clear_after_s

    @property
    def rank(self) -> int:
        """0: the worst."""
        return len(SEVERITIES) - 1 - SEVERITIES.index(self.severity) if self.severity in SEVERITIES else len(SEVERITIES)


@record
class Step:
    """What becomes of an alert. going: it seems to be over, since now; back: it is not."""

    what: Literal["raise", "update", "clear", "going", "back"]
    symptom: Symptom


class Alerts:
    """See the module."""

    def __init__(self, database: Database) -> None:
        self._db = database

    # ---- looking --------------------------------------------------------------------------------------------------
    def list(self, *, cleared_within_s: float = 0.0) -> builtins.list[Alert]:
        """What stands, open before silenced and acknowledged, worst and newest first; then what was cleared that recently."""
        now = self._db.clock.now()
        with self._db.read() as connection:
            rows = connection.execute(
                "SELECT * FROM alert WHERE cleared IS NULL OR (:within > 0 AND cleared > :now - :within)",
                {"now": now, "within": cleared_within_s},
            ).fetchall()
            silences = _silences(connection, now)
        order = ("open", "acknowledged", "silenced", "cleared")
        found = [_alert(row, silences) for row in rows]
        return sorted(found, key=lambda one: (order.index(one.state), one.rank, -one.raised, one.key))

    def get(self, key: str) -> Alert:
        """One alert, standing or cleared lately. Raises NotFound."""
        with self._db.read() as connection:
            row = connection.execute("SELECT * FROM alert WHERE key = ?", (key,)).fetchone()
            silences = _silences(connection, self._db.clock.now())
        if row is None:
            raise NotFound(f"there is no alert {key!r}; see `scanpost alerts list`")
        return _alert(row, silences)

    def all(self) -> builtins.list[Alert]:
        """Every alert that is kept, also those cleared; for the watch, which tells people."""
        with self._db.read() as connection:
            rows = connection.execute("SELECT * FROM alert ORDER BY raised, key").fetchall()
            silences = _silences(connection, self._db.clock.now())
        return [_alert(row, silences) for row in rows]

    def silences(self) -> builtins.list[Silence]:
        """What is silenced now, the first to end first."""
        with self._db.read() as connection:
            return _silences(connection, self._db.clock.now())

    # ---- people ---------------------------------------------------------------------------------------------------
    def acknowledge(self, key: str, by: str, note: str = "") -> Alert:
        """Somebody takes care of it: nobody is reminded any more, unless it becomes worse or comes again.

        One that has no end of its own ends by this. Raises NotFound, StepRefused if it does not stand any more.
        """
        with self._db.write() as tx:
            row = tx.one("SELECT * FROM alert WHERE key = ?", (key,))
            if row is None:
                raise NotFound(f"there is no alert {key!r}; see `scanpost alerts list`")
            if row["cleared"] is not None:
                raise StepRefused(f"alert {key} is over already")
            tx.execute(
                "UPDATE alert SET acknowledged = ?, by = ?, note = ? WHERE key = ?",
                (tx.now, by, note[:TEXT_LIMIT], key),
            )
            tx.emit(AlertAcknowledged(key, by, note[:TEXT_LIMIT], row["raised"]))
            if row["keeper"] == alerting.TIME:
                alerting.clear_alert(tx, key)
        return self.get(key)

    def silence(self, pattern: str, until: float, by: str, reason: str = "") -> Silence:
        """Tell nobody of what matches before `until` (seconds UTC); at once also what stands. Raises StepRefused."""
        pattern = pattern.strip()
        if not pattern or len(pattern) > TEXT_LIMIT or not pattern.isprintable():
            raise StepRefused(
                "a silence needs a pattern: the key of an alert, or target/NAME, source/AE; * and ? allowed"
            )
        with self._db.write() as tx:
            if not tx.now < until <= tx.now + LONGEST_SILENCE_S:
                raise StepRefused("a silence ends in the future, at most a year from now")
            if tx.one("SELECT count(*) FROM silence")[0] >= MOST_SILENCES:
                raise StepRefused(f"there are {MOST_SILENCES} silences already; end some, or use * in one")
            row = tx.one(
                "INSERT INTO silence (pattern, made, until, by, reason) VALUES (?,?,?,?,?) RETURNING *",
                (pattern, tx.now, until, by, reason[:TEXT_LIMIT]),
            )
            tx.emit(AlertSilenced(row["id"], pattern, until, by, reason[:TEXT_LIMIT]))
        return Silence(**dict(row))

    def unsilence(self, id: int, by: str) -> None:
        """End a silence now; what it covered and still stands is told. Raises NotFound."""
        with self._db.write() as tx:
            row = tx.one("DELETE FROM silence WHERE id = ? RETURNING pattern", (id,))
            if row is None:
                raise NotFound(f"there is no silence {id}; see `scanpost alerts silences`")
            tx.emit(AlertUnsilenced(id, row["pattern"], by))

    # ---- the watch ------------------------------------------------------------------------------------------------
    def apply(self, steps: Sequence[Step]) -> None:
        """Do what the watch decided, in transactions of AT_ONCE steps."""
        for start in range(0, len(steps), AT_ONCE):
            with self._db.write() as tx:
                for step in steps[start : start + AT_ONCE]:
                    _apply(tx, step)

    def forget_told(self) -> None:
        """Nobody can be told any more: of cleared alerts nobody needs to hear that they are over."""
        with self._db.read() as connection:
            if connection.execute("SELECT 1 FROM alert WHERE tells > 0 LIMIT 1").fetchone() is None:
                return
        with self._db.write() as tx:
            tx.execute("UPDATE alert SET told = NULL, tells = 0, told_severity = '' WHERE tells > 0")

    def tidy(self, cleared_before: float) -> int:
        """Let go of silences that are over, and of alerts cleared before then whose end people know; how many went."""
        now = self._db.clock.now()
        old = "cleared < ? AND tells = 0"
        with self._db.read() as connection:
            row = connection.execute(
                f"SELECT (SELECT count(*) FROM silence WHERE until <= ?) + (SELECT count(*) FROM alert WHERE {old})",
                (now, cleared_before),
            ).fetchone()
        if not row[0]:
            return 0
        with self._db.write() as tx:
            for over in tx.all("DELETE FROM silence WHERE until <= ? RETURNING id, pattern", (now,)):
                tx.emit(AlertUnsilenced(over["id"], over["pattern"], ""))
            tx.execute(f"DELETE FROM alert WHERE {old}", (cleared_before,))
        return int(row[0])


def _apply(tx: Transaction, step: Step) -> None:
    one = step.symptom
    if step.what == "raise":
        alerting.raise_alert(tx, one, alerting.WATCH)
    elif step.what == "update":
        alerting.update_alert(tx, one)
    elif step.what == "clear":
        alerting.clear_alert(tx, one.key)
    else:
        gone = tx.now if step.what == "going" else None
        tx.execute("UPDATE alert SET gone = ? WHERE key = ? AND cleared IS NULL", (gone, one.key))


def _silences(connection: Any, now: float) -> builtins.list[Silence]:
    rows = connection.execute("SELECT * FROM silence WHERE until > ? ORDER BY until, id", (now,)).fetchall()
    return [Silence(**dict(row)) for row in rows]


def _alert(row: Any, silences: Sequence[Silence]) -> Alert:
    """The silence that lasts longest counts."""
    alert = Alert(**dict(row))
    covering = [one for one in silences if one.covers(alert.key, alert.about)]
    return replace(alert, silence=covering[-1]) if covering and alert.cleared is None else alert
