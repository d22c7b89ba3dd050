"""Small images that an earlier version acknowledged with a copy of their bytes in the database, their file not yet synced.
It makes no copies; after a power cut under that version the copies are what the files have to be.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from protocol.fsops import FsOps
from protocol.spool.database import Database
from protocol.spool.durable import DurableNames
from protocol.spool.places import Places

TOGETHER = 128  # files at a time


class UnsyncedFiles:
    """The copies that are left."""

    def __init__(self, database: Database, places: Places, fs: FsOps, names: DurableNames) -> None:
        self._db, self._places, self._fs, self._names = database, places, fs, names

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

    def _settle(self, files: Sequence[str]) -> None:
        """Make their names durable, each folder once."""
        paths = [self._places.images / file for file in files]
        for path in {path.parent: path for path in paths}.values():
            try:
                self._names.settle(path)
            except FileNotFoundError:
                continue
