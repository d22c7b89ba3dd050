"""The routing configuration: what loads, and the one line that says place, fault and cure for what does not."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from faulty_routing import CONTRACT, FAULTS
from pydantic import ValidationError

from protocol.errors import RoutingError
from protocol.routing.model import RoutingConfiguration
from protocol.routing.parse import LIMIT_BYTES, dump, parse
from protocol.routing.targets import DicomTarget


def test_the_contracts_example_loads_and_survives_a_round_trip() -> None:
    configuration = parse(json.dumps(CONTRACT), "routing.json")
    assert configuration.rules[0].when.startswith("Modality == 'MR'")
    of_the_layout = {"PatientID", "StudyInstanceUID", "SeriesInstanceUID"}
    assert configuration.keywords == {"Modality", "StudyDescription"} | of_the_layout
    assert parse(dump(configuration), "again") == configuration
    assert parse(b"\xef\xbb\xbf" + dump(configuration).encode(), "with a byte order mark") == configuration


def test_defaults_are_those_of_the_contract() -> None:
    target = parse(json.dumps(CONTRACT), "routing.json").targets["ai1"]
    assert isinstance(target, DicomTarget)
    assert target.retry.model_dump() == CONTRACT["targets"]["pacs"]["retry"]
    assert (target.connect_timeout_s, target.acse_timeout_s, target.dimse_timeout_s) == (10, 30, 60)
    assert target.calling_ae == "SCANPOST"


def test_an_empty_object_is_an_empty_configuration() -> None:
    assert parse("{}", "routing.json") == RoutingConfiguration()


def test_nothing_changes_after_loading() -> None:
    with pytest.raises(ValidationError):
        parse("{}", "routing.json").rules = ()  # type: ignore[misc]


@pytest.mark.parametrize(("change", "place", "says"), FAULTS)
def test_what_does_not_fit_is_one_line_with_file_place_and_cure(
    change: Callable[[dict[str, Any]], None], place: str, says: str
) -> None:
    data = copy.deepcopy(CONTRACT)
    change(data)
    with pytest.raises(RoutingError) as caught:
        parse(json.dumps(data), "routing.json")
    line = str(caught.value)
    assert caught.value.where.startswith(f"routing.json: {place}")
    assert says in line
    assert caught.value.cure in line
    assert caught.value.cure
    assert line.isprintable()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "line 1, column 1"),
        ('{"rules": [\n  {"name": "a" "when": "True"}]}', "line 2, column 16"),
        (json.dumps(CONTRACT)[:400], "line 1, column"),
        (b'{"rules": []\xff', "byte 13"),
        ("[]", "not a JSON object"),
        ('{"targets": {}, "targets": {}}', "'targets' is there twice"),
        ('{"rules": NaN}', "NaN"),
        ('{"rules": ' + "9" * 5000 + "}", "digits"),
        ("[" * 100_000, "nested too deeply"),
        ('{"rules": ' + "[" * 900 + "]" * 900 + "}", "rules[0]"),
        (" " * (LIMIT_BYTES + 1), "larger than"),
        ('{"rules": [{"comment": "\\ud800"}]}', "surrogate"),
    ],
)
def test_text_that_is_no_json_of_ours_is_refused_in_one_line(text: str | bytes, says: str) -> None:
    with pytest.raises(RoutingError) as caught:
        parse(text, "routing.json")
    assert str(caught.value).startswith("routing.json: ")
    assert says in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_rules_own_tests_are_run() -> None:
    data = copy.deepcopy(CONTRACT)
    data["rules"][0]["tests"] = [
        {"header": {"Modality": "MR", "StudyDescription": "Cardiac"}, "expect": "true"},
        {"name": "head", "images": [{"Modality": "MR"}], "header": {"StudyDescription": "Head"}, "expect": "true"},
    ]
    (line,) = parse(json.dumps(data), "routing.json").rules[0].failed_tests()
    assert line == "test head expects true, but the rule is false"
