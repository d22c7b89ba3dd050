"""Scans the header of a data set: the values that rules and ledger need, typed, without touching pixel data.

It must not open files, and must not raise anything but UnreadableImage on any bytes whatever.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from protocol.errors import UnreadableImage
from protocol.header import values as typed
from protocol.header.charset import resolve
from protocol.header.values import MAX_VALUE, Decoder, Value
from protocol.header.walk import EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE, Walk, as_written, walk
from protocol.header.wanted import CHARACTER_SET, PIXEL_REPRESENTATION, Wanted, compile_wanted

CHARSET, NUMBER, TOO_LONG = typed.CHARSET, typed.NUMBER, typed.TOO_LONG
ENCODING = "encoding"
"""The elements are not encoded as the transfer syntax says (explicit and implicit VR mixed up)."""
PIXELS_CUT = "pixel data truncated"
"""Pixel data of defined length runs beyond the end of the object."""

# PS3.6 annex A; whatever is not listed here is explicit VR little endian, all encapsulated syntaxes among it.
_LAYOUTS = {
    "1.2.840.10008.1.2": IMPLICIT_LITTLE,
    "1.2.840.10008.1.2.2": EXPLICIT_BIG,
    "1.2.840.10008.1.20": IMPLICIT_LITTLE,  # Papyrus 3, retired
    "1.2.840.113619.5.2": IMPLICIT_LITTLE,  # GE private: only its pixels are big endian
}
# PS3.5 section A.5, and JPIP with deflate (A.7, A.9).
_DEFLATED = frozenset({"1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"})

INFLATE_FIRST = 256 * 1024
INFLATE_MOST = 16 * 1024 * 1024
"""Bytes of a deflated header that are inflated at most; a bomb ends here."""


@dataclass(frozen=True, slots=True)
class Header:
    """What the scan read of one object.

    `values` maps DICOM keywords ("gggg,eeee" for elements without one) to typed values; an empty element is
    absent. `flags` says what was odd, sorted: CHARSET, ENCODING, NUMBER, PIXELS_CUT, TOO_LONG.
    """

    values: Mapping[str, Value] = field(default_factory=dict)
    flags: tuple[str, ...] = ()

    @property
    def study_uid(self) -> str:
        """Study Instance UID as written, not checked; "" if missing."""
        return self._uid("StudyInstanceUID")

    @property
    def series_uid(self) -> str:
        """Series Instance UID as written, not checked; "" if missing."""
        return self._uid("SeriesInstanceUID")

    @property
    def sop_uid(self) -> str:
        """SOP Instance UID as written, not checked; "" if missing."""
        return self._uid("SOPInstanceUID")

    @property
    def sop_class_uid(self) -> str:
        """SOP Class UID as written, not checked; "" if missing."""
        return self._uid("SOPClassUID")

    def _uid(self, keyword: str) -> str:
        value = self.values.get(keyword, "")
        # Several values where one belongs stay visible, and so fail the check for a valid UID.
        return "\\".join(map(str, value)) if isinstance(value, list) else str(value)


def scan(
    dataset: bytes | memoryview,
    transfer_syntax_uid: str,
    *,
    extra: Collection[int | str] = (),
    fallback_charset: str | None = None,
) -> Header:
    """Scan a data set (without file meta) in its transfer syntax up to the pixel data; about 0.1 ms.

    `extra` adds top-level elements to the default set: tags as numbers, keywords, or "gggg,eeee".
    `fallback_charset` is the source's Specific Character Set where the object names none (PS3.3 C.12.1.1.2).

    Raises UnreadableImage, with a reason free of patient data, if the elements before the pixel data cannot be
    walked or are cut off; ValueError if `extra` holds a name that does not exist.
    """
    wanted = compile_wanted(frozenset(extra))
    view = memoryview(dataset).cast("B")
    if not view:
        raise UnreadableImage("the data set is empty")
    if transfer_syntax_uid in _DEFLATED:
        return _scan_deflated(view, wanted, fallback_charset)
    return _scan_plain(view, transfer_syntax_uid, wanted, fallback_charset)


def _scan_plain(view: memoryview, syntax: str, wanted: Wanted, fallback: str | None, whole: bool = True) -> Header:
    """`whole` is False for the beginning of an object whose end is not known."""
    said = _LAYOUTS.get(syntax, EXPLICIT_LITTLE)
    layout = as_written(view, said)
    found = walk(view, wanted, layout)
    values, flags = _decode(found, fallback)
    if layout is not said:
        flags.add(ENCODING)
    if whole and found.pixel_stop is not None and found.pixel_stop > len(view):
        flags.add(PIXELS_CUT)
    return Header(values, tuple(sorted(flags)))


def _scan_deflated(view: memoryview, wanted: Wanted, fallback: str | None) -> Header:
    """Inflate a little, and more only if the header proves longer."""
    for most in (INFLATE_FIRST, INFLATE_MOST):
        data, whole = _inflate(view, most)
        try:
            return _scan_plain(memoryview(data), "", wanted, fallback, whole)
        except UnreadableImage:
            if whole:
                raise
    raise UnreadableImage(f"the deflated header is damaged or longer than {INFLATE_MOST} bytes")


def _inflate(view: memoryview, most: int) -> tuple[bytes, bool]:
    """At most `most` bytes of the raw deflate stream (RFC 1951), and whether that is all there is."""
    # Deflate can be as long as what it holds and a little more, and the rest of the object must not be copied.
    given = view[: most + most // 8 + 1024]
    try:
        data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(given, most)
    except zlib.error as exc:
        raise UnreadableImage("the deflated data is damaged") from exc
    if not data:
        raise UnreadableImage("the deflated data set is empty")
    return data, len(data) < most and len(given) == len(view)


def _decode(found: Walk, fallback: str | None) -> tuple[dict[str, Value], set[str]]:
    charset = resolve(found.raw(CHARACTER_SET), fallback)
    signed = found.raw(PIXEL_REPRESENTATION).strip(b"\0") == b"\1"
    decoder = Decoder(found.layout.order, charset, signed)
    values: dict[str, Value] = {}
    for entry, vr, start, stop in found.spans.values():
        # One byte beyond the limit is enough for the decoder to refuse it.
        value = decoder.value(entry, vr, found.view[start : min(stop, start + MAX_VALUE + 1)].tobytes())
        if value is not None:
            values[entry.key] = value
    return values, decoder.flags
