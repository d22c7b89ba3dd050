"""Who changed one part of the routing configuration, read out of its versions. It must not judge nor change anything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from protocol.errors import RoutingError
from protocol.routing.versions import RoutingVersions, Version

_LOOKED_BACK = 50  # versions
_NAMED = 3  # people


def changers(versions: RoutingVersions, now: Version, base: int, part: Callable[[Version], Any]) -> list[Version]:
    """Versions after `base` that made the part another one, the newest first; a version that cannot be read is passed over."""
    found, later = [], now
    for number in range(now.number - 1, max(base, now.number - _LOOKED_BACK) - 1, -1):
        try:
            earlier = versions.get(number)
        except RoutingError:
            continue
        if part(earlier) != part(later):
            found.append(later)
        later = earlier
    return found


def authors(made: Sequence[Version]) -> str:
    """Who they are by, as words of a sentence: `ann`, `ann and ben`, `ann, ben, cara and 2 others`."""
    names = list(dict.fromkeys(one.author for one in made))
    rest = len(names) - _NAMED
    if rest > 0:
        names = [*names[:_NAMED], f"{rest} other{'s' if rest > 1 else ''}"]
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
