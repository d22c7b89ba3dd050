"""supervisord behind its interface, wanted dispatchers, leftovers, readiness."""

from __future__ import annotations

import configparser
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from protocol import dispatchers as desired
from protocol.errors import ScanpostError
from protocol.fsops import RealFs
from protocol.programs import NotRunning, Program, manager, scale
from protocol.settings import Settings, load_settings
from protocol.spool import open_spool
from scanpost import leftovers, readiness
from scanpost.supervisor import configuration_file, environment, launch
from tests.peers import free_port


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    for name in ("run", "log"):
        (tmp_path / name).mkdir()
    return load_settings(tmp_path, {"webgui.port": free_port(), "receiver.port": free_port()}, {})


class FakeManager:
    """ProcessManager in memory."""

    def __init__(self, running: int) -> None:
        self.running = {f"dispatcher:dispatcher_{number:02}": number < running for number in range(8)}

    def programs(self) -> list[Program]:
        rows = [*self.running.items(), ("router:router", True)]
        return [Program(name, name.split(":")[0], "RUNNING" if on else "STOPPED", 1, 1, "") for name, on in rows]

    def start(self, name: str) -> None:
        self.running[name] = True

    def stop(self, name: str) -> None:
        self.running[name] = False

    def shut_down(self) -> None:
        self.running = {}

    def hurry(self) -> None:
        return


@pytest.mark.parametrize(("before", "wanted"), [(0, 3), (8, 1), (2, 2), (3, 8)])
def test_scaling_runs_the_first_slots_and_leaves_other_programs_alone(before: int, wanted: int) -> None:
    fake = FakeManager(before)
    scale(fake, wanted)
    assert [name for name, on in fake.running.items() if on] == [f"dispatcher:dispatcher_{n:02}" for n in range(wanted)]


def test_the_wanted_number_is_remembered_until_the_settings_change(settings: Settings, tmp_path: Path) -> None:
    assert desired.dispatchers(settings) == 1
    desired.remember(settings, desired.dispatchers(settings, 3))
    assert desired.dispatchers(settings) == 3
    changed = load_settings(tmp_path, {"dispatcher.instances": 2}, {})
    assert desired.dispatchers(changed) == 2
    (settings.run_folder / "dispatchers.json").write_text("not JSON")
    assert desired.dispatchers(settings) == 1


def test_another_number_is_kept_before_it_is_made_so(settings: Settings) -> None:
    fake = FakeManager(3)
    desired.change(settings, fake, 1)
    assert desired.dispatchers(settings) == 1
    assert [name for name, on in fake.running.items() if on] == ["dispatcher:dispatcher_00"]
    with pytest.raises(ScanpostError, match="between 1 and 8"):
        desired.change(settings, fake, 9)
    with pytest.raises(NotRunning):
        desired.change(settings, manager(settings), 2)
    assert desired.dispatchers(settings) == 1


def test_without_supervisord_the_answer_is_one_clear_error(settings: Settings) -> None:
    with pytest.raises(NotRunning, match="this node is not running .*`scanpost up` starts it"):
        manager(settings).programs()
    manager(settings).hurry()  # it may have ended just now


def test_the_configuration_never_listens_on_the_network_and_names_every_program() -> None:
    parser = configparser.RawConfigParser()
    parser.read(configuration_file())
    assert "inet_http_server" not in parser.sections()
    assert parser["unix_http_server"]["chmod"] == "0700"
    programs = {
        name.removeprefix("program:"): section for name, section in parser.items() if name.startswith("program:")
    }
    assert set(programs) == {"bus", "bookkeeper", "webgui", "cleaner", "dispatcher", "router", "receiver", "demo"}
    for section in programs.values():
        assert section["stopasgroup"] == section["killasgroup"] == "true"
        assert int(section["stopwaitsecs"]) > 25 and section["startretries"] == "1000000"
    priority = {name: int(section["priority"]) for name, section in programs.items()}
    assert min(priority, key=priority.__getitem__) == "bus"  # stops last
    assert priority["receiver"] > priority["router"] > priority["dispatcher"] > priority["bookkeeper"]


def test_the_environment_has_all_that_the_configuration_expects(settings: Settings) -> None:
    made = environment(settings, {"PATH": "/bin"}, {"SCANPOST_BUS__ENABLED": "false"})
    text = configuration_file().read_text()
    used = {part.split(")")[0].removeprefix("ENV_") for part in text.split("%(")[1:] if part.startswith("ENV_")} - {
        "..."
    }
    assert used <= set(made)
    assert made["SCANPOST_BUS__ENABLED"] == "false" and made["PATH"] == "/bin"


@pytest.fixture
def supervised(settings: Settings) -> Iterator[Settings]:
    """supervisord with our file, and a spool: without one, actors are started again and again."""
    open_spool(settings.home, create=True).close()
    ports = {
        "SCANPOST_WEBGUI__PORT": str(settings.webgui.port),
        "SCANPOST_RECEIVER__PORT": str(settings.receiver.port),
        "SCANPOST_RECEIVER__WORKERS": "1",
    }
    process = launch(settings, ports)
    try:
        # A signal between fork and exec is lost in supervisord's child: stop nothing that was not seen alive.
        while readiness.page_answer(settings).startswith("no answer"):
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.05)  # its end is the only thing that can be waited for
        yield settings
    finally:
        process.terminate()
        process.wait(60)
        leftovers.stop(leftovers.find(settings.home), 5.0)


