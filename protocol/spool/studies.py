"""Studies that rules wait for: which are waiting, what a rule came to, and how each of their series gets its answer.
It never judges whether a study is complete or what a rule says: the router does, and hands in the verdict.

A wait is open, then deciding (its verdict is kept), then done. The verdict is given to the series one after the other, each
in a transaction that also says so: whatever dies, each gets it once. One that is held gets it when it is released.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from typing import Any

from protocol.records import record
from protocol.spool.database import Database
from protocol.spool.deciding import link, record_decision
from protocol.spool.headers import StudyHeaders, study_headers
from protocol.spool.last_word import held_by_rules
from protocol.spool.rulebook import count_rules, use_quotas
from protocol.spool.settling import TargetChoice, Verdict, arrival_row
from protocol.spool.transaction import Transaction
from protocol.states import ArrivalState, Priority
from protocol.wire.codec import pack, unpack_stored
from protocol.wire.events import RuleFailed, StudyDecided

AT_ONCE = 20  # series that get their answer in one transaction
NOTHING = "none"
SENT_ON = ("in_delivery", "delivered", "held")  # a held one that is linked was sent on before
# What a person did meanwhile is no decision of the rules, whatever revision was in force then.
_WAITS_BY = "coalesce((SELECT d.revision FROM decision d WHERE d.arrival = a.id AND d.outcome = 'wait' ORDER BY d.id DESC LIMIT 1), 0)"
_UNTOLD = "study_link l JOIN arrival a ON a.id = l.arrival WHERE l.wait = {wait} AND l.applied = 0"


@record
class StudyWait:
    """A rule that waits for a study. Times in seconds UTC.

    Attributes:
        changed: when the last series joined.
        linked: how many series wait for this answer.
        undecided: series of the study from this sender that are still open, or closed and not decided.
        before: this rule acted on earlier series of the study.
    """

    id: int
    study_uid: str
    calling_ae: str
    rule: str
    opened: float
    changed: float
    linked: int
    undecided: int
    before: bool


@record
class Answer:
    """What a study rule came to for an arrival, as it was kept; `answer` are plain values."""

    rule: str
    revision: int
    answer: Mapping[str, Any]


class Studies:
    """The tables of studies."""

    def __init__(self, database: Database) -> None:
        self._db = database

    # ---- reading --------------------------------------------------------------------------------------------------
    def open_ones(self) -> list[StudyWait]:
        """Every wait that has no answer yet, oldest first."""
        with self._db.read() as connection:
            rows = connection.execute(
                "SELECT w.id, w.study_uid, w.calling_ae, w.rule, w.opened, w.changed,"
                " (SELECT count(*) FROM study_link l WHERE l.wait = w.id) AS linked,"
                " (SELECT count(*) FROM arrival a INDEXED BY arrival_study WHERE a.study_uid = w.study_uid"
                "   AND a.calling_ae = w.calling_ae AND a.state IN ('open', 'closed')) AS undecided,"
                " EXISTS (SELECT 1 FROM study_wait b WHERE b.study_uid = w.study_uid AND b.calling_ae = w.calling_ae"
                "   AND b.rule = w.rule AND b.state <> 'open' AND b.result = 'acted') AS before"
                " FROM study_wait w WHERE w.state = 'open' ORDER BY w.id"
            ).fetchall()
        return [StudyWait(**{**dict(row), "before": bool(row["before"])}) for row in rows]

    def awaited(self, arrival: Mapping[str, Any]) -> list[str]:
        """The rules that wait for the rest of an arrival's study."""
        with self._db.read() as connection:
            rows = connection.execute(
                "SELECT rule FROM study_wait WHERE study_uid = ? AND calling_ae = ? AND state = 'open'",
                (arrival["study_uid"], arrival["calling_ae"]),
            ).fetchall()
        return [row[0] for row in rows]

    def headers(self, wait: StudyWait) -> StudyHeaders:
        """What a study rule may read: the headers of all series of the study that came from this sender."""
        with self._db.read() as connection:
            return study_headers(connection, wait.study_uid, wait.calling_ae)

    def deciding(self, limit: int = 20) -> list[int]:
        """Waits whose answer is known and that series still have to get; not those that only held ones have to."""
        untold = _UNTOLD.format(wait="w.id")
        with self._db.read() as connection:
            rows = connection.execute(
                "SELECT id FROM study_wait w WHERE state = 'deciding' AND (NOT EXISTS"
                f" (SELECT 1 FROM {untold}) OR EXISTS (SELECT 1 FROM {untold} AND a.state <> 'held')) ORDER BY id LIMIT ?",
                (limit,),
            )
            return [row[0] for row in rows.fetchall()]

    def answered_arrivals(self, limit: int = 50) -> list[int]:
        """Arrivals that wait for their study and have every answer they wait for, oldest first."""
        with self._db.read() as connection:
            rows = connection.execute(
                "SELECT id FROM arrival a WHERE state = 'waiting' AND NOT EXISTS (SELECT 1 FROM study_link l"
                " WHERE l.arrival = a.id AND l.counts = 1 AND l.applied = 0) ORDER BY id LIMIT ?",
                (limit,),
            ).fetchall()
        return [row[0] for row in rows]

    def outdated(self, revision: int, limit: int = 50) -> list[int]:
        """Arrivals that wait for their study because of the rules of another revision, oldest first."""
        with self._db.read() as connection:
            rows = connection.execute(
                f"SELECT a.id FROM arrival a WHERE a.state = 'waiting' AND {_WAITS_BY} <> ? ORDER BY a.id LIMIT ?",
                (revision, limit),
            ).fetchall()
        return [row[0] for row in rows]

    def answers(self, arrival: int) -> tuple[int, list[Answer]]:
        """The revision by which an arrival waits, and what its study rules came to."""
        with self._db.read() as connection:
            last = connection.execute(f"SELECT {_WAITS_BY} FROM arrival a WHERE a.id = ?", (arrival,)).fetchone()
            rows = connection.execute(
                "SELECT w.rule, w.revision, w.verdict FROM study_link l JOIN study_wait w ON w.id = l.wait"
                " WHERE l.arrival = ? AND l.applied = 1 ORDER BY w.id",
                (arrival,),
            ).fetchall()
        answers = [Answer(row["rule"], row["revision"], _answer(row["verdict"])) for row in rows]
        return (0 if last is None else int(last[0])), answers

    def answers_before_hold(self, arrival: int) -> list[Answer]:
        """What study rules came to for an arrival that waited for them until rules held it; they are not asked that again."""
        with self._db.read() as connection:
            hold = held_by_rules(connection, arrival)
            if hold is None or hold.waited is None:
                return []
            rows = connection.execute(
                "SELECT w.rule, w.revision, w.verdict FROM study_link l JOIN study_wait w ON w.id = l.wait"
                " WHERE l.arrival = ? AND l.applied = 1 AND w.revision = ? AND w.ended >= ? ORDER BY w.id",
                (arrival, hold.revision, hold.waited),
            ).fetchall()
        return [Answer(row["rule"], row["revision"], _answer(row["verdict"])) for row in rows]

    def waits_of(self, arrival: int) -> list[dict[str, Any]]:
        """The study rules that an arrival waits or waited for, for `series show`."""
        with self._db.read() as connection:
            rows = connection.execute(
                "SELECT w.id, w.rule, w.state, w.opened, w.ended, w.result, w.why, w.revision, l.counts, l.applied"
                " FROM study_link l JOIN study_wait w ON w.id = l.wait WHERE l.arrival = ? ORDER BY w.id",
                (arrival,),
            ).fetchall()
        return [dict(row) for row in rows]

    def under_way(self, wait: StudyWait, revision: int) -> list[int]:
        """Arrivals of a wait that the rules of another revision have sent on already, also those that were held since."""
        with self._db.read() as connection:
            rows = connection.execute(
                f"SELECT a.id FROM {_UNTOLD.format(wait='?')} AND a.state IN {SENT_ON!r} AND coalesce((SELECT d.revision"
                " FROM decision d WHERE d.arrival = a.id AND d.command = 0 ORDER BY d.id DESC LIMIT 1), 0) <> ?"
                " ORDER BY a.id",
                (wait.id, revision),
            ).fetchall()
        return [row[0] for row in rows]

    def join(self, arrival: int, waits: Sequence[tuple[str, bool]]) -> None:
        """Let an arrival that is on its way wait for these study rules, too; repeatable."""
        with self._db.write() as tx:
            row = arrival_row(tx, arrival)
            if row["state"] in SENT_ON:
                link(tx, row, waits)

    # ---- deciding -------------------------------------------------------------------------------------------------
    def conclude(
        self, wait: StudyWait, verdict: Verdict, *, result: str, why: str, answer: Mapping[str, Any], since: float = inf
    ) -> bool:  # fmt: skip
        """Keep what a rule came to. False if a series joined meanwhile: look again.

        `verdict` is for every series of the wait, with the outcome route, hold, discard or none; `answer` is kept for them
        as it is. Quota, counters and the failure of the rule go with it, once for the study. A study is sent whole: series
        that the rule was asked about earlier, when it did not want the study yet, get the verdict too, if they came
        at `since` (seconds UTC) or later.
        """
        with self._db.write() as tx:
            kept = {"verdict": _packed(verdict), "answer": dict(answer)}
            row = tx.one(
                "UPDATE study_wait SET state = 'deciding', result = :result, why = :why, revision = :revision,"
                " verdict = :verdict, ended = :now WHERE id = :id AND state = 'open' AND changed = :changed RETURNING *",
                {"id": wait.id, "changed": wait.changed, "why": why, "revision": verdict.revision, "now": tx.now,
                 "result": "acted" if verdict.outcome in ("route", "hold") else result, "verdict": pack(kept)},
            )  # fmt: skip
            if row is None:
                return False
            if verdict.outcome == "route":
                _call_back(tx, wait, since)
            tx.emit(StudyDecided(wait.id, wait.study_uid, wait.calling_ae, wait.rule, verdict.revision, result,
                                 verdict.outcome, why, wait.linked))  # fmt: skip
            first = tx.one("SELECT min(arrival) FROM study_link WHERE wait = ?", (wait.id,))[0]
            for rule, error in verdict.failed_rules.items():
                tx.emit(RuleFailed(rule, first or 0, verdict.revision, error), correlation=first or 0)
            use_quotas(tx, verdict.quotas)
            count_rules(tx, verdict.counted.items())
        return True

    def apply(self, wait: int) -> bool:
        """Give the kept answer to some of its series; False once each has it, but for held ones."""
        with self._db.write() as tx:
            row = tx.one("SELECT * FROM study_wait WHERE id = ? AND state = 'deciding'", (wait,))
            if row is None:
                return False
            verdict = _verdict(unpack_stored(row["verdict"])["verdict"])
            untold = _UNTOLD.format(wait="?")
            links = tx.all(
                f"SELECT l.arrival FROM {untold} AND a.state <> 'held' ORDER BY l.arrival LIMIT ?", (wait, AT_ONCE)
            )
            for link in links:
                _give(tx, arrival_row(tx, link["arrival"]), verdict)
                tx.execute("UPDATE study_link SET applied = 1 WHERE wait = ? AND arrival = ?", (wait, link["arrival"]))
            if not tx.one(f"SELECT 1 FROM {untold} LIMIT 1", (wait,)):
                tx.execute("UPDATE study_wait SET state = 'done' WHERE id = ?", (wait,))
        return len(links) == AT_ONCE


