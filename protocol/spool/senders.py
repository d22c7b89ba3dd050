"""All senders as people want to see them: the known ones with their policy and when they were last seen, strangers with
what to paste to make them known, and whose series come late. It must not decide anything; it answers a page or a command.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from protocol.routing.sources import Source, source_for
from protocol.spool.arrivals import LateSeries
from protocol.spool.sightings import Sighting

MARGIN = 1.25
"""How much longer than the latest image so far the suggested time is."""
_ROUND_S = 5


def senders(
    sources: Mapping[str, Source], unknown_sources: str, seen: Iterable[Sighting], late: Iterable[LateSeries]
) -> dict[str, Any]:
    """The document of `scanpost sources list --json`. Who is known is asked of `sources` as they are now."""
    known: dict[str, dict[str, Any]] = {name: _known(source) for name, source in sources.items()}
    unknown: list[dict[str, Any]] = []
    taken = set(sources)
    for one in seen:
        name = source_for(sources, one.calling_ae, one.address, one.subject).name
        if name is None:
            unknown.append(_stranger(one, taken))
        else:
            _add(known[name], one)
    late_ones = [_late(one, sources) for one in late]
    for suggestion in late_ones:
        if suggestion["source"] in known:
            known[suggestion["source"]]["suggested"] |= suggestion["suggested"]
    return {"unknown_sources": unknown_sources, "sources": known, "unknown": unknown, "late": late_ones}


def _known(source: Source) -> dict[str, Any]:
    policy = source.model_dump(mode="json")
    return {"label": source.label, "policy": policy, "last_seen": None, "associations": 0, "rejected": 0, "seen": [],
            "suggested": {}}  # fmt: skip


def _add(known: dict[str, Any], one: Sighting) -> None:
    known["last_seen"] = max(known["last_seen"] or 0.0, one.last)
    known["associations"] += one.associations
    known["rejected"] += one.rejected
    known["seen"].append(_plain(one))


def _plain(one: Sighting) -> dict[str, Any]:
    return {"calling_ae": one.calling_ae, "address": one.address, "called_ae": one.called_ae, "certificate": one.subject,
            "first_seen": one.first, "last_seen": one.last, "associations": one.associations, "rejected": one.rejected,
            "reason": one.reason}  # fmt: skip


def _stranger(one: Sighting, taken: set[str]) -> dict[str, Any]:
    name = free_name(one.calling_ae, taken)
    taken.add(name)
    return {**_plain(one), "name": name, "source": recognised_by(one)}


def recognised_by(one: Sighting) -> dict[str, str]:
    """What of a stranger can stand in a source. A peer may call itself what no configuration may say."""
    found: dict[str, str] = {}
    for key, value in (("calling_ae", one.calling_ae), ("address", one.address), ("certificate", one.subject)):
        try:
            made = Source(**{key: value}) if value else None  # type: ignore[arg-type]
        except ValidationError:
            continue
        if made is not None and source_for({"it": made}, one.calling_ae, one.address, one.subject).name:
            found[key] = value
    return found


def free_name(calling_ae: str, taken: Collection[str]) -> str:
    """A name for a new source that no other one has."""
    base = re.sub(r"[^a-z0-9_-]+", "-", calling_ae.lower()).strip("-_") or "source"
    number, name = 1, base
    while name in taken:
        number += 1
        name = f"{base}-{number}"
    return name


def _late(one: LateSeries, sources: Mapping[str, Source]) -> dict[str, Any]:
    """Where release and quiet closed too early, quiet_s was too short; everywhere else idle_s was."""
    setting = "quiet_s" if one.why == "released" else "idle_s"
    seconds = max(_ROUND_S, math.ceil(one.longest_s * MARGIN / _ROUND_S) * _ROUND_S)
    source = one.source if one.source in sources else None
    return {"calling_ae": one.calling_ae, "source": source, "addenda": one.addenda, "closed": one.why,
            "longest_s": round(one.longest_s, 1), "suggested": {setting: seconds}}  # fmt: skip
