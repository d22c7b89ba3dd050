"""Which events there are to be chosen: the types that patterns fit, and what to say of patterns and fields that fit none.
It must not know sockets or the outbox; topics.py says what a pattern is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from protocol.wire import events  # noqa: F401  (registers every type)
from protocol.wire.messages import REGISTRY, Envelope, Event
from protocol.wire.topics import Patterns

_ENVELOPE = frozenset(field.name for field in dataclasses.fields(Envelope)) - {"data", "phi"}


def chosen(patterns: Iterable[str]) -> list[type[Event]]:
    """The types of events that pass. Raises WireError for what is no pattern."""
    choice = Patterns(patterns)
    return [kind for kind in REGISTRY.values() if choice.fits(kind.ROOT, kind.TYPE)]


def unfit(patterns: Sequence[str]) -> list[str]:
    """Those patterns that no event fits, with their `!`."""
    return [text for text in patterns if not chosen([text.removeprefix("!")])]


def names() -> list[str]:
    """What a pattern may have been meant for: types, and the beginnings that types share."""
    types = sorted(REGISTRY)
    parts = [one.split(".") for one in types]
    beginnings = {".".join(words[:at]) + ".*" for words in parts for at in range(1, len(words))}
    return [*types, *sorted(beginnings)]


def fields(kinds: Iterable[type[Event]]) -> set[str]:
    """The fields that events of these types may have."""
    return {*_ENVELOPE, *(field.name for kind in kinds for field in dataclasses.fields(kind))}
