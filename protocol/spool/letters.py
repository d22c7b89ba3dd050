"""What people are to be told: items wait for company, then become one letter to a recipient, kept until it was taken.
It must not write texts nor speak to any server; who does says here what came of it.

A recipient is `mail` or `webhook` (those of the settings), or `mail:ADDRESS`, `webhook:URL` out of a rule.
"""

from __future__ import annotations

import builtins
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from protocol.records import record
from protocol.spool.database import Database
from protocol.spool.outbox import NOTIFIER, Cursor
from protocol.spool.transaction import Transaction
from protocol.wire.codec import pack, unpack_stored
from protocol.wire.events import LetterGivenUp, LetterSent

WAITING, SENT, GIVEN_UP = "waiting", "sent", "given_up"
AT_ONCE = 500


@record
class Item:
    """One thing to tell. `body` is plain values; a new one has id 0."""

    recipient: str
    body: Mapping[str, Any]
    id: int = 0
    created: float = 0.0


class Pile(NamedTuple):
    """Items that wait for one recipient: how many (size), and since when the first does (seconds UTC)."""

    recipient: str
    size: int
    oldest: float


@record
class Letter:
    """What one recipient is sent; repeated with the same `id` and `body` until it is taken. Times are seconds UTC.

    `body` has subject, text, count and items; once the letter has ended subject and count alone.
    """

    id: int
    recipient: str
    state: str
    created: float
    due: float
    attempts: int
    error: str
    ended: float | None
    body: Mapping[str, Any]

    @property
    def channel(self) -> str:
        """mail or webhook."""
        return self.recipient.partition(":")[0]


class Told(NamedTuple):
    """People are being told of an alert. `over`: that it is."""

    key: str
    severity: str
    over: bool = False


class Letters:
    """Items and letters."""

    def __init__(self, database: Database) -> None:
        self._db = database

    # ---- what is to be told ---------------------------------------------------------------------------------------
    def tell(self, told: Sequence[Told], items: Sequence[Item]) -> None:
        """Items about alerts, and that people are told of these: together, so that neither can be without the other."""
        with self._db.write() as tx:
            for one in told:
                tx.execute(
                    "UPDATE alert SET told = NULL, tells = 0, told_severity = '' WHERE key = ?" if one.over else
                    "UPDATE alert SET told = :now, tells = tells + 1, told_severity = :severity WHERE key = :key",
                    (one.key,) if one.over else {"now": tx.now, "severity": one.severity, "key": one.key},
                )  # fmt: skip
            _add(tx, items)

    def happened(self, upto: Cursor, items: Sequence[Item]) -> None:
        """Items made of the events up to there, and that these have been seen: each event is told once, whatever dies."""
        with self._db.write() as tx:
            _add(tx, items)
            tx.execute(
                "INSERT INTO consumer (name, epoch, seq, time) VALUES (?,?,?,?) ON CONFLICT (name) DO UPDATE SET"
                " epoch = excluded.epoch, seq = excluded.seq, time = excluded.time",
                (NOTIFIER, upto.epoch, upto.seq, tx.now),
            )

    # ---- from items to letters ------------------------------------------------------------------------------------
    def piles(self) -> builtins.list[Pile]:
        """Who has items waiting."""
        with self._db.read() as connection:
            rows = connection.execute(
                "SELECT recipient, count(*), min(created) FROM letter_item GROUP BY recipient ORDER BY recipient"
            ).fetchall()
        return [Pile(*row) for row in rows]

    def items(self, recipient: str, limit: int = AT_ONCE) -> builtins.list[Item]:
        """The oldest items of a recipient."""
        with self._db.read() as connection:
            rows = connection.execute(
                "SELECT * FROM letter_item WHERE recipient = ? ORDER BY created, id LIMIT ?", (recipient, limit)
            ).fetchall()
        return [Item(row["recipient"], unpack_stored(row["body"]), row["id"], row["created"]) for row in rows]

    def seal(self, items: Sequence[Item], body: Mapping[str, Any]) -> int:
        """Make one letter of items of one recipient; its id."""
        with self._db.write() as tx:
            tx.many("DELETE FROM letter_item WHERE id = ?", [(one.id,) for one in items])
            row = tx.one(
                "INSERT INTO letter (recipient, state, created, due, body) VALUES (?, 'waiting', ?, ?, ?) RETURNING id",
                (items[0].recipient, tx.now, tx.now, pack(dict(body))),
            )
            return int(row["id"])

    # ---- from letters to recipients -------------------------------------------------------------------------------
    def waiting(self) -> builtins.list[Letter]:
        """Letters that nobody took yet, the first due first."""
        with self._db.read() as connection:
            rows = connection.execute(
                "SELECT * FROM letter WHERE state = 'waiting' ORDER BY due, id LIMIT 1000"
            ).fetchall()
        return [_letter(row) for row in rows]

    def list(self, limit: int = 50) -> builtins.list[Letter]:
        """The newest letters, whatever became of them."""
        with self._db.read() as connection:
            rows = connection.execute("SELECT * FROM letter ORDER BY id DESC LIMIT ?", (limit,)).fetchall()
        return [_letter(row) for row in rows]

    def sent(self, id: int, left: Sequence[Item] = ()) -> None:
        """It was taken. `left`: what is still to be told to those of its recipients for whom it was not."""
        with self._db.write() as tx:
            row = _end(tx, id, SENT, "")
            if row is not None:
                _add(tx, left)
                tx.emit(LetterSent(id, _channel(row), _count(row), row["attempts"]))

    def failed(self, id: int, error: str, due: float) -> None:
        """It was not; the next try is at `due`. `error` holds no patient data; it is shown and never recorded as event."""
        with self._db.write() as tx:
            tx.execute(
                "UPDATE letter SET attempts = attempts + 1, error = ?, due = ? WHERE id = ? AND state = 'waiting'",
                (error, due, id),
            )

    def give_up(self, id: int, error: str) -> None:
        """It was not, for too long."""
        with self._db.write() as tx:
            row = _end(tx, id, GIVEN_UP, error)
            if row is not None:
                tx.emit(LetterGivenUp(id, _channel(row), _count(row), row["attempts"]))

    def forget(self, arrivals: Collection[int]) -> int:
        """Take what rules say of these arrivals out of what is still to be sent, since their patient is erased; of how many.

        That something happened is told all the same, without the words.
        """
        gone = 0
        with self._db.write() as tx:
            for table in ("letter_item", "letter"):
                waits = " WHERE state = 'waiting'" if table == "letter" else ""
                for row in tx.all(f"SELECT id, body FROM {table}{waits}"):
                    body = _without_words(unpack_stored(row["body"]), arrivals)
                    if body is not None:
                        tx.execute(f"UPDATE {table} SET body = ? WHERE id = ?", (pack(body), row["id"]))
                        gone += 1
        return gone

    def tidy(self, ended_before: float) -> int:
        """Let go of letters that ended before then; how many went."""
        old = "SELECT id FROM letter WHERE ended < ? LIMIT ?"
        with self._db.read() as connection:
            if connection.execute(old, (ended_before, 1)).fetchone() is None:
                return 0
        with self._db.write() as tx:
            return tx.changed(f"DELETE FROM letter WHERE id IN ({old})", (ended_before, AT_ONCE))


