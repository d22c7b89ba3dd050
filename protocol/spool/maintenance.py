"""Care of the spool as a whole: the look at start, integrity check, backup, restore, and rebuild from the files.
It never deletes an image and never releases anything: what it cannot know for sure waits for a person.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from protocol.causes import Cause
from protocol.clock import Clock, SystemClock
from protocol.errors import SpoolDamaged, SpoolError, SpoolMissing, UnreadableImage
from protocol.fsops import FsOps, RealFs
from protocol.header.scan import scan
from protocol.records import record
from protocol.spool import comparing, quarantine
from protocol.spool.adoption import SourceOf, nobody
from protocol.spool.copies import copy_database, is_sound, put_back_figures
from protocol.spool.database import begin_epoch, create_database, is_older_and_open, publish, remove_attempt, seed_ids
from protocol.spool.images import Incoming, Saved, misplaced
from protocol.spool.part10 import MAX_META, FileMeta, decode
from protocol.spool.places import ENDINGS, Places, is_day, is_series
from protocol.spool.spool import Spool, boot_id, open_spool
from protocol.spool.transaction import Transaction
from protocol.spool.writelock import WriteLock
from protocol.wire.events import ArrivalCompleted, ArrivalHeld, DeliveryHeld, EpochBegun

BATCH = 200
RESTORED = "restored from a backup"
REBUILT = "rebuilt from the files: what was delivered is not known; release or discard it"


# ---- at start --------------------------------------------------------------------------------------------------------
def prepare(
    home: Path, *, node: str, durability: str, source: str, fs: FsOps | None = None, clock: Clock | None = None
) -> Spool:
    """Open the spool of a node that is about to start, creating it on a fresh home.

    Once after each start of the machine the database is checked, and in relaxed mode the outbox begins a new epoch
    (commits may have been lost in the power cut, and their numbers must not be given again).
    Raises SpoolMissing, SpoolDamaged, SpoolNewer: one clear line each.
    """
    spool = open_spool(home, source=source, fs=fs, clock=clock, durability=durability, create=True, node=node)
    boot = boot_id()
    with spool.database.read() as connection:
        meta = dict(connection.execute("SELECT key, value FROM meta").fetchall())
    if meta.get("boot") != boot:
        problems = check(spool)
        if problems:
            spool.close()
            raise SpoolDamaged(
                f"the spool's database is damaged ({problems[0]}); restore a backup or run `scanpost spool rebuild`"
            )
        spool.images.unsynced.restore()  # before anybody reads the files
        if "relaxed" in (durability, meta.get("durability")):
            spool.outbox.begin_epoch("the machine was started anew in relaxed mode")
    with spool.database.write() as tx:
        for key, value in (("boot", boot), ("durability", durability), ("node", node)):
            tx.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))
    return spool


def check(spool: Spool, *, thorough: bool = False) -> list[str]:
    """SQLite's own integrity check; [] is healthy. `thorough` also compares indexes with their tables (slower)."""
    pragma = "integrity_check" if thorough else "quick_check"
    with spool.database.read() as connection:
        try:
            rows = connection.execute(f"PRAGMA {pragma}(20)").fetchall()
        except sqlite3.DatabaseError as exc:
            return [str(exc)]
    return [row[0] for row in rows if row[0] != "ok"]


# ---- copies ----------------------------------------------------------------------------------------------------------
def backup(home: Path, folder: Path) -> Path:
    """Write a copy of the database's state and of the statistics into `folder`, in a process of its own, while everything runs.

    Images are plain files and are backed up by whatever backs up files. Raises SpoolError if the copy exists,
    SpoolMissing.
    """
    target, places = folder / "spool.sqlite3", Places(home)
    if not places.database.exists():
        lost = places.images.exists() and any(places.images.iterdir())
        raise SpoolMissing() if lost else SpoolMissing(f"there is no spool in {home} yet; `scanpost up` makes one")
    folder.mkdir(parents=True, exist_ok=True)
    if target.exists():
        raise SpoolError(f"{target} exists; name an empty folder")
    if places.figures.exists():  # first: what it has not counted then stands in the copy of the outbox
        copy_database(places.figures, folder / places.figures.name)
    copy_database(places.database, target)
    return target


def restore(
    home: Path, folder: Path, *, fs: FsOps | None = None, clock: Clock | None = None, extra: Collection[int | str] = (),
    charsets: Mapping[str, str] | None = None, resend: Collection[str] = (), source_of: SourceOf = nobody,
) -> dict[str, int]:  # fmt: skip
    """Put a backup in place of the database, begin a new epoch and adopt what came in since. The node must be down.

    How headers are read of what is adopted (see Adoption.adopt) follows from the routing: rules will be asked about them.

    The former database is kept beside it. What the backup knew as under way is released by a person:
    it may have been delivered meanwhile. Returns what adoption found.
    """
    fs, places = fs or RealFs(), Places(home)
    source = folder / "spool.sqlite3"
    if not source.exists():
        raise SpoolError(f"{folder} holds no backup (spool.sqlite3)")
    refuse_running(home, fs)
    now = (clock or SystemClock()).now()
    _make_folders(fs, places)
    fresh = places.database.with_name("spool.sqlite3.restoring")
    remove_attempt(fresh)
    shutil.copyfile(source, fresh)
    if not is_sound(fresh):
        raise SpoolDamaged(f"the backup {source} is damaged")
    connection = sqlite3.connect(fresh, isolation_level=None)
    try:
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("BEGIN IMMEDIATE")
        _make_restored(connection, clock or SystemClock())
        connection.execute("COMMIT")
    finally:
        connection.close()
    put_back_figures(home, folder, now)  # first: dying in between, the outbox that is still there has the rest
    _exchange(home, fresh, fs, now, over=True)
    spool = open_spool(home, fs=fs, clock=clock)
    try:
        return spool.adoption.adopt(everything=True, extra=extra, charsets=charsets, resend=resend, source_of=source_of)
    finally:
        spool.close()


