"""Layouts: where below a target's top folder an image goes, as text with DICOM keywords in braces, and read into parts.

It must not make names out of values; that is for the one sanitiser, actors/targets/placing.py.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, StringConstraints

from protocol.records import record
from protocol.routing import shapes
from protocol.routing.rules.names import ARRIVAL_NAMES, find

MAX_PARTS = 8  # so that a whole name fits into the 1,024 bytes that a key of S3 may have
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_CHANGING = frozenset({"ImageCount", "ReceivedAt"})  # late images would go elsewhere


@record
class Part:
    """One folder of a layout: its texts around the keywords, so that `len(texts) == len(keywords) + 1`."""

    texts: tuple[str, ...]
    keywords: tuple[str, ...]


def parts_of(layout: str) -> tuple[Part, ...]:
    """The folders of a valid layout, outermost first; none for the empty one."""
    parts = []
    for text in layout.split("/") if layout else ():
        pieces = _PLACEHOLDER.split(text)
        parts.append(Part(tuple(pieces[::2]), tuple(pieces[1::2])))
    return tuple(parts)


def keywords_of(layout: str) -> frozenset[str]:
    """The names whose values a layout needs: DICOM keywords, and of the arrival those of rules.names.ARRIVAL_NAMES."""
    return frozenset(keyword for part in parts_of(layout) for keyword in part.keywords)


def scanned(keywords: frozenset[str]) -> frozenset[str]:
    """Of these names those that are read out of the header of an image."""
    return keywords - ARRIVAL_NAMES


def _layout(text: str) -> str:
    rest = _PLACEHOLDER.sub("x", text)
    if "{" in rest or "}" in rest:
        raise ValueError("braces of a layout hold one DICOM keyword each")
    if any(letter < " " or letter == "\\" for letter in text):
        raise ValueError("a layout has no control characters and no backslash")
    if text and any(part in ("", ".", "..") for part in rest.split("/")):
        raise ValueError("a layout is a relative path without `.`, `..` or empty parts")
    if rest.count("/") >= MAX_PARTS:
        raise ValueError(f"a layout has at most {MAX_PARTS} folders")
    for keyword in _PLACEHOLDER.findall(text):
        known = find(keyword)
        if known is None or known.name != keyword or known.kind in ("binary", "sequence", "outside"):
            raise ValueError(f"'{keyword}' is no DICOM keyword that a layout can use")
        if keyword in _CHANGING:
            raise ValueError(f"'{keyword}' changes with every late image, so a layout cannot use it")
    return text


Layout = Annotated[str, StringConstraints(max_length=500), AfterValidator(_layout), shapes.LAYOUT]
"""`{PatientID}/{StudyInstanceUID}`: folders below the top one; empty: all images in the top folder."""
