"""Two editors in any order: every version stays readable, numbers rise, no edit is lost without its author being told."""

from __future__ import annotations

import json
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from protocol.clock import ManualClock
from protocol.errors import NotFound, RoutingConflict, RoutingError, ScanpostError
from protocol.fsops import RealFs
from protocol.routing.difference import difference
from protocol.routing.edits import add_source, change_source, remove_source, set_mode
from protocol.routing.parse import SECTIONS, build, dump, load_json, to_data, unmarked
from protocol.routing.publishing import apply, judged, mark_of, plan
from protocol.routing.versions import RoutingVersions, Version

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WHO = st.sampled_from(["ada", "ben"])
BASE: dict[str, Any] = {
    "targets": {"pacs": {"type": "dicom", "host": "h", "port": 104, "called_ae": "A"}},
    "sources": {"mr1": {"calling_ae": "MR1"}},
    "rules": [{"name": "mr", "when": "Modality == 'MR'", "action": "route", "targets": ["pacs"]}],
}


def versions(folder: Path) -> RoutingVersions:
    return RoutingVersions(folder, RealFs(), ManualClock(now=1000.0))


@pytest.fixture
def mine(tmp_path: Path) -> RoutingVersions:
    made = versions(tmp_path / "routing")
    made.publish(build(BASE, "test"), "ada", "first", 0)
    return made


def draft(data: dict[str, Any], **marks: Any) -> Any:
    return unmarked({**data, **{f"${key}": value for key, value in marks.items()}}, "routing.json")


def without_rules() -> dict[str, Any]:
    return {**BASE, "rules": []}


# --- files


def test_an_export_is_planned_on_top_of_what_it_was_taken_from(mine: RoutingVersions) -> None:
    exported = dump(mine.current().configuration, mark_of(mine.current()))
    planned = plan(mine, unmarked(load_json(exported, "f"), "f"), "f")
    assert planned.changes == () and planned.current.number == 1 and planned.note == ""


def test_a_file_whose_base_was_overtaken_is_refused_with_who_when_why_and_what(mine: RoutingVersions) -> None:
    mark = mark_of(mine.current())
    apply(mine, set_mode("mr", "off"), "ben", "too\nmany", NOW)
    for base in (mark, 1, "1"):
        with pytest.raises(RoutingConflict) as caught:
            plan(mine, draft(without_rules(), base=base), "routing.json")
        line = str(caught.value)
        assert line.startswith(
            "routing.json: this edit started from version 1, but version 2 was published meanwhile by ben "
        )
        assert "(1970-01-01 00:16 UTC: too many)" in line and "since version 1: rule 'mr' changed" in line
        assert line.isprintable()
    assert plan(mine, draft(without_rules(), base=mark), "routing.json", base=2).current.number == 2
    assert plan(mine, draft(without_rules()), "routing.json").note == ""


def test_a_base_that_was_restored_meanwhile_is_no_conflict(mine: RoutingVersions) -> None:
    mark = mark_of(mine.current())
    apply(mine, set_mode("mr", "off"), "ben", "", NOW)
    mine.rollback(1, "ben", "")
    assert plan(mine, draft(without_rules(), base=mark), "routing.json").current.number == 3


def test_a_base_of_another_node_is_no_conflict_but_a_note(mine: RoutingVersions) -> None:
    for mark in ("1-0123456789ab", "77-0123456789ab", 77):
        planned = plan(mine, draft(without_rules(), base=mark), "routing.json")
        assert "no version of this node: imported on top of version 1" in planned.note


def test_a_base_that_is_damaged_here_counts_as_ours(mine: RoutingVersions, tmp_path: Path) -> None:
    mark = mark_of(mine.current())
    apply(mine, set_mode("mr", "off"), "ben", "", NOW)
    (tmp_path / "routing" / "000001.json").write_text("{")
    with pytest.raises(RoutingConflict, match="started from version 1, but version 2 was published meanwhile by ben"):
        plan(versions(tmp_path / "routing"), draft(without_rules(), base=mark), "routing.json")


