"""P6: receive, decide, deliver to one and to three DICOM targets, until all images are there; against Orthanc, whose Lua script
sends each stable series on. Both wait one second for a series to be complete, and both write durably (Orthanc's
SyncStorageArea, scanpost's fsync; relaxed is shown beside). The bytes that the programs gave to the disk are counted by the kernel.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench import images, node, peers, senders, sinks
from bench.runs import Contender, Goal, Result, Session, compare, measured

QUIET_S = 1.0
LIMIT_S = 300.0
FAN_OUTS = (1, 3)


@dataclass(frozen=True)
class System:
    """A router with its targets: where images go in, the processes it consists of."""

    name: str
    port: int
    targets: sinks.Sinks
    processes: Callable[[], list[psutil.Process]]

    def written(self) -> int:
        """Bytes that its processes gave to the disk so far."""
        total = 0
        for process in self.processes():
            with suppress(psutil.Error):
                total += process.io_counters().write_bytes
        return total

    def cpu_s(self) -> float:
        """CPU seconds of its processes so far."""
        total = 0.0
        for process in self.processes():
            with suppress(psutil.Error):
                total += sum(process.cpu_times()[:2])
        return total


def end_to_end(session: Session) -> None:
    """Each set, to one and to three targets."""
    for name in session.sets:
        made = images.make(name, session.folder / "sets", session.share)
        for fan_out in FAN_OUTS:
            _compare(session, made, fan_out)


def _compare(session: Session, made: images.ImageSet, fan_out: int) -> None:
    title = f"{made.name}, {made.count} images to {fan_out} target{'s' * (fan_out > 1)}"
    with ExitStack() as stack:
        systems = []
        try:
            systems.append(stack.enter_context(_orthanc(session.folder / "orthanc", fan_out)))
        except peers.Absent as exc:
            session.absent([str(exc)])
        for durability in ("fsync", "relaxed"):
            systems.append(
                stack.enter_context(
                    _scanpost(session.folder / f"{made.name}-{fan_out}-{durability}", fan_out, durability)
                )
            )
        warm = images.make(made.name, session.folder / "warm", 0.05)
        for one in systems:  # the first images start whatever is only started when it is needed
            _contender(one, warm, fan_out, []).run()
            warm.renew()
        disk: dict[str, list[float]] = {}
        contenders = [_contender(one, made, fan_out, disk.setdefault(one.name, [])) for one in systems]
        goals = [Goal("P6", "scanpost fsync", 3.0)] if len(systems) > 1 else []
        session.add(compare(f"end to end, {title}", made.count, contenders, session.repetitions, goals))
        session.add([_disk(f"disk, {title}", name, found) for name, found in disk.items()])


def _disk(title: str, name: str, found: list[float]) -> Result:
    ours = name == "scanpost fsync"
    return measured(title, name, found, "x data", limit=1.1001 if ours else None, goal="P6 <= 1.1 x" if ours else "")


def _contender(system: System, made: images.ImageSet, fan_out: int, disk: list[float]) -> Contender:
    def run() -> float:
        start, written = system.targets.taken(), system.written()
        wanted = [count + made.count for count in start]
        begun = time.perf_counter()
        senders.run(senders.storescu(system.port, made.folders[0]))
        while (found := system.targets.taken()) != wanted:
            if time.perf_counter() - begun > LIMIT_S or any(
                have > want for have, want in zip(found, wanted, strict=True)
            ):
                raise RuntimeError(f"{system.name}: {found} of {wanted} images are at the targets")
            time.sleep(0.01)
        took = time.perf_counter() - begun
        os.sync()
        disk.append((system.written() - written) / made.bytes)
        return took

    return Contender(system.name, run, made.renew, system.cpu_s)


@contextmanager
def _scanpost(home: Path, fan_out: int, durability: str) -> Iterator[System]:
    names = [f"sink{number}" for number in range(fan_out)]
    rule = {"name": "all", "when": "True", "action": "route", "targets": names}
    more = {"SCANPOST_ROUTER__QUIET_S": str(QUIET_S), "SCANPOST_RECEIVER__DURABILITY": durability}
    with sinks.running(*["good"] * fan_out) as targets:
        settings = {
            name: {"type": "dicom", "host": "127.0.0.1", "port": port, "called_ae": "SINK"}
            for name, port in zip(names, targets.ports, strict=True)
        }
        with node.running(home, settings, [rule], more) as running:
            yield System(f"scanpost {durability}", running.port, targets, lambda: node.of_home(home))


STORE = """  RestApiPost('/modalities/{name}/store', '{{"Resources": ["' .. seriesId .. '"], "Synchronous": false}}')"""
LUA = """function OnStableSeries(seriesId, tags, metadata)
%s
end
"""


@contextmanager
def _orthanc(folder: Path, fan_out: int) -> Iterator[System]:
    with sinks.running(*["good"] * fan_out) as targets:
        modalities = {f"sink{number}": ["SINK", "127.0.0.1", port] for number, port in enumerate(targets.ports)}
        folder.parent.mkdir(parents=True, exist_ok=True)
        script = folder.with_suffix(".lua")
        script.write_text(LUA % "\n".join(STORE.format(name=name) for name in modalities))
        more = {"DicomModalities": modalities, "LuaScripts": [str(script)], "ConcurrentJobs": 8, "StableAge": 1}
        with peers.orthanc(folder, True, more) as running:
            yield System("Orthanc with a Lua route", running.port, targets, lambda: peers.family(running.pid))