def _make_folders(fs: FsOps, places: Places) -> None:
    """On another machine there may be nothing yet but what was copied."""
    for folder in places.folders():
        fs.makedirs(folder)


def _make_restored(connection: sqlite3.Connection, clock: Clock) -> None:
    """All in the copy, before it gets its name: dying half-way must not leave one that gives old numbers again."""
    tx = Transaction(connection, clock, "/local/restore/0")
    seed_ids(connection, tx.now)
    tx.emit(EpochBegun(begin_epoch(tx, tx.now), RESTORED))
    held = tx.all(
        "UPDATE delivery SET state = 'held', owner = NULL, error = ?, cause = ?"
        " WHERE state NOT IN ('delivered', 'cancelled', 'held') RETURNING id, arrival, target",
        (RESTORED, Cause.REBUILT),
    )
    for id, arrival, target in held:
        tx.emit(DeliveryHeld(id, arrival, target, RESTORED, Cause.REBUILT), correlation=arrival)
    tx.execute("UPDATE association SET state = 'aborted' WHERE state = 'open'")
    tx.execute("DELETE FROM worker")


def refuse_running(home: Path, fs: FsOps) -> None:
    """Raises SpoolError while an actor of this node lives: its database must not be exchanged under it."""
    if living := _living(home, fs):
        raise SpoolError(f"the node is running ({', '.join(living)}); stop it first: scanpost down")


def refuse_older_programs(home: Path, fs: FsOps) -> None:
    """For who works beside a node. Raises SpoolError while its programs are of an earlier version than this one: they end their
    work at once when the tables are changed under them, and what only looks must not stop a node.
    """
    if is_older_and_open(Places(home).database) and _living(home, fs):
        raise SpoolError(
            "this node is run by an earlier scanpost, whose spool this one would change under it; start it anew with this one"
            " first: scanpost down, scanpost up"
        )


def _living(home: Path, fs: FsOps) -> list[str]:
    run, write_lock = Places(home).run, Places(home).write_lock.name
    names = [
        name for name in (fs.listdir(run) if fs.exists(run) else []) if name.endswith(".lock") and name != write_lock
    ]
    return sorted(name.removesuffix(".lock") for name in names if fs.is_locked(run / name))


def _exchange(home: Path, fresh: Path, fs: FsOps, now: float, *, over: bool) -> None:
    """Publish a database. An actor that starts meanwhile waits for the write lock before it opens one."""
    places = Places(home)
    with closing(WriteLock(places.write_lock)) as lock, lock:
        refuse_running(home, fs)
        if places.database.exists() and not over:
            raise SpoolError("a database has appeared meanwhile; nothing was changed")
        publish(fresh, places.database, now)


# ---- rebuild ----------------------------------------------------------------------------------------------------------
@dataclass
class Rebuilt:
    """What `rebuild` found: images given a row, objects in quarantine, arrivals made (all held)."""

    images: int = 0
    quarantined: int = 0
    arrivals: int = 0


def rebuild(
    home: Path, *, node: str = "local", fs: FsOps | None = None, clock: Clock | None = None,
    progress: Callable[[int], None] = lambda count: None, extra: Collection[int | str] = (),
    charsets: Mapping[str, str] | None = None, source_of: SourceOf = nobody,
) -> Rebuilt:  # fmt: skip
    """Make the state again from the image files after the database was lost. The node must be down.

    Every image gets its row; every arrival is *held (rebuilt)* until a person releases it: nothing is sent by itself.
    Headers are read as for `restore`.
    Works on a database beside the real name and renames it at the end, so it can be interrupted and begun again.
    Raises SpoolError if there is a database already.
    """
    fs, clock, places = fs or RealFs(), clock or SystemClock(), Places(home)
    if places.database.exists():
        raise SpoolError("there is a database already; move it away first if it cannot be used")
    work = places.database.with_name("spool.sqlite3.rebuilding")
    refuse_running(home, fs)
    _make_folders(fs, places)
    remove_attempt(work)
    create_database(work, clock, node, boot_id(), "rebuilt")
    found = Rebuilt()
    spool = _open_at(work, home, fs, clock)
    try:
        for batch in _batches(fs, places, _Reading(extra, charsets or {}, source_of)):
            for receipt in spool.images.commit(batch):
                found.images += receipt.outcome == "stored"
                found.quarantined += receipt.outcome == "quarantined"
            progress(found.images + found.quarantined)
        found.arrivals = _hold_all(spool)
        spool.outbox.record(EpochBegun(spool.outbox.head().epoch, "rebuilt from the image files"))
    finally:
        spool.close()
    _finish_file(work)
    _exchange(home, work, fs, clock.now(), over=False)
    return found


