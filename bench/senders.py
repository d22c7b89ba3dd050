"""The senders that drive a bench: run to their end, one or several at a time. Raises RuntimeError if one fails."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from bench.peers import FAST, PDU


def storescu(port: int, folder: Path) -> list[str]:
    """One association of DCMTK's storescu with every file of a folder."""
    return ["storescu", "-R", "+sd", "+r", "-pdu", PDU, "127.0.0.1", str(port), str(folder)]


def dcmsend(port: int, folder: Path) -> list[str]:
    """One association of DCMTK's dcmsend with every file of a folder."""
    return ["dcmsend", "+sd", "+r", "-pdu", PDU, "--decompress-never", "127.0.0.1", str(port), str(folder)]


def run(*commands: Sequence[str], nagle: bool = False) -> None:
    """Run commands at the same time and wait for all."""
    environment = {key: value for key, value in os.environ.items() if key != "TCP_NODELAY"} if nagle else FAST
    running = [
        subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for command in commands
    ]
    said = [process.communicate()[1] for process in running]
    for process, words in zip(running, said, strict=True):
        if process.returncode:
            raise RuntimeError(f"{process.args!r} ended with {process.returncode}: {words[-300:]!r}")
