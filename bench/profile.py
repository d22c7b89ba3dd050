"""Where the time of an image goes in the receiver: its parts in this one process, one association of storescu from outside.

The timers cost a few microseconds an image themselves, and waiting for bytes contains the sender's share: it is a map of
where to look, not a measure of speed. Steps whose functions are not there (any more) are named on stderr.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import images, senders
from bench.peers import free_port
from bench.runs import Result, Session
from bench.timers import Spent, Timers

ALIKE = "images alike, in C"
LAPS = (
    "wait for bytes, receive them", "compare the header", "digest", "write", "sync", "look for the name, close", "answer",
    "make the next file, sync the folder",
)  # fmt: skip
"""The steps of actors/receiver/_alike_laps.h."""

# A step's own time is what is left without the timed steps it calls; several functions may be one step.
STEPS = (
    ("wait for bytes, receive them", "actors.dicom.transport:Transport._receive"),
    ("wait for bytes, receive them, take PDUs apart in C", "actors.dicom._fast:receive"),
    ("take PDUs apart", "actors.dicom.reading:Reader.read_message"),
    ("take PDUs apart", "actors.dicom.reading:Reader._help"),
    ("take PDUs apart", "actors.dicom.reading:Reader._stream"),
    ("decode the command", "actors.dicom.dimse:decode"),
    ("decode the command", "actors.dicom.reading:Reader._decode_command"),
    (ALIKE, "actors.receiver._alike:receive"),
    ("take over what C took", "actors.receiver.alike:Alike.receive"),
    ("describe what C took", "actors.receiver.alike:Alike._saved"),
    ("likeness of a series", "actors.receiver.alike:Alike.__init__"),
    ("scan the header", "protocol.header.scanner:Scanner.scan"),
    ("scan the header", "protocol.header.scanner:Scanner.scan_head"),
    ("make the file", "protocol.fsops:RealFs.create"),
    ("make the file", "protocol.fsops:RealFs.makedirs"),
    ("write", "protocol.fsops:RealNewFile.write"),
    ("write", "protocol.fsops:RealNewFile.write_all"),
    ("write", "protocol.fsops:RealNewFile.write_at"),
    ("close", "protocol.fsops:RealNewFile.close"),
    ("sync the file", "protocol.fsops:RealNewFile.sync"),
    ("sync the file", "protocol.fsops:RealFs.sync_file"),
    ("rename", "protocol.fsops:RealFs.rename"),
    ("sync folders", "protocol.fsops:RealFs.sync_dir"),
    ("file meta, digest, the rest of saving", "protocol.spool.images:Images.save"),
    ("file meta, digest, the rest of saving", "protocol.spool.images:Images.finish"),
    ("file meta, digest, the rest of saving", "protocol.spool.intake:Intake.write"),
    ("file meta, digest, the rest of saving", "protocol.spool.intake:Intake.finish"),
    ("commit", "protocol.spool.images:Images.commit"),
    ("queue for the commit", "actors.receiver.committer:Committer.commit"),
    ("queue for the commit", "actors.receiver.committer:Committer.post"),
    ("nudge", "protocol.wire.nudges:NoWire.arrived"),
    ("nudge", "protocol.wire.nudges:NoWire.committed"),
    ("nudge", "protocol.wire.bus:SocketWire.arrived"),
    ("nudge", "protocol.wire.bus:SocketWire.committed"),
    ("make the next file", "protocol.spool.intake:Writer.prepare"),
    ("remove a file made in vain", "protocol.fsops:RealFs.unlink"),
    ("the rest of handling", "actors.receiver.objects:OneObject.write"),
    ("the rest of handling", "actors.receiver.objects:OneObject.finish"),
    ("lead the commits", "actors.receiver.committer:Committer.lead_on"),
    ("the rest of answering", "actors.dicom.acceptor:Acceptor._answer"),
    ("acknowledge", "actors.dicom.upper:Connection.send"),
)


def profile(session: Session) -> None:
    """Both sets, both durabilities."""
    for name in session.sets:
        made = images.make(name, session.folder / "sets", session.share)
        for durability in ("relaxed", "fsync"):
            session.add(_profile(session.folder / "profile", made, durability))


def _profile(home: Path, made: images.ImageSet, durability: str) -> list[Result]:
    timers = Timers()
    with timers.around(STEPS), _serving(home / f"{made.name}-{durability}", durability) as port:
        command = senders.storescu(port, made.folders[0])
        made.renew()
        senders.run(command)  # warm
        made.renew()
        timers.reset()
        _laps(True)
        begun, cpu = time.perf_counter_ns(), time.process_time_ns()
        senders.run(command)
        elapsed, cpu = time.perf_counter_ns() - begun, time.process_time_ns() - cpu
        spent = {name: Spent(**vars(sums)) for name, sums in timers.spent.items()}
    for name, passed in zip(LAPS, _laps(False), strict=False):
        spent[f"{ALIKE}: {name}"] = Spent(1, passed)
    spent.pop(ALIKE, None)
    print("  not timed:", *timers.absent, file=sys.stderr)
    title = f"profile, {made.name}, {durability}"
    results = [_line(title, name, sums, made.count) for name, sums in spent.items() if sums.calls]
    whole = Spent(1, elapsed, cpu)
    return sorted(results, key=lambda result: -result.median) + [
        _line(title, "all, with the sender's start", whole, made.count)
    ]


def _laps(on: bool) -> tuple[int, ...]:
    """What the compiled code counted; nothing, where it is not there."""
    from actors.receiver import alike

    return tuple(alike.helper.laps(on)) if alike.helper is not None else ()


def _line(title: str, name: str, sums: Spent, count: int) -> Result:
    wall, cpu = round(sums.wall_ns / count / 1000, 1), sums.cpu_ns / count / 1e6
    notes = f"{sums.calls / count:.2f} calls an image" if sums.calls > 1 else ""
    return Result(title, name, [wall], "us/image", wall, cpu_ms=round(cpu, 4), notes=notes)


@contextmanager
def _serving(home: Path, durability: str) -> Iterator[int]:
    """The receiver's actor in this process, with the nudges it has in a node; its port."""
    import structlog

    from actors.base import make_context
    from actors.receiver.actor import ReceiverActor
    from protocol.settings import load_settings
    from protocol.spool import open_spool
    from protocol.wire.bus import connect_wire

    port = free_port()
    said = {"receiver.host": "127.0.0.1", "receiver.port": port, "receiver.durability": durability, "receiver.workers": 1,
            "spool.reserve_gb": 0.1, "spool.reserve2_gb": 0.05}  # fmt: skip
    home.mkdir(parents=True)
    settings = load_settings(home, said, environ={})
    spool = open_spool(home, source="/bench/receiver/0", create=True, durability=durability)
    wire = connect_wire("receiver", "0", settings, "/bench/receiver/0")
    quiet = structlog.make_filtering_bound_logger(logging.WARNING)
    log = structlog.wrap_logger(structlog.PrintLogger(sys.stderr), wrapper_class=quiet)
    actor = ReceiverActor(make_context(settings, spool, wire=wire, log=log))
    try:
        actor.start()
        actor.recover()
        yield port
        actor.stop()
    finally:
        wire.close()
        spool.close()
