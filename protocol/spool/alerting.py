"""Alerts inside a transaction: raised, changed, cleared, each with its event. One row per thing that is wrong.
It must not judge what is wrong, nor whom to tell and when; it never begins or commits.

An alert's `keeper` ends it: the actor that raised it, the bookkeeper's watch, or time. A cleared one stays a while, so that
people can be told that it is over, and so that one that comes back soon is the same one.
"""

from __future__ import annotations

from typing import Any

from protocol.records import record
from protocol.spool.transaction import Transaction
from protocol.wire.events import AlertCleared, AlertRaised, AlertUpdated

INFO, WARNING, CRITICAL = SEVERITIES = ("info", "warning", "critical")
"""In rising order."""
ACTOR, WATCH, TIME = "actor", "watch", "time"

_ABOUT = {
    "target.missing.": "target",
    "confirmation.unanswered.": "target",
    "rule.failed.": "rule",
    "commitment.nowhere.": "source",
}
_CRITICAL = frozenset({"disk", "spool.lock", "accounting.imbalance", "ledger.gap"})
"""Of those that actors raise: images are refused or may be lost, or nothing is booked."""


@record
class Symptom:
    """Something that is wrong now. `about` is its object as kind/name, `count` how many of it there are.

    The text is for people and holds no patient data and no words of a peer.
    """

    key: str
    text: str
    severity: str = WARNING
    about: str = ""
    count: int = 1


def symptom(key: str, text: str) -> Symptom:
    """What an actor raises: object and severity follow from the name of the alert."""
    for beginning, kind in _ABOUT.items():
        if key.startswith(beginning):
            return Symptom(key, text, WARNING, f"{kind}/{key.removeprefix(beginning)}")
    return Symptom(key, text, CRITICAL if key in _CRITICAL else WARNING)


def raise_alert(tx: Transaction, one: Symptom, keeper: str, ends: float | None = None) -> None:
    """A row for it, or the one of last time again; what people were told of that one is kept for who tells them."""
    tx.execute(
        "INSERT INTO alert (key, about, severity, text, count, keeper, raised, changed, ends)"
        " VALUES (:key, :about, :severity, :text, :count, :keeper, :now, :now, :ends) ON CONFLICT (key) DO UPDATE SET"
        " about = :about, severity = :severity, text = :text, count = :count, keeper = :keeper, changed = :now, ends = :ends,"
        " raised = :now, gone = NULL, cleared = NULL, acknowledged = NULL, by = '', note = ''",
        {**_values(one), "keeper": keeper, "now": tx.now, "ends": ends},
    )
    tx.emit(AlertRaised(one.key, one.text, one.severity, one.about, one.count))


def update_alert(tx: Transaction, one: Symptom, ends: float | None = None) -> None:
    """More or less of what stands. If it has become worse, who acknowledged it did not mean that."""
    row = tx.one("SELECT severity, raised FROM alert WHERE key = ? AND cleared IS NULL", (one.key,))
    if row is None:
        return
    worse = SEVERITIES.index(one.severity) > SEVERITIES.index(row["severity"])
    tx.execute(
        "UPDATE alert SET about = :about, severity = :severity, text = :text, count = :count, changed = :now, gone = NULL,"
        " ends = :ends, acknowledged = CASE WHEN :worse THEN NULL ELSE acknowledged END WHERE key = :key",
        {**_values(one), "now": tx.now, "worse": worse, "ends": ends},
    )
    tx.emit(AlertUpdated(one.key, one.text, one.severity, one.count, row["raised"]))


def clear_alert(tx: Transaction, key: str) -> bool:
    """It is over. False if it did not stand."""
    row = tx.one("UPDATE alert SET cleared = ? WHERE key = ? AND cleared IS NULL RETURNING raised", (tx.now, key))
    if row is not None:
        tx.emit(AlertCleared(key, row["raised"]))
    return row is not None


def _values(one: Symptom) -> dict[str, Any]:
    return {"key": one.key, "about": one.about, "severity": one.severity, "text": one.text, "count": one.count}
