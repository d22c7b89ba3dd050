"""`scanpost selftest`: proves the whole way with a synthetic study. It must not look at any other study."""

from __future__ import annotations

from typing import Any

import click

from scanpost.asking import who
from scanpost.common import EXIT_FAILED, Options, json_option, pass_options, print_json, say


@click.command()
@click.option("--target", default="", help="Deliver it there; without it to a built-in sink, and to no real target.")
@json_option
@pass_options
def selftest(options: Options, target: str, as_json: bool) -> None:
    """Send a synthetic study to this node and follow it: received, complete, decided, sent, cleared away.

    It has Study Instance UIDs of its own, a patient name that says that it is a test, and the AE title SELFTEST. The rules are
    asked and do not count. Afterwards nothing of it stays but the record. Exit 1 if a step fails.

    \b
    Examples:
      scanpost selftest
      scanpost selftest --target pacs --json
    """
    from actors.selftest import run

    told = 0

    def tell(result: dict[str, Any]) -> None:
        nonlocal told
        for step in [] if as_json else result["steps"][told:]:
            say(_line(step))
        told = len(result["steps"])

    result = run(options.settings(), who(), target, tell)
    if as_json:
        print_json(result)
    else:
        tell(result)
        say(f"the self-test to {result['target']} " + ("is good" if result["ok"] else f"failed: {result['error']}"))
    if not result["ok"]:
        raise click.exceptions.Exit(EXIT_FAILED)


def _line(step: dict[str, Any]) -> str:
    return (
        f"{'ok    ' if step['ok'] else 'failed'} {step['title']:<13} {step['seconds']:8.3f} s  {step['text']}".rstrip()
    )
