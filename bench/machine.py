"""What the figures depend on: cores, memory, kernel, file system, versions of the programs that were measured.
It must not tell which machine it is: no host name, user or path.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import sqlite3
import subprocess
from pathlib import Path

import psutil

# peer: (command, what of its first lines is the version)
PEERS = {
    "DCMTK": (["storescp", "--version"], r"storescp v([\d.]+)"),
    "Orthanc": (["Orthanc", "--version"], r"Orthanc ([\w.]+)"),
}


def facts(folder: Path) -> dict[str, str]:
    """Of this machine; `folder` is where the benches write."""
    found = {
        "cores": str(os.cpu_count()),
        "processor": _processor(),
        "memory": f"{psutil.virtual_memory().total / 1e9:.0f} GB",
        "kernel": f"{platform.system()} {re.match(r'[0-9.]*', platform.release()).group()}",  # type: ignore[union-attr]
        "file system": _file_system(folder),
        "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
    }
    found |= {name: _version(*how) for name, how in PEERS.items()}
    return found | {"pynetdicom": importlib.metadata.version("pynetdicom"), "scanpost": _commit()}


def _version(command: list[str], pattern: str) -> str:
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False).stdout
    except OSError:
        return "absent"
    match = re.search(pattern, said)
    return match.group(1) if match else "unknown"


def _processor() -> str:
    try:
        match = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    except OSError:
        match = None
    return match.group(1) if match else platform.machine()


def _file_system(folder: Path) -> str:
    at = folder.resolve()
    mounts = {Path(one.mountpoint): one.fstype for one in psutil.disk_partitions(all=True)}
    return next((mounts[place] for place in (at, *at.parents) if place in mounts), "unknown")


def _commit() -> str:
    try:
        done = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    except OSError:
        return "unknown"
    return done.stdout.strip() or "unknown"
