"""Versions on disk: two editors, a crash at every step, files damaged by hand. Reading never stops an actor."""

from __future__ import annotations

import gc
import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import pytest

from protocol.clock import ManualClock
from protocol.errors import DiskFailed, RoutingConflict, RoutingError
from protocol.fsops import RealFs
from protocol.routing.decide import Case, decide
from protocol.routing.model import RoutingConfiguration
from protocol.routing.parse import parse
from protocol.routing.rules.subject import Subject
from protocol.routing.versions import KEPT_PARTS, RoutingVersions, Version

TARGET = {"type": "dicom", "host": "h", "port": 104, "called_ae": "A"}


def configuration(*targets: str, rules: list[dict[str, Any]] | None = None) -> RoutingConfiguration:
    data = {"targets": dict.fromkeys(targets, TARGET), "rules": rules or []}
    return parse(json.dumps(data), "routing.json")


ONE, TWO = configuration("one"), configuration("one", "two")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "config" / "routing"


def versions(folder: Path, fs: Any = None) -> RoutingVersions:
    return RoutingVersions(folder, fs or RealFs(), ManualClock(now=1000.0))


def test_without_any_version_the_empty_configuration_is_number_0(folder: Path) -> None:
    fresh = versions(folder)
    assert (fresh.current().number, fresh.current().configuration) == (0, RoutingConfiguration())
    assert list(fresh.history()) == []
    assert fresh.problems() == ()


def test_a_published_version_is_current_for_everybody(folder: Path) -> None:
    reader = versions(folder)
    reader.current()
    assert not reader.changed()
    written = versions(folder).publish(ONE, "ada", "first", 0)
    assert reader.changed()
    assert reader.current() == written
    assert not reader.changed()
    assert (written.number, written.author, written.time, written.reason, written.parent) == (
        1,
        "ada",
        1000.0,
        "first",
        0,
    )
    assert sorted(path.name for path in folder.iterdir()) == ["000001.json"]
    assert set(json.loads((folder / "000001.json").read_text())) == {
        "number",
        "author",
        "time",
        "reason",
        "parent",
        "configuration",
    }


def test_history_and_rollback_keep_every_version(folder: Path) -> None:
    mine = versions(folder)
    mine.publish(ONE, "ada", "first", 0)
    mine.publish(TWO, "ada", "second", 1)
    back = mine.rollback(1, "bob", "two was wrong")
    assert (back.number, back.parent, back.configuration) == (3, 2, ONE)
    assert [one.number for one in versions(folder).history()] == [3, 2, 1]
    assert versions(folder).get(2).configuration == TWO
    with pytest.raises(RoutingError, match="no such version"):
        mine.rollback(9, "bob", "")


def test_an_edit_of_an_older_version_is_a_conflict(folder: Path) -> None:
    mine = versions(folder)
    mine.publish(ONE, "ada", "", 0)
    with pytest.raises(RoutingConflict, match="started from version 0, but version 1"):
        versions(folder).publish(TWO, "bob", "", 0)
    assert mine.current().configuration == ONE


