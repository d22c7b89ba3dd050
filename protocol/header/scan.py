"""Scans the header of a data set: the values that rules and ledger need, typed, without touching pixel data.

It must not open files, and must not raise anything but UnreadableImage on any bytes whatever.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from protocol.errors import UnreadableImage
from protocol.header import values as typed
from protocol.header.charset import resolve
from protocol.header.hanging import hanging
from protocol.header.values import MAX_VALUE, Decoder, Value
from protocol.header.walk import (
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    Layout,
    MoreNeeded,
    Walk,
    as_written,
    walk,
)
from protocol.header.wanted import CHARACTER_SET, PIXEL_REPRESENTATION, Wanted, compile_wanted

CHARSET, ENCODING, NUMBER, TOO_LONG = typed.CHARSET, typed.ENCODING, typed.NUMBER, typed.TOO_LONG
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
DEFLATED = frozenset({"1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"})

_FIRST_HEAD = 8  # bytes that show how the first element is written

INFLATE_FIRST = 256 * 1024
INFLATE_MOST = 16 * 1024 * 1024
"""Bytes of a deflated header that are inflated at most; a bomb ends here."""


@dataclass(frozen=True, slots=True)
class Header:
    """What the scan read of one object.

    `values` maps DICOM keywords ("gggg,eeee" for elements without one) to typed values; an empty element is
    absent. `flags` says what was odd, sorted: CHARSET, ENCODING, NUMBER, PIXELS_CUT, TOO_LONG. `pixel_stop` is the
    length in bytes that the object must have at least by what its pixel data says (None: it says nothing).
    """

    values: Mapping[str, Value] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    pixel_stop: int | None = field(default=None, compare=False)

    def of_length(self, length: int) -> Header:
        """This header once the object has come to its end after `length` bytes: with PIXELS_CUT if it is too short."""
        if self.pixel_stop is None or self.pixel_stop <= length or PIXELS_CUT in self.flags:
            return self
        return replace(self, flags=tuple(sorted((*self.flags, PIXELS_CUT))))

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
        if value.__class__ is str:
            return value
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

    `extra` adds elements to the default set: tags as numbers, keywords, "gggg,eeee", paths into sequences, private names
    (see `compile_wanted`).
    `fallback_charset` is the source's Specific Character Set where the object names none (PS3.3 C.12.1.1.2).

    Raises UnreadableImage, with a reason free of patient data, if the elements before the pixel data cannot be
    walked or are cut off; ValueError if `extra` holds a name that does not exist.
    """
    wanted = compile_wanted(frozenset(extra))
    view = memoryview(dataset).cast("B")
    if not view:
        raise UnreadableImage("the data set is empty")
    if transfer_syntax_uid in DEFLATED:
        return _scan_deflated(view, wanted, fallback_charset)
    return scan_plain(view, layout_of(transfer_syntax_uid), wanted, fallback_charset).of_length(len(view))


def scan_head(
    beginning: bytes | memoryview,
    transfer_syntax_uid: str,
    *,
    extra: Collection[int | str] = (),
    fallback_charset: str | None = None,
) -> Header | None:
    """Scan an object of which more is to come, as `scan` does; None if the beginning does not reach the pixel data.

    `Header.of_length` then tells at the end whether pixels are missing (never of a deflated object). Each call walks
    from the start: come back with twice as many bytes. An object without pixel data always gets None: what is whole
    is for `scan`, and long headers are best scanned at the end, out of the file.

    Raises UnreadableImage as `scan` would for the whole object, whatever comes; ValueError likewise.
    """
    wanted = compile_wanted(frozenset(extra))
    view = memoryview(beginning).cast("B")
    try:
        if transfer_syntax_uid in DEFLATED:
            return _scan_deflated(view, wanted, fallback_charset, partial=True)
        return scan_plain(view, layout_of(transfer_syntax_uid), wanted, fallback_charset, partial=True)
    except MoreNeeded:
        return None


def layout_of(transfer_syntax_uid: str) -> Layout:
    """How the elements of a transfer syntax are encoded, once inflated (PS3.5 section 10, PS3.6 Annex A)."""
    return _LAYOUTS.get(transfer_syntax_uid, EXPLICIT_LITTLE)


def scan_plain(view: memoryview, said: Layout, wanted: Wanted, fallback: str | None, partial: bool = False) -> Header:
    """Scan what is not deflated (any more), without judging its length; `said` is the layout of its transfer syntax.

    Raises UnreadableImage; MoreNeeded if `partial`.
    """
    if partial and len(view) < _FIRST_HEAD:
        raise MoreNeeded
    layout = as_written(view, said)
    found = walk(view, wanted, layout, partial)
    values, flags = _decode(found, fallback)
    if layout is not said:
        flags.add(ENCODING)
    return Header(values, tuple(sorted(flags)), found.pixel_stop)


def _scan_deflated(view: memoryview, wanted: Wanted, fallback: str | None, partial: bool = False) -> Header:
    """Inflate a little, and more only if the header proves longer."""
    for most in (INFLATE_FIRST, INFLATE_MOST):
        data, whole = _inflate(view, most, partial)
        try:
            header = scan_plain(memoryview(data), EXPLICIT_LITTLE, wanted, fallback, not whole)
            return header.of_length(len(data)) if whole else replace(header, pixel_stop=None)
        except MoreNeeded:
            if partial and len(data) < most:
                raise
    raise UnreadableImage(f"the deflated header is damaged or longer than {INFLATE_MOST} bytes")


def _inflate(view: memoryview, most: int, partial: bool) -> tuple[bytes, bool]:
    """At most `most` bytes of the raw deflate stream (RFC 1951), and whether that is all there is."""
    # Deflate can be as long as what it holds and a little more, and the rest of the object must not be copied.
    given = view[: most + most // 8 + 1024]
    try:
        data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(given, most)
    except zlib.error as exc:
        raise UnreadableImage("the deflated data is damaged") from exc
    if not data and not partial:
        raise UnreadableImage("the deflated data set is empty")
    return data, len(data) < most and len(given) == len(view) and not partial


def _decode(found: Walk, fallback: str | None) -> tuple[dict[str, Value], set[str]]:
    decoder = decoder_of(found, fallback)
    values: dict[str, Value] = {}
    for entry, vr, start, stop in found.spans.values():
        if entry.key:
            # One byte beyond the limit is enough for the decoder to refuse it.
            value = decoder.value(entry, vr, found.view[start : min(stop, start + MAX_VALUE + 1)].tobytes())
            if value is not None:
                values[entry.key] = value
    if found.wanted.hanging:
        for entry, vr, start, stop in found.spans.values():
            if entry.tag in found.wanted.hanging:
                values.update(hanging(decoder, found.layout, entry, vr, found.view[start:stop], found.raw))
    return values, decoder.flags


def decoder_of(found: Walk, fallback: str | None) -> Decoder:
    """The decoder for all values of this object."""
    charset = resolve(found.raw(CHARACTER_SET), fallback)
    signed = found.raw(PIXEL_REPRESENTATION).strip(b"\0") == b"\1"
    return Decoder(found.layout.order, charset, signed)
