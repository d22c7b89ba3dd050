"""What is asked of the history and how a page of answers looks: filters, pages, and the opaque mark of the next page.
Pure; it must not know tables.
"""

from __future__ import annotations

import base64
import json
import math
from dataclasses import field
from typing import Any, NamedTuple

from protocol.errors import LedgerError
from protocol.records import record

Plain = dict[str, Any]
MAX_PAGE = 1000  # rows


@record
class Filter:
    """Which arrivals; empty fields ask nothing. All of them must hold. Times in seconds since 1970 UTC, of the opening.

    `q` is what people type into one box: an accession number, a patient's id, the beginning of a patient's name in any
    case (two characters at least), a study, series or SOP instance UID, an AE title, or an arrival's number.
    """

    q: str = ""
    source: str = ""  # calling AE title
    target: str = ""  # with a delivery to this target or group
    rule: str = ""  # routed by it
    state: str = ""  # protocol/states.ArrivalState
    modality: str = ""
    study_uid: str = ""
    patient_id: str = ""
    since: float | None = None  # not older
    until: float | None = None  # older


@record
class EventFilter:
    """Which events; empty fields ask nothing. Times in seconds since 1970 UTC."""

    types: str = ""  # a type, or the beginning of types: "delivery."
    subject: str = ""  # as in the envelope: "target/pacs"
    severity: int = 0  # at least; OpenTelemetry numbers (protocol/wire/messages)
    since: float | None = None  # not older
    until: float | None = None  # older
    arrival: int | None = None
    delivery: int | None = None


@record
class Page:
    """Rows, and the mark to ask for what comes behind them; None: that was all.

    `partial`: much was looked through for few rows; there may be more behind the mark, or nothing.
    """

    rows: list[Plain] = field(default_factory=list)
    next: str | None = None
    partial: bool = False


class Mark(NamedTuple):
    """Where a page ended: the row's time, and what tells rows of one time apart. `way` is how the rows were found."""

    way: str
    time: float
    node: str
    number: int


def written(mark: Mark) -> str:
    """The mark as text for an address; people need not understand it."""
    return base64.urlsafe_b64encode(json.dumps(list(mark), separators=(",", ":")).encode()).decode().rstrip("=")


def read_mark(text: str | None) -> Mark | None:
    """Inverse of `written`; None stays None. Raises LedgerError for anything else."""
    if not text:
        return None
    try:
        way, time, node, number = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, TypeError) as exc:
        raise LedgerError("this is no mark of a page; begin at the first page") from exc
    if not (isinstance(way, str) and type(time) in (int, float) and math.isfinite(time) and isinstance(node, str)
            and type(number) is int and abs(number) < 2**63):  # fmt: skip
        raise LedgerError("this is no mark of a page; begin at the first page")
    return Mark(way, float(time), node, number)


def bounded(limit: int) -> int:
    """How many rows a page may have."""
    return max(1, min(limit, MAX_PAGE))
