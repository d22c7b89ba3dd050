"""The programs that are measured, started and stopped: DCMTK's storescp, scanpost's receiver, the senders."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FAST = {**os.environ, "TCP_NODELAY": "1"}
START_S = 30.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} does not listen")


@contextmanager
def storescp(folder: Path, *options: str) -> Iterator[int]:
    """DCMTK's storescp, one process per association; yields its port."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    port = free_port()
    command = ["storescp", "--fork", "-pdu", "131072", "+xa", *options, "-od", str(folder), str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=FAST)
    try:
        _wait(port, process)
        yield port
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def receiver(home: Path, durability: str) -> Iterator[int]:
    """scanpost's receiver alone, with a fresh spool; yields its port."""
    from protocol.spool import open_spool

    shutil.rmtree(home, ignore_errors=True)
    port = free_port()
    open_spool(home, create=True, durability=durability).close()
    environment = {**FAST, "SCANPOST_HOME": str(home), "SCANPOST_RECEIVER__PORT": str(port), "SCANPOST_BUS__ENABLED": "false",
                   "SCANPOST_RECEIVER__DURABILITY": durability, "SCANPOST_SPOOL__RESERVE_GB": "0.1",
                   "SCANPOST_SPOOL__RESERVE2_GB": "0.05"}  # fmt: skip
    process = subprocess.Popen([sys.executable, "-m", "actors", "receiver"], env=environment, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)  # fmt: skip
    try:
        _wait(port, process)
        yield port
    finally:
        process.terminate()
        process.wait(30)
        shutil.rmtree(home, ignore_errors=True)


def run(*command: str, nagle: bool = False) -> None:
    """Run a sender to its end. Raises RuntimeError if it fails."""
    environment = dict(os.environ) if nagle else FAST
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}: {done.stderr[-300:]!r}")


def at_once(commands: list[list[str]]) -> None:
    """Run several senders at the same time."""
    running = [
        subprocess.Popen(command, env=FAST, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for command in commands
    ]
    codes = [process.wait() for process in running]
    if any(codes):
        raise RuntimeError(f"senders ended with {codes}")
