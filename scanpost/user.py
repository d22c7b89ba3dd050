"""`scanpost user`: accounts of the web page. It never prints a password and takes none as an argument."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from scanpost.common import Options, json_option, pass_options, print_answer, say

if TYPE_CHECKING:
    from protocol.accounts import Accounts

_password_stdin = click.option("--password-stdin", is_flag=True, help="Read the password from stdin (first line).")


@click.group()
def user() -> None:
    """Accounts of the web page."""


@user.command()
@click.argument("name")
@click.option("--role", type=click.Choice(["admin", "viewer"]), required=True, help="What the user may do.")
@_password_stdin
@pass_options
def add(options: Options, name: str, role: str, password_stdin: bool) -> None:
    """Add a user.

    \b
    Examples:
      scanpost user add anna --role admin
      scanpost user add wall --role viewer --password-stdin < secret.txt
    """
    with _accounts(options) as accounts:
        accounts.add_user(name, role, _password(password_stdin))
    say(f"added {name} as {role}")


@user.command("list")
@json_option
@pass_options
def list_(options: Options, as_json: bool) -> None:
    """All users."""
    with _accounts(options) as accounts:
        users = [
            {"name": one.name, "role": str(one.role), "disabled": one.disabled, "created": one.created}
            for one in accounts.list_users()
        ]
    rows = [[one["name"], one["role"], "disabled" if one["disabled"] else "", _day(one["created"])] for one in users]
    print_answer(as_json, users, ["name", "role", "state", "created"], rows)


@user.command()
@click.argument("name")
@_password_stdin
@pass_options
def passwd(options: Options, name: str, password_stdin: bool) -> None:
    """Change a user's password; ends all sessions of that user."""
    with _accounts(options) as accounts:
        accounts.set_password(name, _password(password_stdin))
    say(f"changed the password of {name}")


@user.command()
@click.argument("name")
@pass_options
def disable(options: Options, name: str) -> None:
    """Shut a user out and end all sessions of that user."""
    with _accounts(options) as accounts:
        accounts.disable(name)
    say(f"disabled {name}")


@contextmanager
def _accounts(options: Options) -> Iterator[Accounts]:
    from protocol.accounts import Accounts

    home = options.settings().home
    home.mkdir(0o750, parents=True, exist_ok=True)
    accounts = Accounts(home / "accounts.sqlite3")
    try:
        yield accounts
    finally:
        accounts.close()


def _password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    found: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return found


def _day(time: object) -> str:
    return datetime.fromtimestamp(float(str(time)), UTC).strftime("%Y-%m-%d")
