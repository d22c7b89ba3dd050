"""`scanpost`: finds the command that was asked for and turns errors into exit codes.
It must stay quick to start: a command's file is imported only when that command runs.

To add a command: one file in this folder, one line in COMMANDS.
"""

from __future__ import annotations

import importlib
import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import click

from protocol.errors import ConfigurationError, RoutingError, ScanpostError
from protocol.version import version
from scanpost.common import EXIT_CONFIGURATION, EXIT_FAILED, EXIT_USAGE, Options

# name -> (module:attribute, what `scanpost --help` says)
COMMANDS: dict[str, tuple[str, str]] = {
    "up": ("scanpost.up:up", "Start everything."),
    "down": ("scanpost.up:down", "Stop everything, in order."),
    "restart": ("scanpost.up:restart", "Restart one actor, or all."),
    "dispatchers": ("scanpost.dispatchers:dispatchers", "How many dispatchers run; more or fewer of them."),
    "drain": ("scanpost.drain:drain", "Before maintenance: take no more images, deliver what is here."),
    "status": ("scanpost.status:status", "How the node stands."),
    "debug": ("scanpost.debug:debug", "Have an actor log its single steps for 15 minutes."),
    "doctor": ("scanpost.doctor:doctor", "Prove that no image is missing; check what could stop the node."),
    "selftest": ("scanpost.selftest:selftest", "Prove the whole way with a synthetic study."),
    "accounting": ("scanpost.accounting:accounting", "The balance sheet: every image received, and where it is now."),
    "series": ("scanpost.series:series", "Series as they came in: list, show, route, hold, release, discard."),
    "queue": ("scanpost.queue:queue", "Deliveries: list, causes, retry, hold, release, cancel, priority, redirect."),
    "acts": ("scanpost.acts:acts", "What people did: who, when, why and what came of it; list, show."),
    "commitment": ("scanpost.commitment:commitment", "Storage commitment: list, show, retry, targets."),
    "routing": (
        "scanpost.routing:routing",
        "Targets, groups, sources, rules: import, export, check, diff, history, undo, mode.",
    ),
    "rules": ("scanpost.rules:rules", "Rules: list, test, explain, backtest, dry-run, add-test."),
    "sources": ("scanpost.sources:sources", "Who sends: known sources and strangers; list, add, set, remove."),
    "target": ("scanpost.target:target", "Where images go: list, test, pause, resume."),
    "clean": ("scanpost.clean:clean", "What the cleaner would delete, what is kept and why; clean now."),
    "quarantine": ("scanpost.quarantine:quarantine", "Objects that could not be read: list, show, discard."),
    "alerts": ("scanpost.alerts:alerts", "What needs a person: list, show, ack, silence, letters, test."),
    "tap": ("scanpost.tap:tap", "Listen to the events."),
    "send": ("scanpost.dicom:send", "Send DICOM files to a node."),
    "echo": ("scanpost.dicom:echo", "Ask a node for a C-ECHO."),
    "spool": ("scanpost.spool:spool", "Check the spool, or make it again from the image files."),
    "backup": ("scanpost.spool:backup", "Copy the state of the spool while everything runs."),
    "restore": ("scanpost.spool:restore", "Put a backup in place."),
    "history": ("scanpost.history:history", "The past, out of the ledger: search, show, where an image went."),
    "ledger": ("scanpost.ledger:ledger", "The database of history: status, copy it into another one."),
    "patient": ("scanpost.patient:patient", "One patient: erase on request."),
    "mine": ("scanpost.mine:mine", "Data mining: ready queries over the history, your own SQL, export."),
    "config": ("scanpost.config:config", "Show and check the settings."),
    "audit": ("scanpost.audit:audit", "Who did what: list, verify, export."),
    "user": ("scanpost.user:user", "Accounts of the web page: users, roles, links, sessions, tokens."),
}

EPILOG = """\b
Examples:
  scanpost up -d                          start everything in the background
  scanpost up --dispatchers 3 --no-bus    three dispatchers, no event bus
  scanpost user add anna --role admin     asks for a password
  scanpost --set receiver.port=11113 up   a setting for this once
  scanpost config show --origin           all settings and where each came from

\b
Exit codes: 0 done, 1 failed, 2 usage, 78 the configuration cannot be used.
Files: everything lies below $SCANPOST_HOME; settings in config/scanpost.toml there.
Root acts as the user whose files they are.
"""


OTHERS = 0o027
"""Closed to them, and to be read by the group only: backups and exports hold patient data like the node's own files."""


class LazyGroup(click.Group):
    """Commands out of a table; listing them imports none."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        found: click.Command = getattr(importlib.import_module(module), attribute)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ConfigurationError as exc:
            for line in exc.lines() if isinstance(exc, RoutingError) else [str(exc)]:
                click.echo(f"scanpost: {line}", err=True)
            ctx.exit(EXIT_CONFIGURATION)
        except ScanpostError as exc:
            click.echo(f"scanpost: {exc}", err=True)
            ctx.exit(EXIT_FAILED)
        except BrokenPipeError:
            raise  # whoever reads has seen enough: click ends in silence
        except OSError as exc:
            _say(exc)
            ctx.exit(EXIT_FAILED)
        except OverflowError as exc:  # ids and times that no database and no calendar holds
            click.echo(f"scanpost: a number is out of range ({exc})", err=True)
            ctx.exit(EXIT_USAGE)


def _version(ctx: click.Context, param: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        click.echo(f"scanpost, version {version()}")
        ctx.exit()


@click.group(cls=LazyGroup, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--home", type=click.Path(path_type=Path), help="Folder of this node (default: $SCANPOST_HOME).")
@click.option("--set", "pairs", multiple=True, metavar="SECTION.KEY=VALUE", help="A setting for this call.")
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version.")
@click.pass_context
def cli(ctx: click.Context, home: Path | None, pairs: tuple[str, ...]) -> None:
    """scanpost routes DICOM images: receives series, decides by rules, delivers, and never loses an image."""
    overrides = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise click.BadParameter(f"{pair!r} is not SECTION.KEY=VALUE", param_hint="--set")
        overrides[key.strip()] = _value(pair, value.strip())
    ctx.obj = Options(home, overrides)


def _value(pair: str, text: str) -> Any:
    """Text as it is; lists and tables as JSON, like in the environment."""
    if text == "null":
        return None
    if not text.startswith(("[", "{")):
        return text
    try:
        return json.loads(text)
    except ValueError as exc:
        raise click.BadParameter(f"{pair!r} is not JSON: {exc}", param_hint="--set") from exc


def _closed_stdout() -> None:
    """Where standard output is closed altogether (`>&-`) an answer is an error like that of a full disk, and no file gets its number."""
    if sys.stdout is None:
        while (
            number := os.open(os.devnull, os.O_RDONLY)
        ) < 1:  # the lowest that is free; standard input may be closed, too
            pass
        raw = open(number, "wb", buffering=0)  # nothing is kept that would fail once more at the end  # noqa: SIM115
        sys.stdout = io.TextIOWrapper(raw, encoding="utf-8", write_through=True)


def main() -> None:
    """Entry point of the console script."""
    _closed_stdout()
    os.umask(OTHERS | os.umask(OTHERS))
    try:
        cli.main(prog_name="scanpost")
    except OSError as exc:  # of what is said before a command runs, as with --help
        _say(exc)
        sys.exit(EXIT_FAILED)


def _say(exc: OSError) -> None:
    click.echo(f"scanpost: {f'{exc.filename}: ' if exc.filename else ''}{exc.strerror or exc}", err=True)


if __name__ == "__main__":
    main()
