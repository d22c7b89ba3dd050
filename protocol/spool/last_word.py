"""What rules said of an arrival last: whether their hold is what holds it, and whether it waits for its study still.
It only reads decisions, and never judges. What single images got, and what a person alone had sent, is no word of rules.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from protocol.records import record
from protocol.spool.transaction import Transaction

Look = sqlite3.Connection | Transaction
# A person who releases lets rules decide, and that keeps their explanation.
_WORDS = (
    "SELECT id, outcome, revision, time FROM decision WHERE arrival = ? AND outcome <> 'images'"
    " AND NOT (outcome = 'route' AND command <> 0 AND explanation IS NULL) ORDER BY id DESC LIMIT 2"
)


@record
class RuleHold:
    """Rules of `revision` hold an arrival. `waited`: it waited for its study until then, since that time (seconds UTC)."""

    revision: int
    waited: float | None


def held_by_rules(look: Look, arrival: int) -> RuleHold | None:
    """None if rules did not hold it, or a person had it sent after that: then what they said is settled."""
    words = _words(look, arrival)
    if not words or words[0]["outcome"] != "hold":
        return None
    later = look.execute(
        "SELECT 1 FROM decision WHERE arrival = ? AND id > ? AND outcome <> 'images'", (arrival, words[0]["id"])
    ).fetchone()
    if later is not None:
        return None
    before = words[1] if len(words) > 1 else None
    return RuleHold(
        words[0]["revision"], before["time"] if before is not None and before["outcome"] == "wait" else None
    )


def last_word_to_come(look: Look, arrival: int) -> bool:
    """Did rules let it wait for its study, and say no more?"""
    words = _words(look, arrival)
    return bool(words) and words[0]["outcome"] == "wait"


def _words(look: Look, arrival: int) -> list[Any]:
    return look.execute(_WORDS, (arrival,)).fetchall()
