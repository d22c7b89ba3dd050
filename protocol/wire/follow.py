"""Live events and replay made one stream without losses: subscribe, fetch, drop duplicates by number, go on live.
Pure state without sockets, so that taps (blocking) and the web page (asyncio) share it; it must not keep time.

A reader of everything sees a loss as a hole in the numbers. A filtered reader cannot; it asks the bus to repeat,
through the same filter, what lies between two beacons. That costs one small request a second while events flow, and for
some seconds after.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from protocol.wire.messages import Envelope
from protocol.wire.replay import MAX_RECORDS, Place, Reply
from protocol.wire.topics import Patterns

KEPT_AHEAD = 10_000  # live events kept while older ones are fetched; what is beyond is fetched, too
SENT_ONLY = 1000  # last ids of events that are only sent, against the bus repeating its last values
LISTEN = ("sys.head.", "sys.bus.started.", "sys.welcome.")


class Follower:
    """Feed it what arrives, take from it what to show. `start` None: from the head that the bus names first."""

    def __init__(self, patterns: Patterns, start: Place | None = None) -> None:
        self.patterns = patterns
        self.covered = start  # everything wanted up to here was handed out
        self.restarts = 0
        self.missed_before: Place | None = None  # asked for events that the outbox has no more
        self.refetched = 0  # events that came by FETCH although we were listening
        self._goal = start
        self._ahead: dict[Place, Envelope] = {}
        self._shown: set[Place] = set()  # handed out beyond `covered`
        self._sent_only: OrderedDict[str, None] = OrderedDict()
        self._bus_id = ""

    @property
    def prefixes(self) -> list[str]:
        """What to subscribe to."""
        return [*self.patterns.prefixes(), *LISTEN]

    @property
    def wanted(self) -> dict[str, Any] | None:
        """The request to send now (without its id), or None if nothing is missing."""
        if self.covered is None or self._goal is None or self.covered >= self._goal:
            return None
        return {"op": "fetch", "from": [*self.covered], "max": MAX_RECORDS, "filter": [*self.patterns.texts]}

    def begin(self, start: Place, goal: Place) -> list[Envelope]:
        """The place to start behind, once it is known, and where the outbox ends."""
        self.covered, self._goal = start, max(start, goal, self._goal or goal)
        return self._settle()

    def live(self, one: Envelope) -> list[Envelope]:
        """An event from the subscription; returns what can be shown now."""
        if one.root == "sys" and one.type in ("head", "bus.started"):
            self._beacon(one)
        if not one.seq:
            return [one] if self._is_new(one) and self.patterns.match(one) else []
        place = Place(one.epoch, one.seq)
        if self.covered is not None and (place <= self.covered or place in self._shown):
            return []
        if self.wanted is None and self.covered is not None:
            if not self.patterns.everything_recorded:
                self._shown.add(place)
                return [one] if self.patterns.match(one) else []
            if place == (self.covered.epoch, self.covered.seq + 1):
                self.covered = self._goal = place
                return [one] if self.patterns.match(one) else []
        self._goal = max(self._goal or place, place)
        if len(self._ahead) < KEPT_AHEAD:
            self._ahead[place] = one
        return []

    def fetched(self, reply: Reply) -> list[Envelope]:
        """An answer to `wanted`; returns what can be shown now."""
        if self.covered is None or reply.next is None:
            return []
        if reply.oldest.seq > self.covered.seq + 1 and reply.head > self.covered:
            self.missed_before = reply.oldest
        shown = []
        for one in reply.records:
            place = Place(one.epoch, one.seq)
            if place > self.covered and place not in self._shown and self.patterns.match(one):
                shown.append(one)
                self._shown.add(place)
                self.refetched += place not in self._ahead
        if reply.next <= self.covered:  # nothing more is there, whatever we believed
            self._goal = self.covered
        self.covered = max(self.covered, reply.next)
        return shown + self._settle()

    def _settle(self) -> list[Envelope]:
        """After `covered` moved: forget what it covers; when nothing is missing any more, take what waited."""
        assert self.covered is not None
        self._shown = {place for place in self._shown if place > self.covered}
        if self.wanted is not None:
            self._ahead = {place: one for place, one in self._ahead.items() if place > self.covered}
            return []
        waited, self._ahead = sorted(self._ahead.items()), {}
        return [shown for _, one in waited for shown in self.live(one)]

    def _beacon(self, one: Envelope) -> None:
        epoch, last = one.data.get("epoch"), one.data.get("last", one.data.get("head"))
        bus_id = str(one.data.get("bus_id", ""))
        if bus_id and bus_id != self._bus_id:
            self.restarts += bool(self._bus_id)
            self._bus_id = bus_id
        if isinstance(epoch, int) and isinstance(last, int):
            place = Place(epoch, last)
            self._goal = max(self._goal or place, place)

    def _is_new(self, one: Envelope) -> bool:
        if one.id in self._sent_only:
            return False
        self._sent_only[one.id] = None
        if len(self._sent_only) > SENT_ONLY:
            self._sent_only.popitem(last=False)
        return True
