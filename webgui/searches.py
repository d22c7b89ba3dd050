"""Texts that people searched for, under ids that may stand in an address: a patient's name must not.
Kept in memory for a while, for whoever searched alone. It must not search.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict

from aiohttp import web

from protocol.clock import Clock

KEPT = 2000
KEPT_S = 4 * 3600.0
LONGEST = 255  # characters; no value of these is longer


class Searches:
    """The searches of this process; a restart forgets them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: OrderedDict[str, tuple[str, str, float]] = OrderedDict()

    def keep(self, user: str, text: str) -> str:
        """The id of a search; the same as before for a text that this user searched for already."""
        text, now = text.strip()[:LONGEST], self._clock.monotonic()
        id = next((id for id, one in self._kept.items() if one[:2] == (user, text)), None) or secrets.token_urlsafe(9)
        self._kept[id] = (user, text, now)
        self._kept.move_to_end(id)
        while len(self._kept) > KEPT or now - next(iter(self._kept.values()))[2] > KEPT_S:
            self._kept.popitem(last=False)
        return id

    def find(self, user: str, id: str) -> str | None:
        """The text of this user's search; None if it is forgotten or somebody else's."""
        found = self._kept.get(id)
        if found is None or found[0] != user or self._clock.monotonic() - found[2] > KEPT_S:
            return None
        return found[1]


SEARCHES = web.AppKey("searches", Searches)
