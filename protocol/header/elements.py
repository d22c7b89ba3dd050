"""From a tag, a VR and text to the key and the typed value that the scan would give, for headers that come as text.
It must not read DICOM bytes (`scan` does), nor raise anything but UnreadableHeader.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from protocol.header.dictionary import UIDS, entry, tag_for_keyword
from protocol.header.values import MAX_VALUE, Value
from protocol.header.wanted import private_name, tag_text

MAX_VALUES = 10_000  # of one header
NUMBER_VRS = frozenset(("DS", "IS", "US", "SS", "UL", "SL", "UV", "SV", "FL", "FD"))
WHOLE_VRS = NUMBER_VRS - {"DS", "FL", "FD"}
BINARY_VRS = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "UN", "SQ"))
_LONG_TEXTS = frozenset(("LT", "ST", "UT", "UR"))
_INT64 = range(-(2**63), 2**63)
_BY_KEYWORD = {one[4]: uid for uid, one in UIDS.items() if one[4]}
_DCMTK = {  # its names of transfer syntaxes that are not the standard's keywords
    "LittleEndianImplicit": "1.2.840.10008.1.2", "LittleEndianExplicit": "1.2.840.10008.1.2.1",
    "BigEndianExplicit": "1.2.840.10008.1.2.2", "JPEGBaseline": "1.2.840.10008.1.2.4.50",
    "JPEGLossless:Non-hierarchical-1stOrderPrediction": "1.2.840.10008.1.2.4.70",
    "JPEGLSLossless": "1.2.840.10008.1.2.4.80", "JPEG2000LosslessOnly": "1.2.840.10008.1.2.4.90",
    "JPEG2000": "1.2.840.10008.1.2.4.91", "RLELossless": "1.2.840.10008.1.2.5",
}  # fmt: skip


def key_of_tag(tag: int) -> str:
    """The key of an element as the scan writes it: its keyword, or "gggg,eeee"."""
    try:
        keyword = entry(tag).keyword
    except KeyError:
        return tag_text(tag)
    return keyword if tag_for_keyword(keyword) == tag else tag_text(tag)


def vr_of_tag(tag: int, otherwise: str = "UN") -> str:
    """The VR by the dictionary; the first one where there are several."""
    try:
        return entry(tag).vr.split(" or ")[0]
    except KeyError:
        return otherwise


def private_key(tag: int, creators: Mapping[int, str]) -> str | None:
    """How a rule calls a private element by its creator; `creators` by the tag that names them (PS3.5 section 7.8.1)."""
    group, element = tag >> 16, tag & 0xFFFF
    creator = creators.get(group << 16 | element >> 8) if group % 2 and element >= 0x1000 else None
    return None if creator is None else private_name(group, element, creator)


def is_creator(tag: int) -> bool:
    """Whether an element names the creator of a block of private elements."""
    return tag >> 16 & 1 == 1 and 0x10 <= tag & 0xFFFF <= 0xFF


def uid_by_name(name: str) -> str:
    """The UID that DCMTK or the standard call so; the name itself if nobody does."""
    return _BY_KEYWORD.get(name) or _DCMTK.get(name) or name


def of_text(text: str, vr: str) -> Value | None:
    """The value in the text of an element, several ones apart by backslashes; None if it is empty or no plain value."""
    if vr in BINARY_VRS or len(text) > MAX_VALUE:
        return None
    if vr in _LONG_TEXTS:
        return text.rstrip(" \0") or None
    parts: list[str | int | float] = [_part(part.strip(" \0"), vr) for part in text.split("\\")]
    if all(part == "" for part in parts):
        return None
    return parts[0] if len(parts) == 1 else parts


def of_number(number: int | float) -> str | int | float:
    """A number as a header has it: finite, at most 64 bits, else text."""
    if isinstance(number, int):
        return number if number in _INT64 else str(number)[:64]
    return number if math.isfinite(number) else str(number)


def _part(text: str, vr: str) -> str | int | float:
    if vr not in NUMBER_VRS or not text or "_" in text or len(text) > 64:
        return text
    try:
        if vr in WHOLE_VRS:
            return of_number(int(text))
        return of_number(float(text))
    except (ValueError, OverflowError):
        return _decimal(text)


def _decimal(text: str) -> str | int | float:
    """Some writers put decimals where a whole number belongs: 2.0 is 2, and 2.5 stays."""
    try:
        number = float(text)
    except ValueError:
        return text
    if not math.isfinite(number):
        return text
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


def put(values: dict[str, Any], key: str, value: Value | None) -> None:
    """The first one of a key counts, as in a data set, where none comes twice; an empty value is absent."""
    if value is not None:
        values.setdefault(key, value)
