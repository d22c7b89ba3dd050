"""A whole node in real processes for tests: its own home and ports, started by `scanpost up`, killed as one likes.
It must not reach into actors; it uses the command line and the spool as people and programs do.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil
from click.testing import CliRunner

from protocol.spool import Spool, open_spool
from scanpost.main import cli
from tests.peers import free_port

ROOT = Path(__file__).resolve().parents[2]
START_S = 90.0
OF_THEIR_OWN = ("up", "down", "tap")  # commands
USUAL = {"SCANPOST_RECEIVER__WORKERS": "2", "SCANPOST_DISPATCHER__SLOTS": "4"}  # of a node on two cores


def wait_until(
    condition: Callable[[], Any], limit_s: float, what: str | Callable[[], str], every_s: float = 0.05
) -> Any:
    """Look until `condition` is true and return its value; fail with `what` (asked then) after `limit_s` seconds."""
    deadline = time.monotonic() + limit_s
    pause = threading.Event()
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {limit_s} s: {what if isinstance(what, str) else what()}")
        pause.wait(every_s)


class Node:
    """One scanpost node. Use as a context manager; it is stopped, or killed, at the end."""

    def __init__(
        self, home: Path, *, bus: bool = True, dispatchers: int = 1, environment: dict[str, str] | None = None
    ) -> None:
        self.home = home
        self.port, self.web = free_port(), free_port()
        self.bus, self.dispatchers = bus, dispatchers
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("SCANPOST_")},
            "SCANPOST_HOME": str(home),
            "SCANPOST_RECEIVER__PORT": str(self.port),
            "SCANPOST_RECEIVER__HOST": "127.0.0.1",
            "SCANPOST_WEBGUI__PORT": str(self.web),
            # Fewer processes than usual: starting them is what these tests spend most of their time on.
            "SCANPOST_RECEIVER__WORKERS": "1",
            "SCANPOST_DISPATCHER__SLOTS": "2",
            "SCANPOST_ROUTER__QUIET_S": "0.5",
            "SCANPOST_ROUTER__IDLE_S": "3",
            "SCANPOST_SPOOL__RESERVE_GB": "0.1",
            "SCANPOST_SPOOL__RESERVE2_GB": "0.05",
            "SCANPOST_SPOOL__BALLAST_MB": "1",
            **(environment or {}),
        }
        self.process: subprocess.Popen[str] | None = None
        self.lines: list[str] = []

    # ---- life -----------------------------------------------------------------------------------------------------
    def __enter__(self) -> Node:
        return self.up()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def up(self) -> Node:
        """Start everything and wait for the line `ready`."""
        command = [sys.executable, "-m", "scanpost", "up", "--dispatchers", str(self.dispatchers)]
        self.process = subprocess.Popen(
            command + ([] if self.bus else ["--no-bus"]), cwd=ROOT, env=self.environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        threading.Thread(target=self._read, args=(self.process,), daemon=True).start()
        wait_until(
            lambda: self.is_ready() or self.process.poll() is not None,
            START_S,
            lambda: f"ready; said {self.lines}\n{self.logs()}",
        )
        assert self.process.poll() is None, f"up ended: {self.lines}\n{self.logs()}"
        return self

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self.lines.append(line.rstrip())

    def is_ready(self) -> bool:
        return any(line.startswith("ready") for line in self.lines)

    def stop(self) -> None:
        """Orderly stop; whatever is left afterwards is killed."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
        if self.processes():
            self.cli("down", check=False)
        for process in self.processes():
            process.kill()
        self.process = None
        self.lines.clear()

    def processes(self) -> list[psutil.Process]:
        """Everything alive that belongs to this home."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("SCANPOST_HOME") == str(self.home) and process.pid != os.getpid():
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def pid(self, actor: str) -> int | None:
        """Process id of an actor (`receiver`, `dispatcher-0`, ...), from the text in its lock; None if nobody says."""
        try:
            return int(json.loads((self.home / "run" / f"{actor}.lock").read_text())["pid"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def kill(self, actor: str) -> int | None:
        """kill -9 an actor; its pid, or None if it was not there."""
        pid = self.pid(actor)
        if pid is None:
            return None
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return None
        return pid

    # ---- asking ---------------------------------------------------------------------------------------------------
    def cli(
        self, *arguments: str, check: bool = True, input: str | None = None, own_process: bool = False
    ) -> subprocess.CompletedProcess[str]:
        """Run one scanpost command against this home; in a process of its own only if asked or if it starts and ends some."""
        run = self._command if own_process or arguments[0] in OF_THEIR_OWN else self._function
        done = run(arguments, input)
        assert not check or done.returncode == 0, (
            f"scanpost {' '.join(arguments)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        )
        return done

    def _command(self, arguments: tuple[str, ...], input: str | None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "scanpost", *arguments], cwd=ROOT, env=self.environment, text=True, capture_output=True,
            timeout=120, check=False, input=input,
        )  # fmt: skip

    def _function(self, arguments: tuple[str, ...], input: str | None) -> subprocess.CompletedProcess[str]:
        """Starting a command takes half a second of a processor; here it takes what it does."""
        others = dict.fromkeys(key for key in os.environ if key.startswith("SCANPOST_") and key not in self.environment)
        done = CliRunner().invoke(cli, arguments, input=input, env={**self.environment, **others}, prog_name="scanpost")
        unexpected = done.exc_info if done.exception and not isinstance(done.exception, SystemExit) else None
        said = done.stderr + ("".join(traceback.format_exception(*unexpected)) if unexpected else "")
        return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, said)

    def json(self, *arguments: str) -> Any:
        return json.loads(self.cli(*arguments, "--json").stdout)

    def route(self, targets: dict[str, Any], rules: Sequence[dict[str, Any]], **more: Any) -> None:
        """Publish a routing configuration."""
        self.home.mkdir(parents=True, exist_ok=True)
        file = self.home / "routing-import.json"
        file.write_text(json.dumps({"targets": targets, "rules": list(rules), **more}))
        self.cli("routing", "import", str(file), "--reason", "test")

    def spool(self) -> Spool:
        """The spool, to look into; close it."""
        return open_spool(self.home, source="/test/looker/0")

    def status(self) -> dict[str, Any]:
        return self.json("status")

    def logs(self, lines: int = 25) -> str:
        """The end of every log, for a failed test."""
        text = []
        for log in sorted((self.home / "log").glob("*.log")):
            text.append(f"--- {log.name}\n" + "\n".join(log.read_text(errors="replace").splitlines()[-lines:]))
        return "\n".join(text)


def target(port: int, called: str = "PACS", **more: Any) -> dict[str, Any]:
    """Settings of a DICOM target on this machine, with short retries."""
    retry = {"first_s": 1, "factor": 2, "max_s": 4, "give_up_after_s": 3600, "max_attempts": None}
    return {
        "type": "dicom",
        "host": "127.0.0.1",
        "port": port,
        "called_ae": called,
        "calling_ae": "SCANPOST",
        "retry": retry,
        **more,
    }


def rule(name: str, when: str, *targets: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "when": when, "action": "route", "targets": list(targets), **more}
