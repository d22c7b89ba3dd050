"""All faults of a routing configuration at once: one message each, in file order, none twice, none that only follows."""

from __future__ import annotations

import copy
import json
import traceback
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.errors import MAX_FAULTS, RoutingError
from protocol.routing.parse import build, load_json, parse

GOOD: dict[str, Any] = {
    "targets": {
        "pacs": {"type": "dicom", "host": "pacs", "port": 104, "called_ae": "PACS"},
        "share": {"type": "folder", "path": "/data"},
    },
    "groups": {"all": {"mode": "failover", "members": ["pacs", "share"]}},
    "sources": {"mr1": {"calling_ae": "MR1"}},
    "rules": [
        {"name": "mr", "when": "Modality == 'MR'", "action": "route", "targets": ["all"]},
        {"name": "rest", "when": "True", "action": "route", "targets": ["pacs"], "fallback": True},
    ],
}


def refused(data: Any) -> RoutingError:
    with pytest.raises(RoutingError) as caught:
        build(data, "routing.json")
    return caught.value


def places(data: Any) -> list[str]:
    return [fault.place for fault in refused(data).faults]


def test_every_fault_is_told_in_file_order_and_the_first_is_the_one_line() -> None:
    data = copy.deepcopy(GOOD)
    data["targets"]["pacs"] |= {"port": 0, "hsot": "x"}
    data["groups"]["all"]["members"].append("paks")
    data["sources"]["mr1"]["quiet_s"] = -1
    data["rules"][0]["when"] = "Modalty == 'MR'"
    data["rules"][1]["targets"] = ["shar"]
    error = refused(data)
    assert [fault.place for fault in error.faults] == [
        "targets.pacs.port",
        "targets.pacs.hsot",
        "groups.all.members[2]",
        "sources.mr1.quiet_s",
        "rules[0].when",
        "rules[1].targets[0]",
    ]
    assert all(fault.message and fault.cure for fault in error.faults)
    assert str(error).startswith("routing.json: targets.pacs.port: ") and "(and 5 more)" in str(error)
    assert error.lines()[5] == (
        "routing.json: rules[1].targets[0]: rule 'rest' names the missing target or group 'shar'. Did you mean 'share'?"
    )
    assert all(line.isprintable() for line in error.lines())


def test_what_names_a_broken_part_is_not_blamed() -> None:
    data = copy.deepcopy(GOOD)
    data["targets"]["pacs"] = {"type": "dicom"}
    data["groups"]["all"]["mode"] = "random"
    assert places(data) == [*(f"targets.pacs.{key}" for key in ("host", "port", "called_ae")), "groups.all.mode"]


def test_two_rules_of_one_name_are_found_though_one_of_them_is_broken() -> None:
    data = copy.deepcopy(GOOD)
    data["rules"].append({"name": "mr", "when": "", "action": "hold"})
    assert places(data) == ["rules[2].name", "rules[2].when"]


def test_a_list_whose_items_are_wrong_is_not_called_too_short_as_well() -> None:
    data = copy.deepcopy(GOOD)
    data["rules"][0]["schedule"] = [{"start": "7"}]
    assert places(data) == ["rules[0].schedule[0].start"]
    data["rules"][0]["schedule"] = []
    assert places(data) == ["rules[0].schedule"]


def test_failing_test_cases_of_active_rules_are_told_beside_other_faults() -> None:
    data = copy.deepcopy(GOOD)
    wrong = [{"header": {"Modality": "CT"}, "expect": "true"}, {"header": {"Modality": "MR"}, "expect": "false"}]
    data["rules"][0]["tests"] = wrong
    data["rules"][1]["tests"], data["rules"][1]["mode"] = [{"expect": "false"}], "shadow"
    data["targets"]["pacs"]["port"] = 0
    error = refused(data)
    assert [fault.place for fault in error.faults] == ["targets.pacs.port", "rules[0].tests", "rules[0].tests"]
    assert "expects true, but the rule is false" in error.faults[1].message


def test_the_same_fault_is_told_once() -> None:
    with pytest.raises(RoutingError) as caught:
        load_json('{"a": 1, "a": 2, "b": {"c": 1, "c": 1}, "a": 3}', "routing.json")
    assert [fault.message for fault in caught.value.faults] == [
        "the key 'c' is there twice in one object",
        "the key 'a' is there twice in one object",
    ]


def test_of_very_many_faults_the_first_are_told_and_how_many_more() -> None:
    error = refused({"rules": [0] * 1000})
    assert len(error.faults) == MAX_FAULTS and error.more == 1000 - MAX_FAULTS
    assert error.faults[-1].place == f"rules[{MAX_FAULTS - 1}]"
    assert error.lines()[-1] == f"routing.json: and {error.more} more faults"
    error = refused({"rules": [0] * 5000})
    assert len(error.faults) == MAX_FAULTS and error.more == 5000 - MAX_FAULTS


def test_marks_of_a_file_are_allowed_and_not_kept() -> None:
    marked = {"$schema": "routing.schema.json", "$base": 12, "$only": ["rules"], **GOOD}
    assert build(marked, "routing.json") == build(GOOD, "routing.json")
    assert places({"$schema": 1, "$base": True, "$only": ["rule"]}) == ["$schema", "$base", "$only"]


def test_an_address_with_a_password_in_it_is_never_repeated() -> None:
    word = "hunter" + "2"  # not in the traceback's own lines
    error = refused({"targets": {"web": {"type": "dicomweb", "url": f"https://me:{word}@pacs/"}}})
    told = "\n".join(traceback.format_exception(error))
    assert error.faults[0].place == "targets.web.url" and word not in told


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 70_000) | st.sampled_from(["pacs", "mr", "True", "x y", ""]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["pacs", "type", "name", "when", "targets", "host", "Bad Key"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)


@st.composite
def damaged(draw: st.DrawFn) -> dict[str, Any]:
    """The good configuration with some values replaced, added or removed anywhere."""
    data = copy.deepcopy(GOOD)
    for _ in range(draw(st.integers(1, 4))):
        here: Any = data
        while True:
            keys: list[Any] = list(here) if isinstance(here, dict) else list(range(len(here)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(here[key], (dict, list)) and here[key] and draw(st.booleans()):
                here = here[key]
                continue
            if draw(st.booleans()):
                here[key] = draw(JSON)
            else:
                del here[key]
            break
    return data


@settings(max_examples=150, deadline=None)
@given(damaged())
def test_whatever_is_wrong_is_told_with_place_and_cure_and_never_breaks(data: dict[str, Any]) -> None:
    try:
        parse(json.dumps(data), "routing.json")
    except RoutingError as error:
        assert error.faults and len(set(error.faults)) == len(error.faults)
        assert all(fault.message and fault.cure for fault in error.faults)
        assert all(line.startswith("routing.json: ") and line.isprintable() for line in error.lines())