def test_of_editors_at_the_same_moment_exactly_one_wins(folder: Path) -> None:
    barrier = threading.Barrier(6)
    outcomes: list[str] = []

    class Together(RealFs):
        def link(self, source: Path, target: Path) -> None:
            barrier.wait(60)
            super().link(source, target)

    def edit(name: str) -> None:
        try:
            versions(folder, Together()).publish(configuration(name), name, "", 0)
            outcomes.append(name)
        except RoutingConflict:
            outcomes.append("conflict")

    threads = [threading.Thread(target=edit, args=(f"editor{at}",)) for at in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    (winner,) = [outcome for outcome in outcomes if outcome != "conflict"]
    assert len(outcomes) == 6
    assert versions(folder).current().author == winner
    assert [path.name for path in folder.iterdir()] == ["000001.json"]


class Killed(BaseException):
    """The process is gone."""


class DyingFs:
    """The real file system until the nth effect; the process dies before or after it and does nothing any more."""

    EFFECTS = ("write_new", "link", "unlink", "sync_dir", "makedirs")

    def __init__(self, die_at: int, after: bool) -> None:
        self._real, self._die_at, self._after, self.count = RealFs(), die_at, after, 0

    def __getattr__(self, name: str) -> Callable[..., Any]:
        operation: Callable[..., Any] = getattr(self._real, name)
        return operation if name not in self.EFFECTS else lambda *arguments: self._effect(operation, arguments)

    def _effect(self, operation: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        self.count += 1
        if self.count > self._die_at or (self.count == self._die_at and not self._after):
            raise Killed
        result = operation(*arguments)
        if self.count == self._die_at:
            raise Killed
        return result


def test_death_before_and_after_every_effect_leaves_the_old_or_the_new_version(tmp_path: Path) -> None:
    whole = DyingFs(1_000_000, after=False)
    versions(tmp_path / "counted", whole).publish(ONE, "ada", "", 0)
    assert whole.count >= 5
    seen = set()
    for at in range(1, whole.count + 1):
        for after in (False, True):
            folder = tmp_path / f"{at}-{after}" / "routing"
            with pytest.raises(Killed):
                versions(folder, DyingFs(at, after)).publish(ONE, "ada", "", 0)
            survivor = versions(folder)
            found = survivor.current()
            assert survivor.problems() == ()
            assert (found.number, found.configuration) in [(0, RoutingConfiguration()), (1, ONE)]
            seen.add(found.number)
            assert survivor.publish(TWO, "bob", "", found.number).configuration == TWO
            assert versions(folder).current().configuration == TWO
    assert seen == {0, 1}


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-30],
        lambda data: b"",
        lambda data: b"\0" * len(data),
        lambda data: data.replace(b'"number": 2', b'"number": 3'),
        lambda data: data.replace(b'"port": 104', b'"port": -1'),
        lambda data: data.replace(b'"time": ', b'"tome": '),
        lambda data: data.replace(b'"parent": 1', b'"parent": "1"'),
        lambda data: b"[" * 50_000,
    ],
)
def test_a_version_damaged_by_hand_is_reported_and_the_former_stays_current(
    folder: Path, damage: Callable[[bytes], bytes]
) -> None:
    mine = versions(folder)
    mine.publish(ONE, "ada", "", 0)
    mine.publish(TWO, "ada", "", 1)
    path = folder / "000002.json"
    path.write_bytes(damage(path.read_bytes()))
    reader = versions(folder)
    assert reader.current().number == 1
    (problem,) = reader.problems()
    assert problem.number == 2
    assert "000002.json" in problem.message
    assert problem.message.isprintable()
    assert [one.number for one in reader.history()] == [1]
    published = reader.publish(TWO, "bob", "again", 1)
    assert (published.number, versions(folder).current().number) == (3, 3)


def test_if_versions_exist_but_none_is_usable_everything_is_held(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "000004.json").write_text("{")
    broken = versions(folder)
    decision = decide(broken.current().configuration, 0, Case(Subject([]), datetime.now(UTC)))
    assert decision.outcome == "hold"
    assert broken.publish(ONE, "ada", "", 0).number == 5


def test_a_running_actor_keeps_its_version_if_files_vanish_or_the_disk_fails(folder: Path) -> None:
    class Failing(RealFs):
        broken = False

        def listdir(self, path: Path) -> list[str]:
            if self.broken:
                raise DiskFailed("list folder: Input/output error")
            return super().listdir(path)

    fs = Failing()
    actor = versions(folder, fs)
    actor.publish(ONE, "ada", "", 0)
    assert actor.current().number == 1
    fs.broken = True
    assert actor.changed()
    assert actor.current().number == 1
    assert "cannot be listed" in actor.problems()[0].message
    fs.broken = False
    assert actor.current().number == 1
    assert actor.problems() == ()
    (folder / "000001.json").unlink()
    assert actor.current().number == 1
    assert "removed by hand" in actor.problems()[0].message


