"""Images on their way into the spool: the file first, durable, then its row; nothing is acknowledged before both.
It never interprets a data set (protocol/header does) and never moves or overwrites a file once it has its final name.

Order of an image (each line may be the last before a power cut, and nothing acknowledged is lost):
tmp file written and synced -> renamed -> its folders synced -> row and event committed -> acknowledged.
"""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import xxhash

from protocol.clock import Clock
from protocol.errors import DiskFailed, NotFound, OutOfSpace, SpoolError
from protocol.fsops import FsOps
from protocol.spool import joining, quarantine
from protocol.spool.database import Database
from protocol.spool.durable import DurableNames
from protocol.spool.objects import ImageFile, Incoming, Receipt, Saved, image_file, misplaced
from protocol.spool.part10 import FileMeta, encode
from protocol.spool.places import Places, image_place, series_key
from protocol.wire.events import AssociationClosed, AssociationOpened, AssociationRejected, ImageRejected

__all__ = ["ImageFile", "Images", "Incoming", "Receipt", "Saved", "image_file", "misplaced"]


class Images:
    """Receiving side of the spool."""

    def __init__(self, database: Database, places: Places, fs: FsOps, clock: Clock, *, sync: bool) -> None:
        self._db = database
        self._places = places
        self._fs = fs
        self._clock = clock
        self._sync = sync
        self.names = DurableNames(fs, places.images, sync=sync)

    # ---- associations -------------------------------------------------------------------------------------------
    def association_opened(
        self, id: bytes, owner: str, calling_ae: str, called_ae: str, address: str, source: str | None
    ) -> None:
        """Record an accepted association and who serves it (a worker's owner name)."""
        with self._db.write() as tx:
            tx.execute(
                "INSERT INTO association (id, owner, calling_ae, called_ae, address, source, state, opened)"
                " VALUES (?,?,?,?,?,?,'open',?)",
                (id, owner, calling_ae, called_ae, address, source, tx.now),
            )
            tx.emit(AssociationOpened(id.hex(), calling_ae, called_ae, address), correlation=id.hex())

    def association_closed(self, id: bytes, how: str) -> None:
        """Record its end: released or aborted (anything else counts as aborted). Repeating it changes nothing."""
        how = how if how == "released" else "aborted"
        with self._db.write() as tx:
            row = tx.one(
                "UPDATE association SET state = ?, closed = ? WHERE id = ? AND state = 'open' RETURNING *",
                (how, tx.now, id),
            )
            if row is not None:
                tx.emit(
                    AssociationClosed(id.hex(), row["calling_ae"], how, row["images"], row["bytes"]),
                    correlation=id.hex(),
                )

    def association_rejected(self, calling_ae: str, called_ae: str, address: str, reason: str) -> None:
        """Record a peer that was turned away or spoke no DICOM."""
        with self._db.write() as tx:
            tx.emit(AssociationRejected(calling_ae, called_ae, address, reason))

    def abort_dead(self, owner: str) -> int:
        """The worker died: its open associations count as aborted. How many there were."""
        with self._db.read() as connection:
            rows = connection.execute(
                "SELECT id FROM association WHERE owner = ? AND state = 'open'", (owner,)
            ).fetchall()
        for row in rows:
            self.association_closed(row["id"], "aborted")
        return len(rows)

    def refused(self, association: bytes, calling_ae: str, sop_uid: str, status: int, reason: str) -> None:
        """Record that an image was answered with a failure status."""
        with self._db.write() as tx:
            tx.add("refused")
            tx.emit(
                ImageRejected(association.hex(), calling_ae, sop_uid, status, reason), correlation=association.hex()
            )

    # ---- the file -------------------------------------------------------------------------------------------------
    def save(self, incoming: Incoming) -> Saved:
        """Write the object's bytes to their final place and make them durable. No transaction, no lock.

        Raises OutOfSpace (refuse with A700), DiskFailed (refuse and end the process).
        """
        receipt = uuid.uuid4().bytes
        digest = xxhash.xxh3_128_digest(incoming.dataset)
        meta = FileMeta(
            incoming.sop_class_uid, incoming.sop_instance_uid, incoming.transfer_syntax_uid, incoming.calling_ae,
            incoming.called_ae, incoming.address, receipt, incoming.association, len(incoming.dataset), digest,
            received=self._clock.now(),
        )  # fmt: skip
        start = encode(meta)
        meta = replace(meta, offset=len(start))
        reason = misplaced(incoming)
        values = dict(incoming.header.values) if incoming.header else {}
        if reason is not None:
            saved = Saved(receipt, meta, incoming.source, receipt.hex(), values, reason)
            quarantine.write(self._fs, self._places, saved.file, start, incoming.dataset, meta, reason, sync=self._sync)
            return saved
        assert incoming.header is not None
        key = series_key(incoming.header.study_uid, incoming.header.series_uid, incoming.calling_ae)
        file = image_place(self._clock.now(), key, receipt)
        self._write(self._places.images / file, start, incoming.dataset)
        saved = Saved(receipt, meta, incoming.source, file, values)
        return replace(saved, twins=self._compare(saved))

    def _write(self, path: Path, start: bytes, dataset: bytes | memoryview) -> None:
        tmp = path.with_suffix(".tmp")
        file = self.names.create(tmp)
        try:
            file.write(start)
            file.write(dataset)
            if self._sync:
                file.sync()
        finally:
            file.close()
        self._fs.rename(tmp, path)
        self.names.settle(path)

    def _compare(self, saved: Saved) -> dict[bytes, bool]:
        """Bytes of possible twins against ours, before the lock; the rows are looked at again inside the transaction."""
        with self._db.read() as connection:
            rows = joining.twins(connection, saved)
        return {row["receipt"]: joining.same_bytes(self._fs, self._places, row, saved) for row in rows}

    # ---- the row --------------------------------------------------------------------------------------------------
    def commit(self, saved: Sequence[Saved]) -> list[Receipt]:
        """One transaction for all, a savepoint each: a bad one fails alone. Idempotent by receipt.

        Raises OutOfSpace or DiskFailed if the transaction itself failed: then none counts and none may be acknowledged.
        """
        receipts: list[Receipt] = []
        with self._db.write() as tx:
            for one in saved:
                try:
                    with tx.savepoint():
                        if one.reason is not None:
                            receipts.append(quarantine.insert(tx, one))
                        else:
                            receipts.append(joining.join(tx, self._fs, self._places, one))
                except (OutOfSpace, DiskFailed, sqlite3.OperationalError):
                    raise  # the disk, not this image: the transaction as a whole has failed
                except Exception as exc:
                    receipts.append(Receipt(one.receipt, "failed", error=exc))
        for one, receipt in zip(saved, receipts, strict=True):
            if receipt.outcome == "duplicate":
                # Its twin is durable. Dying before this line leaves a file without a row; adoption ends here again.
                self._drop(self._places.images / one.file)
        return receipts

    def _drop(self, path: Path) -> None:
        try:
            self._fs.unlink(path)
        except FileNotFoundError:
            pass
        except OSError as exc:
            raise SpoolError(f"a duplicate's file could not be removed: {exc.strerror}") from exc

    def known(self, receipt: bytes) -> bool:
        """Has this receipt a row, as image or in quarantine? The first question after an unknown outcome."""
        with self._db.read() as connection:
            return joining.known(connection, receipt)

    def open(self, receipt: bytes) -> ImageFile:
        """Where a stored image is. Raises NotFound."""
        with self._db.read() as connection:
            row = connection.execute("SELECT * FROM image WHERE receipt = ?", (receipt,)).fetchone()
        if row is None:
            raise NotFound(f"no image with receipt {receipt.hex()}")
        return image_file(self._places, row)
