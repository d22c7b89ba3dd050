"""The loudspeaker of the outbox: publishes recorded events in order, passes progress and status on, answers FETCH.
It keeps nothing durable, decides nothing and must never be needed for correctness; whoever missed something asks again.

It starts at the head of the outbox and says so (`bus.started`, `head` as its beacon); it does not repeat by itself.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, ClassVar

from actors.base import Actor, Context
from actors.rhythm import QUIET_S, REST_S
from protocol.errors import DecodeError, WireError
from protocol.wire.bus import HubWire, Nudge
from protocol.wire.events import BusStarted, Head, News
from protocol.wire.messages import Envelope, Event, envelope
from protocol.wire.nudges import Complaints
from protocol.wire.replay import Place, answer, read_on
from protocol.wire.topics import topic

BEACON_S = 1.0
LIVELY_S = 10.0  # so long after the last event there is a beacon each second: whoever lost one hears of it at once
NEWS_S = 0.1
EARLY_S = 0.2  # a beacon may come so much sooner, with whatever wakes us then
PAGE = 1000  # records read at once
PAGES = 5  # read in one pass, so that FETCH and status get their turn
LAST_VALUES = 1000  # statuses kept for late joiners
FORWARDED = ("tmp", "sys")  # recorded facts come from the outbox alone
OWN = ("head", "news", "bus.started")


class BusActor(Actor):
    """See the module. Only the wire of `connect_wire("bus", ...)` can do this; without a bus it idles."""

    NAME: ClassVar[str] = "bus"
    ROUTED: ClassVar[bool] = False

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._hub = context.wire if isinstance(context.wire, HubWire) else None
        self._outbox = context.spool.outbox
        self._source = f"/{context.settings.node.name}/bus/{context.instance}"
        self._at = Place(0, 0)
        self._beacon_due = self._news_due = 0.0
        self._lively_until = 0.0
        self._told = self._at  # how far News went
        self._last: OrderedDict[tuple[str, str, str], Envelope] = OrderedDict()
        self._complaints = Complaints()
        self._more = False  # than was published in one pass
        self._mark = 0  # of the spool, when the outbox was looked at last
        self._published = self._forwarded = self._fetches = 0

    def start(self) -> None:
        """Begin at the head; earlier events are fetched by whoever wants them."""
        self._at = self._told = Place(*self._outbox.head())
        if self._hub is None:
            self.context.log.warning("bus_disabled")
            return
        self._say(BusStarted(self._hub.bus_id, self._at.epoch, self._at.seq))

    def one_pass(self, nudges: list[Nudge]) -> float:
        """Answer, forward, publish what is new, beacon."""
        if self._hub is None:
            return REST_S
        joined: set[str] = set()
        for nudge in nudges:
            if nudge.lane == "status":
                self._forward(nudge.data)
            elif nudge.lane == "fetch":
                self._answer(self._hub, nudge.data)
            elif nudge.lane == "subscribed":
                joined.update(nudge.data["prefixes"])
        now = self.context.clock.monotonic()
        # Statuses alone are no reason to look into the outbox, unless it is one that something was committed.
        if any(nudge.lane != "status" for nudge in nudges) or self._more or self._stirred():
            self._more = self._publish(self._hub, now)
        self._beacon(now, asked=bool(joined))
        self._welcome(self._hub, joined)
        news_in_s = self._tell_news(now)
        return 0.0 if self._more else min(news_in_s, BEACON_S if now < self._lively_until else REST_S)

    def _beacon(self, now: float, *, asked: bool) -> None:
        """Say where the outbox ends and when that is said next, if it is time or somebody asked."""
        due = now >= self._beacon_due - EARLY_S
        next_s = BEACON_S if now < self._lively_until else QUIET_S
        if due:
            self._beacon_due = now + next_s
        if due or asked:
            assert self._hub is not None
            self._say(Head(self._at.epoch, self._at.seq, self._hub.bus_id, next_s))

    def _tell_news(self, now: float) -> float:
        """Say that something was published, if it was and if it is time; in how many seconds to come back."""
        if self._at == self._told:
            return REST_S
        if now < self._news_due:
            return self._news_due - now
        self._told, self._news_due = self._at, now + NEWS_S
        self._say(News(self._at.epoch, self._at.seq))
        return REST_S

    def _stirred(self) -> bool:
        """Whether anything was committed since this was last asked; only then can the outbox have something new."""
        before, self._mark = self._mark, self.context.spool.stillness.mark()
        return before != self._mark

    def figures(self) -> dict[str, float]:
        """Counts since the start, and what was not understood."""
        counts = {f"bus_{what}": float(number) for what, number in self._complaints.counts.items()}
        wire = self.context.wire.figures()
        own = {"published": self._published, "forwarded": self._forwarded, "fetches": self._fetches}
        return {**{name: float(number) for name, number in own.items()}, **counts, **wire}

    def _publish(self, hub: HubWire, now: float) -> bool:
        """Send what the outbox has behind our place, in order; whether there is more."""
        for _ in range(PAGES):
            found, upto, more = read_on(self._outbox, self._at, PAGE, self._damaged)
            for one in found:
                try:
                    hub.broadcast(one)
                except WireError as exc:  # a type this version cannot name; readers of the outbox still get it
                    self._complaints.add("illegal", str(exc)[:100])
            if found:
                self._published += len(found)
                self._lively_until = now + LIVELY_S
                self._beacon_due = min(self._beacon_due, now + BEACON_S)
            self._at = upto
            if not more:
                return False
        return True

    def _forward(self, data: Mapping[str, Any]) -> None:
        try:
            one = Envelope.from_map(data)
            if one.root not in FORWARDED or one.seq or (one.type in OWN and one.root == "sys"):
                raise DecodeError(f"{one.root!a}.{one.type!a} may not be sent through the bus")
            self._send(one)
        except WireError as exc:
            self._complaints.add("unforwarded", str(exc)[:100])
            return
        self._forwarded += 1

    def _send(self, one: Envelope) -> None:
        assert self._hub is not None
        self._hub.broadcast(one)
        if one.root == "sys":
            key = (one.source, one.type, one.subject)
            self._last[key] = one
            self._last.move_to_end(key)
            if len(self._last) > LAST_VALUES:
                self._last.popitem(last=False)

    def _say(self, body: Event) -> None:
        self._send(envelope(body, source=self._source, time=self.context.clock.now()))

    def _welcome(self, hub: HubWire, prefixes: set[str]) -> None:
        """Repeat the last values that a new subscriber wants; the others know them by their ids."""
        if prefixes:
            for one in list(self._last.values()):
                if topic(one).startswith(tuple(prefixes)):
                    hub.broadcast(one)

    def _answer(self, hub: HubWire, data: Mapping[str, Any]) -> None:
        self._fetches += 1
        hub.answer(data["peer"], answer(self._outbox, data["request"], self._damaged))

    def _damaged(self, why: str) -> None:
        self._complaints.add("damaged", why)