def test_a_disk_that_fails_at_start_holds_everything(folder: Path) -> None:
    class Dead(RealFs):
        def listdir(self, path: Path) -> list[str]:
            raise OSError(5, "Input/output error")

    assert (
        decide(versions(folder, Dead()).current().configuration, 0, Case(Subject([]), datetime.now(UTC))).outcome
        == "hold"
    )


def test_other_files_are_no_versions(folder: Path) -> None:
    folder.mkdir(parents=True)
    for name in ("000000.json", "7.json", "0000008.json", "000009.json.bak", ".000009.json.0.tmp", "README"):
        (folder / name).write_text("{}")
    quiet = versions(folder)
    assert (quiet.current().number, quiet.problems()) == (0, ())


def test_a_target_in_use_cannot_be_removed(folder: Path) -> None:
    mine = versions(folder)
    mine.publish(TWO, "ada", "", 0)
    with pytest.raises(RoutingError, match="'two' is in use \\(3 deliveries wait\\)"):
        mine.publish(ONE, "ada", "", 1, in_use={"two": "3 deliveries wait"})
    with pytest.raises(RoutingError, match="in use"):
        mine.rollback(0, "ada", "", in_use={"one": "1 delivery waits"})
    assert mine.publish(ONE, "ada", "", 1, in_use={"one": "5 deliveries wait"}).number == 2


def test_nothing_invalid_is_written_even_past_validation(folder: Path) -> None:
    mine = versions(folder)
    bad = ONE.model_copy(update={"targets": {"Bad Name": ONE.targets["one"]}})
    with pytest.raises(RoutingError, match="not a name"):
        mine.publish(bad, "ada", "", 0)
    with pytest.raises(RoutingError, match="JSON"):
        mine.publish(ONE, "ada", "\ud800", 0)
    assert mine.current().number == 0
    assert not folder.exists()


def test_of_many_versions_a_process_keeps_only_a_few(folder: Path) -> None:
    """Each holds all targets and rules: one that changes daily would be in memory some hundred times."""
    many = configuration(*(f"t{number}" for number in range(KEPT_PARTS // 4)))
    author, reader = versions(folder), versions(folder)
    for number in range(12):
        author.publish(many, "ada", "", number)
        assert reader.current().number == number + 1
    assert [one.number for one in reader.history()] == list(range(12, 0, -1))
    assert reader.get(3).number == 3
    gc.collect()
    mine = [one for one in gc.get_objects() if isinstance(one, Version) and one.author == "ada"]
    assert len(mine) <= 2 * 5, "three of a quarter each, the current one and one that is being asked for, by two"
    assert reader.current() is reader.current()


def test_of_the_history_no_more_is_read_than_is_asked_for(folder: Path) -> None:
    class Reading(RealFs):
        read: ClassVar[list[str]] = []

        def read_bytes(self, path: Path) -> bytes:
            self.read.append(path.name)
            return super().read_bytes(path)

    author = versions(folder)
    for number in range(9):
        author.publish(ONE, "ada", "", number)
    reader = versions(folder, Reading())
    assert [one.number for one in islice(reader.history(before=6), 2)] == [5, 4]
    assert sorted(Reading.read) == ["000004.json", "000005.json"]


@pytest.mark.parametrize(("mode", "refused"), [("active", True), ("shadow", False), ("off", False)])
def test_a_rule_whose_own_tests_fail_cannot_be_activated(folder: Path, mode: str, refused: bool) -> None:
    rule = {"name": "mr", "when": "Modality == 'MR'", "action": "hold", "mode": mode}
    wrong = configuration(rules=[{**rule, "tests": [{"header": {"Modality": "CT"}, "expect": "true"}]}])
    if refused:
        with pytest.raises(RoutingError, match=r"rules\[0\].tests: rule 'mr': test 1 expects true"):
            versions(folder).publish(wrong, "ada", "", 0)
    else:
        assert versions(folder).publish(wrong, "ada", "", 0).number == 1
