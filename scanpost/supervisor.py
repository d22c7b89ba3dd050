"""Starting supervisord with our configuration. It must not know actors, and speaks to none: protocol/programs.py does."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from protocol.errors import ScanpostError
from protocol.installed import places
from protocol.settings import Settings

_FILES = 65_536  # open files wanted: sockets and images of several hundred associations


def configuration_file() -> Path:
    """supervisord.conf. Raises ScanpostError."""
    looked = places("supervisord.conf")
    for place in looked:
        if place.is_file():
            return place
    raise ScanpostError(f"supervisord.conf is missing; looked at {', '.join(map(str, looked))}")


def environment(settings: Settings, base: Mapping[str, str], more: Mapping[str, str]) -> dict[str, str]:
    """What supervisord.conf expects, and what the programs need to find the same settings."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    files = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    return {
        **base, **more,
        "SCANPOST_HOME": str(settings.home),
        "SCANPOST_PYTHON": sys.executable,
        "SCANPOST_SUPERVISOR_SOCKET": str(settings.socket("supervisor.sock")),
        "SCANPOST_MINFDS": str(files),
        "SCANPOST_AUTOSTART_BUS": "true" if settings.bus.enabled else "false",
        # stdout of the programs is a pipe; a line must be in the log when it was written.
        "PYTHONUNBUFFERED": "1",
    }  # fmt: skip


def launch(settings: Settings, more: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start supervisord in a session of its own, so that Ctrl-C reaches only us. What it says goes to its log."""
    with open(settings.log_folder / "supervisord.out", "ab") as output:
        return subprocess.Popen(
            [
                sys.executable,
                "-m",
                "scanpost.supervisord",
                "--nodaemon",
                "--configuration",
                str(configuration_file()),
            ],
            env=environment(settings, os.environ, more),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd="/",
        )
