"""The command line: help, exit codes, settings, accounts."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import threading
import types
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from protocol.errors import SpoolMissing
from protocol.spool.writelock import WriteLock
from scanpost import asking
from scanpost.common import Options
from scanpost.main import COMMANDS, cli

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def runner(*words: str, input: str | None = None, environ: dict[str, str] | None = None) -> Result:
        return CliRunner().invoke(cli, ["--home", str(tmp_path), *words], input=input, env=environ)

    return runner


def test_help_lists_every_command_with_examples_and_imports_none() -> None:
    code = (
        "import sys; from click.testing import CliRunner; from scanpost.main import cli, COMMANDS\n"
        "text = CliRunner().invoke(cli, ['--help']).output\n"
        "assert all(name in text for name in COMMANDS) and 'Examples:' in text and '78' in text, text\n"
        "loaded = [name for name in sys.modules if name.split('.')[0] in ('zmq', 'pydicom', 'sqlalchemy', 'rich', 'actors')]\n"
        "assert not loaded, loaded\n"
        "assert not any(module.partition(':')[0] in sys.modules for module, _ in COMMANDS.values())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_table_is_there_and_explains_itself(name: str) -> None:
    module, _, attribute = COMMANDS[name][0].partition(":")
    command = getattr(importlib.import_module(module), attribute)
    assert isinstance(command, click.Command)
    assert command.get_short_help_str()
    assert CliRunner().invoke(cli, [name, "--help"]).exit_code == 0


def test_an_unknown_command_or_option_is_a_usage_error(run: Run) -> None:
    assert run("nonsense").exit_code == 2
    assert run("config", "show", "--nonsense").exit_code == 2
    assert run("--set", "receiver.port", "config", "show").exit_code == 2
    assert run("up", "--dispatchers", "9").exit_code == 2


def test_settings_that_cannot_be_used_exit_with_78_and_one_line(run: Run) -> None:
    done = run("--set", "receiver.prot=1", "config", "check")
    assert done.exit_code == 78
    assert done.stdout == "" and len(done.stderr.splitlines()) == 1
    assert "Did you mean receiver.port?" in done.stderr
    assert run("config", "show", environ={"SCANPOST_RECEIVER__PORT": "x"}).exit_code == 78
    assert run("up", environ={"SCANPOST_RECEIVER__PORT": "x"}).exit_code == 78


def test_other_errors_of_ours_exit_with_1_and_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    def broken() -> None:
        raise SpoolMissing

    module = types.ModuleType("scanpost.broken")
    module.broken = broken  # type: ignore[attr-defined]
    monkeypatch.setitem(COMMANDS, "broken", ("scanpost.broken:broken", ""))
    monkeypatch.setitem(sys.modules, "scanpost.broken", module)
    done = run("broken")
    assert done.exit_code == 1
    assert done.stdout == "" and "spool rebuild" in done.stderr


def test_config_show_tells_values_and_origins(run: Run, tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    file = tmp_path / "config" / "scanpost.toml"
    file.write_text("[receiver]\nport = 104\n")
    done = run("--set", "bus.enabled=false", "config", "show", "--origin", "--json")
    told = json.loads(done.stdout)
    assert told["receiver.port"] == {"value": 104, "origin": str(file)}
    assert told["bus.enabled"] == {"value": False, "origin": "flag"}
    assert told["router.quiet_s"] == {"value": 5.0, "origin": "default"}
    text = run("config", "show", "--origin").stdout
    assert " 104 " in text and str(file) in text


def test_config_show_hides_passwords(run: Run) -> None:
    done = run("--set", "ledger.url=postgresql://me:hunter2@db/x", "config", "show", "--json")
    assert "hunter2" not in done.stdout
    assert json.loads(done.stdout)["ledger.url"] == "postgresql://me:***@db/x"


def test_config_check_is_0_for_a_good_file(run: Run) -> None:
    done = run("config", "check", "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["ok"] is True


def test_users_are_added_listed_changed_and_disabled(run: Run) -> None:
    secret = "correct horse battery staple\n"
    assert run("user", "add", "anna", "--role", "admin", "--password-stdin", input=secret).exit_code == 0
    assert run("user", "add", "ben", "--role", "viewer", input=secret * 2).exit_code == 0
    told = json.loads(run("user", "list", "--json").stdout)
    assert [(one["name"], one["role"], one["disabled"]) for one in told] == [
        ("anna", "admin", False),
        ("ben", "viewer", False),
    ]
    assert run("user", "passwd", "ben", "--password-stdin", input="another long password\n").exit_code == 0
    assert run("user", "disable", "ben").exit_code == 0
    assert "disabled" in run("user", "list").stdout
    assert run("user", "disable", "anna").exit_code == 1  # the last admin
    assert run("user", "passwd", "nobody", "--password-stdin", input=secret).exit_code == 1
    assert run("user", "add", "eve", "--role", "root", "--password-stdin", input=secret).exit_code == 2


def test_a_password_is_never_printed(run: Run) -> None:
    done = run("user", "add", "anna", "--role", "admin", input="correct horse battery\n" * 2)
    assert done.exit_code == 0
    assert "correct" not in done.stdout + done.stderr


def test_json_is_one_document_on_stdout_and_messages_go_to_stderr(run: Run) -> None:
    done = run("user", "list", "--json")
    assert json.loads(done.stdout) == []
    assert run("config", "check", "--json").stderr != ""


def test_up_says_in_one_line_when_the_spool_lost_its_database(run: Run, tmp_path: Path) -> None:
    image = tmp_path / "spool" / "images" / "20260101" / "x.dcm"
    image.parent.mkdir(parents=True)
    image.touch()
    done = run("up")
    assert done.exit_code == 1
    assert len(done.stderr.splitlines()) == 1 and "spool rebuild" in done.stderr


def test_roles_links_and_sessions_are_changed_from_the_command_line(run: Run) -> None:
    secret = "correct horse battery staple\n"
    run("user", "add", "anna", "--role", "admin", "--password-stdin", input=secret)
    made = run("user", "add", "olga", "--role", "operator", "--link")
    assert made.stdout.startswith("http://127.0.0.1:8080/reset?token=")
    assert "no password yet" in run("user", "list").stdout
    assert run("user", "role", "olga", "viewer").exit_code == 0
    assert run("user", "role", "anna", "viewer").exit_code == 1  # the last admin
    assert run("user", "disable", "olga").exit_code == run("user", "enable", "olga").exit_code == 0
    assert "/reset?token=" in run("user", "link", "olga").stdout
    assert run("user", "link", "nobody").exit_code == 1
    assert json.loads(run("user", "sessions", "olga", "--json").stdout) == []
    assert "ended 0 sessions" in run("user", "sessions", "olga", "--end").stderr


def test_tokens_are_made_listed_and_revoked(run: Run) -> None:
    run("user", "add", "anna", "--role", "admin", "--password-stdin", input="correct horse battery staple\n")
    made = run("user", "token", "create", "anna", "report", "--scope", "operate", "--until", "30d")
    assert made.exit_code == 0 and made.stdout.startswith("scp_") and len(made.stdout.split()) == 1
    listed = run("user", "token", "list", "--json")
    assert [(one["user"], one["name"], one["scopes"]) for one in json.loads(listed.stdout)] == [
        ("anna", "report", ["operate"])
    ]
    assert made.stdout.strip() not in listed.stdout
    assert run("user", "token", "create", "nobody", "x").exit_code == 1
    assert run("user", "token", "revoke", "anna", "report").exit_code == 0
    assert run("user", "token", "revoke", "anna", "report").exit_code == 1


@pytest.mark.parametrize("words", [
    ["user", "list"], ["user", "sessions", "anna"], ["user", "token", "list"], ["audit", "list"], ["audit", "verify"],
    ["audit", "export"], ["debug", "router"], ["mine", "sql", "-"], ["status"],
])  # fmt: skip
def test_what_asks_a_node_that_is_not_there_says_so_and_makes_nothing(tmp_path: Path, words: list[str]) -> None:
    done = CliRunner().invoke(cli, ["--home", str(tmp_path / "home"), *words], input="SELECT 1")
    assert (done.exit_code, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1 and f"in {tmp_path / 'home'} yet" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_command_that_waits_for_a_program_that_writes_without_end_says_for_which(home, monkeypatch) -> None:
    """Doctor and status are what people reach for then: they were silent for as long as it took."""
    said: list[str] = []
    over = threading.Event()
    monkeypatch.setattr(asking, "PATIENCE_S", 0.0)
    monkeypatch.setattr(asking, "say", lambda text: (said.append(text), over.set()))

    def look() -> None:
        with asking.opened(Options(home=home.folder)) as (_, spool):
            said.append(str(spool.accounting.figures().received))

    lock = WriteLock(home.spool.places.write_lock)
    with lock:
        looking = threading.Thread(target=look)
        looking.start()
        assert over.wait(30)
    looking.join(30)
    lock.close()
    assert f"process {os.getpid()} has been writing to the spool" in said[0] and said[1:] == ["0"]
