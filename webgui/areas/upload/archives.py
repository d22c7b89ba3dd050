"""The files in a ZIP, one after the other, each written to one place of ours. Nothing a ZIP says is believed: names are shown,
never used as paths, and bytes are counted as they come.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

PIECE = 1 << 20
RATIO = 200
"""A member that unpacks to so many times its size is a bomb, if it is large, too: pixels of a phantom compress well."""
RATIO_FROM = 64 << 20  # bytes
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class TooMuch(Exception):
    """More files or bytes than one upload may have."""


def is_zip(path: Path) -> bool:
    """By its first bytes: a Part 10 file begins with a preamble that may hold anything, but then has its prefix."""
    with path.open("rb") as file:
        start = file.read(132)
    return start[:4] in (b"PK\3\4", b"PK\5\6") and start[128:132] != b"DICM"


def members(path: Path, into: Path, count: Callable[[int], None]) -> Iterator[tuple[str, str]]:
    """(name, why it was left out or "") of each file in the archive; its bytes are in `into` until the next one.

    `count` is told of every byte that was unpacked, and may raise TooMuch. An archive that cannot be read ends with one
    entry that says so.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if not info.is_dir():
                    yield info.filename, _unpack(archive, info, into, count)
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as exc:
        yield path.name, f"the archive cannot be read: {type(exc).__name__}"


def _unpack(archive: zipfile.ZipFile, info: zipfile.ZipInfo, into: Path, count: Callable[[int], None]) -> str:
    if info.flag_bits & 0x1:
        return "it is encrypted"
    if info.compress_type not in METHODS:
        return "it is compressed in a way that is not supported"
    written = 0
    try:
        with archive.open(info) as member, into.open("wb") as file:
            while piece := member.read(PIECE):
                written += len(piece)
                if written > RATIO_FROM and written > RATIO * max(1, info.compress_size):
                    return "it unpacks to far too much"
                count(len(piece))
                file.write(piece)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as exc:
        return f"it is damaged: {type(exc).__name__}"
    return ""
