"""Known failure 18 with real files and processes: whatever lies in the folder, services go on with the last usable
version, and nothing bad becomes current. A service here is a process of its own that is asked what is in force.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from protocol.clock import SystemClock
from protocol.fsops import RealFs
from protocol.routing.parse import build
from protocol.routing.versions import RoutingVersions

TOP = Path(__file__).parents[2]
NOBODY = 65534
SERVICE = """
import json, sys
from pathlib import Path
from protocol.clock import SystemClock
from protocol.fsops import RealFs
from protocol.routing.versions import RoutingVersions
versions = RoutingVersions(Path(sys.argv[1]), RealFs(), SystemClock())
for _ in sys.stdin:
    changed, current = versions.changed(), versions.current()
    rules = [rule.name for rule in current.configuration.rules]
    problems = [problem.message for problem in versions.problems()]
    print(json.dumps([current.number, rules, problems, changed]), flush=True)
"""
PUBLISHER = """
import os, sys
from pathlib import Path
from protocol.clock import SystemClock
from protocol.errors import RoutingConflict, ScanpostError
from protocol.fsops import RealFs
from protocol.routing.parse import build, to_data
from protocol.routing.versions import RoutingVersions
if len(sys.argv) > 4 and os.getuid() == 0:
    os.setuid(int(sys.argv[4]))  # root may write anywhere
folder, name, count, sync = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.stdin
versions = RoutingVersions(folder, RealFs(), SystemClock())
print("ready", flush=True)
sync.readline()
won = tries = 0
while won < count:
    current = versions.current()
    data = to_data(current.configuration)
    data["rules"].append({"name": f"{name}-{won}", "when": "True", "action": "hold"})
    tries += 1
    try:
        versions.publish(build(data, "edit"), name, f"{name}-{won}", current.number)
    except RoutingConflict:
        continue
    except ScanpostError as exc:
        print(f"refused: {exc}", flush=True)
        break
    won += 1
