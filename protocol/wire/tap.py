"""Listening to the events of a node, from the bus or straight from the outbox, as one iterator without losses.
The library behind `scanpost tap`; it must not print, and never changes anything.

With the bus: subscribe, ask for what lies behind, drop duplicates, go on live. Without it: read the outbox, look again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from itertools import count as numbers
from types import TracebackType
from typing import Any, NamedTuple, Protocol

from protocol.clock import Clock, SystemClock
from protocol.errors import DecodeError, WireError
from protocol.wire import codec
from protocol.wire.bus import FETCH, RECORDS, Station
from protocol.wire.follow import Follower
from protocol.wire.lanes import BUS_OUT, REPLAY
from protocol.wire.messages import Envelope
from protocol.wire.nudges import Complaints, NoWire
from protocol.wire.replay import Outbox, Place, Reply, read_on
from protocol.wire.topics import WELCOME, Patterns

LOOK_S = 0.2  # how often the outbox is read without a bus
ASK_AGAIN_S = 1.0  # an answer of the bus that did not come in this time was lost
BEGIN_S = 2.0  # how long to wait for a bus before listening to one that may come later
PAGE = 500
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


class Since(NamedTuple):
    """From which event on: the number of the first one, or a time (seconds UTC)."""

    seq: int | None = None
    time: float | None = None


def parse_since(text: str, now: float) -> Since:
    """A number (`1200`), a duration before now (`90s`, `2h30m`), or an ISO 8601 time (local if it names no zone).

    Raises WireError for anything else.
    """
    if re.fullmatch(r"[0-9]{1,18}", text):
        return Since(seq=int(text))
    if re.fullmatch(r"(?:[0-9]{1,9}[smhdw])+", text):
        parts = re.findall(r"(\d+)([smhdw])", text)
        return Since(time=now - sum(int(amount) * _UNITS_S[unit] for amount, unit in parts))
    try:
        return Since(time=datetime.fromisoformat(text).timestamp())
    except (ValueError, OverflowError, OSError) as exc:
        raise WireError(f"cannot use {text!r} as a beginning: a number, 2h30m, or 2026-01-31T08:00") from exc


class HasOutbox(Protocol):
    """A spool, as far as a tap needs it."""

    @property
    def outbox(self) -> Outbox: ...


class Tap(Iterator[Envelope]):
    """Iterator over events; `ended` says why it stopped: count, timeout, end (not following), closed.

    The place where it begins is fixed when it is made: an event recorded afterwards is not missed. Use it in one thread.
    """

    def __init__(
        self, source: _Bus | _Outbox, count: int | None, timeout_s: float | None, follow: bool, clock: Clock
    ) -> None:
        self.ended = ""
        self._source, self._left, self._follow, self._clock = source, count, follow, clock
        self._ends = None if timeout_s is None else clock.monotonic() + timeout_s
        self._ready: list[Envelope] = []

    def __next__(self) -> Envelope:
        while not self.ended:
            if self._left is not None and self._left <= 0:
                self._end("count")
            elif self._ready:
                self._left = None if self._left is None else self._left - 1
                return self._ready.pop(0)
            elif not self._follow and self._source.at_end():
                self._end("end")
            elif self._ends is not None and self._clock.monotonic() >= self._ends:
                self._end("timeout")
            else:
                left = LOOK_S if self._ends is None else min(LOOK_S, max(0.0, self._ends - self._clock.monotonic()))
                self._ready = self._source.take(left)
        raise StopIteration

    def _end(self, why: str) -> None:
        self.ended = why
        self._source.close()

    def close(self) -> None:
        """End; a second call does nothing."""
        if not self.ended:
            self._end("closed")

    def __enter__(self) -> Tap:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def tap(
    source: HasOutbox | Mapping[str, str], patterns: Iterable[str] = (), since: Since | str | None = None,
    count: int | None = None, timeout_s: float | None = None, *, follow: bool = True,
    notice: Callable[[str], None] = lambda text: None, clock: Clock | None = None,
) -> Tap:  # fmt: skip
    """Events of a spool (reads its outbox) or of a bus (addresses of `lanes.endpoints(settings)`).

    Args:
        patterns: see topics.Patterns; none: every recorded event.
        since: begin in the past; None: from now on.
        count: stop after so many. timeout_s: stop after so many seconds. follow: False stops at the present end.
        notice: told in words about restarts and losses.

    Raises WireError for a pattern, a `since` or an address that cannot be used.
    """
    real, chosen = clock or SystemClock(), Patterns(patterns)
    start = parse_since(since, real.now()) if isinstance(since, str) else since
    if isinstance(source, Mapping):
        return Tap(_Bus(source, chosen, start, notice, real), count, timeout_s, follow, real)
    return Tap(_Outbox(source.outbox, chosen, start, notice), count, timeout_s, follow, real)


def _start(since: Since | None, head: Place, at_time: Place) -> Place:
    if since is None:
        return head
    return at_time if since.seq is None else Place(head.epoch, max(0, since.seq - 1))


class _Outbox:
    """Events read from the outbox; only recorded ones, there are no others without a bus."""

    def __init__(self, outbox: Outbox, patterns: Patterns, since: Since | None, notice: Callable[[str], None]) -> None:
        self._outbox, self._patterns, self._notice = outbox, patterns, notice
        self._bell = NoWire()
        head = Place(*outbox.head())
        self._at = _start(since, head, Place(*outbox.since(since.time)) if since and since.time is not None else head)
        if since is not None and Place(*outbox.oldest()).seq > self._at.seq + 1:
            notice(f"events before number {outbox.oldest()[1]} are gone")

    def take(self, timeout_s: float) -> list[Envelope]:
        found, self._at, _ = read_on(self._outbox, self._at, PAGE, self._notice)
        if not found:
            self._bell.wait(timeout_s)
        return [one for one in found if self._patterns.match(one)]

    def at_end(self) -> bool:
        return self._at >= Place(*self._outbox.head())

    def close(self) -> None:
        self._bell.close()


class _Bus:
    """Events of the bus: one subscription, one asker."""

    def __init__(
        self, endpoints: Mapping[str, str], patterns: Patterns, since: Since | None,
        notice: Callable[[str], None], clock: Clock,
    ) -> None:  # fmt: skip
        self._since, self._notice, self._clock = since, notice, clock
        self._follower = Follower(patterns)
        self._numbers = numbers(1)
        self._asked, self._asked_at = 0, 0.0  # number of the open request, 0: none
        self._end: Place | None = None
        self._restarts, self._gone = 0, 0
        self._complaints = Complaints()
        self._ready: list[Envelope] = []
        self._station = Station(endpoints)
        try:
            self._station.open(BUS_OUT, bind=False, subscribe=self._follower.prefixes)
            self._station.open(REPLAY, bind=False)
            self._begin()
        except BaseException:
            self._station.close()
            raise

    def _begin(self) -> None:
        ends = self._clock.monotonic() + BEGIN_S
        while self._end is None and self._clock.monotonic() < ends:
            self._ready += self._look(LOOK_S)
        if self._end is None:
            self._notice("the bus does not answer; listening for it")

    def take(self, timeout_s: float) -> list[Envelope]:
        shown, self._ready = self._ready, []
        return shown or self._look(timeout_s)

    def at_end(self) -> bool:
        at = self._follower.covered
        return not self._ready and self._end is not None and at is not None and at >= self._end

    def close(self) -> None:
        self._station.close()

    def _look(self, timeout_s: float) -> list[Envelope]:
        self._ask()
        messages, _ = self._station.poll(timeout_s)
        shown: list[Envelope] = []
        for lane, frames in messages:
            try:
                shown += self._answer(frames) if lane == REPLAY else self._live(frames)
            except DecodeError as exc:
                self._complaints.add("undecodable", str(exc)[:100])
        self._tell()
        return shown

    def _ask(self) -> None:
        now = self._clock.monotonic()
        if self._asked and now - self._asked_at < ASK_AGAIN_S:
            return
        time = self._since.time if self._since else None
        request = {"op": "where", "time": time} if self._end is None else self._follower.wanted
        if request is None:
            self._asked = 0
            return
        self._asked, self._asked_at = next(self._numbers), now
        self._station.send(REPLAY, [FETCH, codec.pack({**request, "id": self._asked})])

    def _live(self, frames: list[bytes]) -> list[Envelope]:
        if len(frames) == 1 and frames[0].startswith(WELCOME.encode()):
            return []
        if len(frames) != 2:
            raise DecodeError(f"{len(frames)} frames")
        return self._follower.live(Envelope.from_map(codec.unpack_map(frames[1])))

    def _answer(self, frames: list[bytes]) -> list[Envelope]:
        if len(frames) != 2 or frames[0] != RECORDS:
            raise DecodeError("unknown answer")
        plain: dict[str, Any] = codec.unpack_map(frames[1], 2 * codec.MAX_BYTES)
        if plain.get("id") != self._asked:
            return []  # asked again meanwhile
        self._asked = 0
        reply = Reply.from_map(plain)
        if reply.undecodable:
            self._complaints.add("undecodable", f"{reply.undecodable} records of an answer")
        if self._end is not None:
            return self._follower.fetched(reply)
        self._end = reply.head
        return self._follower.begin(_start(self._since, reply.head, reply.since or reply.head), reply.head)

    def _tell(self) -> None:
        if self._follower.restarts != self._restarts:
            self._restarts = self._follower.restarts
            self._notice("bus restarted; what was missed is fetched")
        gone = self._follower.missed_before
        if gone is not None and gone.seq != self._gone:
            self._gone = gone.seq
            self._notice(f"events before number {gone.seq} are gone")
