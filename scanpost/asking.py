"""What the commands about a node share: opening its spool, its routing, asking for an act and waiting for the answer.
It must not print, except what people asked for wait for; nothing here changes state but through the spool.
"""

from __future__ import annotations

import getpass
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from scanpost.common import EXIT_FAILED, Options, print_json, say

if TYPE_CHECKING:
    from protocol.routing.versions import RoutingVersions
    from protocol.settings import Settings
    from protocol.spool import Spool
    from protocol.spool.commands import Command

ANSWER_WAIT_S = 15.0
LOOK_S = 0.05
PATIENCE_S = 5.0


@contextmanager
def opened(options: Options, *, reading: bool = False) -> Iterator[tuple[Settings, Spool]]:
    """Settings and spool of this node. `reading`: to look only, which waits for nobody who writes.

    Raises SettingsError, SpoolMissing, SpoolNewer; SpoolError if an earlier scanpost runs this node.
    """
    from protocol.fsops import RealFs
    from protocol.spool import open_spool
    from protocol.spool.maintenance import refuse_older_programs

    settings = options.settings()
    refuse_older_programs(settings.home, RealFs())
    with _told_why(settings):
        spool = open_spool(
            settings.home, source=f"/{settings.node.name}/cli/{who()}", durability=settings.receiver.durability,
            reading=reading,
        )  # fmt: skip
    try:
        yield settings, spool
    finally:
        spool.close()


def node_there(settings: Settings) -> None:
    """For what would make the files of a node that it only asks. Raises SpoolMissing if nothing is in its place."""
    from protocol.errors import SpoolMissing

    if not settings.home.exists():
        raise SpoolMissing(f"there is no node in {settings.home} yet; `scanpost up` makes one")


@contextmanager
def _told_why(settings: Settings) -> Iterator[None]:
    """Around what takes the spool's write lock: whoever has to wait for it hears which program has it, and goes on waiting.

    A program that hangs while it writes holds up the commands that are to tell what is wrong, too.
    """
    over = threading.Event()

    def tell() -> None:
        from protocol.spool.places import Places
        from protocol.spool.writelock import holder

        if over.wait(PATIENCE_S):
            return
        found = holder(Places(settings.home).write_lock)
        if found is not None:
            stopped = ", which is suspended" if found.stopped else ""
            say(f"waiting: process {found.pid}{stopped} has been writing to the spool for {found.held_s:.0f} s")

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        over.set()
        teller.join()


def routing_of(settings: Settings) -> RoutingVersions:
    """The versions of the routing configuration of this node."""
    from protocol.clock import SystemClock
    from protocol.fsops import RealFs
    from protocol.routing.versions import RoutingVersions

    return RoutingVersions(settings.home / "config" / "routing", RealFs(), SystemClock())


def who() -> str:
    """The person at the keyboard, for the record."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def status_of(settings: Settings, spool: Spool) -> dict[str, Any]:
    """The document of `scanpost status --json`."""
    from protocol.spool.status import node_status

    version = routing_of(settings).current()
    needed = {"receiver": 1, "router": 1, "dispatcher": 1, "cleaner": 1, "bookkeeper": 1}
    if settings.bus.enabled:
        needed["bus"] = 1
    return node_status(
        spool, configured_targets=sorted(version.configuration.targets), needed=needed, revision=version.number,
        reserve_bytes=settings.spool.reserve_gb * 1e9, reserve2_bytes=settings.spool.reserve2_gb * 1e9,
    )  # fmt: skip


def act(
    options: Options, kind: str, arguments: Mapping[str, Any], as_json: bool = False, executor: str = "router"
) -> None:
    """Ask an actor for an act and wait for its answer; exit 1 if it was refused or nobody carried it out yet."""
    from protocol.wire.telling import tell_committed

    with opened(options) as (settings, spool):
        id = spool.commands.ask(kind, who(), arguments, executor)
        tell_committed(settings, f"/{settings.node.name}/cli/{who()}")
        command = _wait(spool, id)
    if as_json:
        print_json({"command": id, "state": command.state, "answer": command.answer, **how_far(command)})
    elif command.state == "new" and command.progress is not None:
        say(f"command {id} goes on; see how far: scanpost acts show {id}")
    elif command.state == "new":
        say(
            f"command {id} is written down; the {executor} did not answer yet and carries it out when it runs (scanpost status)"
        )
    else:
        say(command.answer)
    if command.state != "done":
        raise click.exceptions.Exit(EXIT_FAILED)


def how_far(command: Command) -> dict[str, Any]:
    """Of an act on all that match: how many it found, did, and left alone and why."""
    progress = command.progress
    if progress is None:
        return {}
    skipped = [{"reason": why, "count": count, "example": id} for why, (count, id) in progress.skipped.items()]
    return {"matched": progress.total, "done": progress.done, "skipped": skipped}


def _wait(spool: Spool, id: int) -> Command:
    """Until it is answered, its executor is gone, or nothing moved for ANSWER_WAIT_S."""
    from scanpost.bar import CountBar

    deadline, seen = time.monotonic() + ANSWER_WAIT_S, 0
    with CountBar("done") as bar:
        while True:
            command = spool.commands.find(id)
            if command.progress is not None and command.progress.done != seen:
                seen, deadline = command.progress.done, time.monotonic() + ANSWER_WAIT_S
                bar.done(seen, command.progress.total)
            if command.state != "new" or time.monotonic() > deadline:
                return command
            if not spool.fs.is_locked(spool.places.run / f"{command.executor}.lock"):
                return command
            time.sleep(LOOK_S)


def since(text: str, option: str) -> float:
    """A moment in the past, seconds UTC: a duration ago (2h30m) or an ISO 8601 time. Raises click.BadParameter."""
    from protocol.errors import WireError
    from protocol.wire.tap import parse_since

    try:
        found = parse_since(text, time.time()).time
    except WireError:
        found = None
    if found is None:
        raise click.BadParameter(
            f"{text!r} is neither a duration (2h30m) nor a time (2026-01-31T08:00)", param_hint=option
        )
    return found


def when(seconds: float | None) -> str:
    """A time of day and date, local, for tables."""
    return "" if seconds is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def size(count: float) -> str:
    """Bytes for people (1 MB = 10^6 bytes)."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
