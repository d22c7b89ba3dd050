"""Objects that cannot be read or placed: their bytes and the reason, apart from everything else, counted like any image.
It never tries to repair an object; a person decides what becomes of it, or the retention that a person set.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from protocol.errors import NotFound, StepRefused
from protocol.fsops import FsOps
from protocol.spool.commands import done
from protocol.spool.database import Database
from protocol.spool.objects import Receipt, Saved
from protocol.spool.part10 import FileMeta
from protocol.spool.places import Places
from protocol.spool.transaction import Transaction
from protocol.wire.events import ImageQuarantined, QuarantineDeleted


def write(
    fs: FsOps,
    places: Places,
    name: str,
    start: bytes,
    dataset: bytes | memoryview,
    meta: FileMeta,
    reason: str,
    *,
    sync: bool,
) -> None:
    """Put the bytes and a readable side file into quarantine and make both durable."""
    tmp, final = places.quarantine / f"{name}.tmp", places.quarantine / name
    file = fs.create(tmp)
    try:
        file.write(start)
        file.write(dataset)
        if sync:
            file.sync()
    finally:
        file.close()
    note(fs, places, name, meta, reason)
    fs.rename(tmp, final)
    if sync:
        fs.sync_dir(places.quarantine)


def move(
    fs: FsOps, places: Places, file: str, meta: FileMeta, reason: str, *,
    source: str | None = None, why: str = "received", sync: bool = True,
) -> Saved:  # fmt: skip
    """Move a file of the images folder here; dying in between leaves it in one of the two places, and both are looked at."""
    name = free_name(fs, places, file)
    note(fs, places, name, meta, reason)
    path = places.images / file
    if sync:
        fs.sync_file(path)
    fs.rename(path, places.quarantine / name)
    if sync:
        fs.sync_dir(places.quarantine)
        fs.sync_dir(path.parent)
    size = max(0, fs.size(places.quarantine / name) - meta.offset)
    return Saved(bytes.fromhex(name), meta._replace(length=size), source, name, {}, reason, why)


def note(fs: FsOps, places: Places, name: str, meta: FileMeta, reason: str) -> None:
    """The side file says why, and what the file meta header says; it is for people, the row is the truth."""
    side = places.quarantine / f"{name}.json"
    if fs.exists(side):
        return
    told = {key: value.hex() if isinstance(value, bytes) else value for key, value in meta._asdict().items()}
    fs.write_new(side, json.dumps({"reason": reason, "meta": told}, indent=1).encode())


def free_name(fs: FsOps, places: Places, file: str) -> str:
    """The name in quarantine of a file of the images folder (relative): its receipt, or one made from its path.

    Never one that is taken: a rename would put one object in place of another.
    """
    name = file.rsplit("/", 1)[-1].rsplit(".", 1)[0]
    if len(name) == 32 and all(char in "0123456789abcdef" for char in name) and not fs.exists(places.quarantine / name):
        return name
    return hashlib.sha256(file.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def insert(tx: Transaction, saved: Saved) -> Receipt:
    """Give quarantined bytes their row. Idempotent by receipt."""
    meta = saved.meta
    if tx.one("SELECT 1 FROM quarantine WHERE receipt = ?", (saved.receipt,)) is None:
        tx.execute(
            "INSERT INTO quarantine (receipt, association, calling_ae, sop_uid, bytes, reason, stored, state)"
            " VALUES (?,?,?,?,?,?,?,'kept')",
            (
                saved.receipt,
                meta.association,
                meta.calling_ae,
                meta.sop_instance_uid,
                meta.length,
                saved.reason,
                tx.now,
            ),
        )
        tx.add("received")
        tx.execute(
            "UPDATE association SET images = images + 1, bytes = bytes + ? WHERE id = ?",
            (meta.length, meta.association),
        )
        event = ImageQuarantined(
            saved.receipt.hex(), meta.association.hex(), meta.calling_ae, meta.length, saved.reason or "unknown"
        )
        tx.emit(event, correlation=meta.association.hex())
    return Receipt(saved.receipt, "quarantined")


class Quarantine:
    """What was set apart, and letting go of it: first the row, durably, then the bytes."""

    def __init__(self, database: Database, places: Places, fs: FsOps) -> None:
        self._db, self._places, self._fs = database, places, fs
        self._left: dict[str, str] = {}

    @property
    def left(self) -> Mapping[str, str]:
        """Objects that were let go and whose bytes could not be removed when it was last tried, and why."""
        return self._left

    def list(self, limit: int = 100, before: float | None = None) -> list[dict[str, Any]]:
        """What is kept, newest first; a page begins behind `before`, the `stored` of the last one (seconds UTC)."""
        with self._db.read() as connection:
            found = connection.execute(
                "SELECT * FROM quarantine WHERE state = 'kept' AND stored < ? ORDER BY stored DESC LIMIT ?",
                (9e99 if before is None else before, limit),
            ).fetchall()
        return [_plain(row) for row in found]

    def show(self, receipt: str) -> dict[str, Any]:
        """One object, kept or not: its row, where its bytes are (`file`) and what its side file says (`meta`).

        `receipt` may be its beginning, at least 6 digits. Raises NotFound, also if it could be several.
        """
        first = receipt.lower()
        if len(first) < 6 or len(first) > 32 or any(char not in "0123456789abcdef" for char in first):
            raise NotFound(f"{receipt!r} is no receipt: 32 hexadecimal digits, or at least the first 6")
        low, high = bytes.fromhex(first.ljust(32, "0")), bytes.fromhex(first.ljust(32, "f"))
        with self._db.read() as connection:
            found = connection.execute(
                "SELECT * FROM quarantine WHERE receipt BETWEEN ? AND ? LIMIT 2", (low, high)
            ).fetchall()
        if len(found) != 1:
            raise NotFound(f"{'several objects begin' if found else 'nothing in quarantine begins'} with {receipt}")
        row = _plain(found[0])
        path = self._places.quarantine / row["receipt"]
        return {**row, "file": str(path) if self._fs.exists(path) else None, "meta": self._side(row["receipt"])}

    def _side(self, name: str) -> Any:
        try:
            return json.loads(self._fs.read_bytes(self._places.quarantine / f"{name}.json"))["meta"]
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def discard(self, receipt: str, command: int) -> None:
        """A person lets go of one object. Raises NotFound, and StepRefused if it is gone already."""
        whole = bytes.fromhex(self.show(receipt)["receipt"])
        with self._db.write() as tx:
            row = tx.one("SELECT * FROM quarantine WHERE receipt = ? AND state = 'kept'", (whole,))
            if row is None:
                raise StepRefused(f"quarantined object {receipt} is gone already")
            _let_go(tx, [row], command)
            done(tx, command, f"quarantined object {whole.hex()} was deleted")
        self._remove([whole])

    def expire(self, before: float | None, limit: int = 100) -> int:
        """Let go of up to `limit` objects kept since before then (seconds UTC; None: all are kept); how many."""
        if before is None:
            return 0
        with self._db.read() as connection:  # most looks find nothing, and need no lock
            if connection.execute(_EXPIRED, (before, 1)).fetchone() is None:
                return 0
        with self._db.write() as tx:
            found = tx.all(_EXPIRED, (before, limit))
            _let_go(tx, found, 0)
        self._remove([row["receipt"] for row in found])
        return len(found)

    def finish(self) -> int:
        """Remove the bytes of objects that were let go before a crash, or were left; of how many."""
        there = {name.removesuffix(".json") for name in self._fs.listdir(self._places.quarantine)}
        with self._db.read() as connection:
            gone = connection.execute("SELECT receipt FROM quarantine WHERE state = 'deleted'").fetchall()
        self._left.clear()
        left = sorted(there & {row["receipt"].hex() for row in gone})
        self._remove([bytes.fromhex(name) for name in left])
        return len(left) - len(self._left)

    def _remove(self, receipts: Sequence[bytes]) -> None:
        if receipts and not self._db.full:
            self._db.barrier()  # as with arrivals: the row must not come back without its file
        for receipt in receipts:
            for name in (receipt.hex(), receipt.hex() + ".json"):
                try:
                    self._fs.unlink(self._places.quarantine / name)
                except FileNotFoundError:
                    continue
                except OSError as exc:  # not the disk (that is DiskFailed): one object must not stop the cleaner
                    self._left[receipt.hex()] = exc.strerror or type(exc).__name__


_EXPIRED = "SELECT * FROM quarantine WHERE state = 'kept' AND stored < ? LIMIT ?"


def _let_go(tx: Transaction, found: Sequence[Any], command: int) -> None:
    tx.many("UPDATE quarantine SET state = 'deleted' WHERE receipt = ?", [(row["receipt"],) for row in found])
    tx.add("deleted", len(found))
    for row in found:
        tx.emit(QuarantineDeleted(row["receipt"].hex(), row["calling_ae"], row["bytes"], command))


def _plain(row: Any) -> dict[str, Any]:
    return {**dict(row), "receipt": row["receipt"].hex(), "association": (row["association"] or b"").hex()}
