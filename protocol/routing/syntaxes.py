"""Transfer syntaxes as people write them in a target's settings: short names or UIDs, and what can be made of what.

It must not change an image or look at one; that is for actors/transcode.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from protocol.routing import shapes
from protocol.routing.fields import Unspoken
from protocol.routing.rules.names import did_you_mean

_UID = re.compile(r"(?=[0-9.]{5,64}\Z)(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+\Z")

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
RLE = "1.2.840.10008.1.2.5"
JPEG_LS = "1.2.840.10008.1.2.4.80"
JPEG2000_LOSSLESS = "1.2.840.10008.1.2.4.90"

NAMES: dict[str, str] = {
    "implicit": IMPLICIT,
    "explicit": EXPLICIT,
    "deflated": DEFLATED,
    "big-endian": BIG_ENDIAN,
    "rle": RLE,
    "jpeg-baseline": "1.2.840.10008.1.2.4.50",
    "jpeg-extended": "1.2.840.10008.1.2.4.51",
    "jpeg-lossless": "1.2.840.10008.1.2.4.70",
    "jpeg-lossless-any": "1.2.840.10008.1.2.4.57",
    "jpeg-ls": JPEG_LS,
    "jpeg-ls-near": "1.2.840.10008.1.2.4.81",
    "jpeg2000-lossless": JPEG2000_LOSSLESS,
    "jpeg2000": "1.2.840.10008.1.2.4.91",
    "htj2k-lossless": "1.2.840.10008.1.2.4.201",
    "htj2k-lossless-rpcl": "1.2.840.10008.1.2.4.202",
    "htj2k": "1.2.840.10008.1.2.4.203",
}
"""Short name -> UID (PS3.6 table A-1). `jpeg-lossless` is the usual one, selection value 1."""

UNCOMPRESSED = (EXPLICIT, IMPLICIT, DEFLATED, BIG_ENDIAN)
COMPRESSING = (JPEG_LS, JPEG2000_LOSSLESS, RLE)
MADE = (*UNCOMPRESSED, *COMPRESSING)
"""What images can be changed into, the cheapest first: the same pixels uncompressed, then losslessly compressed ones."""

CHANGED = frozenset({*MADE, *(uid for name, uid in NAMES.items() if name.startswith(("jpeg", "htj2k")))})
"""What images can be changed from."""

EXTRA = "transcode"
"""The extra of the installation that decoding and compressing pixels needs; headers are rewritten without it."""

Transcode = Literal["never", "lossless"]


def _known(text: str) -> str:
    if text not in NAMES and not _UID.match(text):
        cure = did_you_mean(text, NAMES, f"Write one of {', '.join(NAMES)}, or a UID")
        raise Unspoken("no transfer syntax has this name", cure)
    return text


def _each_once(names: tuple[str, ...]) -> tuple[str, ...]:
    uids = [uid_of(name) for name in names]
    if len(set(uids)) < len(uids):
        raise ValueError("a transfer syntax is listed twice")
    return names


_SHAPE = shapes.Shape(
    anyOf=[{"enum": list(NAMES)}, {"pattern": r"^(?=[0-9.]{5,64}$)(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+$"}]
)
SyntaxName = Annotated[str, AfterValidator(_known), _SHAPE]
TransferSyntaxes = Annotated[
    tuple[SyntaxName, ...], Field(min_length=1, max_length=32), AfterValidator(_each_once), shapes.EACH_ONCE
]


def uid_of(name: str) -> str:
    """The UID of a name of `NAMES`; a UID is its own."""
    return NAMES.get(name, name)


def name_of(uid: str) -> str:
    """The short name of a UID, or the UID."""
    return next((name for name, known in NAMES.items() if known == uid), uid)


def ways(stored: str, allowed: Sequence[str] | None, transcode: Transcode) -> tuple[str, ...]:
    """UIDs of the transfer syntaxes in which an image that is stored in `stored` may be offered, the best one first.

    `allowed` are names or UIDs, None: the stored one, and what every SCP has to take (PS3.5 section 10.1). May be empty.
    """
    listed = None if allowed is None else {uid_of(name) for name in allowed}
    first = (stored,) if listed is None or stored in listed else ()
    if transcode == "never" or stored not in CHANGED:
        return first
    made = (EXPLICIT, IMPLICIT) if listed is None else tuple(uid for uid in MADE if uid in listed)
    return (*first, *(uid for uid in made if uid != stored))
