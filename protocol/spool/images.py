"""Images on their way into the spool: the file first, durable, then its row.
It never interprets a data set (protocol/header does) and never moves or overwrites a file once it is whole.

Order of an image (each line may be the last before a power cut, and nothing acknowledged is lost):
empty file made, its folders synced -> filled, sealed and synced -> may be acknowledged -> row and event committed.
Whoever dies before the last line leaves a file without a row: it says itself what it is, and adoption gives it its row.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

import xxhash

from protocol.clock import Clock, SystemClock
from protocol.errors import NotFound, SpoolError
from protocol.fsops import FsOps, RealFs
from protocol.header.scan import Header
from protocol.spool import comparing, joining, quarantine, sightings
from protocol.spool.blanks import Allowance
from protocol.spool.database import Database
from protocol.spool.days import Days
from protocol.spool.durable import DurableNames
from protocol.spool.intake import Writer
from protocol.spool.joining import Joining, Known
from protocol.spool.objects import ImageFile, Incoming, Origin, Receipt, Saved, image_file, misplaced
from protocol.spool.part10 import FileMeta, encode
from protocol.spool.places import Places, new_receipt, series_key
from protocol.spool.transaction import Transaction
from protocol.spool.unsynced import UnsyncedFiles
from protocol.wire.events import AssociationClosed, AssociationOpened, AssociationRejected, ImageRejected

__all__ = ["ImageFile", "Images", "Incoming", "Origin", "Receipt", "Saved", "image_file", "misplaced"]


class Images:
    """Receiving side of the spool."""

    def __init__(self, database: Database, places: Places, fs: FsOps, clock: Clock, *, sync: bool) -> None:
        self._db = database
        self._places = places
        self._fs = fs
        self._clock = clock
        self.sync = sync
        self.native = type(fs) is RealFs and type(clock) is SystemClock  # compiled code may do what they do
        self.names = DurableNames(fs, places.images, sync=sync)
        self.unsynced = UnsyncedFiles(database, places, fs, self.names)
        self._allowance = Allowance()
        self._days = Days(database, clock)
        self._known = Known()

    # ---- associations -------------------------------------------------------------------------------------------
    def association_opened(
        self,
        id: bytes,
        owner: str,
        calling_ae: str,
        called_ae: str,
        address: str,
        source: str | None,
        subject: str = "",
    ) -> None:
        """Record an accepted association and who serves it (a worker's owner name); `subject` is its certificate's."""
        with self._db.write() as tx:
            tx.execute(
                "INSERT INTO association (id, owner, calling_ae, called_ae, address, source, state, opened)"
                " VALUES (?,?,?,?,?,?,'open',?)",
                (id, owner, calling_ae, called_ae, address, source, tx.now),
            )
            sightings.note(tx, calling_ae, address, called_ae, subject, source)
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

    def association_rejected(
        self, calling_ae: str, called_ae: str, address: str, reason: str, source: str | None = None, subject: str = ""
    ) -> None:
        """Record a peer that was turned away or spoke no DICOM (then `calling_ae` is empty)."""
        with self._db.write() as tx:
            if calling_ae:
                sightings.note(tx, calling_ae, address, called_ae, subject, source, rejected=reason)
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
    def writer(self, origin: Origin) -> Writer:
        """What makes the files of one association; for one thread."""
        return Writer(self._fs, self._places, self.names, self._clock, origin, self._allowance, self._days)

    def save(self, incoming: Incoming) -> Saved:
        """Write a whole object's bytes to their final place and make them durable. No transaction, no lock.

        Raises OutOfSpace (refuse with A700), DiskFailed (refuse and end the process).
        """
        reason = misplaced(incoming)
        if reason is not None:
            return self._quarantined(incoming, reason)
        assert incoming.header is not None
        writer = self.writer(incoming.origin)
        key = series_key(incoming.header.study_uid, incoming.header.series_uid, incoming.calling_ae)
        try:
            file, meta = writer.put(
                key, incoming.sop_class_uid, incoming.sop_instance_uid, incoming.transfer_syntax_uid,
                [incoming.dataset], sync=self.sync,
            )  # fmt: skip
        finally:
            writer.close()
        return self.described(file, meta, incoming.source, incoming.header)

    def _quarantined(self, incoming: Incoming, reason: str) -> Saved:
        receipt = new_receipt(self._clock.now())
        meta = FileMeta(
            incoming.sop_class_uid, incoming.sop_instance_uid, incoming.transfer_syntax_uid, incoming.calling_ae,
            incoming.called_ae, incoming.address, receipt, incoming.association, len(incoming.dataset),
            xxhash.xxh3_128_digest(incoming.dataset), received=self._clock.now(),
        )  # fmt: skip
        start = encode(meta)
        meta = meta._replace(offset=len(start))
        values = dict(incoming.header.values) if incoming.header else {}
        quarantine.write(
            self._fs, self._places, receipt.hex(), start, incoming.dataset, meta, reason, sync=self.sync
        )  # fmt: skip
        return Saved(receipt, meta, incoming.source, receipt.hex(), values, reason, new=True)

    def described(self, file: str, meta: FileMeta, source: str | None, header: Header) -> Saved:
        """What `commit` needs of a finished file."""
        return Saved(meta.receipt, meta, source, file, header.values, new=True)

    def set_aside(self, file: str, meta: FileMeta, reason: str, source: str | None) -> Saved:
        """Move a finished file that cannot be read, placed or recorded to quarantine."""
        return quarantine.move(self._fs, self._places, file, meta, reason, source=source, sync=self.sync)

    # ---- the row --------------------------------------------------------------------------------------------------
    def commit(self, saved: Sequence[Saved]) -> list[Receipt]:
        """One transaction for all; a bad one fails alone. Idempotent by receipt, unless the object says that it is new.

        Raises OutOfSpace or DiskFailed if the transaction itself failed: then none counts and none may be acknowledged.
        """
        try:
            receipts = self._commit_together(saved)
        except SpoolError:
            raise  # the disk, not an image: the transaction as a whole has failed
        except Exception:  # an image may have a twin, or cannot be given a row
            receipts = self._commit_one_by_one([self._compared(one) for one in saved])
        for one, receipt in zip(saved, receipts, strict=True):
            if receipt.outcome == "duplicate":
                # Its twin is durable. Dying before this line leaves a file without a row; adoption ends here again.
                self._drop(self._places.images / one.file)
        return receipts

    def _commit_together(self, saved: Sequence[Saved]) -> list[Receipt]:
        with self._db.write() as tx:
            joining = Joining(tx, self._fs, self._places, self._known)
            joining.look(saved)
            receipts = [self._give_row(tx, joining, one) for one in saved]
            joining.end()
        self._known.keep(joining)
        return receipts

    def _commit_one_by_one(self, saved: Sequence[Saved]) -> list[Receipt]:
        """In one transaction still, with a savepoint each: whatever is wrong with one is not with the others."""
        receipts: list[Receipt] = []
        with self._db.write() as tx:
            for one in saved:
                try:
                    with tx.savepoint():
                        joining = Joining(tx, self._fs, self._places, Known())
                        receipt = self._give_row(tx, joining, one)
                        joining.end()
                    receipts.append(receipt)
                except (SpoolError, sqlite3.OperationalError):
                    raise
                except Exception as exc:
                    receipts.append(Receipt(one.receipt, "failed", error=exc))
        return receipts

    def _give_row(self, tx: Transaction, joining: Joining, saved: Saved) -> Receipt:
        return quarantine.insert(tx, saved) if saved.reason is not None else joining.join(saved)

    def _compared(self, saved: Saved) -> Saved:
        """With the bytes of possible twins against ours, before the lock; the rows are looked at again inside."""
        if saved.reason is not None:
            return saved
        with self._db.read() as connection:
            rows = joining.twins(connection, saved)
        twins = {row["receipt"]: comparing.same_bytes(self._fs, self._places, row, saved) for row in rows}
        return saved._replace(twins=twins, new=False)

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
