"""Acts of people as rows: asked by webgui or the command line, carried out and answered by the actor named as executor.
A command's effect and its answer are one transaction (`done` inside it), so it happens once whatever dies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from protocol.errors import NotFound
from protocol.spool.database import Database
from protocol.spool.transaction import Transaction
from protocol.states import CommandState
from protocol.wire.codec import pack, unpack_stored
from protocol.wire.events import CommandAnswered, CommandAsked

KINDS = frozenset(
    {"series.route", "series.reroute", "series.hold", "series.release", "series.discard", "queue.retry", "queue.hold",
     "queue.release", "queue.cancel", "queue.priority", "queue.redirect",
     "target.pause", "target.resume", "target.test", "target.probe", "commitment.retry",
     "clean.now", "quarantine.discard"}
)  # fmt: skip


@dataclass(frozen=True)
class Command:
    """One act: kind, who asked, arguments, and what became of it."""

    id: int
    kind: str
    executor: str
    by: str
    arguments: Mapping[str, Any]
    state: CommandState
    answer: str


class Commands:
    """The list of acts."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def ask(self, kind: str, by: str, arguments: Mapping[str, Any], executor: str = "router") -> int:
        """Write down what somebody wants; returns the id to look the answer up by. An unknown kind is refused."""
        if kind not in KINDS:
            raise NotFound(f"there is no command {kind!r}")
        with self._db.write() as tx:
            id = tx.one(
                "INSERT INTO command (kind, executor, by, arguments, state, asked) VALUES (?,?,?,?,'new',?) RETURNING id",
                (kind, executor, by, pack(dict(arguments)), tx.now),
            )["id"]
            tx.emit(CommandAsked(id, kind, by, dict(arguments)))
            return int(id)

    def pending(self, executor: str, limit: int = 100) -> list[Command]:
        """What waits for this executor, oldest first."""
        with self._db.read() as connection:
            rows = connection.execute(
                "SELECT * FROM command WHERE executor = ? AND state = 'new' ORDER BY id LIMIT ?", (executor, limit)
            ).fetchall()
        return [_command(row) for row in rows]

    def find(self, id: int) -> Command:
        """A command with its answer. Raises NotFound."""
        with self._db.read() as connection:
            row = connection.execute("SELECT * FROM command WHERE id = ?", (id,)).fetchone()
        if row is None:
            raise NotFound(f"there is no command {id}")
        return _command(row)

    def fail(self, id: int, answer: str) -> None:
        """It could not be carried out; nothing was changed."""
        with self._db.write() as tx:
            _answer(tx, id, CommandState.FAILED, answer)

    def finish(self, id: int, answer: str) -> None:
        """Answer a command that changed nothing in the spool (a test, a probe)."""
        with self._db.write() as tx:
            _answer(tx, id, CommandState.DONE, answer)


def done(tx: Transaction, id: int, answer: str) -> None:
    """Answer a command inside the transaction of its effect."""
    _answer(tx, id, CommandState.DONE, answer)


def _answer(tx: Transaction, id: int, state: CommandState, answer: str) -> None:
    row = tx.one(
        "UPDATE command SET state = ?, answered = ?, answer = ? WHERE id = ? AND state = 'new' RETURNING *",
        (state, tx.now, answer, id),
    )
    if row is None:
        raise NotFound(f"command {id} was answered already, or never asked")
    tx.emit(CommandAnswered(id, row["kind"], row["by"], state, answer))


def _command(row: Any) -> Command:
    return Command(
        row["id"],
        row["kind"],
        row["executor"],
        row["by"],
        unpack_stored(row["arguments"]),
        CommandState(row["state"]),
        row["answer"],
    )
