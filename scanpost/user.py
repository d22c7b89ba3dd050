"""`scanpost user`: accounts of the web page. It never prints a password and takes none as an argument.

What it changes stands in the audit as done by `cli:` and the name of whoever runs it.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from protocol.addresses import with_port
from scanpost.accounts import opened_accounts
from scanpost.asking import when, who
from scanpost.common import Options, json_option, pass_options, print_answer, say
from scanpost.user_token import token

if TYPE_CHECKING:
    from protocol.accounts import Accounts

ROLE = click.Choice(["admin", "operator", "viewer"])
_password_stdin = click.option("--password-stdin", is_flag=True, help="Read the password from stdin (first line).")


@click.group()
def user() -> None:
    """Accounts of the web page."""


@user.command()
@click.argument("name")
@click.option("--role", type=ROLE, required=True, help="What the user may do.")
@click.option("--link", is_flag=True, help="Ask for no password: print a link by which the user sets it.")
@_password_stdin
@pass_options
def add(options: Options, name: str, role: str, link: bool, password_stdin: bool) -> None:
    """Add a user. A viewer looks, an operator runs the queue, too, an admin does everything.

    \b
    Examples:
      scanpost user add anna --role admin
      scanpost user add olga --role operator --link
      scanpost user add wall --role viewer --password-stdin < secret.txt
    """
    with opened_accounts(options, makes=True) as accounts:
        accounts.add_user(name, role, None if link else _password(password_stdin), by=_by())
        say(f"added {name} as {role}")
        if link:
            click.echo(_link(options, accounts, name))


@user.command("list")
@json_option
@pass_options
def list_(options: Options, as_json: bool) -> None:
    """All users.

    \b
    Example: scanpost user list --json
    """
    with opened_accounts(options) as accounts:
        users = [
            {
                "name": one.name, "role": str(one.role), "disabled": one.disabled, "created": one.created,
                "has_password": one.has_password, "last_login": one.last_login, "failed": one.failed,
            }
            for one in accounts.list_users()
        ]  # fmt: skip
    rows = [[one["name"], one["role"], _state(one), _day(one["created"]), when(one["last_login"])] for one in users]
    print_answer(as_json, users, ["name", "role", "state", "created", "last log-in"], rows)


@user.command()
@click.argument("name")
@_password_stdin
@pass_options
def passwd(options: Options, name: str, password_stdin: bool) -> None:
    """Change a user's password; ends all sessions of that user.

    \b
    Example: scanpost user passwd anna
    """
    with opened_accounts(options) as accounts:
        accounts.set_password(name, _password(password_stdin), by=_by())
    say(f"changed the password of {name}")


@user.command()
@click.argument("name")
@pass_options
def disable(options: Options, name: str) -> None:
    """Shut a user out and end all sessions of that user; tokens stop, too.

    \b
    Example: scanpost user disable anna
    """
    with opened_accounts(options) as accounts:
        accounts.disable(name, by=_by())
    say(f"disabled {name}")


@user.command()
@click.argument("name")
@pass_options
def enable(options: Options, name: str) -> None:
    """Let a user in again.

    \b
    Example: scanpost user enable anna
    """
    with opened_accounts(options) as accounts:
        accounts.enable(name, by=_by())
    say(f"enabled {name}")


@user.command()
@click.argument("name")
@click.argument("role", type=ROLE)
@pass_options
def role(options: Options, name: str, role: str) -> None:
    """Change what a user may do; open pages and tokens follow at once.

    \b
    Example: scanpost user role olga operator
    """
    with opened_accounts(options) as accounts:
        accounts.set_role(name, role, by=_by())
    say(f"{name} is {role} now")


@user.command()
@click.argument("name")
@pass_options
def link(options: Options, name: str) -> None:
    """Print a link by which a user sets a new password: it works once, and for a day.

    \b
    Example: scanpost user link olga
    """
    with opened_accounts(options) as accounts:
        click.echo(_link(options, accounts, name))


@user.command()
@click.argument("name")
@click.option("--end", is_flag=True, help="End all of them.")
@json_option
@pass_options
def sessions(options: Options, name: str, end: bool, as_json: bool) -> None:
    """Where a user is logged in; with --end no longer.

    \b
    Example: scanpost user sessions olga --end
    """
    with opened_accounts(options) as accounts:
        if end:
            say(f"ended {accounts.sessions.revoke_all(name, by=_by())} sessions")
            return
        found = accounts.sessions.list(name)
    told = [{"id": one.id, "address": one.address, "agent": one.agent, "created": one.created, "last_seen": one.last_seen}
            for one in found]  # fmt: skip
    rows = [[one.address, one.agent, when(one.created), when(one.last_seen)] for one in found]
    print_answer(as_json, told, ["from", "browser", "since", "last seen"], rows)


user.add_command(token)


def _by() -> str:
    return f"cli:{who()}"


def _link(options: Options, accounts: Accounts, name: str) -> str:
    """The address, as the settings know the page; behind a proxy people put its name in place of host and port."""
    page = options.settings().webgui
    scheme = "https" if page.tls.cert is not None or page.behind_proxy else "http"
    return f"{scheme}://{with_port(page.host, page.port)}/reset?token={accounts.links.make(name, by=_by())}"


def _state(one: dict[str, Any]) -> str:
    if one["disabled"]:
        return "disabled"
    return "" if one["has_password"] else "no password yet"


def _password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    found: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return found


def _day(time: object) -> str:
    return datetime.fromtimestamp(float(str(time)), UTC).strftime("%Y-%m-%d")
