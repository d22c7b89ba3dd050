"""What all commands share: settings, exit codes, output. It must not import actors, pages or anything slow.

With `--json` a command prints one JSON document on stdout; whatever is said to people goes to stderr.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from protocol.settings import Settings

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_CONFIGURATION = 78  # EX_CONFIG of sysexits.h
_PIPE_WIDTH = 10_000


@dataclass
class Options:
    """The options before the command; `--home` and `--set`."""

    home: Path | None = None
    overrides: dict[str, Any] = field(default_factory=dict)
    starts: bool = False
    """The command starts the node; see `owner`."""

    def settings(self, **more: Any) -> Settings:
        """Effective settings; `more` are flags of the command, with `__` for the dot. From then on root is the node's owner.

        Raises SettingsError, ScanpostError.
        """
        from protocol.settings import load_settings
        from scanpost.owner import act_as_owner

        flags = {name.replace("__", "."): value for name, value in more.items() if value is not None}
        settings = load_settings(self.home, {**self.overrides, **flags})
        act_as_owner(settings.home, starts=self.starts)
        return settings


pass_options = click.make_pass_decorator(Options, ensure=True)


def json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds `--json`; the command gets `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")(command)


def say(text: str) -> None:
    """A message for people."""
    click.echo(text, err=True)


def print_json(document: Any) -> None:
    """The answer of a command as JSON; paths and other odd values as text."""
    click.echo(json.dumps(document, indent=2, default=str, ensure_ascii=False))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str = "") -> None:
    """The answer of a command for people; cells are text, never markup."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, title=title or None, box=None, header_style="bold", title_justify="left")
    for row in rows:
        table.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    # Where nobody looks (a pipe, a test) lines must not be cut to a screen's width.
    Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH).print(table)


def print_answer(as_json: bool, document: Any, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Either the document as JSON or the rows as a table."""
    if as_json:
        print_json(document)
    else:
        print_table(columns, rows)


def as_environment(overrides: Mapping[str, Any]) -> dict[str, str]:
    """Flags as variables, for programs that this one starts."""
    return {
        f"SCANPOST_{key.upper().replace('.', '__')}": value if isinstance(value, str) else json.dumps(value)
        for key, value in overrides.items()
    }
