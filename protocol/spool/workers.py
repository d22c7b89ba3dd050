"""Who is alive: processes that own associations or deliveries register the flock they hold while they live.
Liveness is that lock, never time: the kernel frees it the moment the process is gone, and a slow one is not robbed.
"""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from protocol.fsops import FsOps, Lock
from protocol.spool.database import Database
from protocol.spool.places import Places


class Worker:
    """This process as an owner; `owner` stands in the rows that it holds."""

    def __init__(self, owner: str, lock: Lock, path: Path, database: Database) -> None:
        self.owner = owner
        self._lock = lock
        self.path = path
        self._db = database

    def leave(self) -> None:
        """Orderly end, after everything owned was given back."""
        with self._db.write() as tx:
            tx.execute("DELETE FROM worker WHERE owner = ?", (self.owner,))
        self._lock.release()


class Workers:
    """The register of owners."""

    def __init__(self, database: Database, places: Places, fs: FsOps) -> None:
        self._db = database
        self._places = places
        self._fs = fs

    def enter(self, actor: str, instance: str) -> Worker:
        """Take a lock of our own and register it; opened by the very process that works, so that it dies with it."""
        owner = f"{actor}/{instance}/{uuid.uuid4().hex[:12]}"
        # Few names, used again and again: lock files are never unlinked, and must not pile up.
        number = 0
        while True:
            path = self._places.run / f"worker-{actor}-{instance}-{number}.lock"
            lock = self._fs.lock(path)
            if lock is not None:
                break
            number += 1
        lock.write(owner)
        with self._db.write() as tx:
            # A row of an earlier owner of this very lock file is dead by definition; it keeps its own row until reaped.
            tx.execute(
                "INSERT INTO worker (owner, actor, lock, pid, entered) VALUES (?,?,?,?,?)",
                (owner, actor, path.name, os.getpid(), tx.now),
            )
        return Worker(owner, lock, path, self._db)

    def alive(self, owner: str) -> bool:
        """Does this owner's process still hold its lock?"""
        with self._db.read() as connection:
            row = connection.execute("SELECT lock FROM worker WHERE owner = ?", (owner,)).fetchone()
        return row is not None and self._holds(row[0], owner)

    def _holds(self, lock: str, owner: str) -> bool:
        path = self._places.run / lock
        # The lock file may meanwhile be held by a successor, who wrote its own name into it.
        return self._fs.is_locked(path) and self._fs.lock_text(path) == owner

    def dead(self, actor: str | None = None) -> list[str]:
        """Registered owners whose process is gone, of one kind of actor or of all."""
        with self._db.read() as connection:
            rows = connection.execute("SELECT owner, actor, lock FROM worker").fetchall()
            # Without a row nobody would ever look after what it holds; a living owner has one.
            strays = connection.execute(
                "SELECT DISTINCT owner FROM delivery WHERE owner IS NOT NULL AND owner NOT IN (SELECT owner FROM worker)"
            ).fetchall()
        dead = [
            row["owner"] for row in rows if actor in (None, row["actor"]) and not self._holds(row["lock"], row["owner"])
        ]
        return dead + [row[0] for row in strays if actor in (None, row[0].partition("/")[0])]

    def living(self, actor: str) -> dict[str, int]:
        """Registered owners of one kind of actor that are alive, with the id of their process."""
        with self._db.read() as connection:
            rows = connection.execute("SELECT owner, lock, pid FROM worker WHERE actor = ?", (actor,)).fetchall()
        return {row["owner"]: row["pid"] for row in rows if self._holds(row["lock"], row["owner"])}

    def count(self, actor: str) -> int:
        """How many of this kind are registered and alive."""
        with self._db.read() as connection:
            rows = connection.execute("SELECT owner, lock FROM worker WHERE actor = ?", (actor,)).fetchall()
        return sum(self._holds(row["lock"], row["owner"]) for row in rows)

    def forget(self, owner: str) -> None:
        """Remove a dead owner's row, after what it held was given back."""
        with self._db.write() as tx:
            tx.execute("DELETE FROM worker WHERE owner = ?", (owner,))
