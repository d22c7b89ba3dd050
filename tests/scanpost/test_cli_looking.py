"""Commands that only look do not wait for who writes: they are what people reach for when a program hangs while it writes."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner
from rules_node import Home

from protocol.errors import ScanpostError
from protocol.fsops import RealFs
from protocol.spool import database, open_spool
from protocol.spool.schema import SCHEMA_VERSION
from protocol.spool.writelock import WriteLock
from scanpost import asking
from scanpost.common import Options
from scanpost.main import cli

WRITES = """
import sys
from pathlib import Path
from protocol.spool import open_spool
spool = open_spool(Path(sys.argv[1]))
with spool.database.write() as tx:
    tx.execute("UPDATE meta SET value = value + 1 WHERE key = 'barrier'")
    print("writes", flush=True)
    sys.stdin.read()
"""
LOOKING = [
    ["status", "--json"], ["doctor", "--quick", "--json"], ["series", "list", "--json"], ["series", "show", "ARRIVAL", "--json"],
    ["series", "hold", "ARRIVAL", "--dry-run"], ["queue", "list", "--json"], ["queue", "causes"],
    ["queue", "retry", "--all-parked", "--dry-run"], ["target", "list", "--json"], ["alerts", "list", "--json"],
    ["acts", "list", "--json"], ["accounting", "--json"], ["quarantine", "list", "--json"], ["sources", "list", "--json"],
    ["commitment", "list", "--json"], ["rules", "list", "--json"], ["rules", "explain", "ARRIVAL"], ["tap", "--since", "1h", "--no-follow"],
    ["spool", "check", "--json"], ["clean", "--dry-run", "--json"],
]  # fmt: skip


@pytest.fixture
def writer(home: Home, tmp_path: Path) -> Iterator[None]:
    """A program that does not come to the end of what it writes."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITES, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None and process.stdout.readline() == b"writes\n"
    yield
    process.kill()
    process.communicate()


def test_status_answers_in_a_process_of_its_own(three: list[int], writer: None, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "scanpost", "--home", str(tmp_path), "status", "--json"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert json.loads(done.stdout)["deliveries"]["parked"] == 1


@pytest.mark.parametrize("words", LOOKING, ids=" ".join)
def test_a_command_that_only_looks_never_asks_for_the_write_lock(
    three: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    def refuse(lock: WriteLock) -> None:
        raise ScanpostError("it asks for the write lock")

    told = [str(three[0]) if word == "ARRIVAL" else word for word in words]
    with monkeypatch.context() as patched:
        patched.setattr(WriteLock, "__enter__", refuse)
        done = CliRunner().invoke(cli, ["--home", str(tmp_path), *told])
    assert done.exit_code in (0, 1) and "it asks for" not in done.output, done.output
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception


def test_who_only_looks_cannot_write(home: Home, tmp_path: Path) -> None:
    with asking.opened(Options(home=tmp_path), reading=True) as (_, spool):
        with pytest.raises(RuntimeError, match="to read only"):
            spool.arrivals.hold(1, "no")
        with pytest.raises(RuntimeError, match="to read only"):
            spool.database.barrier()


@pytest.mark.parametrize(
    "words", [["status"], ["doctor"], ["queue", "list"], ["alerts", "unsilence", "1"]], ids=" ".join
)
def test_no_command_changes_the_spool_under_the_programs_of_an_earlier_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    with monkeypatch.context() as earlier:
        earlier.setattr(database, "SCHEMA_VERSION", 6)
        spool = open_spool(tmp_path, create=True)
    version = lambda: sqlite3.connect(spool.places.database).execute("PRAGMA user_version").fetchone()[0]  # noqa: E731
    with closing(spool):
        lock = RealFs().lock(spool.places.run / "router.lock")
        assert lock is not None
        done = CliRunner().invoke(cli, ["--home", str(tmp_path), *words])
        assert done.exit_code == 1 and "is run by an earlier scanpost" in done.output, done.output
        assert version() == 6
        lock.release()
    CliRunner().invoke(cli, ["--home", str(tmp_path), *words])
    assert version() == SCHEMA_VERSION, "nobody runs"


def test_a_spool_that_is_gone_from_under_its_node_is_told_as_such(tmp_path: Path) -> None:
    with closing(open_spool(tmp_path, create=True)) as spool:
        lock = RealFs().lock(spool.places.run / "router.lock")
        assert lock is not None
        spool.places.database.unlink()
        done = CliRunner().invoke(cli, ["--home", str(tmp_path), "status"])
        lock.release()
    assert done.exit_code == 1 and "there is no spool in" in done.output, done.output
