"""The names a rule may read: DICOM keywords (PS3.6), paths of them, tags, and the origin of an arrival.

It must not hold values; it only says what a name is called, as what it is read, and what was probably meant.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from functools import cache

from protocol.header.dictionary import KEYWORDS, entry, tag_for_keyword
from protocol.header.wanted import tag_text
from protocol.records import record

ORIGIN_NAMES = {
    "SenderAET": "sender's AE title",
    "SenderAddress": "sender's address",
    "ReceiverAET": "receiver's AE title",
    "Source": "source",
    "TransferSyntaxUID": "transfer syntax",
    "ImageCount": "number of images",
    "ReceivedAt": "time of receipt",
}
ARRIVAL_NAMES = frozenset(ORIGIN_NAMES) - {"TransferSyntaxUID"}
"""Of the arrival alone: nothing inside an object may pose as its sender. A transfer syntax may be each image's own."""
_ORIGIN_KINDS = {"ImageCount": "number", "ReceivedAt": "datetime"}
_NUMBER_VRS = frozenset({"DS", "IS", "FD", "FL", "US", "SS", "UL", "SL", "UV", "SV"})
_KINDS = {"DA": "date", "TM": "time", "DT": "datetime"}
_FIRST_GROUP = 0x0008  # what stands below belongs to a command, a file or a DICOMDIR, never to the data set of an image


@record
class KnownName:
    """A name as the dictionary has it.

    `kind` is how it is read (number, text, date, time, datetime, any) or why not: sequence, binary, or outside, if it does
    not belong to the data set of an image.
    """

    name: str
    kind: str
    title: str
    is_origin: bool = False


def _kind(vr: str) -> str:
    parts = set(vr.split(" or "))
    if "SQ" in parts:
        return "sequence"
    if any(part.startswith("O") or part in ("UN", "NONE") for part in parts):
        return "binary"
    return _KINDS.get(vr, "number" if parts <= _NUMBER_VRS else "text")


@cache
def known_names() -> dict[str, KnownName]:
    """Every name a rule may write, by its lower-case form."""
    names = {
        keyword.lower(): KnownName(
            keyword, _kind(entry(tag).vr) if tag >> 16 >= _FIRST_GROUP else "outside", entry(tag).name
        )
        for keyword, tag in KEYWORDS.items()
        if keyword
    }
    for name, title in ORIGIN_NAMES.items():
        names[name.lower()] = KnownName(name, _ORIGIN_KINDS.get(name, "text"), title, is_origin=True)
    return names


def find(name: str) -> KnownName | None:
    """The known name for `name`, in any case of letters, or None."""
    return known_names().get(name.lower())


def by_tag(tag: int) -> KnownName:
    """What a tag as one number is called in the values of a header: its keyword, or "gggg,eeee"."""
    try:
        element = entry(tag)
    except KeyError:
        return KnownName(tag_text(tag), "any" if tag >> 16 >= _FIRST_GROUP else "outside", f"tag ({tag_text(tag)})")
    known = find(element.keyword)
    if known is not None and tag_for_keyword(element.keyword) == tag:
        return known
    # elements of repeating groups (60xx,...) share one keyword
    return KnownName(tag_text(tag), _kind(element.vr), f"{element.name} ({tag_text(tag)})")


def nearest(name: str, candidates: Iterable[str], most: int = 3) -> list[str]:
    """The candidates most like `name`, best first; case is ignored."""
    by_lower = {candidate.lower(): candidate for candidate in candidates}
    return [by_lower[match] for match in difflib.get_close_matches(name.lower(), by_lower, n=most, cutoff=0.6)]


def did_you_mean(name: str, candidates: Iterable[str], otherwise: str = "") -> str:
    """A cure: `did you mean 'A' or 'B'?`, or `otherwise` where nothing is near."""
    found = nearest(name, candidates)
    return "did you mean " + " or ".join(f"'{one}'" for one in found) + "?" if found else otherwise
