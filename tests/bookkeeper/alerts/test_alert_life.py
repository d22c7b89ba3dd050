"""The life of alerts as a state machine: whatever comes and goes, and whatever people do, each is told in a sensible order."""

from __future__ import annotations

import os
import re
import tempfile
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.bookkeeper.alerts.conditions import Readings
from actors.bookkeeper.alerts.life import steps
from actors.bookkeeper.alerts.watch import Watch
from protocol.clock import ManualClock
from protocol.errors import NotFound, StepRefused
from protocol.settings.alerts import Alerts, Smtp
from protocol.spool import open_spool
from protocol.spool.alerting import TIME
from protocol.spool.alerts import Alert
from protocol.spool.watching import Some
from tests.bookkeeper.alerts.alert_rig import DAY, HOUR, MINUTE, KeepingLog

KEYS = ("A", "B")
LIMITS = Alerts(smtp=Smtp(host="h", sender="a@example.org", to=("b@example.org",)))
WORDS = {"raised": "r", "again": "a", "worse": "w", "cleared": "c"}


class Life:
    """A watch whose eyes are a test's, over a real spool."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock()
        self.spool = open_spool(folder, clock=self.clock, create=True)
        self.held: dict[str, int] = {}
        self.silenced_until = dict.fromkeys(KEYS, 0.0)
        self.told = dict.fromkeys(KEYS, "")
        self.watch = Watch(
            SimpleNamespace(
                spool=self.spool, clock=self.clock, log=KeepingLog(), settings=SimpleNamespace(alerts=LIMITS)
            ),
            self,
            str,
        )  # type: ignore[arg-type]

    def look(self, unset: frozenset[str] = frozenset()) -> Readings:
        return Readings(self.clock.now(), held={key: Some(size, 1) for key, size in self.held.items() if size})

    def round(self) -> None:
        before = {one.key.rpartition(".")[2]: one for one in self.spool.alerts.all()}
        self.watch.look()
        self.watch.tell()
        items = self.spool.letters.items("mail")
        for item in items:
            key, what = str(item.body["key"]).rpartition(".")[2], str(item.body["what"])
            self.told[key] += WORDS[what]
            silenced = self.clock.now() < self.silenced_until[key]
            assert what == "cleared" or not silenced, "nobody is told of what is silenced"
            acknowledged = key in before and before[key].acknowledged is not None and before[key].cleared is None
            assert what == "cleared" or not acknowledged, "nobody is reminded of what somebody takes care of"
        if items:
            self.spool.letters.seal(items, {"count": len(items)})

    def do(self, what: str, key: str, amount: int) -> None:
        if what == "ack":
            with suppress(NotFound, StepRefused):
                self.spool.alerts.acknowledge(f"arrival.held.{key}", "ann")
        elif what == "silence":
            until = self.clock.now() + (amount + 1) * HOUR
            self.spool.alerts.silence(f"source/{key}", until, "ann")
            self.silenced_until[key] = max(self.silenced_until[key], until)
        elif what == "set":
            self.held[key] = amount
        elif what == "jump":
            self.clock.jump_wall((amount - 2) * 5 * DAY)
        for _ in range(amount + 1):
            self.clock.advance(40 * MINUTE if what == "wait" else 3 * MINUTE)
            self.round()


STEPS = st.lists(
    st.tuples(st.sampled_from(["set", "set", "set", "wait", "ack", "silence"]), st.sampled_from(KEYS), st.integers(0, 4)),
    max_size=25,
)  # fmt: skip


def live(steps: list[tuple[str, str, int]]) -> Life:
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as folder:
        life = Life(Path(folder))
        try:
            for step in steps:
                life.do(*step)
            # In the end everything is over, and all silences too.
            life.held.clear()
            for _ in range(12):
                life.clock.advance(HOUR)
                life.round()
            assert life.spool.alerts.list() == [] and life.spool.letters.piles() == []
        finally:
            life.spool.close()
    return life


@pytest.mark.slow
@settings(max_examples=25)
@given(STEPS)
def test_each_alert_is_told_raised_perhaps_again_and_then_over(steps: list[tuple[str, str, int]]) -> None:
    life = live(steps)
    for told in life.told.values():
        assert re.fullmatch(r"(r[aw]*c)*", told), told


@pytest.mark.slow
@settings(max_examples=10)
@given(
    st.lists(st.tuples(st.sampled_from(["set", "jump", "wait"]), st.sampled_from(KEYS), st.integers(0, 4)), max_size=20)
)
def test_a_clock_that_jumps_keeps_no_alert_alive_and_hides_none(steps: list[tuple[str, str, int]]) -> None:
    life = live(steps)
    for told in life.told.values():
        assert re.fullmatch(r"(r[aw]*c)*", told), told


def test_what_stands_unsilenced_is_told_at_once_and_silence_only_puts_it_off() -> None:
    life = live(
        [
            ("silence", "A", 0),
            ("set", "A", 2),
            ("wait", "A", 4),
            ("wait", "A", 4),
            ("wait", "A", 4),
            ("wait", "A", 4),
            ("set", "B", 1),
        ]
    )
    assert life.told["B"] == "rc" and re.fullmatch(r"ra*c", life.told["A"])


def test_a_clock_set_back_while_an_alert_goes_does_not_keep_it() -> None:
    assert live([("set", "A", 2), ("set", "A", 0), ("jump", "A", 0)]).told["A"] == "rc"


@pytest.mark.parametrize(("changed", "ends", "over"), [(0, DAY, False), (-DAY, 0, True), (30 * DAY, 31 * DAY, True)])
def test_what_ends_by_time_does_not_stand_for_as_long_as_the_clock_was_ahead(changed, ends, over) -> None:
    now = 1_800_000_000.0
    alert = Alert("odd", "", "warning", "odd", 1, TIME, now + changed, now + changed, ends=now + ends)
    assert [one.what for one in steps([alert], {}, now, 0.0)] == (["clear"] if over else [])


def test_what_came_back_has_its_whole_time_again_before_it_is_cleared() -> None:
    """It goes for three minutes, comes back, goes for three minutes, ...: five in all are not five at a time."""
    told = live([("set", "A", 1), *([("set", "A", 0), ("set", "A", 1)] * 4)]).told["A"]
    assert told == "rc"
