"""Values for data mining that nobody scans every image for: read once, of one image of an arrival that is complete.
It must not change anything, and a file that cannot be read costs the ledger these values and nothing else.
"""

from __future__ import annotations

from typing import Any

from protocol.dose import DOSE_CLASSES, Reading
from protocol.dose.tree import MAX_BYTES
from protocol.errors import UnreadableImage
from protocol.fsops import FsOps
from protocol.header.mined import MINED_KEYWORDS, mined_keys
from protocol.header.scan import scan, scan_head
from protocol.records import record
from protocol.spool.database import Database
from protocol.spool.part10 import MAX_META, decode
from protocol.spool.places import Places

FIRST_READ = 64 << 10  # bytes; nearly every header is shorter
MOST_READ = 4 << 20  # a longer header is left out
MOST_REPORTS = 20  # dose reports of an arrival
MOST_REPORT = MAX_BYTES  # bytes of one
MOST_KEPT = 64 << 10  # characters of all values together: they travel in an event


@record
class MinedTerms:
    """What is wanted: elements besides the fixed ones, as a site writes them, and the zone in which scanners tell time."""

    extra_tags: tuple[str, ...] = ()
    zone: str = "UTC"


class Mined:
    """The part of the spool that looks into a stored image for more."""

    def __init__(self, database: Database, places: Places, fs: FsOps) -> None:
        self._db, self._places, self._fs = database, places, fs

    def of(self, arrival: int, terms: MinedTerms) -> dict[str, Any]:
        """What the event of the completed arrival tells for data mining: values, names of extra ones, zone, and what dose
        reports say (`doses`).

        Every image is scanned for the usual values already; here is only what they lack.
        """
        try:
            extra = mined_keys(terms.extra_tags)
            values = self._values(arrival, frozenset({*MINED_KEYWORDS, *terms.extra_tags}))
        except (ValueError, UnreadableImage, OSError):
            extra, values = (), {}
        wanted = {*MINED_KEYWORDS, *extra}
        doses = self._doses(arrival)
        return {
            **({"doses": doses} if doses else {}),
            "values": _bounded({k: v for k, v in values.items() if k in wanted}),
            "extra": list(extra),
            "zone": terms.zone,
        }

    def _values(self, arrival: int, keywords: frozenset[int | str]) -> dict[str, Any]:
        with self._db.read() as connection:
            row = connection.execute(
                "SELECT file FROM image WHERE arrival = ? AND superseded IS NULL ORDER BY position LIMIT 1", (arrival,)
            ).fetchone()
        if row is None:
            return {}
        with self._fs.open_read(self._places.images / row["file"]) as file:
            data = file.read(MAX_META + FIRST_READ)
            meta = decode(data)
            while True:
                found = scan_head(memoryview(data)[meta.offset :], meta.transfer_syntax_uid, extra=keywords)
                if found is not None:
                    return dict(found.values)
                more = file.read(len(data)) if len(data) < MOST_READ else b""
                if not more:
                    return self._whole(data[meta.offset :], meta.transfer_syntax_uid, keywords)
                data += more

    def _doses(self, arrival: int) -> list[dict[str, Any]]:
        """What the dose reports among its images say; nearly every arrival is asked with one look and has none."""
        with self._db.read() as connection:
            first = connection.execute(
                "SELECT sop_class_uid FROM image WHERE arrival = ? ORDER BY position LIMIT 1", (arrival,)
            ).fetchone()
            if first is None or first["sop_class_uid"] not in DOSE_CLASSES:
                return []
            rows = connection.execute(
                "SELECT file, sop_class_uid FROM image WHERE arrival = ? AND superseded IS NULL ORDER BY position LIMIT ?",
                (arrival, MOST_REPORTS),
            ).fetchall()
        reading = Reading()
        return [self._dose(row["file"], reading) for row in rows if row["sop_class_uid"] in DOSE_CLASSES]

    def _dose(self, file: str, reading: Reading) -> dict[str, Any]:
        try:
            with self._fs.open_read(self._places.images / file) as opened:
                data = opened.read(MAX_META + MOST_REPORT + 1)
            meta = decode(data)
        except (UnreadableImage, OSError):
            return reading.report(b"", "")
        return reading.report(data[meta.offset :], meta.transfer_syntax_uid)

    def _whole(self, data: bytes, syntax: str, keywords: frozenset[int | str]) -> dict[str, Any]:
        """An object without pixel data: what is there is all."""
        return dict(scan(data, syntax, extra=keywords).values) if len(data) < MOST_READ else {}


def _bounded(values: dict[str, Any]) -> dict[str, Any]:
    """The largest go first, if all together are too long for an event."""
    sizes = {key: len(str(value)) for key, value in values.items()}
    while values and sum(sizes.values()) > MOST_KEPT:
        largest = max(sizes, key=lambda key: sizes[key])
        del sizes[largest], values[largest]
    return values
