"""Programs of this node that nobody supervises any more, because supervisord was killed. It finds and stops them.
It must never signal a process that is not certainly ours: same user, our command line, same SCANPOST_HOME.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil

from protocol.fsops import RealFs

STOP_S = 30.0
_MANAGERS = ("scanpost.supervisord", "supervisor.supervisord")  # the latter by hand, or by an earlier version
_MODULES = ("actors", "webgui", "scanpost.demo", *_MANAGERS)


def find(home: Path) -> list[psutil.Process]:
    """Processes of this node: those that lock files name, and those whose environment does (standby, web page)."""
    found: dict[int, psutil.Process] = {}
    for pid in _locked_pids(home / "run"):
        _add(found, pid, home, named=True)
    for pid in psutil.pids():
        if pid not in found:
            _add(found, pid, home, named=False)
    return list(found.values())


def stop(processes: Iterable[psutil.Process], timeout_s: float = STOP_S) -> int:
    """Ask them to stop, then kill what is left, with its children. Returns how many had to be killed."""
    victims = list(processes)
    # A supervisord among them first, or it would start again what is stopped here.
    managers = [one for one in victims if _manages(one)]
    killed = _stop(managers, timeout_s) if managers else 0
    return killed + _stop([one for one in victims if one not in managers], timeout_s)


def _stop(victims: list[psutil.Process], timeout_s: float) -> int:
    families = {child for one in victims for child in _children(one)}
    for one in victims:
        _quietly(one.terminate)
    _, alive = psutil.wait_procs(victims, timeout_s)
    rest = [*alive, *(child for child in families if child not in victims and child.is_running())]
    for one in rest:
        _quietly(one.kill)
    psutil.wait_procs(rest, 5.0)
    return len(alive)


def _manages(process: psutil.Process) -> bool:
    try:
        return any(name in process.cmdline() for name in _MANAGERS)
    except psutil.Error:
        return False


def _locked_pids(run: Path) -> Iterable[int]:
    """Pids out of lock files that are held now; a text without its lock is history."""
    fs = RealFs()
    for path in sorted(run.glob("*.lock")):
        if not fs.is_locked(path):
            continue
        try:
            told = json.loads(fs.lock_text(path))
        except ValueError:
            continue
        if isinstance(told, dict) and isinstance(told.get("pid"), int):
            yield told["pid"]


def _add(found: dict[int, psutil.Process], pid: int, home: Path, *, named: bool) -> None:
    try:
        process = psutil.Process(pid)
        if pid != os.getpid() and process.uids().real == os.getuid() and _is_ours(process, home, named):
            found[pid] = process
    except psutil.Error:
        return  # gone, or another user's


def _is_ours(process: psutil.Process, home: Path, named: bool) -> bool:
    line = process.cmdline()
    if not any(flag == "-m" and _is_module(module) for flag, module in zip(line, line[1:], strict=False)):
        return False
    where = process.environ().get("SCANPOST_HOME")
    return where == str(home) or (named and where is None)


def _is_module(name: str) -> bool:
    return name in _MODULES or name.startswith("actors.")  # the dispatcher's slots are processes of their own


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def _quietly(act: Callable[[], object]) -> None:
    try:
        act()
    except psutil.NoSuchProcess:
        return