@pytest.mark.parametrize("base", ["", "x", "-1", "1" * 13, "²"])
def test_a_base_that_says_no_number_is_refused(mine: RoutingVersions, base: str) -> None:
    with pytest.raises(RoutingError, match=r"\$base: says no number"):
        plan(mine, draft(BASE, base=base), "routing.json")


def test_sections_are_taken_from_a_file_and_the_others_from_the_current_version(mine: RoutingVersions) -> None:
    mark = mark_of(mine.current())
    apply(mine, change_source("mr1", {"quiet_s": 7}), "ben", "", NOW)
    rules = {"rules": [], "targets": {"ignored": 1}}
    planned = plan(mine, draft(rules, base=mark, only=["rules"]), "routing.json")
    assert [(one.section, one.kind) for one in planned.changes] == [("rules", "removed")]
    assert planned.configuration.sources["mr1"].quiet_s == 7 and "pacs" in planned.configuration.targets
    with pytest.raises(RoutingConflict, match="source 'mr1' changed"):
        plan(mine, draft({"sources": {}}, base=mark, only=["sources"]), "routing.json")
    with pytest.raises(RoutingError) as missing:
        plan(mine, draft({}), "routing.json", only=("rules", "groups"))
    assert [fault.place for fault in missing.value.faults] == ["rules", "groups"]


def test_errors_among_the_findings_stop_a_plan_and_are_all_told(mine: RoutingVersions) -> None:
    failing = [{"header": {"Modality": "CT"}, "expect": "true"}] * 2
    data = {**BASE, "rules": [{**BASE["rules"][0], "tests": failing}]}
    with pytest.raises(RoutingError) as caught:
        judged(plan(mine, draft(data), "routing.json"), "routing.json", NOW, None)
    assert [fault.place for fault in caught.value.faults] == ["rules[0].tests", "rules[0].tests"]


# --- small edits


def test_an_edit_on_top_of_no_usable_version_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "routing"
    folder.mkdir()
    (folder / "000001.json").write_text("{")
    with pytest.raises(RoutingError, match="no version can be used"):
        apply(versions(folder), add_source("mr1", {"calling_ae": "A"}), "ada", "", NOW)
    assert [file.name for file in folder.iterdir()] == ["000001.json"]


def test_an_edit_that_no_longer_applies_is_told(mine: RoutingVersions, tmp_path: Path) -> None:
    other = versions(tmp_path / "routing")
    calls = []

    def overtaken(data: dict[str, Any]) -> dict[str, Any]:
        if not calls:
            apply(other, remove_source("mr1"), "ben", "", NOW)
        calls.append(1)
        return change_source("mr1", {"quiet_s": 3})(data)

    with pytest.raises(NotFound, match="no source 'mr1'"):
        apply(mine, overtaken, "ada", "", NOW)
    assert len(calls) == 2 and mine.current().author == "ben"


def test_an_edit_that_is_overtaken_for_ever_ends(mine: RoutingVersions, tmp_path: Path) -> None:
    other = versions(tmp_path / "routing")

    def overtaken(data: dict[str, Any]) -> dict[str, Any]:
        mode = "off" if data["rules"][0]["mode"] == "active" else "active"
        apply(other, set_mode("mr", mode), "ben", "", NOW)
        return set_mode("mr", "shadow")(data)

    with pytest.raises(RoutingConflict, match="keeps publishing"):
        apply(mine, overtaken, "ada", "", NOW)


# --- any order of everything


