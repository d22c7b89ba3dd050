"""P5: sending over one association to a storescp that throws data away: dcmsend, storescu, scanpost, pynetdicom.

The start of a command costs something before its first image (Python more than DCMTK). The goal is judged without it on
both sides: scanpost's sender inside a running process, as the dispatcher sends; dcmsend with the time subtracted that it
needs to send a single image. The commands as a user feels them are shown, too.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench import images, peers, senders
from bench.runs import Contender, Goal, Session, compare

STARTS = 5
FEW = 0.05  # part of a set for pynetdicom, which sends 21 MR images a second


def send(session: Session) -> None:
    """Both sets."""
    for name in session.sets:
        made = images.make(name, session.folder / "sets", session.share)
        few = images.make(name, session.folder / "few", session.share * FEW)
        with peers.present(lambda: peers.storescp(session.folder / "ignore", "--ignore")) as (there, absent):
            session.absent(absent)
            if there:
                _send(session, name, there[0].port, made, few)


def _send(session: Session, name: str, port: int, made: images.ImageSet, few: images.ImageSet) -> None:
    folder = made.folders[0]
    command = senders.dcmsend(port, folder)
    start_s = _start_s(senders.dcmsend(port, _single(session.folder / "single", made)))
    scanpost = [sys.executable, "-m", "scanpost", "send", "127.0.0.1", str(port), str(folder)]
    contenders = [
        Contender("dcmsend, without its start", lambda: _elapsed(command) - start_s),
        Contender("scanpost sender in a process", lambda: _told("scanpost", port, folder)),
        Contender("dcmsend", lambda: _elapsed(command)),
        Contender("storescu", lambda: _elapsed(senders.storescu(port, folder))),
        Contender("scanpost send (with Python's start)", lambda: _elapsed(scanpost)),
        Contender("pynetdicom in a process", lambda: _told("pynetdicom", port, few.folders[0]), images=few.count),
    ]
    goals = [Goal("P5", "scanpost sender in a process", 1.4)]
    session.add(compare(f"send {name}, 1 association", made.count, contenders, session.repetitions, goals))


def _elapsed(command: Sequence[str]) -> float:
    begun = time.perf_counter()
    senders.run(command)
    return time.perf_counter() - begun


def _told(how: str, port: int, folder: Path) -> float:
    command = [sys.executable, "-m", "bench.timed_sender", how, str(port), str(folder)]
    done = subprocess.run(command, env=peers.FAST, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{how} did not send: {done.stderr[-300:]}")
    return float(done.stdout)


def _single(folder: Path, made: images.ImageSet) -> Path:
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    (folder / "one.dcm").write_bytes(made.paths[0][0].read_bytes())
    return folder


def _start_s(command: Sequence[str]) -> float:
    return statistics.median(_elapsed(command) for _ in range(STARTS))
