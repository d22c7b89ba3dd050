"""Files whose bytes are safe in the database until their own sync has come: small images are acknowledged sooner so.
It decides nothing about images; it only sees to it that such a file is durable before its copy goes.

A new file costs two syncs of its own, which a commit of the same bytes does not: with `durability = "fsync"` a small image
goes into the same transaction as its row. Many files are synced together later; the next copies take the rows of theirs.
After a power cut the copies are what the files have to be.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from protocol.errors import DiskFailed, OutOfSpace
from protocol.fsops import FsOps
from protocol.spool.database import Database
from protocol.spool.durable import DurableNames
from protocol.spool.objects import Saved
from protocol.spool.places import Places
from protocol.spool.transaction import Transaction

LARGEST = 64 * 1024  # bytes; what is written twice must stay small beside what is received
TOGETHER = 128  # files synced at a time
WORTH_ALL = 8  # files; fewer are synced one by one
MOST = 1024  # files of this process; whoever would add more syncs first
SPARE = 2 * TOGETHER  # rows that the next copies take; what is beyond goes
ROUND = 4096  # bytes: copies of one size take the place of one another without a page being freed or found


class Unsynced(NamedTuple):
    """A copy in the database and the file it stands for, relative to the images folder."""

    id: int
    file: str


class Exchange:
    """The copies that one transaction adds, and the rows of synced files that it may take for them; one thread's."""

    def __init__(self, owner: str, spare: Sequence[int]) -> None:
        self._owner, self._spare = owner, deque(spare)
        self.added: list[Unsynced] = []

    def insert(self, tx: Transaction, saved: Saved, arrival: int) -> None:
        """Put the bytes beside the row."""
        assert saved.content is not None
        size = len(saved.content)
        values = (self._owner, arrival, saved.file, size, saved.content + bytes(-size % ROUND))
        id = self._spare.popleft() if self._spare else None  # the oldest, so that none holds its arrival for ever
        # A row in the place of another costs the pages of its bytes; a new one and an old one less, half as many again.
        if id is None or not tx.changed(
            "UPDATE unsynced SET owner = ?, arrival = ?, file = ?, bytes = ?, content = ? WHERE id = ?", (*values, id)
        ):
            id = tx.execute(
                "INSERT INTO unsynced (owner, arrival, file, bytes, content) VALUES (?,?,?,?,?)", values
            ).lastrowid
        assert id is not None
        self.added.append(Unsynced(id, saved.file))

    def drop(self, tx: Transaction, keep: int = SPARE) -> None:
        """Remove all but so many copies of what is synced."""
        gone = [self._spare.popleft() for _ in range(len(self._spare) - keep)]
        if gone:
            tx.many("DELETE FROM unsynced WHERE id = ?", [(id,) for id in gone])

    @property
    def left(self) -> list[int]:
        """Rows of synced files that are still there."""
        return list(self._spare)


