"""Changes the transfer syntax of one data set: from bytes of a file to a new data set, values kept, pixels kept.

It must not run where a crash, a hang or much memory would matter (`worker` runs it), and it never changes an identity:
the pixels mean the same, so the SOP instance UID stays (PS3.4 section B.4.1.3 note, PS3.3 section C.12.1.1.1).
"""

from __future__ import annotations

import errno
import itertools
import os
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from io import BytesIO
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any, BinaryIO

from actors.transcode import pixels as codec
from actors.transcode.deflating import Deflating, inflated
from actors.transcode.levels import (
    DOUBLE_PIXELS,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    FLOAT_PIXELS,
    IMPLICIT_LITTLE,
    ITEM,
    PIXEL_DATA,
    SEQUENCE_END,
    UNDEFINED,
    Element,
    Encoding,
    Source,
)
from actors.transcode.rewriting import New, Rewriter, merged
from actors.transcode.vrs import swapped
from protocol.errors import UnreadableImage
from protocol.records import record
from protocol.routing.syntaxes import BIG_ENDIAN, CHANGED, COMPRESSING, DEFLATED, IMPLICIT, MADE, UNCOMPRESSED

KEEP_FREE_BYTES = 1 << 30  # for whoever else writes on that disk
_BIG_32 = "programs do not agree on the byte order of 32-bit pixels in big endian"  # two words, or one number
_PART_BYTES = 16 << 20
_HEAD_BYTES = 64 << 10  # of a codestream, with all that stands before its first tile
Moved = Callable[[], None]


class CutFile(UnreadableImage):
    """The file is shorter than it has to be: the spool's fault, not that of what is in it."""


@record
class Job:
    """One image to change: the data set's place in its file (bytes), and from and to which transfer syntax (UIDs)."""

    path: Path
    offset: int
    length: int
    stored: str
    to: str


def change(job: Job, out: BinaryIO, moved: Moved) -> int:
    """Write the data set into `out`, which can be sought in; how many bytes it has. `moved` is called at each frame.

    Raises UnreadableImage (this image cannot be changed so), CutFile among them, OSError (ENOSPC: no room; or it cannot be read).
    """
    if job.stored not in CHANGED or job.to not in MADE:
        raise UnreadableImage("there is no way between these transfer syntaxes")
    with open(job.path, "rb") as file:
        if os.fstat(file.fileno()).st_size < job.offset + job.length or job.length <= 0:
            raise CutFile("the image file ends too early")
        # Never closed by name: what a failed step still refers to must not hide its error.
        part = memoryview(mmap(file.fileno(), 0, access=ACCESS_READ))[job.offset : job.offset + job.length]
        return _Change(job, inflated(part) if job.stored == DEFLATED else part, file, moved).write(out)


def encoding_of(syntax: str) -> Encoding:
    """How the headers of a transfer syntax are written."""
    return {IMPLICIT: IMPLICIT_LITTLE, BIG_ENDIAN: EXPLICIT_BIG}.get(syntax, EXPLICIT_LITTLE)


