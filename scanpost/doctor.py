"""`scanpost doctor`: proves that every image is accounted for, and looks at everything that could stop the node.
It only reads; each check says in one line what is wrong and what to do.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from protocol.records import record
from scanpost.asking import opened, routing_of, status_of
from scanpost.common import EXIT_FAILED, Options, json_option, pass_options, print_json, print_table

if TYPE_CHECKING:
    from protocol.settings import Settings
    from protocol.spool import Spool


@record
class Finding:
    """One check: `good` is healthy, `warning` needs a person some time, `bad` makes doctor exit 1."""

    check: str
    level: str
    text: str


@click.command()
@click.option("--quick", is_flag=True, help="Leave out the look at every file.")
@click.option("--contents", is_flag=True, help="Read every file, too, and hold it against what was received.")
@json_option
@pass_options
def doctor(options: Options, quick: bool, contents: bool, as_json: bool) -> None:
    """Prove that no image is missing, and check what could stop the node. Exit 0 healthy, 1 not.

    \b
    Checks: conservation of images, every file, the database, spool against ledger, the audit, configuration, actors,
    targets, disk, clock, alerts. With --contents, which may take hours, also that no file has changed.
    """
    with opened(options, reading=True) as (settings, spool):
        findings = list(examine(settings, spool, files=not quick, contents=contents))
    healthy = not any(finding.level == "bad" for finding in findings)
    if as_json:
        print_json({"healthy": healthy, "findings": [finding.__dict__ for finding in findings]})
    else:
        print_table(["check", "", "finding"], [[f.check, f.level, f.text] for f in findings])
    if not healthy:
        raise click.exceptions.Exit(EXIT_FAILED)


def examine(settings: Settings, spool: Spool, *, files: bool = True, contents: bool = False) -> Iterator[Finding]:
    """Every check in turn."""
    from protocol.spool.maintenance import check

    document = status_of(settings, spool)
    problems = spool.accounting.balance(files=files, contents=contents)
    as_received = ", each as it was received" if contents else ""
    yield from _list("images", problems, f"all {document['images']['received']} images accounted for{as_received}")
    yield from _list("database", check(spool), "integrity check passed")
    yield from _routing(settings)
    yield from _ledger(settings, spool, document)
    yield from _audit(settings)
    yield from _actors(document)
    yield from _targets(document)
    yield from _machine(spool, document)
    yield from _alerts(settings, spool)


def _list(name: str, problems: list[str], good: str) -> Iterator[Finding]:
    for problem in problems:
        yield Finding(name, "bad", problem)
    if not problems:
        yield Finding(name, "good", good)


def _routing(settings: Settings) -> Iterator[Finding]:
    from protocol.routing.checks.ourselves import ourselves
    from protocol.routing.checks.whole import examine
    from scanpost.publishing import now_of

    versions = routing_of(settings)
    current = versions.current()
    problems = [problem.message for problem in versions.problems()]
    count = len(current.configuration.rules)
    yield from _list(
        "routing", problems, f"version {current.number}, {count} rules, {len(current.configuration.targets)} targets"
    )
    for odd in examine(current.configuration, now_of(settings), ourselves(settings)):
        yield Finding("routing", "warning", odd.fault.line(f"version {current.number}"))


def _ledger(settings: Settings, spool: Spool, document: dict[str, Any]) -> Iterator[Finding]:
    """The ledger may lag while it is away, that is no loss; once it has caught up it must agree with the spool."""
    from protocol.errors import LedgerError, LedgerLost
    from protocol.ledger.compare import reach
    from protocol.ledger.record import CONSUMER
    from scanpost.accounting import against_ledger

    behind, problems = document["outbox"]["bookkeeper_behind"], []
    try:
        if behind:
            reach(settings.ledger.url)
        else:
            differences, behind = against_ledger(settings, spool, wait_s=5.0)
            problems = [one.text for one in differences]
    except LedgerLost as exc:
        if spool.outbox.confirmed(CONSUMER) is None:
            yield Finding("ledger", "warning", str(exc))
        else:
            yield Finding("ledger", "bad", f"{exc}; the history that was there needs a backup (docs/ledger.md)")
        return
    except LedgerError as exc:
        yield Finding("ledger", "warning", f"{exc}; nothing is lost, {behind} events wait")
        return
    if behind and not problems:
        yield Finding("ledger", "warning", f"{behind} events are not yet written to the ledger")
        return
    yield from _list("ledger", problems, "the ledger knows every image of the spool")


def _audit(settings: Settings) -> Iterator[Finding]:
    """Each entry of the audit against the chain; what was cut off its end `scanpost audit verify` looks for."""
    from protocol.accounts import Accounts
    from protocol.errors import AccountError

    path = settings.home / "accounts.sqlite3"
    if not path.exists():
        return
    try:
        accounts = Accounts(path)
    except AccountError as exc:
        yield Finding("audit", "bad", f"cannot be read: {exc}")
        return
    try:
        checked = accounts.trail.check()
    finally:
        accounts.close()
    if checked.broken is None:
        yield Finding("audit", "good", f"{checked.entries} entries fit the chain")
    else:
        yield Finding("audit", "bad", f"entry {checked.broken} was changed, or one before it is gone (docs/audit.md)")


def _actors(document: dict[str, Any]) -> Iterator[Finding]:
    down = [
        name for name, actor in document["actors"].items() if actor["state"] not in ("ready", "standby", "starting")
    ]
    if not document["actors"]:
        yield Finding("actors", "warning", "nothing is running (scanpost up)")
    elif down:
        yield Finding("actors", "warning", f"not ready: {', '.join(down)}")
    else:
        yield Finding("actors", "good", f"{len(document['actors'])} running")


def _targets(document: dict[str, Any]) -> Iterator[Finding]:
    for name, target in document["targets"].items():
        if target["parked"] or target["held"]:
            yield Finding(
                "target", "warning", f"{name}: {target['parked']} parked, {target['held']} held (scanpost queue list)"
            )
        elif target["state"] in ("failing", "removed"):
            yield Finding("target", "warning", f"{name} is {target['state']}: {target['last_error']}")
    if not any(
        target["parked"] or target["held"] or target["state"] != "up" for target in document["targets"].values()
    ):
        yield Finding("targets", "good", f"{len(document['targets'])} up")


def _machine(spool: Spool, document: dict[str, Any]) -> Iterator[Finding]:
    from actors.receiver import alike

    level = {"ok": "good", "reserve": "bad", "full": "bad"}[document["disk"]["state"]]
    yield Finding("disk", level, f"{document['disk']['free_bytes'] / 1e9:.1f} GB free ({document['disk']['state']})")
    if document["disk"]["wal_alert"]:
        yield Finding("disk", "warning", "the database's write-ahead log is above 64 MB: some reader does not let go")
    ahead = spool.outbox.newest_time() - document["time"]
    if ahead > 60:
        yield Finding("clock", "bad", f"the clock is {ahead:.0f} s behind the newest event; set it")
    else:
        yield Finding("clock", "good", "not behind the newest event")
    yield Finding("receiving", "good", alike.in_words())


def _alerts(settings: Settings, spool: Spool) -> Iterator[Finding]:
    """What stands and nobody takes care of, and whether anybody is told."""
    open_ones = [one for one in spool.alerts.list() if one.state == "open"]
    for one in open_ones:
        yield Finding("alert", "warning", f"{one.severity}: {one.text} ({one.key})")
    if not open_ones:
        yield Finding("alerts", "good", "none is open")
    if not settings.alerts.smtp.host and not settings.alerts.webhook.url:
        yield Finding("alerts", "warning", "nobody is told: set alerts.smtp or alerts.webhook (docs/alerts.md)")
