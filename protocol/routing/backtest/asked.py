"""When which elements outside the usual ones were read from images: while the versions of the routing then in force asked.
It must not judge what an absent element means to a rule; `cases` and `trying` do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import inf
from typing import Protocol

from protocol.header.wanted import compile_wanted
from protocol.routing.backtest.cases import conditions_of, is_unusual
from protocol.routing.model import RoutingConfiguration
from protocol.routing.versions import Version

TAKEN_UP_S = 5.0
"""A version counts for what is received from so long after its publishing on: by then every receiver goes by it."""
AT_MOST_OPEN_S = 86_400.0
"""An arrival may get images for so long; a version without the element must not have begun meanwhile."""
Spans = Mapping[str, list[list[float]]]
"""By name: from when to when (seconds UTC) it was asked for without a break; the end of one that lasts is missing."""


class History(Protocol):
    """The part of RoutingVersions that is asked here."""

    def history(self) -> Iterable[Version]: ...


class Asked:
    """Whether an element was read from all images of an arrival. Without `spans` nothing is known of any."""

    def __init__(self, spans: Spans | None = None) -> None:
        self.spans = spans or {}

    def __call__(self, name: str, received: float) -> bool:
        """Whether absence means something: it was asked for before the first image came, and until the last one had come."""
        return any(
            since + TAKEN_UP_S <= received and (not until or received + AT_MOST_OPEN_S <= until[0])
            for since, *until in self.spans.get(name, ())
        )


def unusual_names(*configurations: RoutingConfiguration) -> frozenset[str]:
    """The elements outside the usual ones that rules of these ask for."""
    conditions = (
        one for configuration in configurations for rule in configuration.rules for one in conditions_of(rule)
    )
    return frozenset(name for condition in conditions for name in condition.names if is_unusual(name))


def asked_since(versions: History, received: float, *configurations: RoutingConfiguration) -> Asked:
    """What is known of arrivals from `received` on, as far as these configurations ask. Reads no version where none asks."""
    names = unusual_names(*configurations)
    if not names:
        return Asked()
    found: list[Version] = []
    for version in versions.history():
        found.append(version)
        if version.time + TAKEN_UP_S <= received:
            break
    return Asked(_spans(reversed(found), names))


def _spans(versions: Iterable[Version], names: Iterable[str]) -> dict[str, list[list[float]]]:
    """`versions` with the oldest first. Where the clock was set back, what it had shown before counts."""
    steps, latest = [], -inf
    for version in versions:
        latest = max(latest, version.time)
        steps.append((latest, version.time, _read(version)))
    spans: dict[str, list[list[float]]] = {}
    for name in names:
        since: float | None = None
        for begins, ends, read in steps:
            if name in read and since is None:
                since = begins
            elif name not in read and since is not None:
                spans.setdefault(name, []).append([since, ends])
                since = None
        if since is not None:
            spans.setdefault(name, []).append([since])
    return spans


def _read(version: Version) -> frozenset[str]:
    """What receivers read by it; nothing, if they could not (see actors/receiver/admission)."""
    keywords = version.configuration.keywords
    try:
        compile_wanted(frozenset(keywords))
    except ValueError:
        return frozenset()
    return keywords
