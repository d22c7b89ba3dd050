"""Decodes text out of DICOM by its Specific Character Set; whatever cannot be decoded becomes a replacement character.

It must not raise on any bytes and must not loop over them more than once.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

REPLACEMENT = "\ufffd"
_ASCII = "ascii"
_ALONE = frozenset({"utf8", "gb18030", "gbk"})  # no code extensions with these (PS3.5 section 6.1.2.5.4)
_TERM = re.compile(r"ISO[ _-]?(2022[ _-]?)?IR[ _-]?(\d+)")

# Escape sequences without ESC itself: PS3.3 section C.12.1.1.2, tables C.12-3 and C.12-4.
_ESCAPES = {
    b"(B": "",  # back to ASCII in G0: the first character set again
    b"(J": "shift_jis",
    b")I": "shift_jis",
    b"$B": "iso2022_jp",
    b"$(D": "iso2022_jp_2",
    b"$)A": "gb2312",
    b"$)C": "euc_kr",
    b"-A": "latin_1",
    b"-B": "iso8859_2",
    b"-C": "iso8859_3",
    b"-D": "iso8859_4",
    b"-F": "iso8859_7",
    b"-G": "iso8859_6",
    b"-H": "iso8859_8",
    b"-L": "iso8859_5",
    b"-M": "iso8859_9",
    b"-T": "iso8859_11",
    b"-b": "iso8859_15",
}
_STATEFUL = frozenset({"iso2022_jp", "iso2022_jp_2"})  # Python's codec wants to see the escape sequence itself

# Defined terms by their ISO-IR number (PS3.3 section C.12.1.1.2, tables C.12-2 to C.12-4), one name for each codec, so that
# declared and designated sets can be compared. The default repertoire is ISO IR 6: bytes above 127 have no meaning in it.
_BY_NUMBER = {
    "6": _ASCII,
    "13": "shift_jis",
    "58": "gb2312",
    "87": "iso2022_jp",
    "100": "latin_1",
    "101": "iso8859_2",
    "109": "iso8859_3",
    "110": "iso8859_4",
    "126": "iso8859_7",
    "127": "iso8859_6",
    "138": "iso8859_8",
    "144": "iso8859_5",
    "148": "iso8859_9",
    "149": "euc_kr",
    "159": "iso2022_jp_2",
    "166": "iso8859_11",
    "192": "utf8",
    "203": "iso8859_15",
}
_OTHERS = {"": _ASCII, "GB18030": "gb18030", "GBK": "gbk", "ISO 2022 GBK": "gbk", "ISO 2022 58": "gb2312"}

# What brings the first character set back (PS3.5 section 6.1.2.5.3), by value representation.
NAME_DELIMITERS = re.compile(rb"[\\^=]")
TEXT_DELIMITERS = re.compile(rb"[\\\t\n\f\r]")


class Charset(NamedTuple):
    """A resolved Specific Character Set: Python codecs, and whether every term was known."""

    first: str
    declared: frozenset[str]
    known: bool


@lru_cache(maxsize=256)
def resolve(raw: bytes, fallback: str | None = None) -> Charset:
    """The character set named by the raw value of (0008,0005), with code extensions (PS3.3 section C.12.1.1.2).

    `fallback` is a defined term ("ISO_IR 100", several joined by a backslash) that a source's policy may give;
    it is used where the object names nothing beyond ASCII, or nothing known. Never raises.
    """
    terms = [term.strip(" \0") for term in raw.decode("latin_1").split("\\")]
    codecs = [_codec(term) for term in terms]
    known = all(codecs)
    named = [codec for codec in codecs if codec]
    if len(named) > 1 and not _ALONE.isdisjoint(named):
        known = False
    if fallback and (not named or set(named) == {_ASCII}):
        other = resolve(fallback.encode("ascii", "replace"))
        return Charset(other.first, other.declared, known and other.known)
    return Charset(codecs[0] or _ASCII, frozenset(named), known)


def _codec(term: str) -> str:
    """The Python codec of one defined term, "" if unknown; ISO-IR 100 and the like are read as what they mean."""
    spelled = _TERM.fullmatch(term.upper())
    return _BY_NUMBER.get(spelled[2], "") if spelled is not None else _OTHERS.get(term, "")


def decode(raw: bytes, charset: Charset, delimiters: re.Pattern[bytes]) -> tuple[str, bool]:
    """`raw` as text, and whether nothing was lost or guessed; escape sequences select sets up to a delimiter."""
    if b"\x1b" not in raw:
        return _plain(raw, charset.first)
    if charset.first in _ALONE:
        text, _ = _plain(raw, charset.first)
        return text.replace("\x1b", REPLACEMENT), False
    head, *parts = raw.split(b"\x1b")
    text, clean = _plain(head, charset.first)
    texts = [text]
    for part in parts:
        text, fine = _designated(part, charset, delimiters)
        texts.append(text)
        clean = clean and fine
    return "".join(texts), clean


def _plain(raw: bytes, codec: str) -> tuple[str, bool]:
    try:
        return raw.decode(codec), True
    except UnicodeError:
        return raw.decode(codec, "replace"), False


def _designated(part: bytes, charset: Charset, delimiters: re.Pattern[bytes]) -> tuple[str, bool]:
    """The text of what follows one ESC."""
    size = 3 if part[:2] in (b"$(", b"$)") else 2
    codec = _ESCAPES.get(part[:size])
    if codec is None:
        return REPLACEMENT + _plain(part, charset.first)[0], False
    if codec in _STATEFUL:
        text, clean = _plain(b"\x1b" + part, codec)
        return text.replace("\x1b", REPLACEMENT), clean and codec in charset.declared
    if not codec:
        return _plain(part[size:], charset.first)
    body = part[size:]
    # In G1 the first half of the code table stays ASCII, so a delimiter byte is a delimiter.
    reset = delimiters.search(body)
    cut = reset.start() if reset else len(body)
    text, clean = _plain(body[:cut], codec)
    rest, fine = _plain(body[cut:], charset.first)
    return text + rest, clean and fine and codec in charset.declared