class _Change:
    def __init__(self, job: Job, data: memoryview, file: BinaryIO, moved: Moved) -> None:
        self._job, self._file, self._moved = job, file, moved
        self._from, to = encoding_of(job.stored), encoding_of(job.to)
        self._source = Source(data, self._from)
        self._packed = job.stored not in UNCOMPRESSED
        self._packing = job.to in COMPRESSING
        # Pixel data inside of sequences are in the image's compression, or native: in another one they could not be read.
        self._rewriter = Rewriter(self._source, to, self._icon if self._packed and job.to != job.stored else None)

    def write(self, out: BinaryIO) -> int:
        level = self._source.level(0, len(self._source.data))
        pixels = next((one for one in level if one.tag == PIXEL_DATA), None)
        if self._packed and pixels is not None and not pixels.undefined:
            raise UnreadableImage("its pixel data are not encapsulated, as its transfer syntax demands")
        if self._packing and pixels is None:
            floating = any(one.tag in (FLOAT_PIXELS, DOUBLE_PIXELS) for one in level)
            raise UnreadableImage(
                "floating point pixels cannot be compressed" if floating else "it has no pixels to compress"
            )
        deflating = Deflating(out) if self._job.to == DEFLATED else None
        self._sink = out if deflating is None else deflating
        if pixels is None or not (self._packed or self._packing):
            self._need_room(out, len(self._source.data))
            self._check_order(level, pixels)
            self._put(level, {}, None)
        else:
            self._image(level, pixels, out)
        if deflating is not None:
            deflating.end()
        out.flush()
        return out.tell()

    def _put(
        self, level: Sequence[Element], changes: Mapping[int, New | None], image: Callable[[], None] | None
    ) -> None:
        """All elements in their order; `image` writes the pixel data in their place."""
        numbers = self._rewriter.numbers(level, self._from, {})
        for one in merged(level, changes):
            if isinstance(one, New):
                self._write(self._rewriter.new(one))
            elif one.tag == PIXEL_DATA and image is not None:
                image()
            else:
                self._write(self._rewriter.element(one, self._from, numbers))

    def _write(self, pieces: Sequence[bytes | memoryview]) -> None:
        """A value may have gigabytes; each part of it is a sign of life."""
        for piece in pieces:
            for at in range(0, len(piece), _PART_BYTES):
                self._sink.write(piece[at : at + _PART_BYTES])
                self._moved()

    def _check_order(self, level: Sequence[Element], pixels: Element | None) -> None:
        if pixels is None or self._from.big == self._rewriter.to.big:
            return
        for one in level:
            if one.tag == codec.ALLOCATED and bytes(self._source.data[one.value : one.end]).strip(b"\0") == b"\x20":
                raise UnreadableImage(_BIG_32)

    # -- pixels -------------------------------------------------------------------------------------------------------

    def _image(self, level: Sequence[Element], element: Element, out: BinaryIO) -> None:
        described = codec.pixels_of(self._source, level, self._from)
        if described.allocated == 32 and (self._from.big or self._rewriter.to.big):
            raise UnreadableImage(_BIG_32)
        frames = self._frames(described, element)
        first, photometric = next(frames)  # only now it is known what the pixels mean
        self._need_room(out, len(self._source.data) + (described.total // 2 if self._packing else described.total))
        everything = itertools.chain([(first, photometric)], frames)
        lossy = self._lossy(level, element, described) if self._packed else {}
        if self._packing:
            photometric = codec.compressed_as(self._job.to, photometric)
            changes = self._changes(described, photometric) | lossy
            self._put(level, changes, lambda: self._compress(described, everything, out))
        else:
            changes = self._changes(described, photometric) | lossy
            self._put(level, changes, lambda: self._decompress(described, everything))

    def _frames(self, described: codec.Pixels, element: Element) -> Iterator[tuple[Any, str]]:
        if not self._packed:
            data = self._source.data[element.value : element.end]
            if self._from.big:
                data = memoryview(b"".join(swapped(data, element.vr)))
            return codec.native(described, data)
        if described.frames == 1 and self._frames_begun(element) > 1:  # a codec would read the first one only
            raise UnreadableImage("its pixel data hold more frames than the image says")
        self._file.seek(self._job.offset + element.value)
        return codec.decoded(described, self._job.stored, self._file)

    def _frames_begun(self, element: Element) -> int:
        """How many fragments look like the beginning of a frame."""
        fragments = list(self._source.fragments(element, self._from))[1:]  # behind the basic offset table
        heads = (bytes(self._source.data[start : min(end, start + codec.HEAD_BYTES)]) for start, end in fragments)
        return sum(codec.begins(self._job.stored, head) for head in heads)

    def _changes(self, described: codec.Pixels, photometric: str) -> dict[int, New | None]:
        changes: dict[int, New | None] = {codec.OFFSETS: None, codec.LENGTHS: None, codec.TOTAL_LENGTH: None}
        if photometric != described.photometric:
            changes[codec.PHOTOMETRIC] = New(codec.PHOTOMETRIC, "CS", _even(photometric))
        planar = codec.planar_after(self._job.to, described.samples)
        if planar is not None:
            changes[codec.PLANAR] = New(codec.PLANAR, "US", struct.pack("<H", planar))
        return changes

    def _lossy(self, level: Sequence[Element], element: Element, described: codec.Pixels) -> dict[int, New | None]:
        """What only the transfer syntax said so far: that something was lost (PS3.3 section C.7.6.1.1.5)."""
        values = {one.tag: bytes(self._source.data[one.value : one.end]).strip(b" \0") for one in level}
        start, end = ([*self._source.fragments(element, self._from)][1:] or [(0, 0)])[0]
        method = codec.lossy_method(self._job.stored, bytes(self._source.data[start : min(end, start + _HEAD_BYTES)]))
        if not method or values.get(codec.LOSSY) == b"01":
            return {}
        changes: dict[int, New | None] = {codec.LOSSY: New(codec.LOSSY, "CS", b"01")}
        if not values.get(codec.LOSSY_RATIO) and not values.get(codec.LOSSY_METHOD):
            ratio = f"{described.total / max(1, element.length):.2f}"
            changes[codec.LOSSY_RATIO] = New(codec.LOSSY_RATIO, "DS", _even(ratio))
            changes[codec.LOSSY_METHOD] = New(codec.LOSSY_METHOD, "CS", _even(method))
        return changes

    def _decompress(self, described: codec.Pixels, frames: Iterator[tuple[Any, str]]) -> None:
        wide, big = described.allocated > 8, self._rewriter.to.big
        total = described.total
        self._write([self._rewriter.header(PIXEL_DATA, "OW" if wide else "OB", total + total % 2)])
        for frame, _ in frames:
            if frame.nbytes != described.frame_bytes:
                raise UnreadableImage("a frame is not as large as the image says")
            self._write([(frame.byteswap() if big and wide else frame).tobytes()])
        self._write([b"\0" * (total % 2)])

    def _compress(self, described: codec.Pixels, frames: Iterator[tuple[Any, str]], out: BinaryIO) -> None:
        mark = struct.Struct("<HHL")
        out.write(self._rewriter.header(PIXEL_DATA, "OB", UNDEFINED))
        out.write(mark.pack(ITEM >> 16, ITEM & 0xFFFF, 4 * described.frames))
        table, offsets, at = out.tell(), [], 0
        out.write(bytes(4 * described.frames))
        for frame, photometric in frames:
            packed = codec.encoded(described, self._job.to, frame, photometric)
            packed += b"\0" * (len(packed) % 2)
            offsets.append(at)
            at += 8 + len(packed)
            if at > UNDEFINED:
                raise UnreadableImage("compressed it is larger than 4 GB")
            out.write(mark.pack(ITEM >> 16, ITEM & 0xFFFF, len(packed)))
            out.write(packed)
            self._moved()
        out.write(mark.pack(SEQUENCE_END >> 16, SEQUENCE_END & 0xFFFF, 0))
        end = out.tell()
        out.seek(table)
        out.write(struct.pack(f"<{len(offsets)}L", *offsets))
        out.seek(end)

    def _icon(self, level: Sequence[Element], element: Element) -> tuple[Sequence[New], dict[int, New | None]]:
        """See `Native`: pixel data of an item (PS3.3 section C.7.6.1.1.6), natively."""
        described = codec.pixels_of(self._source, level, EXPLICIT_LITTLE)
        value = bytes(self._source.data[element.value : element.end])
        frames = list(codec.decoded(described, self._job.stored, BytesIO(value)))
        data = b"".join(frame.tobytes() for frame, _ in frames)
        new = New(PIXEL_DATA, "OW" if described.allocated > 8 else "OB", data + b"\0" * (len(data) % 2))
        return [new], self._changes(described, frames[0][1])

    def _need_room(self, out: BinaryIO, size: int) -> None:
        room = os.fstatvfs(out.fileno())
        if room.f_bavail * room.f_frsize < size + KEEP_FREE_BYTES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _even(text: str) -> bytes:
    return text.encode("ascii") + b" " * (len(text) % 2)


def words_of(exc: Exception) -> str:
    """What went wrong, without a word of a codec or a peer."""
    if isinstance(exc, UnreadableImage):
        return str(exc)
    if isinstance(exc, MemoryError):
        return "it needs more memory than is allowed"
    if isinstance(exc, ImportError):
        return codec.CURE
    return f"it cannot be changed ({type(exc).__name__})"
