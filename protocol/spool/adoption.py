"""Files without a row, found at start, after a worker's death or a restore: adopted or quarantined, never removed.
It must not touch a file whose writer still lives, and it never decides anything from a file's name but its receipt.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import UTC, datetime, timedelta

from protocol.clock import Clock
from protocol.errors import UnreadableImage
from protocol.fsops import FsOps
from protocol.header.scan import scan
from protocol.spool import comparing, joining, quarantine
from protocol.spool.database import Database
from protocol.spool.days import newest_image
from protocol.spool.images import Images, Incoming, Saved, misplaced
from protocol.spool.part10 import MAX_META, FileMeta, decode
from protocol.spool.places import ENDINGS, Places, is_day, is_series
from protocol.spool.workers import Workers

BATCH = 64
LOOKED_UP = 500
SourceOf = Callable[[str, str], str | None]
"""The source of a calling AE title and an address; None: unknown."""


def nobody(calling_ae: str, address: str) -> str | None:
    """No source is known."""
    return None


class Adoption:
    """Makes files and rows agree again."""

    def __init__(
        self, database: Database, places: Places, fs: FsOps, clock: Clock, images: Images, workers: Workers
    ) -> None:
        self._db, self._places, self._fs, self._clock = database, places, fs, clock
        self._images, self._workers = images, workers
        self._extra: Collection[int | str] = ()
        self._charsets: Mapping[str, str] = {}
        self._resend: Collection[str] = ()
        self._source_of: SourceOf = nobody

    def adopt(
        self, *, everything: bool = False, extra: Collection[int | str] = (), charsets: Mapping[str, str] | None = None,
        resend: Collection[str] = (), source_of: SourceOf = nobody,
    ) -> dict[str, int]:  # fmt: skip
        """Adopt complete files by their receipt, quarantine incomplete ones, leave alone those of living writers.

        Looks at the days since the day before the newest row (a file without a row is never older than that, see days.py,
        except after a restore: then `everything`). `extra` names header values to keep besides the usual ones (those that
        rules read), `charsets` the character set of objects that name none, by source; `resend` are sources whose
        repetitions count as new images; `source_of` names the source where the association is not known (any more).
        Returns counts by adopted, duplicate, quarantined, left alone.
        """
        self._extra, self._charsets, self._resend, self._source_of = extra, charsets or {}, resend, source_of
        counts = {"adopted": 0, "duplicate": 0, "quarantined": 0, "left_alone": 0}
        restored = self._images.unsynced.restore(self._workers.alive)
        if restored:
            counts["restored"] = restored
        first = "" if everything else self._first_day()
        for day in filter(is_day, self._fs.listdir(self._places.images)):
            if day < first:
                continue
            for key in filter(is_series, self._names(day)):
                self._series(f"{day}/{key}", counts)
        self._quarantined(counts)
        return counts

    def _first_day(self) -> str:
        with self._db.read() as connection:
            newest = newest_image(connection)
        since = min(newest if newest is not None else 0.0, self._clock.now())
        return (datetime.fromtimestamp(since, UTC) - timedelta(days=1)).strftime("%Y%m%d")

    def _names(self, folder: str) -> list[str]:
        """What is in a folder below the images; nothing if the cleaner just removed it."""
        try:
            return self._fs.listdir(self._places.images / folder)
        except FileNotFoundError:
            return []

    def _series(self, folder: str, counts: dict[str, int]) -> None:
        names = [name for name in self._names(folder) if name.endswith(ENDINGS)]
        batch: list[Saved] = []
        for name in self._unknown(names):
            try:
                if self._is_spare(f"{folder}/{name}"):
                    continue
                saved = self._examine(f"{folder}/{name}")
            except FileNotFoundError:
                saved = None  # since it was listed its living writer renamed it, or a duplicate was dropped
            if saved is None:
                counts["left_alone"] += 1
            else:
                batch.append(saved)
        batch.sort(key=lambda saved: saved.meta.received)  # of two versions of an object the newer one comes last
        for start in range(0, len(batch), BATCH):
            self._commit(batch[start : start + BATCH], counts)

    def _unknown(self, names: list[str]) -> Iterator[str]:
        """Those without a row, looked up many at a time: a start must not take minutes with a million files."""
        for start in range(0, len(names), LOOKED_UP):
            with self._db.read() as connection:
                part = [name for name in names[start : start + LOOKED_UP] if not _known(connection, name)]
            yield from part

    def _commit(self, batch: list[Saved], counts: dict[str, int]) -> None:
        if not batch:
            return
        for receipt in self._images.commit(batch):
            word = {"stored": "adopted"}.get(receipt.outcome, receipt.outcome)
            counts[word] = counts.get(word, 0) + 1

    def _living_writer(self, meta: FileMeta | None) -> bool:
        """Is the association of this file still served by a living worker?"""
        if meta is None:
            return False
        with self._db.read() as connection:
            row = connection.execute("SELECT owner FROM association WHERE id = ?", (meta.association,)).fetchone()
        return row is not None and self._workers.alive(row["owner"])

    def _is_spare(self, file: str) -> bool:
        """Whether it is a file made beforehand that no byte was ever written to; removed if nobody will fill it."""
        path = self._places.images / file
        if self._fs.size(path):
            return False
        if not self._any_receiver():
            self._fs.unlink(path)
        return True

    def _examine(self, file: str) -> Saved | None:
        """What a file without a row is; None if its writer lives. An incomplete one is moved to quarantine."""
        path = self._places.images / file
        try:
            meta = self._meta(file)
            if self._living_writer(meta):
                return None
            # It will count as stored, and its repetition as a duplicate: so it must be as durable as any stored image, and
            # what was read before may never have reached the disk.
            self._images.names.settle_found(path)
            meta = self._meta(file)
        except UnreadableImage as exc:
            return self._to_quarantine(file, None, str(exc)) if not self._any_receiver() else None
        if file.endswith(".tmp") or not meta.whole:
            return self._to_quarantine(file, meta, "writing was interrupted before it was acknowledged")
        if comparing.digest_of(self._fs, path, meta.offset) != (meta.length, meta.digest):
            return self._to_quarantine(file, meta, "the bytes are not those that were received")
        return self._placed(file, meta)

    def _meta(self, file: str) -> FileMeta:
        with self._fs.open_read(self._places.images / file) as opened:
            return decode(opened.read(MAX_META))

    def _any_receiver(self) -> bool:
        # The writer of a file without a readable head is unknown: wait until no receiver works.
        return self._workers.count("receiver") > 0

    def _placed(self, file: str, meta: FileMeta) -> Saved:
        with self._fs.open_read(self._places.images / file) as opened:
            opened.seek(meta.offset)
            dataset = opened.read()
        source = self._source(meta)
        charset = self._charsets.get(source or "")
        try:
            header = scan(dataset, meta.transfer_syntax_uid, extra=self._extra, fallback_charset=charset)
        except UnreadableImage as exc:
            return self._to_quarantine(file, meta, str(exc))
        incoming = Incoming(
            meta.association, meta.calling_ae, meta.called_ae, meta.address, None, meta.sop_class_uid,
            meta.sop_instance_uid, meta.transfer_syntax_uid, b"", header,
        )  # fmt: skip
        reason = misplaced(incoming)
        if reason is not None:
            return self._to_quarantine(file, meta, reason)
        return Saved(
            meta.receipt, meta, source, file, dict(header.values), why="adopted", resend=source in self._resend
        )  # fmt: skip

    def _source(self, meta: FileMeta) -> str | None:
        with self._db.read() as connection:
            row = connection.execute("SELECT source FROM association WHERE id = ?", (meta.association,)).fetchone()
        return row["source"] if row else self._source_of(meta.calling_ae, meta.address)

    def _to_quarantine(self, file: str, meta: FileMeta | None, reason: str) -> Saved:
        return quarantine.move(
            self._fs, self._places, file, meta or FileMeta("", "", "", "", "", ""), reason, why="adopted"
        )  # fmt: skip

    def _quarantined(self, counts: dict[str, int]) -> None:
        """Files in quarantine without a row: they were put there, and the row was not committed any more."""
        batch = []
        for name in self._fs.listdir(self._places.quarantine):
            if "." in name and not name.endswith(".tmp"):
                continue
            try:
                receipt = bytes.fromhex(name.removesuffix(".tmp"))
            except ValueError:
                continue
            with self._db.read() as connection:
                if joining.known(connection, receipt):
                    continue
            try:
                with self._fs.open_read(self._places.quarantine / name) as opened:
                    start = opened.read(MAX_META)
            except FileNotFoundError:
                continue  # its living writer gave it its final name since it was listed
            try:
                meta = decode(start)
            except UnreadableImage:
                meta = FileMeta("", "", "", "", "", "", receipt)
            if self._living_writer(meta) or (not meta.association and self._any_receiver()):
                counts["left_alone"] += 1
                continue
            if name.endswith(".tmp"):
                self._fs.rename(self._places.quarantine / name, self._places.quarantine / name.removesuffix(".tmp"))
            self._fs.sync_file(self._places.quarantine / receipt.hex())
            self._fs.sync_dir(self._places.quarantine)
            batch.append(
                Saved(receipt, meta, None, receipt.hex(), {}, "interrupted while it was put into quarantine", "adopted")
            )
        self._commit(batch, counts)


def _known(connection: sqlite3.Connection, name: str) -> bool:
    try:
        return joining.known(connection, bytes.fromhex(name[:-4]))
    except ValueError:
        return False
