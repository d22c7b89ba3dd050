"""Acts of people inside a transaction: who did it and why, what it touched, how far a long one is.
Called by the rooms of the spool only; it never begins or commits, and never decides what an act does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, field, replace
from typing import Any

from protocol.records import record
from protocol.spool.transaction import Transaction
from protocol.wire.codec import pack, unpack_stored

MOST_REASONS = 20
"""Different reasons why something was not done that a long act keeps; further ones are counted together."""
OTHER_REASONS = "for other reasons"
ONE = {"deliveries": "delivery", "arrivals": "arrival"}


@record
class Act:
    """Whose act a change is: the command's id (0: nobody's, scanpost itself did it), who asked, and why."""

    command: int = 0
    by: str = ""
    reason: str = ""


NOBODY = Act()


@record
class Progress:
    """How far a long act is. Kept with its command in the transaction of each part, so a death repeats nothing.

    Attributes:
        upto: the highest id when it began; what comes later is not meant.
        total: how many matched when it began.
        skipped: reason -> [how many it was not done to, id of the first].
        cursor: where the walk goes on; what is in it is its walker's business.
    """

    upto: int
    total: int
    done: int = 0
    skipped: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    cursor: tuple[Any, ...] = ()

    def did(self) -> Progress:
        """One more is done."""
        return replace(self, done=self.done + 1)

    def skip(self, id: int, reason: str) -> Progress:
        """One more was not done."""
        if reason not in self.skipped and len(self.skipped) >= MOST_REASONS:
            reason = OTHER_REASONS
        count, first = self.skipped.get(reason, (0, id))
        return replace(self, skipped={**self.skipped, reason: (count + 1, first)})

    def at(self, cursor: tuple[Any, ...]) -> Progress:
        """The walk has come so far."""
        return replace(self, cursor=cursor)

    def answer(self, verb: str, noun: str) -> str:
        """In words: how many, and of the others why not. `noun` is in the plural."""
        words = f"{verb}: {counted(self.done, noun)}"
        for reason, (count, first) in self.skipped.items():
            words += f"; not {count}: {reason} (such as {first})"
        return words


def counted(count: int, noun: str) -> str:
    """`1 delivery`, `3 deliveries`; `noun` is in the plural."""
    return f"{count} {ONE.get(noun, noun) if count == 1 else noun}"


def progress_of(packed: bytes | None) -> Progress | None:
    """Out of a command's row."""
    if packed is None:
        return None
    plain = unpack_stored(packed)
    skipped = {reason: (pair[0], pair[1]) for reason, pair in plain["skipped"].items()}
    return Progress(plain["upto"], plain["total"], plain["done"], skipped, tuple(plain["cursor"]))


def note(tx: Transaction, command: int, progress: Progress) -> None:
    """Keep how far an act is, with the effect of its last part."""
    tx.execute("UPDATE command SET progress = ? WHERE id = ?", (pack(asdict(progress)), command))


def act_of(tx: Transaction, command: int) -> Act:
    """Who asked for a command and why."""
    row = tx.one("SELECT by, arguments FROM command WHERE id = ?", (command,)) if command else None
    if row is None:
        return Act(command)
    return Act(command, row["by"], reason_of(unpack_stored(row["arguments"])))


def reason_of(arguments: Mapping[str, Any]) -> str:
    """Why somebody wants something, in their words."""
    given = arguments.get("reason")
    return given if isinstance(given, str) else ""


def touch(
    tx: Transaction, act: Act, arrival: int, delivery: int = 0, refused: str = "", before: str = ""
) -> None:  # fmt: skip
    """Remember that an act concerned an arrival, or one of its deliveries; `refused`: why it was not done there.

    `before`: what it changed, as it was before.
    """
    if act.command:
        tx.execute(
            "INSERT INTO touched (arrival, command, delivery, time, refused, before) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (arrival, command, delivery) DO UPDATE SET time = excluded.time, refused = excluded.refused",
            (arrival, act.command, delivery, tx.now, refused, before),
        )


def was_before(tx: Transaction, command: int, arrival: int, delivery: int = 0) -> str:
    """What an act changed, as it was before; "" if it changed nothing there, or nothing was to be remembered."""
    row = tx.one(
        "SELECT before FROM touched WHERE arrival = ? AND command = ? AND delivery = ? AND refused = ''",
        (arrival, command, delivery),
    )
    return str(row["before"]) if row is not None else ""
