"""The home folder and short paths for sockets."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocol.errors import SettingsError
from protocol.settings import default_home, load_settings, socket_path


def test_scanpost_home_decides_and_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert default_home({"SCANPOST_HOME": "here"}) == tmp_path / "here"


def test_a_checkout_keeps_its_files_in_var_and_an_installation_below_var_lib(tmp_path: Path) -> None:
    assert default_home({}, tmp_path) == Path("/var/lib/scanpost")
    (tmp_path / "setup.cfg").touch()
    (tmp_path / "protocol").mkdir()
    assert default_home({}, tmp_path) == tmp_path / "var"


def test_the_origin_of_the_home_is_known(tmp_path: Path) -> None:
    assert load_settings(environ={"SCANPOST_HOME": str(tmp_path)}).origin("home") == "environment SCANPOST_HOME"
    assert load_settings(tmp_path, environ={}).origin("home") == "flag"


def test_a_socket_lies_in_run_unless_its_path_is_too_long(tmp_path: Path) -> None:
    short, temporary = Path("/srv/x"), tmp_path / "t"
    temporary.mkdir()
    assert socket_path(short, "a.sock") == short / "run" / "a.sock"
    long = Path("/srv") / ("x" * 90)
    found = socket_path(long, "a.sock", temporary)
    assert found == socket_path(long, "a.sock", temporary)
    assert found.parent.parent == temporary
    assert found.parent.stat().st_mode & 0o777 == 0o700


def test_a_short_folder_that_others_may_write_is_refused(tmp_path: Path) -> None:
    long = Path("/srv") / ("x" * 90)
    socket_path(long, "a.sock", tmp_path).parent.chmod(0o777)
    with pytest.raises(SettingsError, match="not a private folder"):
        socket_path(long, "a.sock", tmp_path)
