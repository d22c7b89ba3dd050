"""What a condition may say next: names with their VR and the values seen on this site, functions. It must not change anything.

Values that point at one patient or one object are never suggested.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from protocol.errors import NotFound
from protocol.header.dictionary import entry, tag_for_keyword
from protocol.header.wanted import tag_text
from protocol.routing.rules.functions import CHECKS, CONVERSIONS, IMAGE_FUNCTIONS
from protocol.routing.rules.names import ORIGIN_NAMES, KnownName, by_tag, find, known_names
from protocol.spool import Spool
from webgui.areas.rules import words

ARRIVALS = 200
DAYS = 30
SHOWN = 4
"""Values that the help of a name tells."""
KEPT_S = 60.0
MOST = 12
MOST_VALUES = 30
_ORIGIN = {"calling_ae": "SenderAET", "address": "SenderAddress", "called_ae": "ReceiverAET", "source": "Source"}
_PERSONAL = (
    "Patient",
    "OtherPatient",
    "Accession",
    "IssuerOf",
    "Comments",
    "InstanceUID",
    "StudyID",
    "Physician",
    "Name",
)
_VALUE_KINDS = frozenset({"text", "any", "number"})
_TAG = re.compile(r"[0-9A-Fa-f]{4},[0-9A-Fa-f]{4}", re.ASCII)

Seen = dict[str, Counter[str]]


class Site:
    """The names and values of the last arrivals of 30 days, looked at again once in a while."""

    def __init__(self) -> None:
        self._seen: Seen = {}
        self._at = float("-inf")

    def seen(self, spool: Spool) -> Seen:
        """{name: {value: in how many arrivals}}."""
        if time.monotonic() - self._at > KEPT_S:
            self._seen, self._at = count(_arrivals(spool, time.time() - DAYS * 86_400)), time.monotonic()
        return self._seen


def _arrivals(spool: Spool, since: float) -> Iterable[Mapping[str, Any]]:
    for row in spool.arrivals.list(limit=ARRIVALS):
        if row["opened"] < since:
            break
        try:
            headers = spool.arrivals.subject(row["id"])
        except NotFound:
            continue
        yield {name: row.get(key) for key, name in _ORIGIN.items()} | dict(headers.common)


def count(headers: Iterable[Mapping[str, Any]]) -> Seen:
    """How often each value was there."""
    seen: Seen = {}
    for header in headers:
        for name, value in header.items():
            counter = seen.setdefault(name, Counter())
            for one in value if isinstance(value, list | tuple) else (value,):
                if isinstance(one, str | int | float) and str(one).strip() and len(str(one)) <= 80:
                    counter[str(one)] += 1
    return seen


def may_be_shown(name: str) -> bool:
    """Whether values of this name stand for many patients."""
    return not any(part in name for part in _PERSONAL) or name in ("ProtocolName", "StationName", "InstitutionName")


def values_of(name: str, seen: Seen) -> list[tuple[str, int]]:
    """The most frequent values of a name."""
    known = known_names().get(name.lower())
    if known is None or known.kind not in _VALUE_KINDS or not may_be_shown(known.name):
        return []
    return seen.get(known.name, Counter()).most_common(MOST_VALUES)


def completions(prefix: str, seen: Seen) -> list[dict[str, Any]]:
    """Names and functions that begin with, or hold, what was typed; those seen here first."""
    wanted = prefix.lower()
    names = [one for low, one in known_names().items() if wanted in low and one.kind not in ("outside", "binary")]
    names.sort(
        key=lambda one: (not one.name.lower().startswith(wanted), one.name not in seen, not one.is_origin, one.name)
    )
    functions = [name for name in (*CHECKS, *IMAGE_FUNCTIONS, *CONVERSIONS) if wanted and name.startswith(wanted)]
    found = [{"name": name, "insert": f"{name}(", "vr": "function", "title": _example(name), "seen": 0, "values": [],
              "tag": "", "help": _example(name)}
             for name in functions]  # fmt: skip
    return (found + [_told(one, seen) for one in names[:MOST]])[:MOST]


def _example(name: str) -> str:
    return CHECKS[name].example if name in CHECKS else ""


def _told(one: KnownName, seen: Seen) -> dict[str, Any]:
    values = values_of(one.name, seen)
    return {
        "name": one.name, "insert": one.name, "vr": vr_of(one), "title": one.title,
        "seen": sum(seen.get(one.name, Counter()).values()), "values": [value for value, _ in values[:6]],
        "tag": tag_of(one), "help": help_of(one, seen),
    }  # fmt: skip


def about(name: str, seen: Seen) -> dict[str, Any] | None:
    """What completion tells of a name, for one that is written: a keyword, a path of them or "gggg,eeee"; None: unknown."""
    known = [by_tag(int(part.replace(",", ""), 16)) if _TAG.fullmatch(part) else find(part) for part in name.split(".")]
    found = [one for one in known if one is not None]
    if len(found) < len(known):
        return None
    last = found[-1]
    path, title = ".".join(one.name for one in found), " of ".join(one.title for one in reversed(found))
    return _told(KnownName(path, last.kind, title, last.is_origin), seen) | {"vr": vr_of(last), "tag": tag_of(last),
        "help": help_of(last, seen, title, path)}  # fmt: skip


def help_of(one: KnownName, seen: Seen, title: str = "", path: str = "") -> str:
    """One line: what it is, its tag and value representation, as what a rule reads it, what came in here lately."""
    vr, tag = vr_of(one), tag_of(one)
    kinds = " or ".join(words.VRS.get(part, part) for part in vr.split(" or "))
    said = [title or one.title]
    said += [f"({tag}) {vr}, {kinds}"] if tag else ["of the arrival, not of the image"]
    if one.kind in words.KINDS:
        said.append(words.KINDS[one.kind])
    return " · ".join((*said, _seen_here(path or one.name, seen)))


def _seen_here(name: str, seen: Seen) -> str:
    if not may_be_shown(name):
        return "values are not shown: they point at patients"
    values = [f"{value} {times}×" for value, times in values_of(name, seen)[:SHOWN]]
    if values:
        return f"seen here in {DAYS} days: {', '.join(values)}"
    return f"present here in {DAYS} days" if seen.get(name) else f"no value noted here in {DAYS} days"


def tag_of(one: KnownName) -> str:
    """gggg,eeee; "" for what is of the arrival."""
    if one.name in ORIGIN_NAMES and one.is_origin:
        return ""
    if _TAG.fullmatch(one.name):
        return one.name
    tag = tag_for_keyword(one.name)
    return "" if tag is None else tag_text(tag)


def vr_of(one: KnownName) -> str:
    """The value representation (PS3.5 section 6.2), or that it is of the arrival."""
    if one.name in ORIGIN_NAMES:
        return "arrival"
    tag = int(one.name.replace(",", ""), 16) if _TAG.fullmatch(one.name) else tag_for_keyword(one.name)
    try:
        return entry(tag).vr if tag is not None else ""
    except KeyError:
        return "UN"
