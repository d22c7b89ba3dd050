"""A decision inside a transaction: its row and event, deliveries, what it counts for, what it waits for, the new state.
Called by arrivals.py and studies.py only; it never begins or commits, and never judges.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from protocol.spool.acts import NOBODY, Act
from protocol.spool.replacing import supersede_earlier
from protocol.spool.rulebook import count_rules, use_quotas
from protocol.spool.settling import Verdict, create_delivery, settle_decided, state_against
from protocol.spool.transaction import Transaction
from protocol.states import ArrivalState
from protocol.wire.codec import pack
from protocol.wire.events import ArrivalDecided, ArrivalReleased, RuleFailed

EXPLANATION_LIMIT = 16 << 20


def record_decision(
    tx: Transaction, arrival: Any, verdict: Verdict, *, whole: bool = False, anew: bool = True, act: Act = NOBODY
) -> int:  # fmt: skip
    """Keep a decision on an arrival and do what follows from it here; the decision's id. `whole`, `anew`: see
    create_delivery."""
    id, against = arrival["id"], state_against(tx, arrival, verdict)
    decision = int(tx.one(
        "INSERT INTO decision (arrival, revision, outcome, reason, explanation, command, time)"
        " VALUES (?,?,?,?,?,?,?) RETURNING id",
        (id, verdict.revision, verdict.outcome, verdict.reason,
         None if verdict.explanation is None else pack(verdict.explanation), verdict.command, tx.now),
    )["id"])  # fmt: skip
    if verdict.command and arrival["state"] == ArrivalState.HELD and verdict.outcome != "hold":
        tx.emit(ArrivalReleased(id, arrival["calling_ae"], verdict.command, act.by, act.reason), correlation=id)
    tx.emit(
        ArrivalDecided(
            id, arrival["calling_ae"], decision, verdict.revision, verdict.outcome,
            [target.name for target in verdict.targets], list(verdict.rules), verdict.reason, verdict.command,
            act.by, dict(verdict.counted), _flows(verdict), round(verdict.seconds, 6), against,
        ),
        correlation=id,
    )  # fmt: skip
    for rule, error in verdict.failed_rules.items():
        tx.emit(RuleFailed(rule, id, verdict.revision, error), correlation=id)
    if verdict.outcome == "route":
        supersede_earlier(tx, arrival, [target.name for target in verdict.targets])
        routed_by(tx, id, verdict.rules)
        for target in verdict.targets:
            create_delivery(tx, arrival, decision, target, whole=whole, anew=anew)
    link(tx, arrival, verdict.waits)
    use_quotas(tx, verdict.quotas)
    count_rules(tx, [("", verdict.outcome), *verdict.counted.items()])
    settle_decided(tx, arrival, verdict, against)
    return decision


def _flows(verdict: Verdict) -> list[list[str]]:
    """Which rule sends it where; what a person chose is no flow. The verdict of a study's rule names that rule alone."""
    if verdict.outcome != "route" or verdict.command:
        return []
    named = any(target.rules for target in verdict.targets)
    alone = tuple(verdict.rules) if len(verdict.rules) == 1 and not named else ()
    return [[rule, target.name] for target in verdict.targets for rule in target.rules or alone]


def routed_by(tx: Transaction, arrival: int, rules: Sequence[str]) -> None:
    """Remember which rules routed an arrival."""
    tx.many("INSERT OR IGNORE INTO arrival_rule (rule, arrival) VALUES (?, ?)", [(rule, arrival) for rule in rules])


def link(tx: Transaction, arrival: Any, waits: Sequence[tuple[str, bool]]) -> None:
    """Let an arrival wait for its study, by (rule, whether it has to); a wait that is not open yet is opened. Where it waits
    for the rule already, the study is as quiet as before.
    """
    for rule, counts in waits:
        known = tx.changed(
            "UPDATE study_link SET counts = ? WHERE arrival = ? AND applied = 0"
            " AND EXISTS (SELECT 1 FROM study_wait w WHERE w.id = study_link.wait AND w.rule = ? AND w.state <> 'done')",
            (counts, arrival["id"], rule),
        )
        if known:
            continue
        wait = tx.one(
            "INSERT INTO study_wait (study_uid, calling_ae, rule, state, opened, changed) VALUES (?, ?, ?, 'open', ?, ?)"
            " ON CONFLICT (study_uid, calling_ae, rule) WHERE state = 'open' DO UPDATE SET changed = excluded.changed"
            " RETURNING id",
            (arrival["study_uid"], arrival["calling_ae"], rule, tx.now, tx.now),
        )["id"]
        tx.execute(
            "INSERT INTO study_link (arrival, wait, counts) VALUES (?, ?, ?)"
            " ON CONFLICT (arrival, wait) DO UPDATE SET counts = excluded.counts",
            (arrival["id"], wait, counts),
        )


def unlink(tx: Transaction, arrival: int, but: Sequence[tuple[str, bool]] = ()) -> None:
    """Study rules that were not asked yet have nothing more to say about an arrival, but for those it still waits for."""
    links = tx.all(
        "SELECT l.wait, w.rule FROM study_link l JOIN study_wait w ON w.id = l.wait WHERE l.arrival = ? AND l.applied = 0",
        (arrival,),
    )
    kept = {rule for rule, _ in but}
    gone = [(arrival, row["wait"]) for row in links if row["rule"] not in kept]
    tx.many("DELETE FROM study_link WHERE arrival = ? AND wait = ?", gone)
