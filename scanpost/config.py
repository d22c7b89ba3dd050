"""`scanpost config`: show the effective settings and where each came from; check them. It changes nothing."""

from __future__ import annotations

import re
from typing import Any

import click

from scanpost.common import Options, json_option, pass_options, print_json, print_table, say

_SECRET = ("password", "token", "secret")


@click.group()
def config() -> None:
    """Show and check the settings."""


@config.command()
@click.option("--origin", is_flag=True, help="Also say where each value came from.")
@json_option
@pass_options
def show(options: Options, origin: bool, as_json: bool) -> None:
    """All settings with their effective values.

    \b
    Examples:
      scanpost config show --origin
      scanpost config show --json | jq '.["receiver.port"]'
    """
    from protocol.settings import flatten

    settings = options.settings()
    values = {key: _shown(key, value) for key, value in flatten(settings)}
    if as_json:
        with_origin = {key: {"value": value, "origin": settings.origin(key)} for key, value in values.items()}
        print_json(with_origin if origin else values)
        return
    columns = ["setting", "value", "origin"] if origin else ["setting", "value"]
    print_table(columns, [[key, value, settings.origin(key)][: len(columns)] for key, value in values.items()])


@config.command()
@json_option
@pass_options
def check(options: Options, as_json: bool) -> None:
    """Exit 0 if the settings can be used, else 78 with one line that says what is wrong."""
    from protocol.settings import FILE_NAME

    settings = options.settings()
    file = settings.home / "config" / FILE_NAME
    if as_json:
        print_json({"ok": True, "file": str(file), "exists": file.exists()})
    say(f"{file}: " + ("good" if file.exists() else "not there, defaults are used"))


def _shown(key: str, value: Any) -> Any:
    """A value as people may see it: passwords inside URLs are not."""
    from pydantic import BaseModel

    if key == "ledger.url":
        return re.sub(r"(//[^/:@]*:).*@", r"\1***@", value)
    if any(word in key for word in _SECRET) and not key.endswith("_file") and value:
        return "***"
    if isinstance(value, tuple):
        return [item.model_dump(mode="json") if isinstance(item, BaseModel) else item for item in value]
    return value if isinstance(value, int | float | str | None) else str(value)
