"""What every actor is: start, recover, one pass after the other, orderly stop. `run` gives an actor its process.
It must not know any one actor; decisions and effects are the actor's own.

Signals set a flag, the second one ends the process. What a pass cannot answer is logged and the pass repeated with
growing waits; a failed disk ends the process at once, because what stands on it then is unknown.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from actors.life import Life, end_now
from actors.log import Wanted, configure
from actors.nursery import Nursery
from protocol.clock import Clock, SystemClock
from protocol.errors import ConfigurationError, DiskFailed, ScanpostError, SpoolError
from protocol.fsops import FsOps, RealFs
from protocol.loglevel import place
from protocol.records import record
from protocol.settings import Settings, load_settings

if TYPE_CHECKING:
    from protocol.routing.versions import RoutingVersions
    from protocol.spool import Spool
    from protocol.wire.bus import Nudge, Wire

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_CONFIGURATION = 78  # EX_CONFIG of sysexits.h


@record
class Context:
    """Everything an actor may use of the world; a test hands in its own."""

    settings: Settings
    spool: Spool
    routing: RoutingVersions
    wire: Wire
    clock: Clock
    random: random.Random
    fs: FsOps
    instance: str
    log: Any
    nursery: Nursery | None = None


class Actor:
    """Base of all actors. A subclass sets NAME and writes `one_pass`, and of the rest only what it needs.

    All methods are called from one thread. An exception in `start` or `recover` ends the process (it is started again);
    one in `one_pass` is logged and the pass repeated.
    """

    NAME: ClassVar[str] = ""
    SINGLE: ClassVar[bool] = True
    """One at a time on a node; a second process waits as standby until the first one's lock is free."""

    ROUTED: ClassVar[bool] = True
    """Whether it reads the routing configuration; one that does not starts in half the time."""
    NICE: ClassVar[int] = 0
    """By how much it steps back (nice(2)) where processors are short: images first."""
    CHILDREN: ClassVar[str] = ""
    """The module whose `main` its child processes run: then there is a nursery for them."""

    def __init__(self, context: Context) -> None:
        self.context = context

    def start(self) -> None:
        """Open ports, start threads."""

    def recover(self) -> dict[str, int]:
        """Mend what an earlier process left; returns what was found, by kind, for the event `actor.recovered`."""
        return {}

    def one_pass(self, nudges: list[Nudge]) -> float:
        """Read inputs, decide, act. Returns after how many seconds to come back if nobody nudges and nothing is committed.

        Without a commit or another routing configuration that is the only reason to come back, at QUIET_S at the latest;
        with one a pass follows within a second, nudge or not. Who has something that time alone moves says when.
        """
        raise NotImplementedError

    def stop(self) -> None:
        """Orderly end: take nothing new, finish or give back what is under way. At most 25 s."""

    def figures(self) -> dict[str, float]:
        """What the heartbeat tells: queue depths, rates."""
        return {}


class _Unread:
    """In the place of the routing configuration, for who said that he does not read it."""


def make_context(
    settings: Settings,
    spool: Spool,
    *,
    wire: Wire,
    log: Any,
    instance: str = "0",
    clock: Clock | None = None,
    fs: FsOps | None = None,
    rng: random.Random | None = None,
    routing: RoutingVersions | None = None,
    nursery: Nursery | None = None,
) -> Context:
    """A context of real parts, except for those that are handed in."""
    clock, fs = clock or SystemClock(), fs or RealFs()
    if routing is None:
        from protocol.routing.versions import RoutingVersions  # with all target types and rules: a third of a start

        routing = RoutingVersions(settings.home / "config" / "routing", fs, clock)
    return Context(settings, spool, routing, wire, clock, rng or random.Random(), fs, instance, log, nursery)


def passes(actor: Actor, nudges: Sequence[Nudge] = (), limit: int = 1000) -> int:
    """Let an actor work by hand, without process and loop: passes until it wants to wait; returns how many.

    For tests and the simulator. Exceptions come through. Raises RuntimeError if it never wants to wait.
    """
    given = list(nudges)
    for number in range(1, limit + 1):
        if actor.one_pass(given) > 0:
            return number
        given = []
    raise RuntimeError(f"{actor.NAME} still has work after {limit} passes")


def run(actor_class: type[Actor], argv: Sequence[str] | None = None) -> int:
    """Run one actor in this process until it is told to stop; returns the exit code of an orderly end.

    Every other end is immediate: 78 for settings that cannot be used, else 1.
    """
    parser = argparse.ArgumentParser(prog=f"python -m actors {actor_class.NAME}")
    parser.add_argument("--instance", default="0", help="tells instances of the same actor apart (default 0)")
    instance: str = parser.parse_args(argv).instance
    try:
        settings = load_settings()
    except ConfigurationError as exc:
        print(f"scanpost: {exc}", file=sys.stderr)
        return EXIT_CONFIGURATION
    name = actor_class.NAME if actor_class.SINGLE else f"{actor_class.NAME}-{instance}"
    nursery = Nursery.open(actor_class.CHILDREN) if actor_class.CHILDREN else None  # before any thread and socket
    wanted = Wanted(place(settings, actor_class.NAME), actor_class.NAME)
    log = configure(actor_class.NAME, settings.log_folder / f"{name}.log", wanted, instance=instance)

    def build(spool: Spool, wire: Wire) -> Actor:
        routing: Any = None if actor_class.ROUTED else _Unread()
        context = make_context(settings, spool, wire=wire, log=log, instance=instance, nursery=nursery, routing=routing)
        return actor_class(context)

    try:
        return Life(actor_class.NAME, name, instance, settings, log, build).run()
    except DiskFailed as exc:
        log.critical("disk_failed", reason=str(exc), exc_info=True)
    except ConfigurationError as exc:
        log.error("cannot_start", reason=str(exc))
        return end_now(EXIT_CONFIGURATION)
    except ScanpostError as exc:
        log.error("process_failed", reason=str(exc), kind=type(exc).__name__, exc_info=not isinstance(exc, SpoolError))
    except BaseException:
        log.critical("process_failed", exc_info=True)
    return end_now(EXIT_FAILED)
