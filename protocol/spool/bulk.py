"""Acts on all that match: begun, carried out part by part, and answered with how many and why not the others.
It never decides what an act does: deliveries are handed to steps.py, arrivals to whoever walks over them.

Each part is one transaction with its progress, so whoever dies in the middle leaves what the next one goes on from.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from protocol.errors import NotFound, StepRefused
from protocol.selection import Selection
from protocol.spool import selecting
from protocol.spool.acts import Act, Progress, act_of, note, touch
from protocol.spool.commands import Command, done, failed
from protocol.spool.database import Database
from protocol.spool.selecting import ARRIVALS, DELIVERIES, Cursor, Kind
from protocol.spool.steps import Wish, carry_out
from protocol.spool.transaction import Transaction

_NUMBERS = re.compile(r"\b(delivery|arrival) \d+")


class Bulk:
    """Long acts."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def matching(self, kind: Kind, selection: Selection) -> dict[tuple[str, str], int]:
        """How many match now, by state and target (of arrivals: their source)."""
        with self._db.read() as connection:
            return selecting.counts(connection, kind, selection)

    def begin(self, command: Command, kind: Kind, selection: Selection) -> Progress:
        """Where a command is: at its beginning, or where an earlier life left it."""
        if command.progress is not None:
            return command.progress
        with self._db.read() as connection:
            progress = selecting.begin(connection, kind, selection)
        with self._db.write() as tx:
            note(tx, command.id, progress)
        return progress

    def next(
        self, command: Command, kind: Kind, selection: Selection, progress: Progress, limit: int
    ) -> tuple[list[int], Cursor] | None:  # fmt: skip
        """The next ids and the cursor behind them; None: nothing is left."""
        with self._db.read() as connection:
            return selecting.walk(connection, kind, selection, command.id, progress, limit)

    def deliveries(
        self, command: Command, ids: Sequence[int], cursor: Cursor, wish: Wish, act: Act, progress: Progress
    ) -> Progress:  # fmt: skip
        """Carry out one part: what cannot be done is left as it is, and counted with the reason."""
        with self._db.write() as tx:
            for id in ids:
                try:
                    with tx.savepoint():
                        carry_out(tx, id, wish, act)
                    progress = progress.did()
                except (StepRefused, NotFound) as exc:
                    progress = _skip(tx, act, DELIVERIES, id, str(exc), progress)
            progress = progress.at(cursor)
            note(tx, command.id, progress)
        return progress

    def skip_arrival(self, command: Command, id: int, cursor: Cursor, why: str, progress: Progress) -> Progress:
        """An arrival that the act could not be done to."""
        with self._db.write() as tx:
            progress = _skip(tx, act_of(tx, command.id), ARRIVALS, id, why, progress).at(cursor)
            note(tx, command.id, progress)
        return progress

    def finish(self, command: Command, progress: Progress, answer: str) -> None:
        """All parts are done. An act that could be done to none of what matched has failed."""
        with self._db.write() as tx:
            (done if progress.done or not progress.skipped else failed)(tx, command.id, answer)


def _skip(tx: Transaction, act: Act, kind: Kind, id: int, why: str, progress: Progress) -> Progress:
    row = tx.one(f"SELECT {'arrival' if kind is DELIVERIES else 'id'} FROM {kind.table} WHERE id = ?", (id,))
    if row is not None:
        touch(tx, act, row[0], id if kind is DELIVERIES else 0, why)
    # Without the numbers, so that what is alike is counted together.
    why = _NUMBERS.sub(r"\1", why.removeprefix(f"{kind.table} {id}").lstrip(": "))
    return progress.skip(id, why)
