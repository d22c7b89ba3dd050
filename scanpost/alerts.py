"""`scanpost alerts`: what is wrong now, who takes care of it, what is silenced, what was sent, and a test message.
It must not judge what is wrong; the bookkeeper does.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from scanpost.asking import opened, when, who
from scanpost.common import EXIT_FAILED, Options, json_option, pass_options, print_json, print_table, say

if TYPE_CHECKING:
    from protocol.spool.alerts import Alert, Silence
    from protocol.spool.letters import Letter

WEEK_S = 7 * 86_400.0


@click.group()
def alerts() -> None:
    """What needs a person: list, show, ack, silence, silences, unsilence, letters, test.

    \b
    Examples:
      scanpost alerts list
      scanpost alerts ack target.down.pacs --note "the vendor is on it"
      scanpost alerts silence 'target/pacs' --for 2h --reason "update"
      scanpost alerts test mail
    """


@alerts.command("list")
@click.option("--all", "everything", is_flag=True, help="Also what was cleared within a week.")
@json_option
@pass_options
def list_(options: Options, everything: bool, as_json: bool) -> None:
    """What stands: open alerts first, the worst of them on top."""
    with opened(options, reading=True) as (settings, spool):
        found, after_s = (
            spool.alerts.list(cleared_within_s=WEEK_S if everything else 0.0),
            settings.alerts.clear_after_s,
        )
    if as_json:
        print_json([document(one, after_s) for one in found])
    elif not found:
        say("Nothing needs a person." if not everything else "Nothing needed a person within a week.")
    else:
        columns = ["severity", "state", "since", "count", "alert", "text"]
        print_table(
            columns,
            [
                [one.severity, one.state, when(one.raised), one.count, one.key, one.text + over_words(one, after_s)]
                for one in found
            ],
        )


@alerts.command()
@click.argument("key")
@json_option
@pass_options
def show(options: Options, key: str, as_json: bool) -> None:
    """One alert with its whole life."""
    with opened(options, reading=True) as (settings, spool):
        one, after_s = spool.alerts.get(key), settings.alerts.clear_after_s
    if as_json:
        print_json(document(one, after_s))
        return
    rows = [["alert", one.key], ["state", one.state], ["severity", one.severity], ["text", one.text],
            ["count", one.count], ["about", one.about], ["raised", when(one.raised)], ["cleared", when(one.cleared)],
            ["told", f"{one.tells} times, last {when(one.told)}" if one.tells else "nobody yet"]]  # fmt: skip
    if (clears := one.clears_at(after_s)) is not None:
        rows[6:6] = [["over since", when(one.gone)], ["clears", f"{when(clears)}, unless it comes back"]]
    if one.acknowledged is not None:
        rows.append(["acknowledged", f"{when(one.acknowledged)} by {one.by}{': ' if one.note else ''}{one.note}"])
    if one.silence is not None:
        rows.append(["silenced", silence_words(one.silence)])
    print_table(["", ""], rows)


@alerts.command()
@click.argument("keys", nargs=-1, required=True, metavar="KEY...")
@click.option("--note", default="", help="What is done about it; shown to everybody who wonders.")
@json_option
@pass_options
def ack(options: Options, keys: tuple[str, ...], note: str, as_json: bool) -> None:
    """Say that you take care of it: nobody is reminded any more, unless it becomes worse or comes again."""
    with opened(options) as (settings, spool):
        done = [spool.alerts.acknowledge(key, who(), note) for key in keys]
    if as_json:
        print_json([document(one, settings.alerts.clear_after_s) for one in done])
    else:
        for one in done:
            say(f"{one.key}: {'over' if one.cleared is not None else f'acknowledged by {one.by}'}")


@alerts.command()
@click.argument("pattern")
@click.option("--for", "until", required=True, metavar="WHEN", help="A duration such as 2h30m, or an ISO 8601 time.")
@click.option("--reason", required=True, help="Shown to everybody who wonders.")
@json_option
@pass_options
def silence(options: Options, pattern: str, until: str, reason: str, as_json: bool) -> None:
    """Tell nobody of alerts that match until then. PATTERN: a key, or target/NAME, source/AE; * and ? as in file names."""
    from scanpost.moments import moment

    with opened(options) as (settings, spool):
        made = spool.alerts.silence(pattern, moment(until, time.time(), settings.node.zone), who(), reason)
        covered = [one.key for one in spool.alerts.list() if one.silence is not None and one.silence.id == made.id]
    if as_json:
        print_json({**made.__dict__, "covers": covered})
    else:
        say(f"silence {made.id} until {when(made.until)}; it covers now: {', '.join(covered) or 'nothing'}")


@alerts.command()
@json_option
@pass_options
def silences(options: Options, as_json: bool) -> None:
    """What is silenced, until when, by whom and why."""
    with opened(options, reading=True) as (_, spool):
        found = spool.alerts.silences()
    if as_json:
        print_json([one.__dict__ for one in found])
    elif not found:
        say("Nothing is silenced.")
    else:
        print_table(["id", "pattern", "until", "by", "reason"],
                    [[one.id, one.pattern, when(one.until), one.by, one.reason] for one in found])  # fmt: skip


@alerts.command()
@click.argument("number", type=int)
@json_option
@pass_options
def unsilence(options: Options, number: int, as_json: bool) -> None:
    """End a silence now; what it covered and still stands is told."""
    with opened(options) as (_, spool):
        spool.alerts.unsilence(number, who())
    if as_json:
        print_json({"silence": number, "ended": True})
    else:
        say(f"silence {number} has ended")


@alerts.command()
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1000))
@json_option
@pass_options
def letters(options: Options, limit: int, as_json: bool) -> None:
    """Messages that were sent, are still waiting, or were given up; the newest first."""
    with opened(options, reading=True) as (_, spool):
        found = spool.letters.list(limit)
    if as_json:
        print_json([letter_document(one) for one in found])
    elif not found:
        say("No message yet. To try one: scanpost alerts test mail")
    else:
        columns = ["id", "to", "state", "made", "tries", "next try", "subject", "last error"]
        print_table(columns, [
            [one.id, recipient_words(one.recipient), one.state, when(one.created), one.attempts,
             when(one.due) if one.state == "waiting" else "", one.body.get("subject", ""), one.error]
            for one in found])  # fmt: skip


@alerts.command()
@click.argument("channel")
@json_option
@pass_options
def test(options: Options, channel: str, as_json: bool) -> None:
    """Send a test by CHANNEL (mail, webhook, mail:ADDRESS or webhook:URL), step by step. Exit 1 if a step fails."""
    from actors.bookkeeper.alerts.trying import try_channel

    settings = options.settings()
    steps = try_channel(settings.alerts, settings.node.name, channel)
    good = all(step.ok for step in steps)
    if as_json:
        print_json({"channel": channel, "ok": good, "steps": [step.__dict__ for step in steps]})
    else:
        print_table(["step", "", "", ""], [
            [step.name, "ok" if step.ok else "failed", f"{step.seconds * 1000:.0f} ms", step.text] for step in steps
        ])  # fmt: skip
    if not good:
        raise click.exceptions.Exit(EXIT_FAILED)


def over_words(one: Alert, clear_after_s: float) -> str:
    """What is said behind the text of an alert that only waits to be cleared."""
    clears = one.clears_at(clear_after_s)
    return "" if clears is None else f" (over since {when(one.gone)}, clears {when(clears)})"


def document(one: Alert, clear_after_s: float) -> dict[str, Any]:
    """An alert as plain values. Times in seconds since 1970 UTC."""
    plain = {
        name: value for name, value in one.__dict__.items() if name not in ("keeper", "ends", "gone", "told_severity")
    }
    clears = one.clears_at(clear_after_s)
    return {
        **plain, "state": one.state, "over_since": None if clears is None else one.gone, "clears_at": clears,
        "silence": None if one.silence is None else one.silence.__dict__,
    }  # fmt: skip


def letter_document(one: Letter) -> dict[str, Any]:
    """A message as plain values, without its text."""
    plain = {name: value for name, value in one.__dict__.items() if name not in ("body", "recipient")}
    return {**plain, "recipient": recipient_words(one.recipient), "channel": one.channel,
            "subject": one.body.get("subject", ""), "items": one.body.get("count", 0)}  # fmt: skip


def recipient_words(recipient: str) -> str:
    """A recipient without what may be a secret: of a URL only the host."""
    channel, _, rest = recipient.partition(":")
    return (
        f"{channel}:{rest.split('/')[2] if rest.count('/') >= 2 else rest}"
        if channel == "webhook" and rest
        else recipient
    )


def silence_words(one: Silence) -> str:
    """Until when, by whom and why."""
    return f"until {when(one.until)} by {one.by} ({one.pattern}){': ' if one.reason else ''}{one.reason}"