def _open_at(path: Path, home: Path, fs: FsOps, clock: Clock) -> Spool:
    from protocol.spool.database import Database

    places = Places(home)
    return Spool(home, Database(path, places.write_lock, clock, "/local/rebuild/0"), fs, clock)


def _finish_file(path: Path) -> None:
    """Leave no write-ahead log behind that a rename would part from its database."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("PRAGMA journal_mode=DELETE")
    finally:
        connection.close()


@record
class _Reading:
    """How headers are read of what is found."""

    extra: Collection[int | str]
    charsets: Mapping[str, str]
    source_of: SourceOf


def _batches(fs: FsOps, places: Places, reading: _Reading) -> Iterator[list[Saved]]:
    batch: list[Saved] = []
    for saved in _everything(fs, places, reading):
        batch.append(saved)
        if len(batch) >= BATCH:
            yield batch
            batch = []
    yield batch


def _everything(fs: FsOps, places: Places, reading: _Reading) -> Iterator[Saved]:
    before = fs.listdir(places.quarantine)  # what is moved there now is given out with its reason
    for day in filter(is_day, fs.listdir(places.images)):
        for key in filter(is_series, fs.listdir(places.images / day)):
            names = [name for name in fs.listdir(places.images / day / key) if name.endswith(ENDINGS)]
            found = [_from_file(fs, places, f"{day}/{key}/{name}", reading) for name in names]
            # Of two versions of an object the newer one must come last.
            yield from sorted((saved for saved in found if saved is not None), key=lambda saved: saved.meta.received)
    for name in before:
        saved = _from_quarantine(fs, places, name) if "." not in name else None
        if saved is not None:
            yield saved


def _from_file(fs: FsOps, places: Places, file: str, reading: _Reading) -> Saved | None:
    """A row's worth out of one file; what is damaged is moved to quarantine."""
    path = places.images / file
    with fs.open_read(path) as opened:
        content = opened.read()
    if not content:
        fs.unlink(path)  # made beforehand for an image that did not come
        return None
    try:
        meta = decode(content[:MAX_META])
        if (
            file.endswith(".tmp")
            or not meta.whole
            or comparing.digest_of(fs, path, meta.offset) != (meta.length, meta.digest)
        ):
            raise UnreadableImage("the bytes are not those that were received")
        source = reading.source_of(meta.calling_ae, meta.address)
        header = scan(
            memoryview(content)[meta.offset :], meta.transfer_syntax_uid, extra=reading.extra,
            fallback_charset=reading.charsets.get(source or ""),
        )  # fmt: skip
        reason = misplaced(
            Incoming(meta.association, meta.calling_ae, meta.called_ae, meta.address, None, meta.sop_class_uid,
                     meta.sop_instance_uid, meta.transfer_syntax_uid, b"", header))  # fmt: skip
        if reason:
            raise UnreadableImage(reason)
    except UnreadableImage as exc:
        name = quarantine.free_name(fs, places, file)
        fs.rename(path, places.quarantine / name)
        fs.sync_dir(places.quarantine)
        return _from_quarantine(fs, places, name, str(exc))
    return Saved(meta.receipt, meta, source, file, dict(header.values), why="rebuilt")


def _from_quarantine(
    fs: FsOps, places: Places, name: str, reason: str = "kept from before the rebuild"
) -> Saved | None:
    try:
        receipt = bytes.fromhex(name)
    except ValueError:
        return None
    with fs.open_read(places.quarantine / name) as opened:
        start = opened.read(MAX_META)
    try:
        meta = decode(start)
    except UnreadableImage:
        meta = FileMeta("", "", "", "", "", "", receipt)
    quarantine.note(fs, places, name, meta, reason)
    return Saved(receipt, meta, None, name, {}, reason, "rebuilt")


def _hold_all(spool: Spool) -> int:
    """Close every arrival and hold it, in chunks."""
    count = 0
    while True:
        with spool.database.write() as tx:
            rows = tx.all("SELECT * FROM arrival WHERE state = 'open' LIMIT ?", (BATCH,))
            for row in rows:
                tx.execute(
                    "UPDATE arrival SET state = 'held', closed = :now, since = :now, why = 'rebuilt', reason = :reason WHERE id = :id",
                    {"now": tx.now, "reason": REBUILT, "id": row["id"]},
                )
                tx.emit(
                    ArrivalCompleted(row["id"], row["calling_ae"], row["study_uid"], row["series_uid"], row["images"], row["bytes"],
                                     "rebuilt", row["modality"]), correlation=row["id"])  # fmt: skip
                tx.emit(ArrivalHeld(row["id"], row["calling_ae"], REBUILT), correlation=row["id"])
        if not rows:
            return count
        count += len(rows)
