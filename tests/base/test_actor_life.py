"""An actor's process from outside: lock, standby, passes, failures, stop."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from protocol.fsops import RealFs
from protocol.spool import Cursor, open_spool

SCRIPT = Path(__file__).with_name("fake_actor.py")
pytestmark = pytest.mark.slow


class Running:
    """A fake actor's process; its log lines are the events to wait for."""

    def __init__(self, home: Path, mode: str, *arguments: str, **variables: str) -> None:
        clean = {key: value for key, value in os.environ.items() if not key.startswith("SCANPOST_")}
        self.process = subprocess.Popen(
            [sys.executable, str(SCRIPT), mode, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={**clean, "SCANPOST_HOME": str(home), "SCANPOST_BUS__ENABLED": "false", **variables},
        )  # fmt: skip
        self.lines: list[dict[str, Any]] = []

    def until(self, action: str, **values: Any) -> dict[str, Any]:
        """The next log line with this action and these values."""
        assert self.process.stdout is not None
        for text in self.process.stdout:
            line = json.loads(text)
            self.lines.append(line)
            if line["action"] == action and all(line.get(key) == value for key, value in values.items()):
                return line
        raise AssertionError(f"ended with {self.process.wait()} before {action}: {self.lines}")

    def tell(self, number: int) -> None:
        self.process.send_signal(number)

    def end(self) -> int:
        """Read the rest of its log and return the exit code."""
        assert self.process.stdout is not None
        self.lines += [json.loads(text) for text in self.process.stdout]
        return self.process.wait(60)

    def actions(self) -> list[str]:
        return [line["action"] for line in self.lines]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    open_spool(tmp_path, create=True).close()
    return tmp_path


@pytest.fixture
def start(home: Path) -> Iterator[Callable[..., Running]]:
    running: list[Running] = []

    def begin(mode: str = "plain", *arguments: str, **variables: str) -> Running:
        running.append(Running(home, mode, *arguments, **variables))
        return running[-1]

    yield begin
    for one in running:
        one.process.kill()
        one.process.wait()
        assert one.process.stdout is not None
        one.process.stdout.close()


def lock_text(home: Path, name: str = "fake") -> dict[str, Any]:
    return json.loads(RealFs().lock_text(home / "run" / f"{name}.lock"))


def recorded(home: Path) -> list[tuple[str, dict[str, Any]]]:
    spool = open_spool(home)
    try:
        return [(one.type, dict(one.data)) for one in spool.outbox.read(Cursor(0, 0))]
    finally:
        spool.close()


def test_an_actor_starts_recovers_works_and_stops_in_order(home: Path, start: Callable[..., Running]) -> None:
    actor = start()
    actor.until("passed")
    assert RealFs().is_locked(home / "run" / "fake.lock")
    told = lock_text(home)
    assert told["state"] == "ready" and told["pid"] == actor.process.pid
    actor.tell(signal.SIGTERM)
    assert actor.end() == 0
    assert list(dict.fromkeys(actor.actions())) == ["started", "ready", "passed", "stopping", "stopped"]
    assert not RealFs().is_locked(home / "run" / "fake.lock")
    events = [(kind, data) for kind, data in recorded(home) if kind.startswith("actor.")]
    assert [kind for kind, _ in events] == ["actor.started", "actor.recovered", "actor.stopped"]
    assert events[1][1]["found"] == {"mended": 2}


def test_an_actor_looks_each_second_though_it_asked_for_longer(start: Callable[..., Running]) -> None:
    actor = start()
    actor.until("passed", number=1)
    actor.until("passed", number=2)


def test_the_heartbeat_writes_figures_into_the_lock_file(home: Path, start: Callable[..., Running]) -> None:
    actor = start()
    actor.until("passed", number=3)  # the heartbeat follows each of these passes
    told = lock_text(home)
    assert told["figures"]["passes"] >= 1.0
    assert told["beat"] >= told["started"]
    assert told["version"] and told["instance"] == "0"


def test_a_second_instance_waits_and_takes_over_when_the_first_is_killed(
    home: Path, start: Callable[..., Running]
) -> None:
    first = start()
    first.until("passed")
    second = start()
    second.until("standby")
    waiting = json.loads((home / "run" / f"fake.{second.process.pid}.json").read_text())
    assert waiting["state"] == "standby" and waiting["pid"] == second.process.pid
    assert "started" not in second.actions()  # it has opened nothing
    first.tell(signal.SIGKILL)
    second.until("passed")
    assert lock_text(home)["pid"] == second.process.pid
    assert not list((home / "run").glob("fake.*.json"))


def test_a_standby_can_be_stopped(home: Path, start: Callable[..., Running]) -> None:
    start().until("passed")
    second = start()
    second.until("standby")
    second.tell(signal.SIGTERM)
    assert second.end() == 0
    assert not list((home / "run").glob("fake.*.json"))


def test_instances_of_an_actor_that_may_run_often_do_not_wait_for_one_another(
    home: Path, start: Callable[..., Running]
) -> None:
    start("many", "--instance", "0").until("passed")
    start("many", "--instance", "1").until("passed")
    assert lock_text(home, "fake-1")["instance"] == "1"


def test_a_failed_pass_is_logged_and_repeated_with_growing_waits(home: Path, start: Callable[..., Running]) -> None:
    actor = start("fails-twice")
    first = actor.until("pass_failed", failures=1)
    assert "bad input" in first["exception"]
    assert lock_text(home)["state"] in ("failing", "ready")
    second = actor.until("pass_failed", failures=2)
    assert second["again_in_s"] > first["again_in_s"]
    actor.until("pass_works_again")
    actor.until("passed", number=4)
    assert lock_text(home)["state"] == "ready"


@pytest.mark.parametrize(("mode", "action"), [("disk", "disk_failed"), ("dies", "process_failed")])
def test_a_failed_disk_or_worse_ends_the_process_at_once(
    home: Path, start: Callable[..., Running], mode: str, action: str
) -> None:
    actor = start(mode)
    assert actor.end() == 1
    assert actor.actions()[-1] == action
    assert "stopping" not in actor.actions()
    assert not RealFs().is_locked(home / "run" / "fake.lock")


def test_an_actor_that_cannot_start_ends_with_a_reason(start: Callable[..., Running]) -> None:
    actor = start("start-fails")
    assert actor.end() == 1
    assert "port in use" in actor.lines[-1]["exception"]


def test_figures_that_fail_do_not_stop_the_actor(start: Callable[..., Running]) -> None:
    actor = start("figures-fail")
    actor.until("figures_failed")
    actor.until("passed", number=2)


def test_a_second_signal_ends_a_stop_that_hangs(start: Callable[..., Running]) -> None:
    actor = start("hangs-in-stop")
    actor.until("passed")
    actor.tell(signal.SIGTERM)
    actor.until("stopping")
    actor.tell(signal.SIGTERM)
    assert actor.end() == 1


def test_settings_that_cannot_be_used_end_with_78_and_one_line(start: Callable[..., Running]) -> None:
    actor = start(SCANPOST_RECEIVER__PORT="x")
    assert actor.process.stdout is not None
    lines = actor.process.stdout.read().splitlines()
    assert actor.process.wait(60) == 78
    assert len(lines) == 1 and "SCANPOST_RECEIVER__PORT" in lines[0]


def test_a_missing_spool_is_one_clear_line(tmp_path: Path) -> None:
    actor = Running(tmp_path / "empty", "plain")
    assert actor.end() == 1
    assert [line["kind"] for line in actor.lines] == ["SpoolMissing"]
    assert "exception" not in actor.lines[0]
    assert actor.process.stdout is not None
    actor.process.stdout.close()


def test_an_actor_goes_on_when_nobody_reads_its_log_any_more(home: Path, start: Callable[..., Running]) -> None:
    actor = start()
    actor.until("passed", number=1)
    assert actor.process.stdout is not None
    actor.process.stdout.close()  # as when supervisord is killed
    actor.tell(signal.SIGTERM)
    assert actor.process.wait(60) == 0
    kept = [json.loads(line)["action"] for line in (home / "log" / "fake.log").read_text().splitlines()]
    assert kept[-1] == "stopped"
    actor.process.stdout = open(os.devnull)  # noqa: SIM115  (for the fixture to close)
