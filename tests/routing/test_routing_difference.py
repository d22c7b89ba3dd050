"""What changed between two configurations, as people want to read it and as programs do."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.routing.difference import Change, FieldChange, difference, lines, summary
from protocol.routing.parse import build

BASE: dict[str, Any] = {
    "targets": {"pacs": {"type": "dicom", "host": "pacs", "port": 104, "called_ae": "PACS"}},
    "groups": {"all": {"mode": "failover", "members": ["pacs"]}},
    "sources": {"mr1": {"calling_ae": "MR1"}},
    "rules": [{"name": name, "when": "True", "action": "route", "targets": ["pacs"]} for name in ("a", "b", "c")],
}


def changed(old: dict[str, Any], new: dict[str, Any]) -> tuple[Change, ...]:
    return difference(build(old, "old"), build(new, "new"))


def test_spelling_is_no_change() -> None:
    other = copy.deepcopy(BASE)
    other["rules"][0] |= {"priority": "normal", "comment": ""}
    other["targets"]["pacs"]["retry"] = {"first_s": 10}
    assert changed(BASE, dict(reversed(other.items()))) == ()
    assert summary(()) == "nothing changed"


def test_a_change_is_told_field_by_field_with_old_and_new_value() -> None:
    other = copy.deepcopy(BASE)
    other["targets"]["pacs"]["retry"] = {"max_attempts": 5}
    other["groups"]["all"]["mode"] = "sticky"
    other["sources"]["mr1"]["commitment"] = "spool"
    other["rules"][1] |= {"when": "modality == 'MR'", "stop": True}
    changes = changed(BASE, other)
    assert lines(changes) == [
        "~ target 'pacs'",
        "    retry.max_attempts: null -> 5",
        "~ group 'all'",
        '    mode: "failover" -> "sticky"',
        "~ source 'mr1'",
        '    commitment.policy: "target" -> "spool"',
        "~ rule 'b'",
        '    when: "True" -> "Modality == \'MR\'"',
        "    stop: false -> true",
    ]
    assert summary(changes) == "target 'pacs' changed, group 'all' changed, source 'mr1' changed, rule 'b' changed"
    assert json.loads(json.dumps(changes[0].to_data())) == {
        "section": "targets",
        "name": "pacs",
        "kind": "changed",
        "fields": [{"field": "retry.max_attempts", "old": None, "new": 5}],
    }


def test_what_came_and_went_is_told_without_its_defaults() -> None:
    other = copy.deepcopy(BASE)
    other["rules"] = [
        BASE["rules"][0],
        {"name": "new", "when": "True", "action": "hold", "owner": "anna"},
        BASE["rules"][2],
    ]
    other["sources"] = {}
    assert lines(changed(BASE, other)) == [
        "- source 'mr1'",
        '    calling_ae: "MR1"',
        "+ rule 'new' at place 2",
        '    when: "True"',
        '    action: "hold"',
        '    owner: "anna"',
        "- rule 'b'",
        '    when: "True"',
        '    action: "route"',
        '    targets: ["pacs"]',
    ]


def test_a_rule_that_moved_is_told_and_those_it_passed_are_not() -> None:
    other = copy.deepcopy(BASE)
    other["rules"].insert(0, other["rules"].pop())
    assert changed(BASE, other) == (Change("rules", "c", "moved", (), 3, 1),)
    assert lines(changed(BASE, other)) == ["> rule 'c' from place 3 to 1"]
    other["rules"][0]["comment"] = "first"
    moved, altered = changed(BASE, other)
    assert altered == Change("rules", "c", "changed", (FieldChange("comment", "", "first"),), 3, 1)


def test_a_rule_removed_before_others_moves_none() -> None:
    other = copy.deepcopy(BASE)
    del other["rules"][0]
    assert [(one.name, one.kind) for one in changed(BASE, other)] == [("a", "removed")]


def test_test_cases_are_compared_one_by_one() -> None:
    tests = [{"header": {"Modality": "MR"}, "expect": "true"}, {"header": {"Modality": "CT"}, "expect": "true"}]
    one, other = copy.deepcopy(BASE), copy.deepcopy(BASE)
    one["rules"][0]["tests"] = tests
    other["rules"][0]["tests"] = [tests[0], {"header": {"Modality": "US"}, "expect": "true"}]
    (change,) = changed(one, other)
    assert change.fields == (FieldChange("tests[1].header.Modality", "CT", "US"),)


def test_a_long_summary_names_the_first_and_counts_the_rest() -> None:
    rules = [{"name": f"r{at}", "when": "True", "action": "hold"} for at in range(9)]
    assert summary(changed({}, {"rules": rules})).endswith("rule 'r3' added, 5 more")


@settings(max_examples=200, deadline=None)
@given(st.permutations(range(6)), st.sets(st.integers(0, 5)), st.sets(st.integers(6, 8)))
def test_moves_removals_and_additions_turn_one_list_into_the_other(
    order: list[int], removed: set[int], added: set[int]
) -> None:
    def rules(numbers: list[int]) -> dict[str, Any]:
        return {"rules": [{"name": f"r{number}", "when": "True", "action": "hold"} for number in numbers]}

    old = list(range(6))
    new = [number for number in order if number not in removed]
    for number in sorted(added):
        new.insert(number % (len(new) + 1), number)
    changes = changed(rules(old), rules(new))
    result = [f"r{number}" for number in old]
    for change in changes:
        if change.kind in ("removed", "moved"):
            result.remove(change.name)
    for change in sorted((one for one in changes if one.after), key=lambda one: one.after or 0):
        assert change.after is not None
        result.insert(change.after - 1, change.name)
    assert result == [f"r{number}" for number in new]
