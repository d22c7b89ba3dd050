"""P11: a whole node that has nothing to do: CPU of all its processes over a minute, memory of each program."""

from __future__ import annotations

import time
from contextlib import suppress

import psutil

from bench import node
from bench.runs import Result, Session, measured

LOOK_S = 60.0
SETTLE_S = 10.0
LIMIT_MB, LIMIT_PERCENT = 80.0, 1.0


def idle(session: Session) -> None:
    """CPU by what the kernel counted for every process; memory as PSS (shared pages divided among those who share)."""
    look_s = max(3.0, LOOK_S * session.share)
    with node.running(session.folder / "idle", {}, []) as running:
        time.sleep(SETTLE_S * min(1.0, max(0.3, session.share)))
        programs = running.programs()
        before, begun = _cpu(programs), time.perf_counter()
        time.sleep(look_s)
        spent, elapsed = _cpu(programs), time.perf_counter() - begun
        title = f"idle node, {look_s:.0f} s"
        used = {name: 100 * (spent[name] - before[name]) / elapsed for name in programs}
        results = [
            measured(title, "CPU of all processes", [sum(used.values())], "% of a core", limit=LIMIT_PERCENT,
                     goal=f"P11 < {LIMIT_PERCENT:g} %")
        ]  # fmt: skip
        results += [_memory(title, name, members, used[name]) for name, members in sorted(programs.items())]
    session.add(results)


def _cpu(programs: dict[str, list[psutil.Process]]) -> dict[str, float]:
    found = {}
    for name, members in programs.items():
        found[name] = 0.0
        for process in members:
            with suppress(psutil.Error):
                times = process.cpu_times()
                found[name] += times.user + times.system + times.children_user + times.children_system
    return found


def _memory(title: str, name: str, members: list[psutil.Process], cpu: float) -> Result:
    pss = sum(process.memory_full_info().pss for process in members) / 1e6
    rss = sum(process.memory_info().rss for process in members) / 1e6
    notes = f"{len(members)} process{'es' * (len(members) > 1)}, RSS {rss:.0f} MB, CPU {cpu:.2f} %"
    ours = name not in node.STARTERS
    return measured(title, f"memory of {name}", [pss], "MB PSS", limit=LIMIT_MB if ours else None,
                    goal=f"P11 < {LIMIT_MB:g} MB" if ours else "", notes=notes)  # fmt: skip
