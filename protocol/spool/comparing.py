"""What the files of two images tell about them: are they the same, and which came later. It reads, and changes nothing."""

from __future__ import annotations

from typing import Any

import xxhash

from protocol.errors import SpoolError, UnreadableImage
from protocol.fsops import FsOps
from protocol.spool.objects import Saved
from protocol.spool.part10 import MAX_META, decode
from protocol.spool.places import Places

CHUNK = 1 << 20
BESIDE_S = 60.0  # longer no row waits while others are written


def same_bytes(fs: FsOps, places: Places, row: Any, saved: Saved) -> bool:
    """Are the data sets of a row and of a saved file equal, byte by byte? False if one of the files is not there."""
    if row["bytes"] != saved.meta.length:
        return False
    try:
        with fs.open_read(places.images / row["file"]) as one, fs.open_read(places.images / saved.file) as other:
            one.seek(row["offset"])
            other.seek(saved.meta.offset)
            while True:
                left, right = one.read(CHUNK), other.read(CHUNK)
                if left != right:
                    return False
                if not left:
                    return True
    except OSError:
        return False  # then it is kept as a new image: sent twice rather than lost


def digest_of(fs: FsOps, path: Any, offset: int) -> tuple[int, bytes]:
    """Length and xxh3-128 digest of the data set in a file."""
    state = xxhash.xxh3_128()
    length = 0
    with fs.open_read(path) as file:
        file.seek(offset)
        while block := file.read(CHUNK):
            state.update(block)
            length += len(block)
    return length, state.digest()


def came_later(fs: FsOps, places: Places, row: Any, saved: Saved) -> bool:
    """Whether an image that has its row came after `saved`, over another association.

    Processes that receive write their rows a moment after the answer, each by itself: the row of a corrected image may be
    there before that of what it corrects. Its file says when it came; it is only asked if it can have been so.
    """
    came = saved.meta.received
    if not came or row["stored"] < came or row["association"] == saved.meta.association:
        return False
    try:
        with fs.open_read(places.images / row["file"]) as file:
            its = decode(file.read(MAX_META)).received
    except (OSError, SpoolError, UnreadableImage):
        return False  # then what is told last counts as the newer
    return came < its < came + BESIDE_S  # more is a clock that was set back
