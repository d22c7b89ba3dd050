"""Die before and after every effect of a scenario, restart, and look whether every promise still holds.
It knows nothing of what the scenario does; the world it runs in is handed to it (see world.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from random import Random
from threading import Lock
from typing import Generic, Protocol, TypeVar

from protocol.records import record


class Died(BaseException):
    """The process is dead. No `except Exception` may survive this, as none survives kill -9."""


class CrashPoints:
    """Effects that counts its steps and, armed, raises Died at one of them and at every later one."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.on_step: Callable[[str], None] | None = None
        self._die_at: int | None = None
        self._died = False
        self._mutex = Lock()

    @classmethod
    def armed(cls, n: int) -> CrashPoints:
        """Crash points that die at step `n`, the first being 1."""
        points = cls()
        points.arm(n)
        return points

    @property
    def count(self) -> int:
        """Steps taken since the last `arm` or `disarm`."""
        return len(self.names)

    @property
    def died(self) -> bool:
        return self._died

    def arm(self, n: int) -> None:
        """Count from 0 again and die at step `n`."""
        self._reset(n)

    def disarm(self) -> None:
        """Count from 0 again and live."""
        self._reset(None)

    def _reset(self, die_at: int | None) -> None:
        with self._mutex:
            self.names, self._die_at, self._died = [], die_at, False

    def step(self, name: str) -> None:
        """Take a step. Raises Died at the armed step and at every later one: the dead do nothing more."""
        with self._mutex:
            if not self._died:
                self.names.append(name)
                self._died = self._die_at is not None and len(self.names) >= self._die_at
            if self._died:
                raise Died(f"at step {len(self.names)}, {self.names[-1]}")
        if self.on_step is not None:
            self.on_step(name)


class Mortal(Protocol):
    """What a world must be able to do to be crashed."""

    points: CrashPoints

    def kill(self) -> None:
        """End every process as kill -9 does."""

    def power_cut(self, random: Random) -> None:
        """Cut the power; `kill` was called before."""

    def restart(self) -> None:
        """Start the processes again. It recovers nothing yet: that is the scenario's `check`."""

    def close(self) -> None:
        """End orderly."""


W = TypeVar("W", bound=Mortal)


def _nothing(world: object) -> None:
    return


@record
class Scenario(Generic[W]):
    """A story to interrupt: `prepare` safely, `run` with a death at each effect, `check` after the restart.

    `world` makes a fresh world from a seed; the same seed must give the same steps, unless `in_order` is False: of threads
    that nobody holds back the machine says which goes first. `check` recovers, then asserts.
    """

    name: str
    world: Callable[[int], W]
    run: Callable[[W], None]
    check: Callable[[W], None]
    prepare: Callable[[W], None] = _nothing
    in_order: bool = True


class ScenarioFailed(AssertionError):
    """A promise was broken after a death; the text names the step and how to repeat it."""


def all_points(names: Sequence[str]) -> list[int]:
    """Every step."""
    return list(range(1, len(names) + 1))


def moments(names: Sequence[str], fleeting: tuple[str, ...] = ()) -> list[int]:
    """Every step at which a death leaves something else than at the step before it.

    Nothing outside a process changes between the end of one of its effects and the beginning of its next one, and what
    `fleeting` effects (beginnings of their names) change dies with all processes. Names are "<process> <effect>.<when>".
    """

    def same(n: int) -> bool:
        (before, last), (now, effect) = names[n - 2].split(" "), names[n - 1].split(" ")
        quiet = bool(fleeting) and effect.startswith(fleeting)
        return quiet or (before == now and last.endswith(".after") and effect.endswith(".before"))

    return [n for n in all_points(names) if n == 1 or not same(n)]


def moments_of_one(names: Sequence[str]) -> list[int]:
    """`moments` of a world of one process, whose nudges die with it. Names are "<effect>.<when>"."""
    return moments([f"one {name}" for name in names], fleeting=("wire.",))


def run_at_every_point(
    scenario: Scenario[W],
    *,
    power: bool,
    seeds: Iterable[int] = (1,),
    every: int = 1,
    first: int = 1,
    points: Callable[[Sequence[str]], list[int]] = all_points,
) -> int:
    """Run `scenario` once to count its effects, then once per effect (each `every`-th) and seed with a death there.

    `power` cuts the power after the death, with a remainder drawn from the seed; `points` chooses among the steps.
    Returns how many effects there are. Raises ScenarioFailed at the first broken promise.
    """
    seeds = tuple(seeds)
    names = _uninterrupted(scenario, seeds[0])
    if not names:
        raise ScenarioFailed(f"{scenario.name}: no effects, nothing to interrupt")
    for seed in seeds:
        for n in points(names)[first - 1 :: every]:
            run_at_point(scenario, n, power=power, seed=seed, names=names)
    return len(names)


def run_at_point(scenario: Scenario[W], n: int, *, power: bool, seed: int, names: list[str] | None = None) -> None:
    """Run `scenario` with a death at effect `n`. Raises ScenarioFailed."""
    names = _uninterrupted(scenario, seed) if names is None else names
    world = scenario.world(seed)
    try:
        scenario.prepare(world)
        world.points.arm(n)
        _run_to_death(scenario, world, n, names)
        world.kill()
        if power:
            world.power_cut(Random(seed * 1_000_003 + n))
        world.points.disarm()
        world.restart()
        scenario.check(world)
    except Exception as exc:
        how = "power cut" if power else "kill"
        raise ScenarioFailed(
            f"{scenario.name}: {type(exc).__name__}: {exc}\n"
            f"after {how} at step {n} of {len(names)} ({names[n - 1]}), seed {seed}; before it: "
            f"{', '.join(names[max(0, n - 6) : n - 1]) or 'nothing'}\n"
            f"repeat: run_at_point(scenario, {n}, power={power}, seed={seed})"
        ) from exc
    finally:
        world.close()


def _run_to_death(scenario: Scenario[W], world: W, n: int, names: list[str]) -> None:
    try:
        scenario.run(world)
    except Died:
        pass
    if not scenario.in_order:
        return
    if not world.points.died:
        raise ScenarioFailed(f"ended after {world.points.count} steps instead of dying at {n}: not repeatable")
    if world.points.names != names[:n]:
        raise ScenarioFailed(f"took other steps than the first time: {world.points.names[-6:]}; not repeatable")


def _uninterrupted(scenario: Scenario[W], seed: int) -> list[str]:
    """Names of the steps of a run that nobody interrupts; the promises must hold after that, too."""
    world = scenario.world(seed)
    try:
        scenario.prepare(world)
        world.points.disarm()
        scenario.run(world)
        names = list(world.points.names)
        world.kill()
        world.points.disarm()
        world.restart()
        scenario.check(world)
        return names
    except Exception as exc:
        raise ScenarioFailed(f"{scenario.name}, uninterrupted, seed {seed}: {type(exc).__name__}: {exc}") from exc
    finally:
        world.close()
