"""Which presentation contexts a test of a DICOM target proposes, and what the target said to them, by SOP class (PS3.8 section
7.1.1.13). It must not connect to anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from actors.dicom.pdus import ABSTRACT_SYNTAX_NOT_SUPPORTED, ACCEPTED, TRANSFER_SYNTAXES_NOT_SUPPORTED
from protocol.header.dictionary import uid_name
from protocol.routing.syntaxes import EXPLICIT, IMPLICIT, JPEG2000_LOSSLESS, JPEG_LS, RLE, name_of, uid_of

Context = tuple[str, str]

MOST = 120  # of the 128 that an association may propose; Verification and the listed ones need some
_STORAGE = "1.2.840.10008.5.1.4.1.1."
IMAGES = tuple(
    _STORAGE + end
    for end in ("2", "4", "1", "1.1", "1.2", "6.1", "3.1", "7", "12.1", "12.2", "20", "128", "2.1", "4.1")
)
"""CT, MR, CR, DX, mammography, ultrasound (one, many), secondary capture, XA, RF, NM, PET, enhanced CT and MR."""
OTHERS = tuple(
    _STORAGE + end for end in ("88.22", "88.67", "88.59", "11.1", "66.4", "481.3", "481.2", "481.5", "104.1")
)
"""Structured reports, dose, key objects, presentation states, segmentations, RT structures, doses and plans, PDF."""
PLAIN = (EXPLICIT, IMPLICIT)
COMPRESSED = (uid_of("jpeg-lossless"), JPEG_LS, JPEG2000_LOSSLESS, RLE)
REASONS = {
    ABSTRACT_SYNTAX_NOT_SUPPORTED: "SOP class not supported",
    TRANSFER_SYNTAXES_NOT_SUPPORTED: "transfer syntax not supported",
    1: "refused by its user",
    2: "refused without a reason",
}
"""PS3.8 table 9-18."""
SILENT = "not answered"


def proposed(syntaxes: Sequence[str], lately: Sequence[Context]) -> list[Context]:
    """What to ask: first what the target got lately, then the common SOP classes in `syntaxes`, or where it lists none, in
    the usual ones. At most 120."""
    found = list(lately)
    found += [(one, syntax) for one in (*IMAGES, *OTHERS) for syntax in syntaxes or PLAIN]
    found += [(one, syntax) for one in IMAGES for syntax in (() if syntaxes else COMPRESSED)]
    return list(dict.fromkeys(found))[:MOST]


def answered(
    asked: Sequence[Context], lately: Sequence[Context], results: Mapping[Context, int]
) -> list[dict[str, Any]]:
    """One row a SOP class: its UID and name, whether the target got it lately, names of the transfer syntaxes that it accepts
    and rejects, and why it rejects. What it got lately comes first. `results`: PS3.8 table 9-18, by context."""
    recent = {sop_class for sop_class, _ in lately}
    rows: dict[str, dict[str, Any]] = {}
    for sop_class, syntax in asked:
        row = rows.setdefault(sop_class, {
            "sop_class": sop_class, "name": uid_name(sop_class), "lately": sop_class in recent,
            "accepted": [], "rejected": [], "why": [],
        })  # fmt: skip
        result = results.get((sop_class, syntax))
        row["accepted" if result == ACCEPTED else "rejected"].append(name_of(syntax))
        reason = SILENT if result is None else REASONS.get(result, f"result {result}")
        if result != ACCEPTED and reason not in row["why"]:
            row["why"].append(reason)
    for row in rows.values():
        row["why"] = ", ".join(row["why"])
    return sorted(rows.values(), key=lambda row: not row["lately"])
