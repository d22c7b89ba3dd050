"""The command line as a process: what its files are open to, and what it says when the system refuses it something."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from protocol.spool.spool import open_spool
from scanpost.main import cli

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


@pytest.mark.parametrize("words", [["user", "list"], ["up", "-d"], ["routing", "mode", "all", "off", "-r", "x"]])
def test_a_home_that_cannot_be_made_is_one_line(words: list[str]) -> None:
    done = scanpost(Path("/proc/nowhere"), *words)
    assert done.returncode in (1, 78)
    assert done.stdout == "" and len(done.stderr.splitlines()) == 1 and done.stderr.startswith("scanpost: ")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_a_full_disk_under_the_answer_is_one_line(home: Path) -> None:
    with open("/dev/full", "w") as full:
        done = scanpost(home, "status", stdout=full.fileno())
    assert done.returncode == 1
    assert done.stderr == "scanpost: No space left on device\n"


@pytest.mark.parametrize("words", [
    ["series", "show", "9" * 23], ["queue", "retry", "9" * 23], ["acts", "undo", "9" * 23], ["alerts", "unsilence", "9" * 23],
    ["audit", "export", "--after", "9" * 23],
    ["user", "token", "create", "anna", "x", "--until", "99999999999d"],
])  # fmt: skip
def test_a_number_beyond_all_bounds_is_a_usage_error(home: Path, words: list[str]) -> None:
    CliRunner().invoke(cli, ["--home", str(home), "user", "add", "anna", "--role", "viewer", "--link"])
    done = CliRunner().invoke(cli, ["--home", str(home), *words])
    assert isinstance(done.exception, SystemExit), repr(done.exception)
    assert done.exit_code == 2


@pytest.mark.parametrize("words", [["status"], ["config", "show"], ["config", "show", "--json"], ["--help"]])
@pytest.mark.parametrize("closed", [">&-", ">&- <&-"])
def test_a_standard_output_that_is_closed_is_one_line(home: Path, words: list[str], closed: str) -> None:
    line = ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-m", "scanpost", "--home", str(home), *words]
    done = subprocess.run(line, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "scanpost: Bad file descriptor\n")


def test_what_answers_nothing_needs_no_standard_output(home: Path) -> None:
    line = 'exec "$@" >&-', "sh", sys.executable, "-m", "scanpost", "--home", str(home)
    done = subprocess.run(["sh", "-c", *line, "spool", "recount"], stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False)
