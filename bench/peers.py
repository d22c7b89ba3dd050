"""The programs that are measured, started and stopped: storescp, Orthanc, a pynetdicom server, scanpost's receiver.
It must not judge time. A peer that is not installed raises Absent, and the report names it.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psutil

FAST = {**os.environ, "TCP_NODELAY": "1"}
START_S = 60.0
PDU = "131072"


class Absent(Exception):
    """The peer is not installed; its name."""


@dataclass(frozen=True)
class Receiver:
    """A running receiver: where it listens, the CPU it used, how many images it stored, and how to make room again."""

    name: str
    port: int
    cpu_s: Callable[[], float]
    stored: Callable[[], int] | None = None
    forget: Callable[[], object] = lambda: None
    mark: bool = False
    pid: int = 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def need(tool: str) -> str:
    """Path of a program. Raises Absent."""
    found = shutil.which(tool)
    if found is None:
        raise Absent(tool)
    return found


def family(pid: int) -> list[psutil.Process]:
    """A process and all that live below it."""
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def cpu_of(pid: int) -> float:
    """CPU seconds of a process, its living descendants and those it has waited for."""
    total = 0.0
    for process in family(pid):
        with suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


@contextmanager
def _running(
    command: list[str], port: int, environment: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        command, env=environment or FAST, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        _wait(port, process)
        yield process
    finally:
        below = family(process.pid)[1:]
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for left in below:
            with suppress(psutil.Error):
                left.kill()


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
def _folder(path: Path) -> Iterator[Path]:
    path.mkdir(parents=True)
    try:
        yield path
    finally:
        _put_away(path)


def _put_away(path: Path) -> None:
    """Give the room of all files back, but keep them until the bench is over, with all else in its folder.

    ext4 gives the number of a removed file to no other for a minute, and looks at each such number again for every new
    file: whoever is measured after thousands were removed pays for that, up to half of the time of a small image.
    """
    _hollow(path)
    path.rename(path.with_name(f"{path.name}.{time.monotonic_ns()}"))


def _hollow(path: Path) -> None:
    for folder, _, names in os.walk(path):
        for name in names:
            with suppress(OSError):  # a socket
                os.truncate(os.path.join(folder, name), 0)


def _empty(folder: Path) -> None:
    _put_away(folder)
    folder.mkdir()


def _files(folder: Path) -> int:
    return len(os.listdir(folder))


@contextmanager
def storescp(folder: Path, *options: str) -> Iterator[Receiver]:
    """DCMTK's storescp, one process for each association; +B writes as read, --ignore throws away."""
    ignores = "--ignore" in options
    with _folder(folder):
        port = free_port()
        command = [need("storescp"), "--fork", "-pdu", PDU, "+xa", *options, "-od", str(folder), str(port)]
        with _running(command, port) as process:
            yield Receiver(
                f"storescp {' '.join(options)}".strip(), port, lambda: cpu_of(process.pid),
                None if ignores else lambda: _files(folder), lambda: _empty(folder), ignores, process.pid,
            )  # fmt: skip


@contextmanager
def orthanc(folder: Path, sync: bool, more: Mapping[str, Any] = MappingProxyType({})) -> Iterator[Receiver]:
    """Orthanc with its SQLite index; `sync` is its SyncStorageArea, `more` what else is set."""
    program = need("Orthanc")
    with _folder(folder):
        port, http = free_port(), free_port()
        settings = {
            "Name": "bench", "StorageDirectory": str(folder / "storage"), "IndexDirectory": str(folder / "index"),
            "StorageCompression": False, "SyncStorageArea": sync, "MaximumPduLength": int(PDU), "DicomAet": "ORTHANC",
            "DicomPort": port, "DicomCheckCalledAet": False, "DicomAlwaysAllowStore": True, "DicomThreadsCount": 8,
            "HttpPort": http, "RemoteAccessAllowed": False, "AuthenticationEnabled": False, "SslEnabled": False,
            "Plugins": [], "StableAge": 1, **more,
        }  # fmt: skip
        (folder / "orthanc.json").write_text(json.dumps(settings))

        def instances() -> int:
            with urllib.request.urlopen(f"http://127.0.0.1:{http}/statistics", timeout=60) as answer:
                return int(json.load(answer)["CountInstances"])

        with _running([program, str(folder / "orthanc.json")], port) as process:
            name = f"Orthanc, SyncStorageArea {'true' if sync else 'false'}"
            yield Receiver(name, port, lambda: cpu_of(process.pid), instances, pid=process.pid)


@contextmanager
def pynetdicom(folder: Path) -> Iterator[Receiver]:
    """pynetdicom's server with a handler that writes files."""
    with _folder(folder):
        port = free_port()
        command = [sys.executable, "-m", "bench.pynetdicom_server", str(port), str(folder)]
        with _running(command, port) as process:
            yield Receiver(
                "pynetdicom server", port, lambda: cpu_of(process.pid), lambda: _files(folder), lambda: _empty(folder),
                pid=process.pid,
            )  # fmt: skip


def receiver_environment(home: Path, port: int, durability: str) -> dict[str, str]:
    """Environment of a node at `home` that listens on this machine only."""
    return {
        **FAST, "SCANPOST_HOME": str(home), "SCANPOST_RECEIVER__PORT": str(port), "SCANPOST_RECEIVER__HOST": "127.0.0.1",
        "SCANPOST_BUS__ENABLED": "false", "SCANPOST_RECEIVER__DURABILITY": durability,
        "SCANPOST_RECEIVER__MAX_ASSOCIATIONS": "1000", "SCANPOST_SPOOL__RESERVE_GB": "0.1",
        "SCANPOST_SPOOL__RESERVE2_GB": "0.05", "SCANPOST_SPOOL__BALLAST_MB": "1",
    }  # fmt: skip


@contextmanager
def receiver(home: Path, durability: str) -> Iterator[Receiver]:
    """scanpost's receiver alone, with a fresh spool."""
    from protocol.spool import open_spool

    with _folder(home):
        port = free_port()
        spool = open_spool(home, create=True, durability=durability)

        def stored() -> int:
            # In relaxed mode rows may come after the acknowledgement: wait until none has come for a while.
            found = -1
            while (now := spool.accounting.figures().received) != found:
                found = now
                time.sleep(0.3)
            return found

        try:
            command = [sys.executable, "-m", "actors", "receiver"]
            with _running(command, port, receiver_environment(home, port, durability)) as process:
                # Peers' files are emptied between repetitions, so ours are, too: the memory of the page cache that is
                # given back is there for the next run, and new memory costs a virtual machine far more.
                images = home / "spool" / "images"
                yield Receiver(
                    f"scanpost {durability}", port, lambda: cpu_of(process.pid), stored, lambda: _hollow(images),
                    pid=process.pid,
                )  # fmt: skip
        finally:
            spool.close()


@contextmanager
def present(*makers: Callable[[], object]) -> Iterator[tuple[list[Receiver], list[str]]]:
    """Enter those that are installed; yields them and the names of the absent ones."""
    with ExitStack() as stack:
        there, absent = [], []
        for maker in makers:
            try:
                there.append(stack.enter_context(maker()))  # type: ignore[arg-type]
            except Absent as exc:
                absent.append(str(exc))
        yield there, sorted(set(absent))
