"""`scanpost target`: list targets, test the way to one step by step, pause and resume. Settings are routing configuration."""

from __future__ import annotations

import time
from typing import Any

import click

from scanpost.asking import act, opened, routing_of, status_of, when
from scanpost.common import EXIT_FAILED, Options, json_option, pass_options, print_answer, print_json, print_table


@click.group()
def target() -> None:
    """Where images go: list, test, pause, resume."""


@target.command("list")
@json_option
@pass_options
def list_targets(options: Options, as_json: bool) -> None:
    """Every target with its queue and what happened last.

    A target that cannot be reached is left alone: its breaker is open until a probe finds it (half-open: one delivery goes
    to see), and closed once it answers.

    \b
    Example: scanpost target list --json
    """
    with opened(options, reading=True) as (settings, spool):
        found = status_of(settings, spool)["targets"]
    columns = ["target", "state", "breaker", "waiting", "sending", "parked", "held", "last success", "last error"]
    print_answer(as_json, found, columns, [
        [name, t["state"], _breaker(t["breaker"]), t["waiting"], t["sending"],
         t["parked"], t["held"], when(t["last_success"]), t["last_error"]]
        for name, t in found.items()])  # fmt: skip


@target.command()
@click.argument("name")
@json_option
@pass_options
def test(options: Options, name: str, as_json: bool) -> None:
    """Try the way to a target step by step, without sending an image. Exit 1 if a step fails.

    DICOM: name, TCP, TLS, association, presentation contexts, C-ECHO; and which SOP classes it accepts in which transfer
    syntaxes, those that it got lately (*) and common ones. A folder: is it there, can it be written, is there
    room. Each type has its own steps.
    """
    from actors.targets.ladder import climb

    configuration = routing_of(options.settings()).current().configuration
    if name not in configuration.targets:
        raise click.BadParameter(
            f"there is no target {name!r} (there are: {', '.join(sorted(configuration.targets)) or 'none'})"
        )
    steps = climb(configuration.targets[name], _lately(options, name))
    if as_json:
        print_json({"target": name, "ok": all(step.ok for step in steps), "steps": [step.__dict__ for step in steps]})
    else:
        rows = [
            [step.name, "ok" if step.ok else "failed", f"{step.seconds * 1000:.0f} ms", step.text] for step in steps
        ]
        print_table(["step", "", "", ""], rows)
        for step in steps:
            _print_contexts(step.contexts)
    if not all(step.ok for step in steps):
        raise click.exceptions.Exit(EXIT_FAILED)


@target.command()
@click.argument("name")
@click.option("--reason", required=True, help="Shown to everybody who wonders.")
@click.option("--until", help="ISO 8601 time or a duration such as 2h30m; without it until resumed.")
@json_option
@pass_options
def pause(options: Options, name: str, reason: str, until: str | None, as_json: bool) -> None:
    """Send nothing more to a target: images under way are finished, the rest of their deliveries waits."""
    act(options, "target.pause", {"target": name, "reason": reason, "until": _until(until)}, as_json)


@target.command()
@click.argument("name")
@json_option
@pass_options
def resume(options: Options, name: str, as_json: bool) -> None:
    """Let deliveries to a target go on."""
    act(options, "target.resume", {"target": name}, as_json)


def _lately(options: Options, name: str) -> list[tuple[str, str]]:
    from protocol.errors import SpoolMissing

    try:
        with opened(options, reading=True) as (_, spool):
            return spool.targets.lately(name)
    except SpoolMissing:
        return []


def _print_contexts(contexts: list[dict[str, Any]]) -> None:
    if contexts:
        click.echo()
        print_table(["SOP class", "accepted", "rejected", "why"], [
            [f"{row['name']}{' *' if row['lately'] else ''}", ", ".join(row["accepted"]) or "-",
             ", ".join(row["rejected"]) or "-", row["why"]]
            for row in contexts])  # fmt: skip


def _breaker(found: dict[str, Any]) -> str:
    if found["state"] == "closed":
        return "closed"
    words = f"{found['state']} since {when(found['since'])}"
    return words if found["next_probe"] is None else f"{words}, next probe {when(found['next_probe'])}"


def _until(text: str | None) -> float | None:
    from scanpost.moments import moment

    return None if text is None else moment(text, time.time())
