"""Root at the command line acts as the user whose node it is: what a command makes must be readable by its programs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from protocol.errors import ScanpostError
from scanpost import owner
from scanpost.main import cli

NOBODY, NAMELESS = 65534, 54321
ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to others")


class System:
    """What `os` would do for root, written down."""

    def __init__(self, uid: int = 0, *, readable: bool = True, refused: bool = False) -> None:
        self.uid, self.readable, self.refused, self.calls = uid, readable, refused, list[str]()

    def geteuid(self) -> int:
        return self.uid

    def access(self, file: str, mode: int) -> bool:
        return self.readable

    def setgid(self, gid: int) -> None:
        self.calls.append(f"group {gid}")

    def setuid(self, uid: int) -> None:
        if self.refused:
            raise PermissionError(1, "Operation not permitted")
        self.calls.append(f"user {uid}")

    def initgroups(self, name: str, gid: int) -> None:
        self.calls.append(f"groups of {name}")

    def setgroups(self, groups: list[int]) -> None:
        self.calls.append("no groups")


@pytest.fixture(autouse=True)
def name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "anna")  # so that it is put back


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A node that has a spool; root's."""
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / "spool.sqlite3").touch()
    return tmp_path


def give(uid: int, *places: Path) -> None:
    for place in places:
        os.chown(place, uid, uid)


def done(home: Path, system: System, *, starts: bool = False) -> list[str]:
    owner.act_as_owner(home, starts=starts, system=system)
    return system.calls


@ROOT
@pytest.mark.parametrize("starts", [False, True])
def test_root_becomes_the_user_of_the_spool_for_good(home: Path, starts: bool) -> None:
    give(NOBODY, home / "spool" / "spool.sqlite3")
    assert done(home, System(), starts=starts)[1:] == [f"group {NOBODY}", f"user {NOBODY}"]


@ROOT
def test_before_the_first_start_the_folder_says_whose_node_it_will_be(tmp_path: Path) -> None:
    give(NAMELESS, tmp_path)
    assert done(tmp_path, System()) == ["no groups", f"group {NAMELESS}", f"user {NAMELESS}"]
    assert done(tmp_path, System(), starts=True) == []  # in a container root's node may lie in anybody's folder


@ROOT
def test_who_is_not_root_and_whose_node_is_roots_stay_who_they_are(home: Path, tmp_path: Path) -> None:
    give(NOBODY, tmp_path)
    assert done(home, System()) == []  # the spool is root's
    give(NOBODY, home / "spool" / "spool.sqlite3")
    assert done(home, System(uid=1000)) == []
    assert done(tmp_path / "nothing there", System()) == []


@ROOT
@pytest.mark.parametrize("system", [System(readable=False), System(refused=True)])
def test_who_cannot_become_that_user_is_told_to(home: Path, system: System) -> None:
    give(NOBODY, home / "spool" / "spool.sqlite3")
    with pytest.raises(ScanpostError, match="belongs to nobody, .*; run this as nobody"):
        done(home, system)


@ROOT
def test_the_record_names_who_typed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(variable, raising=False)
    give(NOBODY, home / "spool" / "spool.sqlite3")
    done(home, System())
    assert os.environ["LOGNAME"] == "root"


def test_commands_about_the_node_ask_whose_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Path, bool]] = []
    monkeypatch.setattr(owner, "act_as_owner", lambda home, *, starts: asked.append((home, starts)))
    for words in (["user", "list"], ["routing", "history"], ["up", "--dispatchers", "9"]):
        CliRunner().invoke(cli, ["--home", str(tmp_path), *words])
    assert asked == [(tmp_path, False), (tmp_path, False)]
