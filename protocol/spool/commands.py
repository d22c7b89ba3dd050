"""Acts of people as rows: asked by webgui or the command line, carried out and answered by the actor named as executor.
A command's effect and its answer are one transaction (`done` inside it), so it happens once whatever dies.
"""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from typing import Any

from protocol.errors import NotFound, StepRefused
from protocol.records import record
from protocol.spool.acts import Act, Progress, progress_of, reason_of, touch
from protocol.spool.database import Database
from protocol.spool.transaction import Transaction
from protocol.states import CommandState
from protocol.wire.codec import pack, unpack_stored
from protocol.wire.events import CommandAnswered, CommandAsked

KINDS = frozenset(
    {"series.route", "series.reroute", "series.hold", "series.release", "series.discard", "series.keep", "queue.retry", "queue.hold",
     "queue.release", "queue.cancel", "queue.priority", "queue.redirect",
     "target.pause", "target.resume", "target.test", "target.probe", "commitment.retry", "clean.now", "quarantine.discard",
     "node.drain", "node.resume", "alerts.test", "act.stop", "selftest.begin", "selftest.end"}
)  # fmt: skip

MOST_REMEMBERED = 100  # ids of one refused act whose story tells it


@record
class Command:
    """One act: kind, who asked, arguments, and what became of it. `asked`, `answered`: seconds UTC.

    `progress` is how far a long one is, or how far it got.
    """

    id: int
    kind: str
    executor: str
    by: str
    arguments: Mapping[str, Any]
    state: CommandState
    answer: str
    asked: float = 0.0
    answered: float | None = None
    progress: Progress | None = None

    @property
    def reason(self) -> str:
        """Why, in the words of who asked."""
        return reason_of(self.arguments)


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
            tx.emit(CommandAsked(id, kind, by, dict(arguments), reason_of(arguments)))
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

    def list(
        self, *, by: str | None = None, kind: str | None = None, since: float | None = None, state: str | None = None,
        before: int | None = None, limit: int = 50,
    ) -> builtins.list[Command]:  # fmt: skip
        """Acts, newest first, a page at a time. `kind` may be its beginning, such as "queue"; `since` is seconds UTC."""
        wanted = {"by": by, "kind": kind, "since": since, "state": state, "before": before, "limit": limit}
        with self._db.read() as connection:
            rows = connection.execute(
                "SELECT * FROM command WHERE (:by IS NULL OR by = :by) AND (:since IS NULL OR asked >= :since)"
                " AND (:kind IS NULL OR kind = :kind OR substr(kind, 1, length(:kind) + 1) = :kind || '.')"
                " AND (:state IS NULL OR state = :state) AND (:before IS NULL OR id < :before) ORDER BY id DESC LIMIT :limit",
                wanted,
            ).fetchall()
        return [_command(row) for row in rows]

    def fail(self, id: int, answer: str) -> None:
        """It could not be carried out; nothing was changed."""
        with self._db.write() as tx:
            row = _answer(tx, id, CommandState.FAILED, answer)
            _remember_refused(tx, row, answer)

    def stop(self, id: int, command: int, by: str) -> None:
        """End a long act where it is, and answer `command` that asked for it. Raises NotFound, StepRefused."""
        with self._db.write() as tx:
            row = tx.one("SELECT * FROM command WHERE id = ?", (id,))
            if row is None:
                raise NotFound(f"there is no act {id}")
            if row["state"] != CommandState.NEW:
                raise StepRefused(f"act {id} has ended already: {row['answer']}")
            progress = progress_of(row["progress"])
            words = "before it began" if progress is None else f"after {progress.done} of {progress.total}"
            _answer(tx, id, CommandState.DONE, f"stopped by {by} {words}")
            done(tx, command, f"act {id} is stopped {words}")

    def finish(self, id: int, answer: str) -> None:
        """Answer a command that changed nothing in the spool (a test, a probe)."""
        with self._db.write() as tx:
            _answer(tx, id, CommandState.DONE, answer)


def done(tx: Transaction, id: int, answer: str) -> None:
    """Answer a command inside the transaction of its effect."""
    _answer(tx, id, CommandState.DONE, answer)


def failed(tx: Transaction, id: int, answer: str) -> None:
    """Answer a command that could not be done to anything it was meant for."""
    _answer(tx, id, CommandState.FAILED, answer)


def _remember_refused(tx: Transaction, row: Any, answer: str) -> None:
    """Let the story of each arrival that the act named say that it was refused."""
    arguments, act = unpack_stored(row["arguments"]), Act(row["id"], row["by"])
    series = row["kind"].startswith("series.")
    for id in named_ids(arguments)[:MOST_REMEMBERED]:
        if series and tx.one("SELECT 1 FROM arrival WHERE id = ?", (id,)):
            touch(tx, act, id, 0, answer)
        elif not series and (delivery := tx.one("SELECT arrival FROM delivery WHERE id = ?", (id,))):
            touch(tx, act, delivery["arrival"], id, answer)


def named_ids(arguments: Mapping[str, Any]) -> builtins.list[int]:
    """Ids that somebody named; what is no number is left out."""
    ids = arguments.get("ids") or [arguments.get("arrival")]
    given = ids if isinstance(ids, builtins.list | tuple) else []
    return [id for id in given if isinstance(id, int) and not isinstance(id, bool) and 0 < id < 2**63]


def _answer(tx: Transaction, id: int, state: CommandState, answer: str) -> Any:
    row = tx.one(
        "UPDATE command SET state = ?, answered = ?, answer = ? WHERE id = ? AND state = 'new' RETURNING *",
        (state, tx.now, answer, id),
    )
    if row is None:
        raise NotFound(f"command {id} was answered already, or never asked")
    reason = reason_of(unpack_stored(row["arguments"]))
    tx.emit(CommandAnswered(id, row["kind"], row["by"], state, answer, reason))
    return row


def _command(row: Any) -> Command:
    return Command(
        row["id"],
        row["kind"],
        row["executor"],
        row["by"],
        unpack_stored(row["arguments"]),
        CommandState(row["state"]),
        row["answer"],
        row["asked"],
        row["answered"],
        progress_of(row["progress"]),
    )