@pytest.mark.slow
def test_supervisord_takes_our_file_and_stops_on_request(supervised: Settings) -> None:
    programs = manager(supervised)
    names = {one.name for one in programs.programs()}
    assert {"bus:bus", "dispatcher:dispatcher_07", "webgui:webgui"} <= names
    assert len([name for name in names if name.startswith("dispatcher:")]) == 8
    assert not any(one.wanted for one in programs.programs() if one.group in ("dispatcher", "demo"))
    socket = supervised.socket("supervisor.sock")
    assert socket.stat().st_mode & 0o777 == 0o700
    programs.stop("webgui:webgui")
    programs.stop("webgui:webgui")  # stopped already: no error
    with pytest.raises(ScanpostError, match="BAD_NAME"):
        programs.start("nobody:nobody")
    process = psutil.Process(programs.pid())
    programs.shut_down()
    deadline = time.monotonic() + 60
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
        programs.hurry()
    assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE  # our own child


def _page(home: Path, **variables: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "webgui"],
        env={**os.environ, "SCANPOST_HOME": str(home), "SCANPOST_WEBGUI__PORT": str(free_port()), **variables},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def _wait_for_line(process: subprocess.Popen[bytes], word: bytes) -> None:
    assert process.stdout is not None
    assert any(word in line for line in process.stdout)


@pytest.mark.slow
def test_leftovers_of_this_home_are_found_and_stopped_and_those_of_another_are_not(tmp_path: Path) -> None:
    ours, theirs = _page(tmp_path / "ours"), _page(tmp_path / "theirs")
    try:
        for one in (ours, theirs):
            _wait_for_line(one, b"ready")
        found = leftovers.find(tmp_path / "ours")
        assert [one.pid for one in found] == [ours.pid]
        leftovers.stop(found, 20.0)
        assert not psutil.pid_exists(ours.pid)
        assert theirs.poll() is None
    finally:
        for one in (ours, theirs):
            one.kill()
            one.wait()
            assert one.stdout is not None
            one.stdout.close()


@pytest.mark.slow
def test_a_leftover_that_does_not_stop_is_killed(tmp_path: Path) -> None:
    hung = _page(tmp_path)
    try:
        _wait_for_line(hung, b"ready")
        hung.send_signal(signal.SIGSTOP)
        assert leftovers.stop(leftovers.find(tmp_path), 0.2) == 1
        assert not psutil.pid_exists(hung.pid)
    finally:
        hung.kill()
        hung.wait()
        assert hung.stdout is not None
        hung.stdout.close()


def test_a_pid_in_a_lock_file_that_is_not_our_program_is_left_alone(settings: Settings) -> None:
    stranger = subprocess.Popen(["sleep", "60"], env={**os.environ, "SCANPOST_HOME": str(settings.home)})
    try:
        lock = RealFs().lock(settings.run_folder / "router.lock")
        assert lock is not None
        lock.write(json.dumps({"pid": stranger.pid, "state": "ready"}))
        assert leftovers.find(settings.home) == []
        lock.release()
    finally:
        stranger.kill()
        stranger.wait()


def test_readiness_names_what_is_missing(settings: Settings) -> None:
    lock = RealFs().lock(settings.run_folder / "router.lock")
    assert lock is not None
    lock.write(json.dumps({"state": "recovering", "pid": 1}))
    missing = readiness.missing(settings, 2)
    assert "router (recovering)" in missing and "receiver (not running)" in missing
    assert "dispatcher-1 (not running)" in missing and any(one.startswith("webgui (no answer") for one in missing)
    lock.write(json.dumps({"state": "ready", "pid": 1}))
    assert not any(one.startswith("router") for one in readiness.missing(settings, 2))
    lock.release()
    assert "router (not running)" in readiness.missing(settings, 2)  # its text is history


@pytest.mark.parametrize(
    ("log", "why"),
    [
        ('{"level": "info", "action": "ready"}\n{"level": "error", "reason": "port in use"}\n', "port in use"),
        (
            '{"level": "critical", "exception": "Traceback\\n  File\\nOSError: address in use"}\n',
            "OSError: address in use",
        ),
        ("Traceback (most recent call last):\n  File x\nModuleNotFoundError: no y\n", "ModuleNotFoundError: no y"),
        ('{"level": "error", "reason": "old"}\n{"level": "info", "action": "ready"}\n', ""),
        ("", ""),
    ],
)
def test_what_does_not_run_is_named_with_its_last_complaint(settings: Settings, log: str, why: str) -> None:
    (settings.log_folder / "router.log").write_text(log)
    told = next(one for one in readiness.missing(settings, 1) if one.startswith("router"))
    assert told == (f"router (not running: {why})" if why else "router (not running)")


def test_without_bus_nobody_waits_for_it(tmp_path: Path) -> None:
    quiet = load_settings(tmp_path, {"bus.enabled": False}, {})
    assert "bus" not in readiness.expected(quiet, 1)


def test_the_ready_line_has_page_dicom_address_and_setup_link(settings: Settings) -> None:
    line = readiness.ready_line(settings, 2, "secret")
    page = f"http://127.0.0.1:{settings.webgui.port}/"
    assert line.startswith("ready ") and "\n" not in line
    assert page in line and f"SCANPOST@127.0.0.1:{settings.receiver.port}" in line
    assert f"{page}setup?token=secret" in line
    assert "token" not in readiness.ready_line(settings, 2, None)