print("done", won, tries, flush=True)
"""


def python(code: str, *arguments: object) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=TOP)


class Service:
    """A running service; `ask` gives the number, the rules, the problems of what is in force."""

    def __init__(self, folder: Path) -> None:
        self._process = python(SERVICE, folder)

    def ask(self) -> tuple[int, list[str], list[str]]:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write("?\n")
        self._process.stdin.flush()
        number, rules, problems, _ = json.loads(self._process.stdout.readline())
        return number, rules, problems

    def end(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Service]:
    service = Service(folder)
    try:
        yield service
    finally:
        service.end()


def versions(folder: Path) -> RoutingVersions:
    return RoutingVersions(folder, RealFs(), SystemClock())


def publish(folder: Path, *names: str) -> int:
    rules = [{"name": name, "when": "True", "action": "hold"} for name in names]
    mine = versions(folder)
    return mine.publish(build({"rules": rules}, "test"), "ada", "", mine.current().number).number


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "config" / "routing"


@pytest.mark.slow
def test_a_stale_temporary_file_of_a_dead_publisher_stops_nobody(folder: Path) -> None:
    publish(folder, "one")
    (folder / ".000002.json.0123.tmp").write_text('{"number": 2')
    (folder / ".000002.json.lock").write_text("pid 1")
    with running(folder) as service:
        assert service.ask() == (1, ["one"], [])
        assert publish(folder, "two") == 2
        assert service.ask() == (2, ["two"], [])


@pytest.mark.slow
def test_a_half_written_newest_version_leaves_the_former_in_force_for_old_and_new_services(folder: Path) -> None:
    publish(folder, "one")
    publish(folder, "two")
    whole = (folder / "000002.json").read_text()
    with running(folder) as before:
        assert before.ask() == (2, ["two"], [])
        for part in (whole[: len(whole) // 2], "", whole.replace('"two"', '"Not A Name"')):
            (folder / "000003.json").write_text(part.replace('"number": 2', '"number": 3'))
            with running(folder) as after:
                for service in (before, after):
                    number, rules, problems = service.ask()
                    assert (number, rules) == (2, ["two"])
                    assert len(problems) == 1 and problems[0].startswith("000003.json")
        assert publish(folder, "four") == 4
        assert before.ask()[:2] == (4, ["four"])


@pytest.mark.slow
def test_a_version_that_is_removed_by_hand_stays_in_force_where_it_runs(folder: Path) -> None:
    publish(folder, "one")
    publish(folder, "two")
    with running(folder) as before:
        assert before.ask()[0] == 2
        (folder / "000002.json").unlink()
        number, rules, problems = before.ask()
        assert (number, rules) == (2, ["two"]) and "removed by hand" in problems[0]
        with running(folder) as after:
            assert after.ask() == (1, ["one"], [])
        assert publish(folder, "three") == 2
        (folder / "000001.json").unlink()
        with running(folder) as after:
            assert after.ask() == (2, ["three"], [])


@pytest.mark.slow
def test_a_folder_without_any_usable_version_holds_everything(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "000001.json").write_text("{}")
    with running(folder) as service:
        number, rules, problems = service.ask()
        assert (number, rules) == (0, ["no-usable-configuration"]) and len(problems) == 1
        publish(folder, "one")
        assert service.ask()[:2] == (2, ["one"])


@pytest.mark.slow
def test_a_folder_that_cannot_be_written_refuses_the_publisher_and_leaves_services_alone() -> None:
    with tempfile.TemporaryDirectory() as top:
        Path(top).chmod(0o755)
        folder = Path(top) / "routing"
        publish(folder, "one")
        for path in (folder, folder / "000001.json"):
            path.chmod(0o555 if path.is_dir() else 0o444)
        with running(folder) as service:
            publisher = python(PUBLISHER, folder, "ben", 1, NOBODY)
            told, _ = publisher.communicate("go\n", timeout=60)
            assert "refused: 000002.json: cannot be written: Permission denied. Let this user write in " in told
            assert "done 0 1" in told
            assert service.ask() == (1, ["one"], [])
            assert [path.name for path in folder.iterdir()] == ["000001.json"]
        folder.chmod(0o755)


@pytest.mark.slow
def test_publishers_in_several_processes_at_once_lose_no_edit_and_use_no_number_twice(folder: Path) -> None:
    publish(folder, "start")
    publishers = [python(PUBLISHER, folder, f"p{at}", 6) for at in range(3)]
    for one in publishers:
        assert one.stdout is not None and one.stdout.readline() == "ready\n"
    with running(folder) as service:
        for one in publishers:
            assert one.stdin is not None
            one.stdin.write("go\n")
            one.stdin.flush()
        seen = [service.ask()]
        while any(one.poll() is None for one in publishers):
            seen.append(service.ask())
        seen.append(service.ask())
        for one in publishers:
            assert one.stdout is not None and one.stdout.readline().startswith("done 6 ")
            one.communicate()
    numbers = [number for number, _, _ in seen]
    assert numbers == sorted(numbers) and numbers[-1] == 19
    assert all(problems == [] for _, _, problems in seen)
    assert set(seen[-1][1]) == {"start", *(f"p{who}-{at}" for who in range(3) for at in range(6))}
    history = versions(folder).history()
    assert [one.parent for one in history] == list(range(18, -1, -1)), "each edit started from the one before it"
    assert sorted(path.name for path in folder.iterdir()) == [f"{number:06d}.json" for number in range(1, 20)]


@pytest.mark.slow
def test_a_publisher_killed_at_any_moment_leaves_only_whole_versions(folder: Path) -> None:
    publish(folder, "start")
    for at in range(5):
        before = versions(folder).current().number
        publisher = python(PUBLISHER, folder, f"p{at}", 1000)
        assert publisher.stdin is not None and publisher.stdout is not None
        assert publisher.stdout.readline() == "ready\n"
        publisher.stdin.write("go\n")
        publisher.stdin.flush()
        watcher = versions(folder)
        while watcher.current().number < before + at % 3 + 1:
            continue
        publisher.kill()
        publisher.wait(60)
        publisher.stdin.close()
        publisher.stdout.close()
        after = versions(folder)
        names = [rule.name for rule in after.current().configuration.rules]
        assert after.problems() == () and names[0] == "start"
        assert [one.number for one in after.history()] == list(range(after.current().number, 0, -1))
        number = after.current().number
        assert publish(folder, *names, f"mine-{at}") == number + 1
