"""Secrets are kept by reference only: nothing that is read back, printed, logged or refused shows a value."""

from __future__ import annotations

import json
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.clock import ManualClock
from protocol.errors import RoutingError
from protocol.fsops import RealFs
from protocol.routing.checks.whole import examine
from protocol.routing.difference import difference, lines
from protocol.routing.parse import build, dump
from protocol.routing.secrets import resolve
from protocol.routing.versions import RoutingVersions

VALUE = "hunter" + "2"
TARGETS: dict[str, dict[str, Any]] = {
    "web": {"type": "dicomweb", "url": "https://pacs/", "token": "${PACS_TOKEN}"},
    "basic": {"type": "dicomweb", "url": "https://pacs/", "user": "me", "password": "file:/run/secrets/pacs"},
    "bucket": {"type": "s3", "bucket": "images", "access_key": "${KEY}", "secret_key": "file:/run/secrets/s3"},
    "drop": {"type": "sftp", "host": "h", "user": "u", "path": "/in", "password": "${SFTP}"},
    "dicom": {
        "type": "dicom", "host": "h", "port": 104, "called_ae": "A",
        "tls": {"cert": "/c.pem", "key": "/k.pem", "key_password": "${KEY_PASSWORD}"},
    },
}  # fmt: skip


def refused(**changes: Any) -> RoutingError:
    name, place, value = changes["name"], changes["place"], changes["value"]
    target = json.loads(json.dumps(TARGETS[name]))
    (target["tls"] if name == "dicom" else target)[place] = value
    with pytest.raises(RoutingError) as caught:
        build({"targets": {name: target}}, "routing.json")
    return caught.value


def test_references_are_kept_as_they_are_written() -> None:
    configuration = build({"targets": TARGETS}, "routing.json")
    data = json.loads(dump(configuration))["targets"]
    assert data["web"]["token"] == "${PACS_TOKEN}"
    assert data["basic"]["password"] == "file:/run/secrets/pacs"
    assert data["dicom"]["tls"]["key_password"] == "${KEY_PASSWORD}"


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("web", "token"),
        ("basic", "password"),
        ("bucket", "secret_key"),
        ("drop", "password"),
        ("dicom", "key_password"),
    ],
)
@pytest.mark.parametrize(
    "value",
    [VALUE, f"${VALUE}", f"${{{VALUE}", f"${{A-{VALUE}}}", f"file:{VALUE}", f"file:/../{VALUE}", [VALUE], 31337],
)
def test_a_secret_that_is_written_down_is_refused_and_never_repeated(name: str, place: str, value: Any) -> None:
    error = refused(name=name, place=place, value=value)
    assert error.faults[0].place == f"targets.{name}." + ("tls." if name == "dicom" else "") + place
    assert "${NAME}" in error.faults[0].cure and "file:/absolute/path" in error.faults[0].cure
    told = "\n".join([*traceback.format_exception(error), repr(error), *error.lines()])
    assert VALUE not in told and "31337" not in told


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ({**TARGETS["web"], "user": "me", "password": "${P}"}, "not by both"),
        ({**TARGETS["basic"], "password": None}, "belong together"),
        ({**TARGETS["bucket"], "access_key": None}, "belong together"),
        ({**TARGETS["bucket"], "credentials": "/c"}, "not both"),
        ({**TARGETS["drop"], "key_password": "${P}"}, "no use without a key_file"),
        ({**TARGETS["dicom"], "tls": {"key_password": "${P}"}}, "no use without a key"),
        ({**TARGETS["web"], "url": "http://pacs/", "tls": {}}, "https"),
    ],
)
def test_ways_to_log_in_that_do_not_go_together_are_refused(target: dict[str, Any], says: str) -> None:
    with pytest.raises(RoutingError, match=says):
        build({"targets": {"t": target}}, "routing.json")


def test_a_secret_that_would_go_in_clear_is_told() -> None:
    for url, count in (
        ("http://pacs/", 1),
        ("https://pacs/", 0),
        ("http://127.0.0.1:80/", 0),
        ("http://localhost.evil/", 1),
    ):
        configuration = build({"targets": {"web": {**TARGETS["web"], "url": url}}}, "test")
        findings = examine(configuration, datetime(2026, 1, 1, tzinfo=UTC))
        assert ["in clear" in one.message for one in findings].count(True) == count, url


def test_a_reference_is_resolved_when_it_is_used(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(VALUE + "\r\n")
    by_file, by_name = resolve(f"file:{file}", {}), resolve("${PACS_TOKEN}", {"PACS_TOKEN": VALUE})
    assert by_file.get_secret_value() == by_name.get_secret_value() == VALUE
    assert VALUE not in f"{by_file} {by_file!r} {by_name}"
    file.write_text("another")
    assert resolve(f"file:{file}", {}).get_secret_value() == "another"


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"", "not empty"), (b"\n", "not empty"), (b"hunter2\nhunter2\n", "one line"), (b"hunter2\xff", "UTF-8"),
     (b"hunter2\0", "one line"), (None, "No such file")],
)  # fmt: skip
def test_what_cannot_be_resolved_names_the_reference_and_never_the_value(content: bytes | None, says: str) -> None:
    def read(path: Path) -> bytes:
        if content is None:
            raise FileNotFoundError(2, "No such file or directory", str(path))
        return content

    with pytest.raises(RoutingError) as caught:
        resolve("file:/run/secrets/x", {}, read)
    told = "\n".join(traceback.format_exception(caught.value))
    assert says in str(caught.value) and str(caught.value).startswith("file:/run/secrets/x: ")
    assert "hunter2" not in told
    with pytest.raises(RoutingError, match=r"\$\{NOT_THERE\}: the environment variable is not set"):
        resolve("${NOT_THERE}", {"OTHER": VALUE})
    with pytest.raises(RoutingError) as literal:
        resolve(VALUE, {})
    assert VALUE not in str(literal.value)


@given(st.text(min_size=1, max_size=20).filter(lambda text: text.isprintable()))
def test_any_printable_value_is_resolved_as_it_is(value: str) -> None:
    assert resolve("${X}", {"X": value}).get_secret_value() == value


def test_versions_and_what_changed_show_references_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PACS_TOKEN", VALUE)
    versions = RoutingVersions(tmp_path / "routing", RealFs(), ManualClock(now=1.0))
    empty = versions.current().configuration
    version = versions.publish(build({"targets": TARGETS}, "test"), "ada", "", 0)
    told = "\n".join(lines(difference(empty, version.configuration)))
    stored = "".join(file.read_text() for file in (tmp_path / "routing").iterdir())
    assert "${PACS_TOKEN}" in told and "${PACS_TOKEN}" in stored
    assert VALUE not in told + stored + repr(version)