def _call_back(tx: Transaction, wait: StudyWait, since: float) -> None:
    tx.execute(
        "INSERT INTO study_link (arrival, wait, counts) SELECT l.arrival, :wait, 0 FROM study_wait w"
        " JOIN study_link l ON l.wait = w.id JOIN arrival a ON a.id = l.arrival"
        " WHERE w.study_uid = :study AND w.calling_ae = :sender AND w.rule = :rule AND w.id <> :wait AND a.opened >= :since"
        " ON CONFLICT (arrival, wait) DO NOTHING",
        {"wait": wait.id, "study": wait.study_uid, "sender": wait.calling_ae, "rule": wait.rule, "since": since},
    )


def _may_be_sent(tx: Transaction, arrival: Any) -> bool:
    """What rules discarded may still be wanted by its study; what a person discarded may not."""
    if arrival["state"] != ArrivalState.DISCARDED:
        return arrival["state"] in (ArrivalState.WAITING, ArrivalState.IN_DELIVERY, ArrivalState.DELIVERED)
    last = tx.one("SELECT outcome FROM decision WHERE arrival = ? ORDER BY id DESC LIMIT 1", (arrival["id"],))
    return last is not None and last["outcome"] == "discard"


def _give(tx: Transaction, arrival: Any, verdict: Verdict) -> None:
    """One series gets the answer of a study rule. What a person has set aside, or sent back to the rules, stays so."""
    state = ArrivalState(arrival["state"])
    if verdict.outcome == "hold" and state is ArrivalState.WAITING:
        record_decision(tx, arrival, verdict)
    elif verdict.outcome == "route" and _may_be_sent(tx, arrival):
        there = {
            row["target"]
            for row in tx.all(
                "SELECT target FROM delivery WHERE arrival = :id AND state <> 'cancelled' AND singles = 0"
                " UNION SELECT target_group FROM delivery WHERE arrival = :id AND state <> 'cancelled' AND singles = 0",
                {"id": arrival["id"]},
            )
        }
        targets = [target for target in verdict.targets if target.name not in there]
        if targets:
            record_decision(tx, arrival, Verdict(
                "route", verdict.revision, targets, verdict.rules, verdict.reason, verdict.explanation
            ))  # fmt: skip


def _packed(verdict: Verdict) -> dict[str, Any]:
    return {
        "outcome": verdict.outcome, "revision": verdict.revision, "rules": list(verdict.rules), "reason": verdict.reason,
        "targets": [[one.name, one.is_group, str(one.priority)] for one in verdict.targets],
        "explanation": verdict.explanation,
    }  # fmt: skip


def _verdict(kept: Mapping[str, Any]) -> Verdict:
    targets = [TargetChoice(name, is_group, Priority(priority)) for name, is_group, priority in kept["targets"]]
    return Verdict(kept["outcome"], kept["revision"], targets, kept["rules"], kept["reason"], kept["explanation"])


def _answer(raw: bytes | None) -> Mapping[str, Any]:
    return {} if raw is None else dict(unpack_stored(raw)["answer"])
