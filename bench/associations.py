"""P10: many associations open at once, each sending slowly: memory for each, and one fast sender alone and beside them."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

from bench import images, peers, senders
from bench.runs import Contender, Goal, Session, compare, measured

OPEN = 200
LIMIT_MB, PART = 4.0, 0.8
SETTLE_S = 2.0


def associations(session: Session) -> None:
    """Alone and beside them in turn; memory is that of all the receiver's processes, before and while they are open."""
    made = images.make("MR", session.folder / "sets", session.share)
    with peers.receiver(session.folder / "associations", "relaxed") as receiver:
        command = senders.storescu(receiver.port, made.folders[0])
        made.renew()
        senders.run(command)  # warm: what the first images allocate is not the associations'
        memory: list[float] = []

        def beside() -> float:
            before = _pss(receiver.pid)
            with _slow(receiver.port):
                memory.append((_pss(receiver.pid) - before) / OPEN)
                begun = time.perf_counter()
                senders.run(command)
                return time.perf_counter() - begun

        contenders = [
            Contender("one fast sender alone", lambda: senders.run(command), made.renew),
            Contender(f"the same beside {OPEN} slow ones", beside, made.renew),
        ]
        title = f"{OPEN} associations, each sending slowly"
        goals = [Goal("P10", contenders[1].name, PART)]
        results = compare(title, made.count, contenders, session.repetitions, goals)
        notes = f"receiver in all {_pss(receiver.pid):.0f} MB afterwards"
        goal = f"P10 < {LIMIT_MB:g} MB"
        results.append(
            measured(title, "memory for each association", memory, "MB PSS", limit=LIMIT_MB, goal=goal, notes=notes)
        )
        session.add(results)


@contextmanager
def _slow(port: int) -> Iterator[None]:
    command = [sys.executable, "-m", "bench.slow_senders", str(port), str(OPEN)]
    process = subprocess.Popen(command, env=peers.FAST, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None and process.stdout is not None
    try:
        if process.stdout.readline().strip() != "open":
            raise RuntimeError("not all slow associations were accepted")
        time.sleep(SETTLE_S)
        yield
        if process.poll() is not None:
            raise RuntimeError("the slow associations were cut")
    finally:
        process.stdin.close()
        process.wait(30)
        time.sleep(SETTLE_S)  # their ends are recorded before the next measurement


def _pss(pid: int) -> float:
    """MB of a process and all below it."""
    total = 0.0
    for process in peers.family(pid):
        with suppress(psutil.Error):
            total += process.memory_full_info().pss / 1e6
    return total
