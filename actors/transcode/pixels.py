"""Frames of pixels out of native or compressed pixel data, and into losslessly compressed ones (PS3.5 section 8 and annex A).

The codecs are those that pydicom drives (extra `transcode`). It must not be imported by a process that has to survive what
a codec may do: see `worker`. Nor does it ever give out a compressed frame that it did not decompress and compare.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import Any, BinaryIO

from actors.transcode.levels import Element, Encoding, Source
from protocol.errors import UnreadableImage
from protocol.records import record
from protocol.routing.syntaxes import COMPRESSING, JPEG2000_LOSSLESS, RLE, name_of

SAMPLES, PHOTOMETRIC, PLANAR, FRAMES = 0x00280002, 0x00280004, 0x00280006, 0x00280008
ROWS, COLUMNS, ALLOCATED, STORED, SIGNED = 0x00280010, 0x00280011, 0x00280100, 0x00280101, 0x00280103
LOSSY, LOSSY_RATIO, LOSSY_METHOD = 0x00282110, 0x00282112, 0x00282114
OFFSETS, LENGTHS, TOTAL_LENGTH = 0x7FE00001, 0x7FE00002, 0x7FE00003
MAX_FRAME_BYTES = 256 << 20
MAX_PIXEL_BYTES = 0xFFFFFFFE  # what a length of 32 bits can say
HEAD_BYTES = 8
_BEGINNINGS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51")  # of JPEG and JPEG-LS (SOI), of JPEG 2000 and HTJ2K (SOC, SIZ)
JPEG_EXTENDED = "1.2.840.10008.1.2.4.51"
_JPEG = ("1.2.840.10008.1.2.4.50", JPEG_EXTENDED)
_LOSSY = {
    "1.2.840.10008.1.2.4.50": "ISO_10918_1",
    JPEG_EXTENDED: "ISO_10918_1",
    "1.2.840.10008.1.2.4.81": "ISO_14495_1",
}
_PERHAPS_LOSSY = {"1.2.840.10008.1.2.4.91": "ISO_15444_1", "1.2.840.10008.1.2.4.203": "ISO_15444_15"}
_TRANSFORM = 11  # where the wavelet transform stands in a COD segment, behind its marker (ISO 15444-1 table A.12)
_DECODERS = {"1.2.840.10008.1.2.4.80": "pyjpegls", "1.2.840.10008.1.2.4.81": "pyjpegls", RLE: "pylibjpeg",
             "1.2.840.10008.1.2.4.50": "gdcm", "1.2.840.10008.1.2.4.51": "gdcm", "1.2.840.10008.1.2.4.57": "gdcm",
             "1.2.840.10008.1.2.4.70": "gdcm"}  # fmt: skip
_ENCODERS = {"1.2.840.10008.1.2.4.80": "pyjpegls"}
_OTHERS = "pylibjpeg"
CURE = "decoding and compressing needs libraries that are not installed: pip install scanpost[transcode]"


@record
class Pixels:
    """The image pixel module (PS3.3 section C.7.6.3), as far as codecs need it."""

    rows: int
    columns: int
    samples: int
    photometric: str
    planar: int
    frames: int
    allocated: int
    stored: int
    signed: bool
    offsets: tuple[bytes, bytes] | None = None

    @property
    def frame_bytes(self) -> int:
        """Of one native frame."""
        return self.rows * self.columns * self.samples * self.allocated // 8

    @property
    def total(self) -> int:
        """Bytes of all native frames."""
        return self.frame_bytes * self.frames

    def options(self) -> dict[str, Any]:
        """As pydicom names them."""
        options: dict[str, Any] = {
            "rows": self.rows, "columns": self.columns, "samples_per_pixel": self.samples, "number_of_frames": self.frames,
            "photometric_interpretation": self.photometric, "pixel_representation": int(self.signed),
            "bits_allocated": self.allocated, "bits_stored": self.stored, "planar_configuration": self.planar,
            "pixel_keyword": "PixelData",
        }  # fmt: skip
        return options if self.offsets is None else {**options, "extended_offsets": self.offsets}


def pixels_of(source: Source, level: Sequence[Element], encoding: Encoding) -> Pixels:
    """What a level says of its pixel data. Raises UnreadableImage: too little, or more than can be changed."""
    there = {element.tag: source.data[element.value : element.end] for element in level}

    def number(tag: int, otherwise: int | None = None) -> int:
        value = there.get(tag)
        if value is not None and len(value) >= 2:
            (found,) = struct.unpack_from(encoding.order + "H", value)
            return int(found)
        if otherwise is None:
            raise UnreadableImage(f"({tag >> 16:04x},{tag & 0xFFFF:04x}) is missing")
        return otherwise

    samples, allocated = number(SAMPLES, 1), number(ALLOCATED)
    offsets = (bytes(there[OFFSETS]), bytes(there[LENGTHS])) if OFFSETS in there and LENGTHS in there else None
    pixels = Pixels(
        number(ROWS), number(COLUMNS), samples, _text(there.get(PHOTOMETRIC)), number(PLANAR, 0) if samples > 1 else 0,
        _frames(there.get(FRAMES)), allocated, number(STORED, allocated), number(SIGNED, 0) == 1, offsets,
    )  # fmt: skip
    _check(pixels)
    return pixels


def _text(value: memoryview | None) -> str:
    return "" if value is None else bytes(value[:64]).decode("ascii", "replace").strip(" \0")


def _frames(value: memoryview | None) -> int:
    text = _text(value)
    if not text:
        return 1
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise UnreadableImage("the number of frames is none")
    return max(1, int(text))


def _check(pixels: Pixels) -> None:
    if pixels.allocated not in (8, 16, 32) or not 0 < pixels.stored <= pixels.allocated:
        raise UnreadableImage(f"pixels of {pixels.allocated} bits cannot be changed")
    if not pixels.rows or not pixels.columns or pixels.samples not in (1, 3, 4):
        raise UnreadableImage("the size of the image makes no sense")
    if pixels.frame_bytes > MAX_FRAME_BYTES:
        raise UnreadableImage(f"a frame of {pixels.frame_bytes >> 20} MB is larger than what is changed here")
    if pixels.total > MAX_PIXEL_BYTES:
        raise UnreadableImage(f"{pixels.total >> 20} MB of pixels are more than an image can hold uncompressed")
    if pixels.offsets is not None and not _ascend(pixels.offsets[0]):  # one frame would be decoded for another
        raise UnreadableImage("its extended offset table contradicts itself")


def _ascend(table: bytes) -> bool:
    offsets = [offset for (offset,) in struct.iter_unpack("<Q", table[: len(table) - len(table) % 8])]
    return all(one < following for one, following in zip(offsets, offsets[1:], strict=False))


def begins(syntax: str, head: bytes) -> bool:
    """Whether a fragment that begins with these HEAD_BYTES begins a frame: a codestream, or the segments of RLE (PS3.5 G.5)."""
    if syntax == RLE:
        return len(head) == HEAD_BYTES and 1 <= head[0] <= 15 and head[1:] == b"\0\0\0\x40\0\0\0"
    return head.startswith(_BEGINNINGS)


def lossy_method(syntax: str, codestream: bytes) -> str:
    """How pixels of this transfer syntax lost something (PS3.3 section C.7.6.1.1.5.1), "" if they need not have.

    `codestream` is the beginning of one, behind which its wavelets have to be named.
    """
    at = codestream.find(b"\xff\x52")
    if syntax in _PERHAPS_LOSSY and at >= 0 and codestream[at + 2 :][_TRANSFORM : _TRANSFORM + 1] == b"\0":
        return _PERHAPS_LOSSY[syntax]
    return _LOSSY.get(syntax, "")


def decoded(pixels: Pixels, syntax: str, data: BinaryIO) -> Iterator[tuple[Any, str]]:
    """(array of rows, columns and samples, its photometric interpretation) of each frame; `data` stands at the value.

    Lossy JPEG in YBR becomes RGB, and so does what JPEG 2000 transformed itself; all else keeps its colours. Raises
    UnreadableImage.
    """
    import numpy as np

    ybr = pixels.photometric.startswith("YBR_FULL")
    wanted = np.dtype(f"<{'i' if pixels.signed else 'u'}{pixels.allocated // 8}")
    count = 0
    for array, found in _decoding(pixels, syntax, data, rgb=ybr and syntax in _JPEG):
        count += 1
        if array.dtype.itemsize > wanted.itemsize or count > pixels.frames:
            raise UnreadableImage("its pixel data hold more than the image says")
        photometric = str(found["photometric_interpretation"])
        yield array.astype(wanted, copy=False), "YBR_FULL" if photometric == "YBR_FULL_422" else photometric
    if count < pixels.frames:
        raise UnreadableImage(f"its pixel data hold {count} frames, and the image says {pixels.frames}")


def _decoding(pixels: Pixels, syntax: str, data: BinaryIO, *, rgb: bool) -> Iterator[tuple[Any, dict[str, Any]]]:
    from pydicom.pixels.decoders.base import get_decoder

    plugin = _DECODERS.get(syntax, _OTHERS)
    if syntax == JPEG_EXTENDED and pixels.allocated == 16:
        from actors.transcode import jpeg12

        plugin = jpeg12.plugged_in()
    decoder = get_decoder(syntax)
    if plugin not in decoder.available_plugins:
        raise UnreadableImage(CURE)
    try:
        yield from decoder.iter_array(data, raw=not rgb, decoding_plugin=plugin, **pixels.options())
    except MemoryError:
        raise
    except Exception as exc:
        raise UnreadableImage(f"its pixel data cannot be decompressed ({type(exc).__name__})") from exc


def native(pixels: Pixels, data: memoryview) -> Iterator[tuple[Any, str]]:
    """The same of uncompressed pixel data, little endian. Raises UnreadableImage."""
    import numpy as np

    if "422" in pixels.photometric or "420" in pixels.photometric:
        raise UnreadableImage(f"uncompressed pixels in {pixels.photometric} are not compressed here")
    size = pixels.frame_bytes
    if not pixels.total <= len(data) <= pixels.total + 1:
        raise UnreadableImage("the pixel data are not as long as the image says")
    kind = np.dtype(f"<{'i' if pixels.signed else 'u'}{pixels.allocated // 8}")
    for at in range(pixels.frames):
        frame = np.frombuffer(data[at * size : (at + 1) * size], kind)
        if pixels.samples == 1:
            frame = frame.reshape(pixels.rows, pixels.columns)
        elif pixels.planar:
            frame = frame.reshape(pixels.samples, pixels.rows, pixels.columns).transpose(1, 2, 0)
        else:
            frame = frame.reshape(pixels.rows, pixels.columns, pixels.samples)
        yield np.ascontiguousarray(frame), pixels.photometric


def compressed_as(syntax: str, photometric: str) -> str:
    """The photometric interpretation that compressing leaves (PS3.5 section 8.2)."""
    return "YBR_RCT" if syntax == JPEG2000_LOSSLESS and photometric == "RGB" else photometric


def encoded(pixels: Pixels, syntax: str, array: Any, photometric: str) -> bytes:
    """One frame, compressed, decompressed and found equal. Raises UnreadableImage."""
    import numpy as np
    from pydicom.encaps import encapsulate
    from pydicom.pixels.encoders.base import get_encoder

    one = Pixels(
        pixels.rows, pixels.columns, pixels.samples, compressed_as(syntax, photometric), 0, 1, pixels.allocated, pixels.stored,
        pixels.signed,
    )  # fmt: skip
    assert syntax in COMPRESSING
    plugin, encoder = _ENCODERS.get(syntax, _OTHERS), get_encoder(syntax)
    if plugin not in encoder.available_plugins:
        raise UnreadableImage(CURE)
    try:
        frame = encoder.encode(array, encoding_plugin=plugin, **one.options())
    except MemoryError:
        raise
    except Exception as exc:  # what the codec cannot hold: too many bits, too small an image, a value beyond its bits
        raise UnreadableImage(f"{name_of(syntax)} cannot hold its pixels ({type(exc).__name__})") from exc
    again = [found for found, _ in decoded(one, syntax, BytesIO(encapsulate([frame], has_bot=False)))]
    if len(again) != 1 or not np.array_equal(again[0], array):
        raise UnreadableImage(f"{name_of(syntax)} does not keep its pixels as they are")
    return bytes(frame)


def planar_after(syntax: str, samples: int) -> int | None:
    """The planar configuration of pixel data that were compressed or decompressed; None: there is none."""
    return None if samples == 1 else int(syntax == RLE)
