"""A whole node (`scanpost up`) for a bench: started, given targets and rules, looked at, stopped. It must not judge time."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from bench import peers

STARTERS = ("supervisord", "scanpost up")


@dataclass(frozen=True)
class Node:
    """A running node; `ready_s` is how long `scanpost up` took until it said ready."""

    home: Path
    port: int
    ready_s: float

    def programs(self) -> dict[str, list[psutil.Process]]:
        """Each actor and webgui with all processes below it; supervisord and `scanpost up` alone."""
        found: dict[str, list[psutil.Process]] = {}
        for process in of_home(self.home):
            name = _program(_words(process))
            if name:
                below = [] if name in STARTERS else process.children(recursive=True)
                found.setdefault(name, []).extend([process, *below])
        return {name: list({one.pid: one for one in members}.values()) for name, members in found.items()}


def environment(home: Path, port: int, more: Mapping[str, str]) -> dict[str, str]:
    """Of a node that listens on this machine only."""
    return {
        **peers.receiver_environment(home, port, "fsync"), "SCANPOST_BUS__ENABLED": "true",
        "SCANPOST_WEBGUI__PORT": str(peers.free_port()), **more,
    }  # fmt: skip


@contextmanager
def running(
    home: Path,
    targets: Mapping[str, Any],
    rules: Sequence[Mapping[str, Any]],
    more: Mapping[str, str] | None = None,
    *,
    dispatchers: int = 1,
) -> Iterator[Node]:
    """A node with this routing, from `scanpost up` until it is down."""
    port = peers.free_port()
    variables = environment(home, port, more or {})
    home.mkdir(parents=True, exist_ok=True)
    if targets:
        routing = home / "routing.json"
        routing.write_text(json.dumps({"targets": targets, "rules": list(rules)}))
        _cli(variables, "routing", "import", str(routing), "--reason", "bench")
    begun = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "scanpost", "up", "--dispatchers", str(dispatchers)], env=variables, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        said = _until_ready(process)
        yield Node(home, port, said - begun)
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(60)
        _cli(variables, "down", check=False)
        for left in of_home(home):
            with suppress(psutil.Error):
                left.kill()


def _until_ready(process: subprocess.Popen[str]) -> float:
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        if line.startswith("ready"):
            now = time.perf_counter()
            threading.Thread(target=process.stdout.read, daemon=True).start()
            return now
        lines.append(line)
    raise RuntimeError(f"the node did not start: {''.join(lines[-5:])}")


def _cli(variables: dict[str, str], *words: str, check: bool = True) -> None:
    done = subprocess.run([sys.executable, "-m", "scanpost", *words], env=variables, capture_output=True, check=False)
    if check and done.returncode:
        raise RuntimeError(f"scanpost {' '.join(words)}: {done.stderr[-300:]!r}{done.stdout[-300:]!r}")


def of_home(home: Path) -> list[psutil.Process]:
    """Every process whose environment names this home."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("SCANPOST_HOME") == str(home):
                found.append(process)
    return found


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _program(words: list[str]) -> str:
    if "scanpost.supervisord" in words:
        return STARTERS[0]
    if "scanpost" in words and "up" in words:
        return STARTERS[1]
    for module, name in (("actors", None), ("webgui", "webgui")):
        if module in words and words[words.index(module) - 1] == "-m":
            return name or words[words.index(module) + 1]
    return ""
