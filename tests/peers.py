"""DCMTK as the independent other side of tests: real receivers and senders. It must not import scanpost."""

from __future__ import annotations

import itertools
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pytest

HOST = "127.0.0.1"
DCMTK_MISSING = shutil.which("storescp") is None or shutil.which("storescu") is None
needs_dcmtk = pytest.mark.skipif(DCMTK_MISSING, reason="DCMTK (storescp, storescu) is not installed")

# Debian's DCMTK leaves Nagle's algorithm on unless told; it then waits 40 ms per image.
FAST_SENDER = {"TCP_NODELAY": "1"}


# Below what the system gives out by itself, so that no outgoing connection takes one away before its owner binds it; each
# worker of pytest-xdist has a part of its own.
_PORTS = 20_000, 12_000
_PARTS = 16


def _port_numbers() -> Iterator[int]:
    first, count = _PORTS[0], _PORTS[1] // _PARTS
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:] or 0) % _PARTS
    start = random.SystemRandom().randrange(count)  # programs that tests start draw from the same part
    for step in itertools.count(start):
        yield first + worker * count + step % count


_numbers = _port_numbers()


def free_port() -> int:
    """A port nobody listens on now; for peers that cannot bind port 0."""
    for port in _numbers:
        with socket.socket() as sock:
            try:
                sock.bind((HOST, port))
            except OSError:
                continue
            return port
    raise AssertionError("unreachable: the numbers go round")


def wait_until_listening(port: int, process: subprocess.Popen[bytes], timeout_s: float = 60.0) -> None:
    """Connect until the process takes the connection.

    Raises:
        RuntimeError: the process ended, or does not listen in time.
    """
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args} ended with {process.returncode}")
        try:
            socket.create_connection((HOST, port), timeout=1.0).close()
            return
        except OSError:
            try:
                process.wait(0.02)  # the only thing that can happen besides listening
            except subprocess.TimeoutExpired:
                continue
    raise RuntimeError(f"{process.args} does not listen on port {port}")


class StoreScp:
    """DCMTK's storescp as a child process, listening when the constructor returns.

    Args:
        folder: where received files go; made if missing.
        port: a port of your own choice, such as that of an earlier instance; else a free one.
        options: further options, such as `--refuse`, `--abort-during`, `--sleep-during 5`.
    """

    def __init__(
        self, folder: Path, port: int | None = None, ae: str = "PACS", options: Sequence[str] = (), fork: bool = True
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.ae = folder, ae
        mode = ["--fork"] if fork else []
        command = ["storescp", *mode, "-aet", ae, "+B", "+xa", "-pm", "-pdu", "131072", "--disable-host-lookup"]
        command += ["--output-directory", str(folder), *options]
        for left in reversed(range(1 if port else 5)):
            self.port = port or free_port()
            try:
                self._start([*command, str(self.port)])
                return
            except RuntimeError:
                if not left:  # else somebody took the free port before storescp could
                    raise

    def _start(self, command: list[str]) -> None:
        self._process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, **FAST_SENDER},
            start_new_session=True,
        )  # fmt: skip
        try:
            wait_until_listening(self.port, self._process)
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> StoreScp:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End it and the children it forked, in the middle of whatever they do; more than once is allowed."""
        try:
            os.killpg(self._process.pid, signal.SIGKILL)  # its own session, so its own group
        except ProcessLookupError:
            pass
        self._process.wait()

    def received(self) -> list[Path]:
        """The files received whole so far (storescp names a file before it has written it all)."""
        return sorted(path for path in self.folder.iterdir() if path.is_file())


def storescu(
    port: int,
    paths: Iterable[Path],
    options: Sequence[str] = (),
    *,
    called: str = "SCANPOST",
    calling: str = "STORESCU",
    timeout_s: float = 60.0,
    env: dict[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Send files with DCMTK's storescu in one association; options such as `-xs` propose compressed syntaxes."""
    return _run("storescu", port, paths, ["-aec", called, "-aet", calling, *options], timeout_s, env)


def dcmsend(
    port: int,
    paths: Iterable[Path],
    options: Sequence[str] = (),
    *,
    called: str = "SCANPOST",
    calling: str = "DCMSEND",
    timeout_s: float = 60.0,
    env: dict[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Send files with DCMTK's dcmsend, which proposes what the files need; `--decompress-never` keeps their bytes."""
    arguments = ["-aec", called, "-aet", calling, "--decompress-never", *options]
    return _run("dcmsend", port, paths, arguments, timeout_s, env)


def echoscu(port: int, called: str = "SCANPOST", options: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    """C-ECHO with DCMTK's echoscu."""
    return _run("echoscu", port, [], ["-aec", called, *options], 30.0, None)


def _run(
    tool: str, port: int, paths: Iterable[Path], options: Sequence[str], timeout_s: float, env: dict[str, str] | None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [tool, *options, HOST, str(port), *map(str, paths)],
        capture_output=True, text=True, timeout=timeout_s, check=False,
        env={**os.environ, **FAST_SENDER, **(env or {})},
    )  # fmt: skip


def dataset_bytes(path: Path) -> bytes:
    """What follows the file meta information, byte for byte (PS3.10 section 7.1)."""
    data = path.read_bytes()
    assert data[128:132] == b"DICM", f"{path} is no Part 10 file"
    position = 132
    while data[position : position + 2] == b"\x02\x00":
        if data[position + 4 : position + 6] in (b"OB", b"UN", b"SQ", b"OW", b"UT"):
            position += 12 + int.from_bytes(data[position + 8 : position + 12], "little")
        else:
            position += 8 + int.from_bytes(data[position + 6 : position + 8], "little")
    return data[position:]
