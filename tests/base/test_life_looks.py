"""How the loop of an actor's life looks: what it makes of a watch that keeps silent. In-process, under virtual time."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from actors.life import Life
from actors.rhythm import LOOK_S, QUIET_S
from actors.watch import MISSES
from protocol.settings import load_settings

MINUTE_S = 60.0


class World:
    """Clock, wire, spool and watch of one life. `deaf`: the watch is armed and never tells."""

    def __init__(self, *, deaf: bool) -> None:
        self.at, self.deaf = 1000.0, deaf
        self.commits: list[float] = []
        self.told: list[float] = []
        self.looks: list[float] = []
        self.passes: list[float] = []
        self.misses, self.given_up, self.armed = 0, False, False
        self.ends = 0.0
        self.log: list[str] = []
        self.stop: Any = None

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at

    def wait(self, seconds: float) -> list[Any]:
        """Until then, or until the next commit where the watch tells."""
        until = self.at + seconds
        heard = [at for at in self.commits if self.at < at <= until and self.armed and not self.deaf]
        self.at = min([until, *heard])
        if heard:
            self.armed, self.misses = False, 0
        self.stop.asked = self.at >= self.ends
        return [SimpleNamespace(lane="wake", data={})] if heard else []

    def mark(self) -> int:
        self.looks.append(self.at)
        return sum(at <= self.at for at in self.commits)

    def arm(self) -> bool:
        before, self.armed = self.armed, not self.given_up
        return before and self.armed

    def missed(self) -> bool:
        self.misses += 1
        self.given_up = self.misses >= MISSES
        return self.given_up

    def one_pass(self, nudges: list[Any]) -> float:
        self.passes.append(self.at)
        return MINUTE_S

    def live(self, life: Life, seconds: float) -> None:
        self.ends, self.stop.asked = self.at + seconds, False
        life._loop()


@pytest.fixture
def begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("SCANPOST_HOME", str(tmp_path))

    def made(*, deaf: bool) -> tuple[World, Life]:
        world = World(deaf=deaf)
        log = SimpleNamespace(warning=lambda action, **more: world.log.append(action))
        life = Life("fake", "fake", "0", load_settings(), log, lambda spool, wire: world, clock=world)  # type: ignore
        places = SimpleNamespace(routing=tmp_path)
        life._wire, life._watch, life._actor = world, world, world  # type: ignore[assignment]
        life._spool = SimpleNamespace(places=places, stillness=world)  # type: ignore[assignment]
        life._heartbeat = lambda: None  # type: ignore[method-assign]
        world.stop = life._stop
        return world, life

    return made


def gaps(times: list[float]) -> set[float]:
    return {after - before for before, after in zip(times, times[1:], strict=False)}


def test_where_nothing_happens_it_looks_seldom_and_is_woken_by_a_commit(begin) -> None:
    world, life = begin(deaf=False)
    world.live(life, MINUTE_S)
    assert gaps(world.looks[-3:]) == {QUIET_S}
    world.commits = [world.at + 7.5]
    world.live(life, MINUTE_S)
    assert min(at for at in world.passes if at >= world.commits[0]) == world.commits[0] and not world.log


def test_a_watch_that_keeps_silent_costs_some_seconds_a_few_times_and_then_none(begin) -> None:
    world, life = begin(deaf=True)
    world.live(life, MINUTE_S)
    world.commits = [world.at + MINUTE_S * number + 7.5 for number in range(6)]
    world.live(life, 6 * MINUTE_S)
    late = [min(at for at in world.passes if at >= commit) - commit for commit in world.commits]
    assert max(late) <= QUIET_S and max(late[MISSES:]) <= LOOK_S
    assert world.log == ["watch_deaf"] and gaps(world.looks[-30:]) == {LOOK_S}


def test_what_is_heard_now_and_then_is_trusted_on(begin) -> None:
    world, life = begin(deaf=True)
    for _ in range(3):
        world.live(life, MINUTE_S)
        world.commits = [world.at + MINUTE_S * number + 7.5 for number in range(MISSES - 1)]
        world.live(life, MISSES * MINUTE_S)
        world.deaf = False
        world.commits = [*world.commits, world.at + 7.5]
        world.live(life, MINUTE_S)
        world.deaf = True
    assert not world.log and gaps(world.looks[-3:]) == {QUIET_S}