class Editors(RuleBasedStateMachine):
    """Ada and Ben share a folder. Each has a file that was exported at some time, and makes small edits beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp()) / "routing"
        self.nodes = {name: versions(self.folder) for name in ("ada", "ben")}
        self.files: dict[str, str] = {}
        self.model: list[tuple[Version, str]] = []  # what must be there, with its text
        self.count = 0

    def teardown(self) -> None:
        shutil.rmtree(self.folder.parent, ignore_errors=True)

    def _published(self, version: Version) -> None:
        assert version.number == len(self.model) + 1 and version.parent == len(self.model)
        self.model.append((version, dump(version.configuration)))

    def _current(self) -> dict[str, Any]:
        return json.loads(self.model[-1][1]) if self.model else {section: [] for section in SECTIONS}

    @rule(who=WHO, only=st.sampled_from([(), ("rules",), ("sources",)]))
    def export(self, who: str, only: tuple[str, ...]) -> None:
        current = self.nodes[who].current()
        self.files[who] = dump(current.configuration, mark_of(current), only)

    @rule(who=WHO)
    def edit_the_file_and_import_it(self, who: str) -> None:
        if who not in self.files:
            return
        self.count += 1
        data = json.loads(self.files[who])
        if "rules" in data:
            data["rules"].append({"name": f"{who}-{self.count}", "when": "True", "action": "hold"})
        else:
            data["sources"][f"{who}-{self.count}"] = {"calling_ae": f"AE{self.count}"}
        node, draft = self.nodes[who], unmarked(data, "file")
        base = int(data["$base"].partition("-")[0])
        before, seen = self._current(), json.loads(self.model[base - 1][1]) if base else {one: [] for one in SECTIONS}
        try:
            planned = plan(node, draft, "file")
            version = node.publish(planned.configuration, who, "", planned.current.number)
        except RoutingConflict as told:
            assert base < len(self.model) and f"version {len(self.model)} was published meanwhile by " in str(told)
            return
        self._published(version)
        for section in draft.only or SECTIONS:
            assert before[section] == seen[section] or not (before[section] or seen[section]), "overwritten unseen"
        if draft.only:
            after = to_data(version.configuration)
            assert all(after[one] == before[one] for one in SECTIONS if one not in draft.only and before[one])

    @rule(who=WHO, kind=st.sampled_from(["add", "set", "remove", "mode"]), pick=st.integers(0, 9))
    def make_a_small_edit(self, who: str, kind: str, pick: int) -> None:
        self.count += 1
        before = self._current()
        names = {"mode": [one["name"] for one in before["rules"]]}.get(kind, list(before["sources"])) or ["nobody"]
        name = names[pick % len(names)]
        edit = {
            "add": add_source(f"s{self.count}", {"calling_ae": f"S{self.count}"}),
            "set": change_source(name, {"quiet_s": self.count}),
            "remove": remove_source(name),
            "mode": set_mode(name, ["active", "shadow", "off"][self.count % 3]),
        }[kind]
        try:
            done = apply(self.nodes[who], edit, who, "", NOW)
        except ScanpostError as told:
            assert name == "nobody", told
            return
        if done.after.number == done.before.number:
            return
        self._published(done.after)
        assert len(difference(done.before.configuration, done.after.configuration)) == 1

    @rule(who=WHO, back=st.integers(1, 5))
    def roll_back(self, who: str, back: int) -> None:
        number = len(self.model) - back
        if number < 1:
            return
        version = self.nodes[who].rollback(number, who, "")
        assert dump(version.configuration) == self.model[number - 1][1]
        self._published(version)

    @rule(who=WHO)
    def start_again(self, who: str) -> None:
        self.nodes[who] = versions(self.folder)

    @invariant()
    def every_version_is_there_as_it_was_published(self) -> None:
        fresh = versions(self.folder)
        assert [(one.number, dump(one.configuration)) for one in fresh.history()] == [
            (version.number, text) for version, text in reversed(self.model)
        ]
        assert fresh.problems() == ()
        for node in (fresh, *self.nodes.values()):
            assert node.current().number == len(self.model)


Editors.TestCase.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)
TestEditors = pytest.mark.slow(Editors.TestCase)
