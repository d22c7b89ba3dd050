"""What the page of the system is made of: processes, programs, disk, database. Everything here blocks; it changes nothing."""

from __future__ import annotations

import os
import platform
from collections import Counter
from dataclasses import asdict
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from protocol.errors import LedgerError, ScanpostError
from protocol.ledger.compare import reach
from protocol.ledger.engine import Connection
from protocol.ledger.history import EventFilter, events
from protocol.programs import Program, manager
from protocol.records import record
from protocol.routing.targets import Target
from protocol.settings import Settings
from protocol.spool import Spool
from protocol.spool.forecast import Forecast, forecast
from protocol.spool.retention import retention_at
from webgui.attention import STOPPED
from webgui.figures import ACTOR_LEVELS, PROGRAMS

MOST_STARTS = 1000
OURS = ("webgui:webgui",)
"""Programs that answer this very page: they can be restarted, not stopped."""
PROGRAM_LEVELS = {"RUNNING": "ok", "STARTING": "busy", "BACKOFF": "bad", "FATAL": "bad", "STOPPING": "off"}


@record
class Process:
    """What the system says of a process: processor in percent of one core since its start, memory in bytes, with children."""

    cpu_percent: float
    memory_bytes: int
    processes: int


def process(pid: int | None, now: float) -> Process | None:
    """None: it is not there, or not ours to see."""
    if not pid:
        return None
    import psutil  # 60 ms of a start that the first look at this page can pay

    try:
        first = psutil.Process(pid)
        family = [first, *first.children(recursive=True)]
        age = max(1.0, now - first.create_time())
        times = [one.cpu_times() for one in family]
        memory = sum(one.memory_info().rss for one in family)
    except psutil.Error:
        return None
    return Process(round(100 * sum(one.user + one.system for one in times) / age, 1), memory, len(family))


def programs(settings: Settings) -> tuple[list[Program], str]:
    """The programs of the process manager, in the order of their work; or why there are none."""
    try:
        found = manager(settings).programs()
    except ScanpostError as exc:
        return [], str(exc)
    return [one for one in found if one.group != "demo" or one.pid], ""


def starts(connection: Connection, node: str, since: float) -> Counter[str]:
    """How often each actor was started since then, as the ledger knows."""
    found = events(connection, node, EventFilter(types="actor.started", since=since), limit=MOST_STARTS)
    return Counter(str(one["subject"]).removeprefix("actor/") for one in found.rows)


def rows(actors: dict[str, Any], found: list[Program], now: float, dispatchers: int = 1) -> list[dict[str, Any]]:
    """One row for each program and actor: what the manager says, what it says itself, what the system says; in the order of
    their work. Of the dispatchers' places those beyond the wanted number are no programs that are down.
    """
    lines: list[dict[str, Any]] = []
    by_pid = {actor.get("pid"): name for name, actor in actors.items() if actor.get("pid")}
    told = set()
    for one in found:
        name = by_pid.get(one.pid, "") if one.pid else ""
        told.add(name)
        if one.group == "dispatcher" and not one.wanted and not name and _place(one.name) >= dispatchers:
            continue
        lines.append(_row(one.name, one, name, actors.get(name), now))
    lines += [
        _row("", None, name, actor, now)
        for name, actor in actors.items()
        if name not in told and (not found or process(actor.get("pid"), now) is not None)
    ]
    return sorted(lines, key=lambda row: (_rank(row["name"]), row["name"].replace("_0", "-")))


def _place(program: str) -> int:
    """Number of a dispatcher's place: 1 of `dispatcher:dispatcher_01`."""
    number = program.rpartition("_")[2]
    return int(number) if number.isdecimal() else 0


def _rank(name: str) -> int:
    kind = name.split("-")[0].split("_")[0]
    return PROGRAMS.index(kind) if kind in PROGRAMS else len(PROGRAMS)


