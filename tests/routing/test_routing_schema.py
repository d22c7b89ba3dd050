"""The published JSON Schema: it takes what is valid, refuses what a schema can refuse, and the copy in deploy is it."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
from faulty_routing import CONTRACT, FAULTS, Damage
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from protocol.errors import RoutingError
from protocol.routing import model
from protocol.routing.parse import SECTIONS, build, dump
from protocol.routing.schema import schema, schema_text

DEPLOY = Path(__file__).parents[2] / "deploy"
VALIDATOR = Draft202012Validator(schema())
BEYOND_A_SCHEMA = {
    "targets.pacs.retry",  # one number against another
    "rules[0].when",  # a grammar, and the dictionary of DICOM
    "rules[0].study.complete",
    "rules[0].targets[0]",  # names of other parts
    "rules[0].targets[1]",
    "rules[1].name",
    "groups.pacs",
    "groups.ai.members[0]",
    "sources.mr2",
    "rules[0].expires",  # a calendar
    "rules[0].off_until",
}


def fits(data: Any) -> bool:
    return bool(VALIDATOR.is_valid(data))


def test_the_schema_itself_is_a_schema_and_the_copy_in_deploy_is_the_same() -> None:
    Draft202012Validator.check_schema(schema())
    assert (DEPLOY / "routing.schema.json").read_text() == schema_text(), (
        "scanpost routing schema > deploy/routing.schema.json"
    )


def test_what_is_valid_fits_as_it_was_written_and_as_it_is_exported() -> None:
    for data in (CONTRACT, {}, *(json.loads(file.read_text()) for file in DEPLOY.glob("routing/*.json"))):
        assert list(VALIDATOR.iter_errors(data)) == []
        assert list(VALIDATOR.iter_errors(json.loads(dump(build(data, "test"), "12-abc", SECTIONS)))) == []


SHORT = {
    "targets": {
        "a": {"type": "dicom", "host": "h", "port": 1, "called_ae": " A ", "max_pdu": 0, "commitment": True},
        "b": {"type": "dicom", "host": "fd00::1", "port": 1, "called_ae": "A[]^~", "tls": {"cert": "/c", "key": "/k"}},
        "c": {"type": "s3", "bucket": "abc", "access_key": "${A}", "secret_key": "file:/x", "credentials": None},
        "d": {"type": "dicomweb", "url": "http://h:80", "user": "u", "password": "${P}"},
    },
    "sources": {
        "x": {"address": "10.0.0.0/255.0.0.0", "commitment": "spool"},
        "y": {"address": "::ffff:10.0.0.1/128", "charset": "\\ISO 2022 IR 87", "calling_ae": None},
    },
    "rules": [
        {
            "name": "r",
            "when": "True",
            "action": "hold",
            "schedule": {"days": ["sat"], "start": "22:00", "end": "24:00"},
        },
        {"name": "s", "when": " \nTrue", "action": "discard", "targets": [], "expires": "2026-12-31T18:00:00.5+01:00"},
        {"name": "t", "when": "True", "action": "route", "targets": ["a"], "trigger": "study", "study": {}},
    ],
}


def test_short_forms_fit_as_they_are_accepted() -> None:
    build(SHORT, "test")
    assert list(VALIDATOR.iter_errors(SHORT)) == []


@pytest.mark.parametrize(("change", "place", "says"), FAULTS)
def test_what_is_refused_does_not_fit_where_a_schema_can_say_it(change: Damage, place: str, says: str) -> None:
    data = copy.deepcopy(CONTRACT)
    change(data)
    beyond = place in BEYOND_A_SCHEMA or says in ("keyword", "image functions")
    assert not fits(data) or beyond, (place, says)


@pytest.mark.parametrize(
    "target",
    [
        {"type": "dicomweb", "url": "https://h/", "token": "literal"},
        {"type": "dicomweb", "url": "https://h/", "user": "u"},
        {"type": "dicomweb", "url": "https://h/", "user": "u", "password": "${P}", "token": "${T}"},
        {"type": "s3", "bucket": "abc", "access_key": "${A}"},
        {"type": "s3", "bucket": "abc", "endpoint": "http://h"},
        {"type": "s3", "bucket": "abc", "kms_key": "k", "encryption": "AES256"},
        {"type": "s3", "bucket": "abc", "kms_key": "k"},
        {"type": "s3", "bucket": "abc", "verify": False, "ca": "/ca"},
        {"type": "s3", "bucket": "abc", "done": "x/y"},
        {"type": "sftp", "host": "h", "user": "u", "path": "/p", "key_password": "${A}"},
        {"type": "sftp", "host": "h", "user": "u", "path": "/p", "host_key": "MD5:00"},
        {"type": "sftp", "host": "h", "user": "u", "path": "/p", "host_key": "SHA256:" + "A" * 43, "known_hosts": "/k"},
        {"type": "sftp", "host": "h", "user": "u", "path": "/p", "host_key": "SHA256:" + "A" * 43, "verify": False},
    ],
)
def test_secrets_that_are_refused_do_not_fit(target: dict[str, Any]) -> None:
    data = {"targets": {"t": target}}
    with pytest.raises(RoutingError):
        build(data, "test")
    assert not fits(data)


def test_every_setting_with_words_in_its_docstring_has_them_in_the_schema() -> None:
    source = schema()["$defs"]["Source"]
    assert source["properties"]["quiet_s"]["description"] == "completion times in seconds; None: as in settings."
    assert "Attributes" not in json.dumps(schema())
    assert source["description"].startswith("A sending AE, known by")
    assert set(schema()["$defs"]["Rule"]["properties"]) == set(model.Rule.model_fields)


def test_patterns_are_such_as_other_languages_read() -> None:
    patterns = re.findall(r'"pattern": ("(?:[^"\\]|\\.)*")', schema_text())
    assert len(patterns) > 20
    assert not [one for one in patterns if "\\Z" in json.loads(one) or "(?P" in json.loads(one)]


VALUES = st.sampled_from(
    [None, True, False, 0, 1, 5.5, -1, 70_000, "", "a", "A B", "/x", "../x", "12:00", "${A}", "10.0.0.1", [], {}, ["a"],
     ["pacs"], "image", "study", "discard", "hold", "spool", {"cert": "/a", "key": "/b"}]
)  # fmt: skip


@st.composite
def damaged(draw: st.DrawFn) -> dict[str, Any]:
    data = copy.deepcopy(draw(st.sampled_from([CONTRACT, SHORT])))
    for _ in range(draw(st.integers(1, 3))):
        here: Any = data
        while True:
            keys: list[Any] = list(here) if isinstance(here, dict) else list(range(len(here)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(here[key], (dict, list)) and here[key] and draw(st.integers(0, 4)):
                here = here[key]
                continue
            here[key] = copy.deepcopy(draw(VALUES))
            break
    return data


@settings(max_examples=300, deadline=None)
@given(damaged())
def test_the_schema_never_refuses_what_is_accepted(data: dict[str, Any]) -> None:
    try:
        build(data, "test")
    except RoutingError:
        return
    assert [error.message for error in VALIDATOR.iter_errors(data)] == []


TEXTS = st.text(alphabet="aA0 .:/-_~@[]\\{}\t\n%", max_size=12)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(["host", "called_ae", "address", "path", "layout", "url", "expires", "comment", "label"]), TEXTS)
def test_no_text_that_is_accepted_is_refused_by_a_pattern(key: str, text: str) -> None:
    target = {"type": "dicom", "host": "h", "port": 1, "called_ae": "A"}
    folder = {"type": "folder", "path": "/x"}
    rule = {"name": "r", "when": "True", "action": "hold"}
    data: dict[str, Any] = {"targets": {"t": target, "f": folder}, "rules": [rule]}
    if key in ("host", "called_ae", "comment"):
        target[key] = text
    elif key in ("path", "layout"):
        folder[key] = ("/" if key == "path" else "") + text
    elif key == "url":
        data["targets"]["w"] = {"type": "dicomweb", "url": "https://" + text}
    elif key == "expires":
        rule[key] = "2026-12-31" + text
    else:
        data["sources"] = {"s": {"calling_ae": "A", key: text}}
    try:
        build(data, "test")
    except RoutingError:
        return
    assert [error.message for error in VALIDATOR.iter_errors(data)] == []
