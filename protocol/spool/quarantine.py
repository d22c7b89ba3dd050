"""Objects that cannot be read or placed: their bytes and the reason, apart from everything else, counted like any image.
It never tries to repair an object; a person decides what becomes of it.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from protocol.fsops import FsOps
from protocol.spool.objects import Receipt, Saved
from protocol.spool.part10 import FileMeta
from protocol.spool.places import Places
from protocol.spool.transaction import Transaction
from protocol.wire.events import ImageQuarantined


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


def rows(connection: Any, limit: int = 100) -> list[dict[str, Any]]:
    """What is in quarantine, newest first."""
    found = connection.execute("SELECT * FROM quarantine WHERE state = 'kept' ORDER BY stored DESC LIMIT ?", (limit,))
    return [{**dict(row), "receipt": row["receipt"].hex(), "association": row["association"].hex()} for row in found]
