"""Where things lie below $SCANPOST_HOME. It only names places; it creates and reads nothing."""

from __future__ import annotations

import hashlib
import os
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path


class Places:
    """Folders and files of one node; every path the program writes comes from here."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.config = home / "config"
        self.routing = home / "config" / "routing"
        self.spool = home / "spool"
        self.database = home / "spool" / "spool.sqlite3"
        self.figures = home / "spool" / "figures.sqlite3"
        self.images = home / "spool" / "images"
        self.quarantine = home / "spool" / "quarantine"
        self.ballast = home / "spool" / "ballast"
        self.run = home / "run"
        self.log = home / "log"
        self.write_lock = home / "run" / "spool.write.lock"

    def folders(self) -> list[Path]:
        """Every folder a node needs, parents first."""
        return [self.home, self.config, self.routing, self.spool, self.images, self.quarantine, self.run, self.log]


@lru_cache(maxsize=1024)
def series_key(study_uid: str, series_uid: str, calling_ae: str) -> bytes:
    """32 bytes that stand for one series from one sender: no DICOM value ever becomes a path (known-failures 32, 36)."""
    text = "\0".join((study_uid, series_uid, calling_ae))
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


def new_receipt(now: float) -> bytes:
    """The key of an image and the name of its file: a UUID of version 7 (RFC 9562 sections 5.7 and 6.2), 16 bytes.

    By time, so that images which come together have neighbouring rows: with random keys each one changes another page of
    the table. `now` in seconds since 1970 UTC.
    """
    return new_receipts(now, 1)[0]


def new_receipts(now: float, count: int) -> list[bytes]:
    """Several of one moment."""
    milliseconds, part = divmod(int(now * 4_096_000), 4096)
    start = (milliseconds & 0xFFFFFFFFFFFF) << 80 | 7 << 76 | part << 64 | 2 << 62
    return [(start | int.from_bytes(_random(), "big") >> 2).to_bytes(16, "big") for _ in range(count)]


_pool: list[bytes] = []
os.register_at_fork(after_in_child=_pool.clear)  # two processes must not give the same


def _random() -> bytes:
    """Eight bytes of the system's randomness, fetched many at a time: each call lets other threads in between."""
    while True:
        try:
            return _pool.pop()
        except IndexError:
            fresh = os.urandom(8 * 256)
            _pool.extend([fresh[at : at + 8] for at in range(0, len(fresh), 8)])


ENDINGS = (".dcm", ".tmp")  # of image files, complete and being written


def is_day(name: str) -> bool:
    """Is this one of our folders of a day? Others may stand beside them: lost+found, if the folder is a disk's own."""
    return len(name) == 8 and name.isascii() and name.isdigit()


def is_series(name: str) -> bool:
    """Is this one of our folders of a series?"""
    return len(name) == 64 and all(char in "0123456789abcdef" for char in name)


def image_place(now: float, key: bytes, receipt: bytes) -> str:
    """Path of an image relative to the images folder: day (UTC) / series key / receipt."""
    return f"{folder_of_day(now, key)}/{receipt.hex()}.dcm"


def day_of(now: float) -> str:
    """Name of the folder of a day (UTC)."""
    return f"{datetime.fromtimestamp(now, UTC):%Y%m%d}"


def folder_of_day(now: float, key: bytes) -> str:
    """Folder of images relative to the images folder: day (UTC) / key of 32 bytes."""
    return f"{day_of(now)}/{key.hex()}"


def association_key(association: bytes) -> bytes:
    """32 bytes that stand for an association: the folder of objects whose header comes too late to choose another."""
    return hashlib.sha256(b"association\0" + association).digest()
