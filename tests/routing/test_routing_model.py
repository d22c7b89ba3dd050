"""The routing configuration: what loads, and the one line that says place, fault and cure for what does not."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from protocol.errors import RoutingError
from protocol.routing.model import RoutingConfiguration
from protocol.routing.parse import LIMIT_BYTES, dump, parse
from protocol.routing.targets import DicomTarget

CONTRACT: dict[str, Any] = {
    "targets": {
        "pacs": {
            "type": "dicom",
            "host": "127.0.0.1",
            "port": 11113,
            "called_ae": "PACS",
            "calling_ae": "SCANPOST",
            "concurrency": 2,
            "retry": {"first_s": 10, "factor": 2, "max_s": 3600, "give_up_after_s": 259200, "max_attempts": None},
            "tls": None,
        },
        "ai1": {"type": "dicom", "host": "ai1.example.org", "port": 104, "called_ae": "AI1"},
        "ai2": {"type": "dicom", "host": "fd00::2", "port": 104, "called_ae": "AI2"},
        "share": {
            "type": "folder",
            "path": "/data/export",
            "layout": "{PatientID}/{StudyInstanceUID}/{SeriesInstanceUID}",
        },
        "web": {"type": "dicomweb", "url": "https://pacs.example.org/dicom-web"},
        "bucket": {"type": "s3", "bucket": "images"},
        "drop": {"type": "sftp", "host": "sftp.example.org", "user": "scanpost", "path": "/in"},
    },
    "groups": {"ai": {"mode": "balance", "members": ["ai1", "ai2"]}},
    "sources": {"mr1": {"calling_ae": "MR1", "address": None, "quiet_s": 10}},
    "rules": [
        {
            "name": "cardiac",
            "when": "modality == 'MR' and contains(StudyDescription, 'cardiac')",
            "action": "route",
            "targets": ["pacs", "ai"],
            "trigger": "series",
            "priority": "normal",
            "mode": "active",
            "stop": False,
            "fallback": False,
            "expires": None,
            "quota": None,
            "schedule": None,
            "notify": [{"on": ["completed", "failed"], "to": "mail:ops@example.org"}],
            "comment": "",
            "owner": "",
            "tests": [],
        }
    ],
}


def test_the_contracts_example_loads_and_survives_a_round_trip() -> None:
    configuration = parse(json.dumps(CONTRACT), "routing.json")
    assert configuration.rules[0].when.startswith("Modality == 'MR'")
    assert configuration.keywords == {"Modality", "StudyDescription"}
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


def target(**changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda data: data["targets"]["pacs"].update(changes)


def rule(**changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda data: data["rules"][0].update(changes)


@pytest.mark.parametrize(
    ("change", "place", "says"),
    [
        (target(port=0), "targets.pacs.port", "greater than or equal to 1"),
        (target(port=65536), "targets.pacs.port", "65535"),
        (target(port="104"), "targets.pacs.port", "whole number"),
        (target(port=True), "targets.pacs.port", "whole number"),
        (target(host="a b"), "targets.pacs.host", "spaces"),
        (target(host="http://x/"), "targets.pacs.host", "scheme"),
        (target(called_ae="SEVENTEEN_LETTERS"), "targets.pacs.called_ae", "16"),
        (target(called_ae="A\\B"), "targets.pacs.called_ae", "backslash"),
        (target(called_ae="A\tB"), "targets.pacs.called_ae", "control"),
        (target(called_ae="   "), "targets.pacs.called_ae", "blank"),
        (target(max_pdu=100), "targets.pacs", "max_pdu"),
        (target(tls={"cert": "/c.pem"}), "targets.pacs.tls", "belong together"),
        (target(tls={"ca": "ca.pem"}), "targets.pacs.tls.ca", "absolute"),
        (target(tls={"ca": "/ca.pem", "verify": False}), "targets.pacs.tls", "no use"),
        (target(tls={"verify": "no"}), "targets.pacs.tls.verify", "true or false"),
        (target(tls={"server_name": "a b"}), "targets.pacs.tls.server_name", "spaces"),
        (target(tls=True), "targets.pacs.tls", ""),
        (target(concurrency=0), "targets.pacs.concurrency", "1"),
        (target(prt=1), "targets.pacs.prt", "'port'"),
        (target(retry={"frist_s": 1}), "targets.pacs.retry.frist_s", "'first_s'"),
        (target(retry={"first_s": 10, "max_s": 5}), "targets.pacs.retry", "max_s"),
        (target(retry={"first_s": 0}), "targets.pacs.retry.first_s", "greater than 0"),
        (target(type="dcm"), "targets.pacs.type", "sftp"),
        (lambda data: data["targets"]["pacs"].pop("type"), "targets.pacs.type", "missing"),
        (lambda data: data["targets"]["pacs"].pop("host"), "targets.pacs.host", "missing"),
        (lambda data: data["targets"].update({"Pacs": data["targets"]["pacs"]}), "targets.Pacs", "a-z 0-9 _ -"),
        (lambda data: data["targets"].update({"x\n": data["targets"]["pacs"]}), "targets.x", "a-z 0-9 _ -"),
        (lambda data: data["targets"].update({"x" * 65: data["targets"]["pacs"]}), "targets.xxx", "a-z 0-9 _ -"),
        (lambda data: data["targets"]["share"].update(path="data"), "targets.share.path", "absolute"),
        (lambda data: data["targets"]["share"].update(path="/data/../etc"), "targets.share.path", "`..`"),
        (lambda data: data["targets"]["share"].update(layout="../{PatientID}"), "targets.share.layout", "relative"),
        (lambda data: data["targets"]["share"].update(layout="{PatientID.x}"), "targets.share.layout", "keyword"),
        (lambda data: data["targets"]["web"].update(url="https://u:p@h/"), "targets.web.url", "password"),
        (rule(trigger="patient"), "rules[0].trigger", "'series', 'study' or 'image'"),
        (rule(study={}), "rules[0]", 'the trigger "study"'),
        (
            rule(trigger="study", study={"complete": "any_image(Modalty == 'CT')"}),
            "rules[0].study.complete",
            "'Modality'",
        ),
        (rule(trigger="study", study={"quiet": 5}), "rules[0].study.quiet", "'quiet_s'"),
        (rule(trigger="study", study={"max_wait_s": 0}), "rules[0].study.max_wait_s", "greater than 0"),
        (rule(trigger="study", study={"then": "discard"}), "rules[0].study.then", "'decide' or 'hold'"),
        (rule(trigger="image", fallback=True), "rules[0]", "no fallback"),
        (rule(trigger="image", action="hold"), "rules[0]", "its action is route"),
        (rule(trigger="image", when="count_images() > 3"), "rules[0]", "image functions"),
        (rule(when="Modalty == 'MR'"), "rules[0].when", "'Modality'"),
        (rule(when="x" * 5000), "rules[0].when", "4000"),
        (rule(targets=["paks"]), "rules[0].targets[0]", "Did you mean 'pacs'"),
        (rule(targets=["pacs", "zzz"]), "rules[0].targets[1]", "'cardiac' names the missing target or group 'zzz'"),
        (rule(targets=[]), "rules[0].targets", "routes to no target"),
        (rule(action="discard"), "rules[0].targets", "discards, but names targets"),
        (rule(action="send"), "rules[0].action", "'route', 'discard' or 'hold'"),
        (rule(priority="high"), "rules[0].priority", "urgent"),
        (rule(quota="max 50 series"), "rules[0].quota", "must be an object"),
        (rule(quota={"max": 0}), "rules[0].quota.max", "greater than or equal to 1"),
        (rule(quota={"max": 5, "per": "year"}), "rules[0].quota.per", "'month'"),
        (rule(schedule=[]), "rules[0].schedule", "at least 1"),
        (rule(schedule={"start": "7:30"}), "rules[0].schedule[0].start", "07:30"),
        (rule(schedule=[{"days": ["monday"]}]), "rules[0].schedule[0].days[0]", "'mon'"),
        (rule(schedule=[{"from": "07:30"}]), "rules[0].schedule[0].from", "unknown key 'from'"),
        (rule(expires="soon"), "rules[0].expires", "2026-12-31"),
        (rule(expires="2026-02-30"), "rules[0].expires", "2026-12-31"),
        (rule(expires="2026-12-31T18:00"), "rules[0].expires", "zone"),
        (rule(stop="yes"), "rules[0].stop", "true or false"),
        (rule(name="Cardiac MR"), "rules[0].name", "a-z 0-9 _ -"),
        (rule(comment="a\0b"), "rules[0].comment", "control"),
        (rule(notify=[{"on": ["x"], "to": "mail:a"}]), "rules[0].notify[0].on[0]", "completed"),
        (rule(notify=[{"on": ["failed"], "to": "sh:rm"}]), "rules[0].notify[0].to", "mail"),
        (rule(tests=[{"expct": "true"}]), "rules[0].tests[0].expct", "'expect'"),
        (lambda data: data["rules"].append(data["rules"][0]), "rules[1].name", "two rules named 'cardiac'"),
        (lambda data: data["groups"].update(pacs=data["groups"]["ai"]), "groups.pacs", "one name space"),
        (lambda data: data["groups"]["ai"].update(members=["ai"]), "groups.ai.members[0]", "missing target 'ai'"),
        (lambda data: data["groups"]["ai"].update(members=["ai1", "ai1"]), "groups.ai.members", "twice"),
        (lambda data: data["groups"]["ai"].update(members=[]), "groups.ai.members", "at least 1"),
        (lambda data: data["sources"].update(mr2={"calling_ae": "MR1 "}), "sources.mr2", "'mr1'"),
        (lambda data: data["sources"].update(mr2={}), "sources.mr2", "calling_ae, address or certificate"),
        (lambda data: data["sources"].update(mr2={"address": "10.0.0"}), "sources.mr2.address", "10.0.0.0/24"),
        (lambda data: data.update(rule=[]), "rule", "'rules'"),
        (lambda data: data.update(rules={}), "rules", "must be a list"),
    ],
)
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
