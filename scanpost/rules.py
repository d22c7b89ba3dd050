"""`scanpost rules`: the rules in force, tried on images, on the past and on live traffic; and why an arrival went where it went.
Only `add-test` changes something, by publishing a version; each command says in its own file what it must not do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from protocol.errors import NotFound, SpoolMissing
from scanpost.asking import opened, routing_of, when
from scanpost.common import Options, json_option, pass_options, print_answer, print_json, say
from scanpost.rule_lines import decision_line, rule_lines
from scanpost.rules_backtest import backtest
from scanpost.rules_dryrun import dry_run
from scanpost.rules_test import add_test, test
from scanpost.trying import of_arrival


@click.group()
def rules() -> None:
    """Rules: what there is, what they would do, and why they did what they did."""


for _command in (test, add_test, backtest, dry_run):
    rules.add_command(_command)


@rules.command("list")
@click.option("--days", default=30, show_default=True, type=click.IntRange(1, 400), help="How often in so many days.")
@json_option
@pass_options
def list_rules(options: Options, days: int, as_json: bool) -> None:
    """The rules in force, in their order, in English, with how often they applied.

    \b
    Example: scanpost rules list --days 7
    """
    from protocol.routing.rules.english import english
    from scanpost.publishing import now_of

    version = routing_of(options.settings()).current()
    counts = _counts(options, days)
    found = [
        {
            "rule": rule.name, "mode": rule.mode, "off_until": rule.off_until, "action": rule.action,
            "trigger": rule.trigger, "when": rule.when, "english": english(rule.compiled.tree),
            "targets": list(rule.targets), "fallback": rule.fallback, "stop": rule.stop, "counts": counts.get(rule.name, {}),
        }
        for rule in version.configuration.rules
    ]  # fmt: skip
    now = now_of(options.settings())
    print_answer(
        as_json, {"revision": version.number, "days": days, "rules": found},
        ["", "rule", "mode", "applies when", "then", "true", "errors"],
        [[at, one["rule"], _state(one, now), one["english"], _then(one), one["counts"].get("true", 0) or "",
          one["counts"].get("error", 0) or ""] for at, one in enumerate(found, 1)],
    )  # fmt: skip


def _counts(options: Options, days: int) -> dict[str, dict[str, int]]:
    """What the router counted; nothing for a node that never ran."""
    since = (datetime.now(UTC) - timedelta(days=days)).date().isoformat()
    try:
        with opened(options, reading=True) as (_, spool):
            return spool.rules.counts(since)
    except SpoolMissing:
        return {}


def _state(rule: Mapping[str, Any], now: datetime) -> str:
    from protocol.routing.terms import resting

    away = rule["mode"] != "off" and resting(rule["off_until"], now)
    return f"off until {rule['off_until']}" if away else rule["mode"]


def _then(rule: Mapping[str, Any]) -> str:
    words = [rule["action"], ", ".join(rule["targets"])]
    words += ["then stop"] * rule["stop"] + ["if no other applied"] * rule["fallback"]
    words += [f"each {rule['trigger']}"] * (rule["trigger"] != "series")
    return " ".join(word for word in words if word)


@rules.command()
@click.argument("arrival", type=int)
@click.option("--now", "beside", is_flag=True, help="Also what today's rules would do.")
@json_option
@pass_options
def explain(options: Options, arrival: int, beside: bool, as_json: bool) -> None:
    """Why ARRIVAL went where it went: which rule, of which revision, with which values.

    \b
    Example: scanpost rules explain 217500123 --now
    """
    document: dict[str, Any] = {"arrival": arrival, "decisions": _decisions(options, arrival)}
    if beside:
        document["now"] = _now(options, arrival)
    if as_json:
        print_json(document)
        return
    for decision in document["decisions"]:
        click.echo("\n".join(_decision_lines(decision)))
    if beside:
        now = document["now"]
        click.echo(f"\nBy today's rules (revision {now['revision']}):")
        for note in now["notes"]:
            say(note)
        click.echo("\n".join(_explained(now["rules"], now["decision"])))


def _decisions(options: Options, arrival: int) -> list[dict[str, Any]]:
    """The kept decisions, oldest first: with explanations from the spool, without from the ledger. Raises NotFound."""
    try:
        with opened(options, reading=True) as (_, spool):
            return list(spool.arrivals.story(arrival)["decisions"])
    except (NotFound, SpoolMissing):
        from protocol.ledger.engine import reader, reading
        from protocol.ledger.queries import arrival_story

        settings = options.settings()
        with reading(reader(settings.ledger.url)) as connection:
            story = arrival_story(connection, settings.node.name, arrival)
        if story is None:
            raise NotFound(f"neither spool nor ledger know an arrival {arrival}") from None
        return [
            {"time": event["time"], "explanation": None, **event["data"]}
            for event in story["events"] if event["type"] == "arrival.decided"
        ]  # fmt: skip


def _now(options: Options, arrival: int) -> dict[str, Any]:
    from protocol.routing.trying import tried

    version = routing_of(options.settings()).current()
    case = of_arrival(options, arrival, version.configuration)
    found = tried(version.configuration, version.number, case.case)
    return {"revision": version.number, "notes": case.notes, **found}


def _decision_lines(decision: Mapping[str, Any]) -> Iterator[str]:
    by = f", by command {decision['command']}" if decision.get("command") else ""
    yield f"\n{when(decision['time'])}  revision {decision['revision']}{by}"
    kept = decision.get("explanation")
    if not kept or "rules" not in kept:
        yield f"→ {decision['outcome']}: {decision['reason']}"
        return
    yield from _explained(kept["rules"], {"outcome": decision["outcome"], "reason": decision["reason"],
                                          "deliveries": kept.get("deliveries", ())})  # fmt: skip
    earlier = [name for name, _ in kept.get("earlier_targets", ())]
    if earlier:
        yield f"  earlier images of the series went to {', '.join(earlier)}"


def _explained(found: Any, decision: Mapping[str, Any]) -> Iterator[str]:
    for rule in found:
        yield from ("  " + line for line in rule_lines(rule))
    yield "  " + decision_line(decision)
