"""Settings: where values come from, and what is said about bad ones."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydantic
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from protocol.errors import ConfigurationError, SettingsError
from protocol.settings import Settings, flatten, load_settings
from protocol.settings.load import known_keys

EXAMPLE = Path(__file__).parents[2] / "deploy" / "scanpost.toml.example"
Load = Callable[..., Settings]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def loader(text: str = "", environ: dict[str, str] | None = None, **flags: Any) -> Settings:
        file = tmp_path / "config" / "scanpost.toml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        return load_settings(tmp_path, {name.replace("__", "."): value for name, value in flags.items()}, environ or {})

    return loader


def complaint(load: Load, *arguments: Any, **flags: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        load(*arguments, **flags)
    text = str(caught.value)
    assert "\n" not in text
    assert caught.value.where and caught.value.cure
    return text


def test_without_file_and_environment_the_defaults_of_the_contract_hold(tmp_path: Path) -> None:
    found = load_settings(tmp_path, environ={})
    assert (found.receiver.host, found.receiver.port, found.receiver.ae_title) == ("0.0.0.0", 11112, "SCANPOST")
    assert (found.router.quiet_s, found.router.idle_s, found.router.study_quiet_s) == (5, 60, 300)
    assert (found.dispatcher.instances, found.dispatcher.slots) == (1, 4)
    assert (found.cleaner.retention_delivered_h, found.cleaner.retention_quarantined_h) == (72, None)
    assert (found.webgui.host, found.webgui.port) == ("127.0.0.1", 8080)
    assert found.ledger.url == f"sqlite:///{tmp_path}/ledger.sqlite3"
    assert found.node.name and found.receiver.workers >= 1
    assert found.origin("receiver.port") == "default"


def test_environment_beats_file_and_a_flag_beats_both(load: Load, tmp_path: Path) -> None:
    text = "[receiver]\nport = 1\nae_title = 'A'\nmax_pdu = 4096\n"
    environ = {"SCANPOST_RECEIVER__PORT": "2", "SCANPOST_RECEIVER__AE_TITLE": "B"}
    found = load(text, environ, receiver__port=3)
    assert (found.receiver.port, found.receiver.ae_title, found.receiver.max_pdu) == (3, "B", 4096)
    assert found.origin("receiver.port") == "flag"
    assert found.origin("receiver.ae_title") == "environment SCANPOST_RECEIVER__AE_TITLE"
    assert found.origin("receiver.max_pdu") == str(tmp_path / "config" / "scanpost.toml")
    assert found.origin("receiver.host") == "default"


def test_nested_sections_and_lists_come_from_the_environment(load: Load) -> None:
    environ = {
        "SCANPOST_RECEIVER__TLS__PORT": "2763",
        "SCANPOST_RECEIVER__LISTENERS": '[{"port": 104, "ae_title": "OLD"}]',
        "SCANPOST_CLEANER__RETENTION_QUARANTINED_H": "24",
        "SCANPOST_BUS__ENABLED": "false",
    }
    found = load("[receiver.tls]\nport = 5\n", environ)
    assert found.receiver.tls.port == 2763
    assert [one.ae_title for one in found.receiver.listeners] == ["OLD"]
    assert found.cleaner.retention_quarantined_h == 24
    assert found.bus.enabled is False
    assert (
        load(
            "[cleaner]\nretention_quarantined_h = 3", {"SCANPOST_CLEANER__RETENTION_QUARANTINED_H": "null"}
        ).cleaner.retention_quarantined_h
        is None
    )


def test_variables_of_other_programs_are_left_alone(load: Load) -> None:
    load("", {"SCANPOST_HOME": "/elsewhere", "SCANPOST_PYTHON": "x", "PATH": "/bin", "RECEIVER__PORT": "x"})


def test_the_tree_cannot_be_changed(load: Load) -> None:
    with pytest.raises(pydantic.ValidationError):
        load().receiver.port = 1  # type: ignore[misc]
    with pytest.raises(pydantic.ValidationError):
        load().receiver = None  # type: ignore[assignment,misc]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("[receiver]\nprot = 1", ["scanpost.toml: receiver.prot", "unknown key", "Did you mean receiver.port?"]),
        ("[reciever]\nport = 1", ["reciever.port", "Did you mean receiver.port?"]),
        ("[receiver]\nport = 'x'", ["receiver.port", "must be an integer, not 'x'"]),
        ("[receiver]\nport = 70000", ["receiver.port", "65535"]),
        ("[receiver]\nport = true", ["receiver.port", "true is not allowed here"]),
        ("receiver = 3", ["receiver", "must be a table"]),
        ("[receiver]\nallow = '10.0.0.0/8'", ["receiver.allow", "must be a list, not '10.0.0.0/8'"]),
        ("[bus]\nenabled = 'perhaps'", ["bus.enabled", "must be true or false"]),
        ("[[receiver.listeners]]\nport = 104\nprot = 1", ["receiver.listeners.0.prot", "unknown key"]),
        (f"[receiver]\nport = '{'x' * 500}'", ["receiver.port", "must be an integer, not 'xxx", "xx..."]),
        ("[receiver]\n\nport = = 3", ["not TOML", "line 3"]),
        ("[receiver]\nae_title = 'MUCHTOOLONGAETITLE'", ["receiver.ae_title", "16 ASCII characters"]),
        ("[receiver]\ndurability = 'maybe'", ["receiver.durability", "'fsync' or 'relaxed'"]),
        ("[receiver.tls]\nport = 11112\ncert = 'a'\nkey = 'b'", ["two listeners share a port"]),
        ("[receiver.tls]\ncert = 'a'", ["receiver.tls", "belong together"]),
        ("[receiver]\nallow = ['10.0.0.0/40']", ["receiver.allow", "10.0.0.0/24"]),
        ("[receiver]\ncalled_ae_titles = ['A']", ["receiver", "set accept_any_called_ae = false"]),
        ("[[receiver.listeners]]\nport = 104\ncalled_ae_titles = ['A']", ["listeners", "accept_any_called_ae = false"]),
        ("[[receiver.listeners]]\nport = 104\ntls = true", ["receiver", "set receiver.tls.cert"]),
        ("[receiver]\nmax_object_gb = 0", ["receiver.max_object_gb", "greater than 0"]),
        ("[receiver.tls]\nca = 'a'", ["receiver.tls", "cert and key"]),
        ("[webgui]\nhost = '0.0.0.0'", ["webgui", "without TLS", "webgui.behind_proxy = true"]),
        ("[spool]\nreserve_gb = 0.5", ["spool", "reserve2_gb is the lower reserve"]),
        ("[cleaner]\nwindow = '25:00-06:00'", ["cleaner.window", "22:00-06:00"]),
        ("[router]\nquiet_s = nan", ["router.quiet_s", "finite"]),
        ("[router]\nquiet_s = 0", ["router.quiet_s", "greater than 0"]),
        ("[receiver]\nidle_timeout_s = 1e10", ["receiver.idle_timeout_s", "less than or equal to 1000000"]),
        ("[ledger]\nurl = 'mysql://x'", ["ledger", "postgresql://USER@HOST/DATABASE"]),
        ("[ledger]\nrows_days = 0", ["ledger.rows_days", "greater than 0"]),
        ("[mining]\nextra_tags = ['0018,xx01 EVEN']", ["mining.extra_tags", "'0018,xx01 EVEN' is no element", "0019,100C"]),
        ("[dispatcher]\ninstances = 9", ["dispatcher.instances", "8"]),
        ("home = '/x'", ["home", "SCANPOST_HOME"]),
        ("[alerts.smtp]\nhost = 'mail'", ["alerts.smtp", "sender"]),
        ("[bus]\nendpoint_in = 'http://x'", ["bus.endpoint_in", "no endpoint"]),
        ("[node]\nname = '../x'", ["node.name", "no node name"]),
    ],
)  # fmt: skip
def test_a_bad_file_gets_one_line_with_file_place_and_cure(load: Load, text: str, parts: list[str]) -> None:
    said = complaint(load, text)
    assert "config/scanpost.toml: " in said
    for part in parts:
        assert part in said


def test_a_file_that_an_editor_began_with_a_mark_is_read(load: Load) -> None:
    assert load("\ufeff[receiver]\r\nport = 104\r\n").receiver.port == 104


def test_a_bad_variable_or_flag_is_named(load: Load) -> None:
    assert "environment SCANPOST_RECEIVER__PORT: receiver.port" in complaint(load, "", {"SCANPOST_RECEIVER__PORT": "x"})
    assert "SCANPOST_RECIEVER__PORT" in complaint(load, "", {"SCANPOST_RECIEVER__PORT": "1"})
    assert "not JSON" in complaint(load, "", {"SCANPOST_RECEIVER__LISTENERS": "[{"})
    assert "flag: receiver.prt" in complaint(load, receiver__prt=1)
    assert "flag: receiver.port" in complaint(load, receiver__port="x")


def test_secrets_are_not_repeated_in_a_complaint(load: Load) -> None:
    said = complaint(load, "[ledger]\nurl = 'mysql://me:hunter2@x/y'")
    assert "hunter2" not in said


def test_a_file_that_is_no_text_or_cannot_be_read_is_a_configuration_error(tmp_path: Path) -> None:
    file = tmp_path / "config" / "scanpost.toml"
    file.parent.mkdir()
    file.write_bytes(b"[node]\nname = '\xff'")
    with pytest.raises(ConfigurationError, match="not UTF-8 .at line 2"):
        load_settings(tmp_path, environ={})
    file.unlink()
    file.mkdir()
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_settings(tmp_path, environ={})


def test_the_example_names_every_key_with_its_default(load: Load) -> None:
    plain, shown = dict(flatten(load())), dict(flatten(load(EXAMPLE.read_text())))
    assert plain == shown
    values = tomllib.loads(EXAMPLE.read_text())

    def keys(tree: dict[str, Any], prefix: str = "") -> set[str]:
        return {
            key
            for name, value in tree.items()
            for key in (keys(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}"})
        }

    assert keys(values) == set(known_keys())


def test_every_line_of_the_example_is_explained() -> None:
    before = ""
    for line in EXAMPLE.read_text().splitlines():
        assert line == "" or line.startswith(("[", "#")) or before != "", f"no sentence above {line!r}"
        before = "" if line == "" or line.startswith("[") else line


PLAIN = st.one_of(st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.lists(st.integers(), max_size=2))


@hypothesis_settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=st.sampled_from(sorted(known_keys())), value=PLAIN)
def test_any_value_anywhere_is_taken_or_refused_in_one_line(tmp_path: Path, key: str, value: Any) -> None:
    variable = f"SCANPOST_{key.upper().replace('.', '__')}"
    text = (value if isinstance(value, str) else json.dumps(value)).replace("\0", "")
    for given_as in ({"overrides": {key: value}, "environ": {}}, {"environ": {variable: text}}):
        try:
            load_settings(tmp_path, **given_as)  # type: ignore[arg-type]
        except SettingsError as exc:
            assert "\n" not in str(exc) and key.split(".")[0] in str(exc)


@hypothesis_settings(max_examples=100, deadline=None)
@given(st.text(max_size=60))
def test_any_text_as_file_is_taken_or_refused_in_one_line(text: str) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config" / "scanpost.toml"
        file.parent.mkdir()
        file.write_bytes(text.encode("utf-8", "surrogatepass"))
        try:
            load_settings(Path(folder), environ={})
        except SettingsError as exc:
            assert "\n" not in str(exc)
