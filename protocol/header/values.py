"""Turns the raw bytes of a wanted element into a typed value: number, text, or a list of these.

It must not raise on any bytes: what is malformed stays text and leaves a flag.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable

from protocol.header.charset import NAME_DELIMITERS, TEXT_DELIMITERS, Charset, decode
from protocol.header.walk import LONG_VRS, SHORT_VRS
from protocol.header.wanted import Entry, tag_text

Value = str | int | float | list[str | int | float]
"""One element's value; encodable as JSON and msgpack as it is (no NaN, no integer beyond 64 bits)."""

ENCODING = "encoding"
"""The elements are not encoded as the transfer syntax says (explicit and implicit VR mixed up), or a VR is none."""
CHARSET = "charset"
"""Some text could not be decoded as declared: it holds replacement characters, or the declaration is unknown."""
NUMBER = "number"
"""Some number is malformed; it stays text."""
TOO_LONG = "value too long"
"""Some wanted value is longer than MAX_VALUE and was left out."""

MAX_VALUE = 65_536
"""Bytes; longer values are no use to a rule and would weigh on every message that carries the header."""

KNOWN_VRS = SHORT_VRS | LONG_VRS
_PADDING = " \0"
_INT64 = range(-(2**63), 2**63)


class Decoder:
    """Decodes the values of one object: byte order, character set and pixel representation belong to the object."""

    def __init__(self, order: str, charset: Charset, signed: bool) -> None:
        self.order, self.charset, self.signed = order, charset, signed
        self.flags: set[str] = set() if charset.known else {CHARSET}

    def value(self, entry: Entry, vr: bytes, raw: bytes) -> Value | None:
        """The value of an element written with `vr` (b"" if implicit); None if it is empty or has no plain value.

        The VR as written wins over the dictionary's, since the bytes were encoded by it; UN says nothing.
        """
        if not raw:
            if vr and vr not in KNOWN_VRS:
                self.flags.add(ENCODING)
            return None
        if len(raw) > MAX_VALUE:
            self.flags.add(TOO_LONG)
            return None
        name = entry.vr if vr in (b"", b"UN") else vr.decode("ascii")
        method = _METHODS.get(name)
        if method is None and name not in _NO_PLAIN_VALUE:
            self.flags.add(ENCODING)
            method = _METHODS.get(entry.vr)
        if method is None:
            return self._unknown(name, raw)
        return method(self, raw)

    def _ascii(self, raw: bytes) -> str:
        try:
            return raw.decode("ascii")
        except UnicodeError:
            self.flags.add(CHARSET)
            return raw.decode("ascii", "replace")

    def _by_charset(self, raw: bytes, delimiters: re.Pattern[bytes]) -> str:
        if raw.isascii() and b"\x1b" not in raw:
            return raw.decode("ascii")
        text, clean = decode(raw, self.charset, delimiters)
        if not clean:
            self.flags.add(CHARSET)
        return text

    def _code(self, raw: bytes) -> Value | None:
        return _split(self._ascii(raw))

    def _text(self, raw: bytes) -> Value | None:
        return _split(self._by_charset(raw, TEXT_DELIMITERS))

    def _name(self, raw: bytes) -> Value | None:
        return _split(self._by_charset(raw, NAME_DELIMITERS))

    def _long_text(self, raw: bytes) -> Value | None:
        # One value that may hold backslashes; leading spaces count (PS3.5 table 6.2-1).
        return self._by_charset(raw, TEXT_DELIMITERS).rstrip(_PADDING) or None

    def _address(self, raw: bytes) -> Value | None:
        return self._ascii(raw).rstrip(_PADDING) or None

    def _decimal(self, raw: bytes) -> Value | None:
        return self._numbers(raw, _real)

    def _integer(self, raw: bytes) -> Value | None:
        return self._numbers(raw, _whole)

    def _numbers(self, raw: bytes, convert: Callable[[str], int | float]) -> Value | None:
        # A NUL pads at the end only: elsewhere it is a damaged digit, and the number would be another one.
        text = self._ascii(raw).rstrip(_PADDING).lstrip(" ")
        if "\\" not in text:
            return self._number(text, convert) if text else None
        parts = [part.strip(" ") for part in text.split("\\")]
        if not any(parts):
            return None
        return [self._number(part, convert) if part else "" for part in parts]

    def _number(self, text: str, convert: Callable[[str], int | float]) -> str | int | float:
        try:
            return convert(text)
        except ValueError:
            self.flags.add(NUMBER)
            return text

    def _binary(self, raw: bytes, code: str, size: int) -> Value | None:
        count, rest = divmod(len(raw), size)
        if rest:
            self.flags.add(NUMBER)
        if not count:
            return None
        numbers = [self._finite(number) for number in struct.unpack_from(f"{self.order}{count}{code}", raw)]
        return numbers[0] if count == 1 else numbers

    def _finite(self, number: int | float) -> str | int | float:
        if math.isfinite(number):
            return number
        self.flags.add(NUMBER)  # JSON has no NaN, and NaN is not equal to itself: images would never agree
        return str(number)

    def _either_short(self, raw: bytes) -> Value | None:
        return self._binary(raw, "h" if self.signed else "H", 2)

    def _tags(self, raw: bytes) -> Value | None:
        count = len(raw) // 4
        words = struct.unpack_from(f"{self.order}{count * 2}H", raw)
        tags: list[str | int | float] = [
            tag_text(group << 16 | element) for group, element in zip(words[::2], words[1::2], strict=True)
        ]
        return (tags[0] if count == 1 else tags) or None

    def _unknown(self, vr: str, raw: bytes) -> Value | None:
        """Text if all of it is printable ASCII; sequences, bulk data and what looks binary have no plain value.

        Only private elements without a written VR come here as `vr` "". Text is padded by a space, so a NUL
        makes it binary: 100 as an unsigned short would otherwise read "d".
        """
        text = raw.decode("latin_1")
        return _split(text) if not vr and text.isascii() and text.isprintable() else None


