"""Days of a node in seconds: three slots over one spool, a clock in hand, targets that come and go. It judges nothing.

Time jumps from one thing that is due to the next. While a target that is away lets a slot wait for its timeout, the other
slots work on, as they do in life.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from dispatcher_fakes import FakeConnection, FixedRouting, SilentLog, receive

from actors.dispatcher.limits import Terms
from actors.dispatcher.working import Slot
from actors.groups import bindings, usable
from protocol.errors import TargetUnreachable
from protocol.spool.arrivals import TargetChoice, Verdict
from protocol.states import Priority
from protocol.testing.images import TestImage
from protocol.testing.world import World

BERLIN = ZoneInfo("Europe/Berlin")
TIMEOUT_S = 5.0
SEND_S = 1.0
PRIORITIES = (Priority.NORMAL, Priority.OFFPEAK, Priority.URGENT)
HOUR = 3600.0


def at(text: str) -> float:
    """Seconds UTC of a time on the wall in Berlin."""
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).timestamp()


class Days:
    """See above. `tries` has each attempt at a target that is away (seconds UTC), `got` what arrived when, in order."""

    def __init__(
        self, home: Path, begin: float, *, targets: dict[str, Any], groups: Any = None, slots: int = 3
    ) -> None:
        self.world = World(home)
        self.world.clock._now = begin
        self.clock, self.spool = self.world.clock, self.world.spool
        self.routing = FixedRouting(targets, groups=groups)
        self.tries: dict[str, list[float]] = defaultdict(list)
        self.got: dict[str, list[tuple[str, float]]] = defaultdict(list)
        self.most_at_once: Counter[str] = Counter()
        self._open: Counter[str] = Counter()
        self._busy: set[int] = set()
        self._slots = [self._slot(number) for number in range(slots)]
        self.made: dict[str, tuple[Priority, float]] = {}  # SOP instance UID: priority, when it came

    def _slot(self, number: int) -> Slot:
        owner = f"dispatcher/0-{number}/days"  # not registered: asking the locks who lives would take most of the time
        terms = Terms(1800.0, "20:00-06:00", 24 * HOUR, BERLIN)
        return Slot(
            spool=self.spool, owner=owner, routing=self.routing, clock=self.clock, random=Random(number), log=SilentLog(),
            slots=4, terms=terms, make=lambda target: Connection(self, target.called_ae.lower()),
        )  # fmt: skip

    # ---- what happens ---------------------------------------------------------------------------------------------
    def series(self, number: int, *targets: str, group: str = "") -> str:
        """A series of one image comes in and is routed; its SOP instance UID."""
        image, priority = TestImage(series=number), PRIORITIES[number % len(PRIORITIES)]
        arrival = receive(self.spool, [image])
        choices = [TargetChoice(name, False, priority) for name in targets]
        choices += [TargetChoice(group, True, priority)] if group else []
        self.spool.arrivals.decide(arrival, Verdict("route", 1, choices))
        self.made[image.sop_uid] = (priority, self.clock.now())
        return image.sop_uid

    def until(self, end: float) -> None:
        """Work until then (seconds UTC), jumping from one thing that is due to the next."""
        while True:
            self._sweep()
            self.work()
            wake = self._wake()
            if wake >= end:
                break
            self.clock.advance(wake - self.clock.now())
        self.clock.advance(max(0.0, end - self.clock.now()))

    def work(self) -> None:
        """Every slot that is free takes what it can get."""
        again = True
        while again:
            again = False
            for number, slot in enumerate(self._slots):
                if number in self._busy:
                    continue
                self._busy.add(number)
                again = slot.run_once() or again
                self._busy.discard(number)

    def _sweep(self) -> None:
        """What a router does for groups once a second."""
        configuration = self.routing.configuration
        there = usable(configuration, self.spool.targets.all(), self.clock.now())
        patience_s = {name: group.patience_s for name, group in configuration.groups.items()}
        self.spool.deliveries.unbind(bindings(configuration), there, patience_s)

    def _wake(self) -> float:
        """When something may be done again: what is due next, or a target that was left alone; off-peak may begin any time."""
        now = self.clock.now()
        with self.spool.database.read() as connection:
            due = connection.execute(
                "SELECT min(due) FROM delivery WHERE state IN ('waiting', 'retrying') AND due > ?", (now,)
            ).fetchone()[0]
        left = [state.not_before for state in self.spool.targets.all().values() if state.not_before > now]
        return max(now + 1.0, min([*left, now + 600.0, *([] if due is None else [due])]))

    # ---- what is seen ----------------------------------------------------------------------------------------------
    def enter(self, name: str) -> None:
        self._open[name] += 1
        self.most_at_once[name] = max(self.most_at_once[name], self._open[name])

    def leave(self, name: str) -> None:
        self._open[name] -= 1

    def states(self, target: str) -> Counter[str]:
        rows = self.spool.deliveries.list(limit=10_000)
        return Counter(row["state"] for row in rows if row["target"] == target)


class Connection(FakeConnection):
    """A target that is away lets the caller wait for its timeout; one that is there takes a second for an image."""

    def __init__(self, days: Days, name: str) -> None:
        super().__init__(days.world.target(name), days.spool.fs)
        self._days = days

    def open(self, images: Any, alive: Any) -> Any:
        days, name = self._days, self.fake.name
        days.enter(name)
        try:
            if self.fake.away:
                days.tries[name].append(days.clock.now())
                days.work()  # what the others do meanwhile
                days.clock.advance(TIMEOUT_S)
                raise TargetUnreachable(f"{name} is away")
            return super().open(images, alive)
        except BaseException:
            days.leave(name)
            raise

    def send(self, image: Any, following: Any = None) -> Any:
        days = self._days
        days.clock.advance(SEND_S)
        answer = super().send(image, following)
        days.got[self.fake.name].append((image.sop_instance_uid, days.clock.now()))
        days.work()
        return answer

    def close(self) -> None:
        if self.open_now:
            self._days.leave(self.fake.name)
        super().close()

    abort = close
