"""Which value representation an element has that comes without one (PS3.5 section 6.2 and PS3.6), and how its values swap.

It must not know pixels; whoever asks says what the elements around it say.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Mapping

from actors.transcode.levels import LONG
from protocol.header.dictionary import entry

_WIDTHS = {"US": 2, "SS": 2, "OW": 2, "AT": 2, "UL": 4, "SL": 4, "FL": 4, "OF": 4, "OL": 4,
           "FD": 8, "OD": 8, "SV": 8, "UV": 8, "OV": 8}  # fmt: skip
_CODES = {2: "H", 4: "I", 8: "Q"}
_CHUNK_BYTES = 1 << 20
_PIXEL_REPRESENTATION = 0x00280103
_LUT_DATA = 0x00283006
_LUT_DESCRIPTOR = 0x00283002
_MAX_SHORT = 0xFFFF

Numbers = Mapping[int, int]
"""Tag -> first number, of the elements that decide about others: the level's own and those around it."""

DECIDING = (_PIXEL_REPRESENTATION, _LUT_DESCRIPTOR)
"""Tags of what `vr_of` asks of `Numbers`."""


def vr_of(tag: int, length: int, sequence: bool, numbers: Numbers) -> str:
    """The VR to write for an element that came without one; UN where nobody knows it (PS3.5 section 6.2.2)."""
    if sequence:
        return "SQ"
    if tag >> 16 & 1:
        return "LO" if 0x10 <= tag & 0xFFFF <= 0xFF and length <= _MAX_SHORT else "UN"
    try:
        known = entry(tag).vr
    except KeyError:
        return "UN"
    vr = _decided(known, tag, length, numbers)
    # A length that its VR cannot say (PS3.5 section 6.2.2, note 3); SQ of defined length is found as such before.
    return "UN" if len(vr) != 2 or (vr not in LONG and length > _MAX_SHORT) else vr


def _decided(known: str, tag: int, length: int, numbers: Numbers) -> str:
    if " or " not in known:
        return known
    if "OW" in known:
        entries = numbers.get(_LUT_DESCRIPTOR, 0)
        return "US" if tag == _LUT_DATA and entries == 1 and length <= _MAX_SHORT else "OW"
    return "SS" if numbers.get(_PIXEL_REPRESENTATION, 0) == 1 else "US"


def is_sequence(tag: int) -> bool:
    """Whether the dictionary says that this element, which came without a VR, has items."""
    if tag >> 16 & 1:
        return False
    try:
        return entry(tag).vr == "SQ"
    except KeyError:
        return False


def swapped(value: memoryview, vr: str) -> list[bytes | memoryview]:
    """The value in the other byte order (PS3.5 section 7.3), in pieces. What is left of half a number stays as it is."""
    width = _WIDTHS.get(vr)
    if width is None:
        return [value]
    whole = len(value) - len(value) % width
    pieces: list[bytes | memoryview] = []
    for start in range(0, whole, _CHUNK_BYTES):
        numbers = array(_CODES[width], bytes(value[start : min(start + _CHUNK_BYTES, whole)]))
        numbers.byteswap()
        pieces.append(numbers.tobytes())
    return [*pieces, value[whole:]] if whole < len(value) else pieces


assert array("I").itemsize == 4 and array("Q").itemsize == 8 and sys.byteorder in ("little", "big")