def _row(program: str, one: Program | None, name: str, actor: dict[str, Any] | None, now: float) -> dict[str, Any]:
    state = str(actor["state"]) if actor else (one.state.lower() if one else "unknown")
    level = (
        ACTOR_LEVELS.get(state, "bad" if state in STOPPED else "warn")
        if actor
        else PROGRAM_LEVELS.get(one.state if one else "", "off")
    )
    pid = (actor or {}).get("pid") or (one.pid if one else None) or None
    seen = process(pid, now)
    return {
        "program": program, "name": name or program.rpartition(":")[2], "state": state, "level": level, "pid": pid,
        "uptime_s": (actor or {}).get("uptime_s") or (one.uptime_s if one else None) or None,
        "version": (actor or {}).get("version", ""), "wanted": one.wanted if one else None,
        "stoppable": bool(program) and program not in OURS, "error": one.error if one else "",
        "cpu_percent": seen.cpu_percent if seen else None, "memory_bytes": seen.memory_bytes if seen else None,
        "processes": seen.processes if seen else None,
    }  # fmt: skip


def files(settings: Settings, spool: Spool) -> list[dict[str, Any]]:
    """Databases and logs with their sizes in bytes."""
    home = settings.home
    named = [
        ("state of the spool", spool.places.database),
        ("accounts", home / "accounts.sqlite3"),
        ("figures", spool.places.figures),
    ]
    if settings.ledger.url.startswith("sqlite"):
        named.append(("ledger", home / "ledger.sqlite3"))
    found = [{"what": what, "bytes": _size(file) + _size(file.with_name(file.name + "-wal"))} for what, file in named]
    logs = sum(_size(file) for file in settings.log_folder.glob("*.log*")) if settings.log_folder.is_dir() else 0
    return [*found, {"what": "logs", "bytes": logs}]


def cleaning(settings: Settings, targets: dict[str, Target], spool: Spool, now: float) -> Forecast:
    """What the cleaner would delete now, and what it keeps and why."""
    return forecast(spool.database, retention_at(now, settings.cleaner, targets), now)


def cleaning_document(found: Forecast) -> dict[str, Any]:
    """The same as plain values."""
    return {
        "at": found.at, "goes": {**asdict(found.total), "by": [
            {"state": kind.state, "targets": kind.targets, **asdict(kind.amount)} for kind in found.goes]},
        "kept": [{"why": one.why, "goes_at": one.goes_at, **asdict(one.amount)} for one in found.kept],
        "deleting": found.deleting,
    }  # fmt: skip


def ledger(settings: Settings, behind: int) -> dict[str, Any]:
    """Whether its database answers, and how many events it lags."""
    kind = "SQLite" if settings.ledger.url.startswith("sqlite") else "PostgreSQL"
    try:
        reach(settings.ledger.url)
    except LedgerError as exc:
        return {"kind": kind, "reachable": False, "behind": behind, "error": str(exc)}
    return {"kind": kind, "reachable": True, "behind": behind, "error": ""}


@lru_cache(maxsize=1)  # they are read from many small files, and stay as they are while this process runs
def packages() -> list[dict[str, str]]:
    """What scanpost is built upon, with versions and licences, as their packages say."""
    names = {"scanpost"}
    try:
        needed = metadata.requires("scanpost") or []
    except metadata.PackageNotFoundError:
        needed = []
    names |= {one.split(";")[0].split("[")[0].split("=")[0].split("<")[0].split(">")[0].split("~")[0].strip()
              for one in needed if "extra ==" not in one}  # fmt: skip
    found = []
    for name in sorted(names, key=str.lower):
        try:
            about: Any = metadata.metadata(name)
        except metadata.PackageNotFoundError:
            continue
        licence = about.get("License-Expression") or about.get("License") or ""
        if len(licence) > 60 or not licence:
            kinds = [
                one.rpartition(":: ")[2] for one in about.get_all("Classifier") or [] if one.startswith("License ::")
            ]
            licence = ", ".join(kinds) or licence[:60].splitlines()[0] if (kinds or licence) else "see the package"
        found.append({"name": name, "version": about["Version"] or "", "licence": licence})
    return found


def machine() -> dict[str, Any]:
    """Python, kernel: what a report of a fault needs."""
    import psutil

    return {"python": platform.python_version(), "system": platform.platform(),
            "cores": os.cpu_count() or 1, "memory_bytes": psutil.virtual_memory().total}  # fmt: skip


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0