class UnsyncedFiles:
    """The copies that this process made, and after a death those of others. Used by several threads."""

    def __init__(self, database: Database, places: Places, fs: FsOps, names: DurableNames) -> None:
        self._db, self._places, self._fs, self._names = database, places, fs, names
        self._owner, self._largest = "", 0
        self._lock = threading.Lock()
        self._waiting: list[Unsynced] = []
        self._synced: list[int] = []
        self._syncing = threading.Lock()  # one at a time; they would only wait for one another in the disk's queue

    def begin(self, owner: str) -> None:
        """From now on small files need no sync of their own; for a process that calls `sync` again and again as `owner`."""
        self._owner, self._largest = owner, LARGEST

    def __len__(self) -> int:
        """Files of this process that are not synced yet."""
        return len(self._waiting)

    def takes(self, size: int) -> bool:
        """Whether a file of so many bytes may be synced later: not while so many wait that `sync` has to come first."""
        return size <= self._largest and len(self._waiting) < MOST

    # ---- around the transaction of a commit -----------------------------------------------------------------------
    @contextmanager
    def exchange(self) -> Iterator[Exchange]:
        """For one transaction, which begins and commits inside of this; if it fails everything is as before."""
        with self._lock:  # what one takes no other may overwrite
            spare, self._synced = self._synced, []
        exchange = Exchange(self._owner, spare)
        try:
            yield exchange
        except BaseException:
            with self._lock:
                self._synced = spare + self._synced
            raise
        self._keep(exchange)

    def _keep(self, exchange: Exchange) -> None:
        with self._lock:
            self._waiting += exchange.added
            self._synced = exchange.left + self._synced

    # ---- afterwards -------------------------------------------------------------------------------------------------
    def sync(self, least: int = 1) -> int:
        """Make what waits durable, some files at a time, if at least so many wait; how many more are worth a call.

        Raises DiskFailed, also if there was no room: what is in the file is unknown then, and only the copy counts.
        """
        with self._syncing:
            with self._lock:
                some = self._waiting[:TOGETHER] if len(self._waiting) >= least else []
            if not some:
                return 0
            try:
                self._sync([copy.file for copy in some])
            except OutOfSpace as exc:
                raise DiskFailed(str(exc)) from exc
            with self._lock:
                del self._waiting[: len(some)]
                self._synced += [copy.id for copy in some]
                return len(self._waiting) if len(self._waiting) >= least else 0

    def finish(self) -> None:
        """Make all of them durable and remove the copies; at an orderly end, or when there is nothing else to do.

        Raises DiskFailed; OutOfSpace if only the copies are left, which another time will do.
        """
        while self._waiting:
            self.sync()
        if self._synced:
            with self.exchange() as copies, self._db.write() as tx:
                copies.drop(tx, keep=0)

    def _sync(self, files: Sequence[str]) -> None:
        if len(files) >= WORTH_ALL and self._fs.sync_everything(self._places.images):
            return
        paths = [self._places.images / file for file in files]
        for path in paths:
            try:
                self._fs.sync_file(path)
            except FileNotFoundError:
                continue  # deleted meanwhile, by whoever may
        self._settle(files)

    def _settle(self, files: Sequence[str]) -> None:
        """Make their names durable, each folder once."""
        paths = [self._places.images / file for file in files]
        for path in {path.parent: path for path in paths}.values():
            try:
                self._names.settle(path)
            except FileNotFoundError:
                continue

    # ---- after a death ----------------------------------------------------------------------------------------------
    def restore(self, alive: Callable[[str], bool] = lambda owner: False) -> int:
        """Write every file anew that has a copy of a dead owner, and make it durable; how many there were.

        What is there proves nothing: after a failed sync it can be read, and is not on the disk. The living sync their
        own, and make new ones faster than they could be written here. Can be repeated after dying anywhere.
        """
        with self._db.read() as connection:
            owners = [row[0] for row in connection.execute("SELECT DISTINCT owner FROM unsynced")]
        return sum(self._restore(owner) for owner in owners if not alive(owner))

    def _restore(self, owner: str) -> int:
        restored = 0
        while True:
            with self._db.read() as connection:
                rows = connection.execute(
                    "SELECT u.id, u.file, u.bytes, u.content, a.state"
                    " FROM unsynced u LEFT JOIN arrival a ON a.id = u.arrival"
                    " WHERE u.owner = ? ORDER BY u.id LIMIT ?",
                    (owner, TOGETHER),
                ).fetchall()
            if not rows:
                return restored
            kept = [row for row in rows if row["state"] not in (None, "deleted")]
            for row in kept:
                self._write(self._places.images / row["file"], row["content"][: row["bytes"]])
            self._settle([row["file"] for row in kept])
            restored += len(kept)
            with self._db.write() as tx:
                tx.many("DELETE FROM unsynced WHERE id = ?", [(row["id"],) for row in rows])

    def _write(self, path: Path, content: bytes) -> None:
        tmp = path.with_suffix(".tmp")
        try:
            file = self._names.create(tmp)
        except FileExistsError:  # an earlier restore died here, or the power went before the name was durable
            self._fs.unlink(tmp)
            file = self._names.create(tmp)
        try:
            file.write(content)
            file.sync()
        finally:
            file.close()
        self._fs.rename(tmp, path)