def _split(text: str) -> Value | None:
    if "\\" not in text:
        return text.strip(_PADDING) or None
    parts: list[str | int | float] = [part.strip(_PADDING) for part in text.split("\\")]
    return parts if any(parts) else None


def _real(text: str) -> float:
    """A decimal string (PS3.5 table 6.2-1); ValueError for what only Python takes for a number (1_0, nan, inf)."""
    number = float(text)
    if "_" in text or not math.isfinite(number):
        raise ValueError
    return number


def _whole(text: str) -> int | float:
    """An integer string; 2.0 is read as 2 and 2.5 kept as such, since some writers put decimals there."""
    if "_" in text:
        raise ValueError
    try:
        number = int(text)
    except ValueError:
        real = _real(text)
        if not real.is_integer():
            return real
        number = int(real)
    if number not in _INT64:
        raise ValueError
    return number


def _fixed(code: str) -> Callable[[Decoder, bytes], Value | None]:
    size = struct.calcsize(f"<{code}")
    return lambda decoder, raw: decoder._binary(raw, code, size)


_NO_PLAIN_VALUE = frozenset(
    ("", "OB", "OD", "OF", "OL", "OV", "OW", "SQ", "UN", "OB or OW", "US or OW", "US or SS or OW", "NONE")
)
_BINARY = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "UV": "Q", "SV": "q", "FL": "f", "FD": "d"}
_METHODS: dict[str, Callable[[Decoder, bytes], Value | None]] = {
    **dict.fromkeys(("AE", "AS", "CS", "DA", "DT", "TM", "UI"), Decoder._code),
    **dict.fromkeys(("LO", "SH", "UC"), Decoder._text),
    **dict.fromkeys(("LT", "ST", "UT"), Decoder._long_text),
    "PN": Decoder._name,
    "UR": Decoder._address,
    "DS": Decoder._decimal,
    "IS": Decoder._integer,
    "AT": Decoder._tags,
    "US or SS": Decoder._either_short,
    **{vr: _fixed(code) for vr, code in _BINARY.items()},
}