def _without_words(body: dict[str, Any], arrivals: Collection[int]) -> dict[str, Any] | None:
    """An item or a letter without the words about these arrivals; None: it has none."""
    if "items" not in body:
        return {**body, "text": ""} if body.get("arrival") in arrivals and body.get("text") else None
    items = [_without_words(one, arrivals) for one in body["items"]]
    if not any(items):
        return None
    kept = [new or old for new, old in zip(items, body["items"], strict=True)]
    return {**body, "items": kept, "text": f"{body.get('subject', '')}\n\nThe words of this message were erased.\n"}


def _add(tx: Transaction, items: Sequence[Item]) -> None:
    tx.many(
        "INSERT INTO letter_item (recipient, created, body) VALUES (?,?,?)",
        [(one.recipient, tx.now, pack(dict(one.body))) for one in items],
    )


def _end(tx: Transaction, id: int, state: str, error: str) -> Any:
    """Its text is forgotten at once: where the settings allow it, it holds names of patients."""
    row = tx.one("SELECT body FROM letter WHERE id = ? AND state = 'waiting'", (id,))
    if row is None:
        return None
    body = unpack_stored(row["body"])
    kept = pack({name: body[name] for name in ("subject", "count") if name in body})
    return tx.one(
        "UPDATE letter SET state = ?, error = ?, ended = ?, attempts = attempts + 1, body = ? WHERE id = ? RETURNING *",
        (state, error, tx.now, kept, id),
    )


def _channel(row: Any) -> str:
    return str(row["recipient"]).partition(":")[0]


def _count(row: Any) -> int:
    return int(unpack_stored(row["body"]).get("count", 0))


def _letter(row: Any) -> Letter:
    return Letter(**{**dict(row), "body": unpack_stored(row["body"])})
