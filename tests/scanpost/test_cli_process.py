"""The command line as a process: what its files are open to, and what it says when the system refuses it something."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from protocol.spool.spool import open_spool

Done = subprocess.CompletedProcess[str]
pytestmark = pytest.mark.slow


def scanpost(home: Path, *words: str, umask: int = 0o022, stdout: int = subprocess.PIPE) -> Done:
    return subprocess.run(
        [sys.executable, "-m", "scanpost", "--home", str(home), *words],
        stdout=stdout, stderr=subprocess.PIPE, text=True, check=False, umask=umask,
    )  # fmt: skip


def mode(place: Path) -> int:
    return stat.S_IMODE(place.stat().st_mode)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A node with a spool."""
    open_spool(tmp_path / "home", create=True).close()
    return tmp_path / "home"


def test_backups_and_exports_are_closed_to_others_whatever_the_umask(home: Path, tmp_path: Path) -> None:
    folder, export = tmp_path / "copies", tmp_path / "audit.jsonl"
    for words in (["backup", str(folder)], ["audit", "export", "-o", str(export)], ["restore", str(folder)]):
        done = scanpost(home, *words, umask=0)
        assert done.returncode == 0, done.stderr
    assert [mode(place) for place in (folder, folder / "spool.sqlite3", export)] == [0o750, 0o640, 0o640]
    assert mode(home / "spool" / "spool.sqlite3") == 0o640
