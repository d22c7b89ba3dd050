"""`scanpost user token`: tokens for programs. A secret is printed once, when it is made, alone on stdout."""

from __future__ import annotations

import time

import click

from scanpost.accounts import opened_accounts
from scanpost.asking import when, who
from scanpost.common import Options, json_option, pass_options, print_answer, print_json, say
from scanpost.moments import moment


@click.group()
def token() -> None:
    """Tokens for programs: create, list, revoke."""


@token.command()
@click.argument("user")
@click.argument("name")
@click.option("--scope", "scopes", type=click.Choice(["read", "operate", "admin", "phi"]), multiple=True,
              help="What it may: look, run the queue, everything its user may; phi: see patient data. Usually read.")  # fmt: skip
@click.option("--until", help="When it ends: 90d, or 2027-01-31. Without, never.")
@json_option
@pass_options
def create(options: Options, user: str, name: str, scopes: tuple[str, ...], until: str | None, as_json: bool) -> None:
    """Make a token of USER and print its secret: this once. It may never more than its user.

    \b
    Examples:
      scanpost user token create anna "nightly report" --until 365d
      TOKEN=$(scanpost user token create anna retries --scope operate)
      curl -H "Authorization: Bearer $TOKEN" http://127.0.0.1:8080/api/v1/status
    """
    expires = None if until is None else moment(until, time.time(), options.settings().node.zone)
    with opened_accounts(options) as accounts:
        secret = accounts.tokens.create(user, name, scopes or ("read",), expires=expires, by=f"cli:{who()}")
    if as_json:
        print_json({"user": user, "name": name, "token": secret, "expires": expires})
    else:
        say("keep it now, it is not shown again:")
        click.echo(secret)


@token.command("list")
@click.argument("user", required=False)
@json_option
@pass_options
def list_(options: Options, user: str | None, as_json: bool) -> None:
    """Tokens of USER, or of all users.

    \b
    Example: scanpost user token list anna
    """
    with opened_accounts(options) as accounts:
        found = accounts.tokens.list(user)
    told = [
        {
            "id": one.id, "user": one.user, "name": one.name, "scopes": list(one.scopes), "created": one.created,
            "expires": one.expires, "last_used": one.last_used, "last_address": one.last_address,
        }
        for one in found
    ]  # fmt: skip
    rows = [[one.user, one.name, " ".join(one.scopes), when(one.created), when(one.expires) if one.expires else "never",
             when(one.last_used)] for one in found]  # fmt: skip
    print_answer(as_json, told, ["user", "token", "may", "made", "ends", "last used"], rows)


@token.command()
@click.argument("user")
@click.argument("name")
@pass_options
def revoke(options: Options, user: str, name: str) -> None:
    """Revoke the token NAME of USER; what uses it is refused from then on.

    \b
    Example: scanpost user token revoke anna "nightly report"
    """
    with opened_accounts(options) as accounts:
        accounts.tokens.revoke(user, name, by=f"cli:{who()}")
    say(f"revoked {name} of {user}")
