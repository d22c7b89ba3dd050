"""What the rule pages read of the node: counters, findings, drafts, past arrivals, values seen here. It must not render."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, timedelta
from typing import Any
from weakref import WeakKeyDictionary

from aiohttp import web

from protocol.errors import RoutingError, SpoolMissing
from protocol.routing.parse import to_data
from protocol.routing.publishing import Data
from protocol.routing.versions import RoutingVersions, Version
from webgui import publishing
from webgui.areas.rules import describing, form, rows
from webgui.areas.rules.drafts import Drafts
from webgui.areas.rules.models import Listing
from webgui.areas.rules.suggesting import Seen, Site
from webgui.keys import NODE, RULES, SESSION
from webgui.node import Node

RECENT = 40
DAY_S = 86_400.0
_SITES: WeakKeyDictionary[Node, Site] = WeakKeyDictionary()
"""What was seen lately, for each node behind this process."""


async def listed(request: web.Request, asked: Listing) -> tuple[Version, list[dict[str, Any]]]:
    """The rules in force as rows."""
    node = request.app[NODE]
    version = await publishing.current(node)
    now = publishing.now_of(node)
    today = now.astimezone(UTC).date()
    since = (today - timedelta(days=rows.DAYS - 1)).isoformat()
    try:
        daily, counts = await node.spool(lambda spool: (spool.rules.daily(since), spool.rules.counts(since)))
    except SpoolMissing:
        daily, counts = {}, {}
    findings = await publishing.findings_of(node, version.configuration)
    quiet = [rule.name for rule in version.configuration.rules if rule.mode != "off" and not daily.get(rule.name)]
    ages = await node.run(lambda: ages_of(node.routing, version, quiet, node.clock.now()))
    found = rows.listed(version.configuration, daily, counts, findings, now, ages)
    return version, [row for row in found if _fits(row, asked)]


def ages_of(versions: RoutingVersions, now_in_force: Version, names: Iterable[str], now: float) -> dict[str, float]:
    """For how many seconds rules have had their condition and mode; those that had them all the days of a row are left out."""
    ages: dict[str, float] = {}
    version, left = now_in_force, {name: _ways(now_in_force, name) for name in names}
    while left and version.number and version.time > now - rows.DAYS * DAY_S:
        try:
            before = versions.get(version.number - 1)
        except RoutingError:
            break  # a version that cannot be read: nobody knows
        for name in [name for name, ways in left.items() if _ways(before, name) != ways]:
            ages[name] = max(0.0, now - version.time)
            del left[name]
        version = before
    return ages


def _ways(version: Version, name: str) -> tuple[str, str] | None:
    return next(((rule.when, rule.mode) for rule in version.configuration.rules if rule.name == name), None)


def _fits(row: dict[str, Any], asked: Listing) -> bool:
    text = " ".join((row["name"], row["when"], row["english"], *row["targets"], row["owner"], row["comment"])).lower()
    return (
        asked.q.lower() in text
        and (not asked.mode or row["mode"] == asked.mode)
        and (not asked.warn or bool(row["warnings"]))
    )


def drafts_of(request: web.Request) -> Drafts:
    """The drafts of who asks; to be used off the event loop."""
    return Drafts(request.app[NODE].places.config, request[SESSION].user.name)


def rule_of(data: Data, name: str) -> Data | None:
    """A rule of a configuration's data."""
    return next((dict(rule) for rule in data["rules"] if rule["name"] == name), None)


async def seen_at(node: Node, base: int, name: str) -> Data | None:
    """The rule as it was in the version that an editor started from."""
    if not base or not name:
        return None
    try:
        version = await node.run(lambda: node.routing.get(base))
    except RoutingError:
        return None
    return rule_of(to_data(version.configuration), name)


async def recent(node: Node) -> list[dict[str, Any]]:
    """The last arrivals, to try a rule on."""
    try:
        return await node.spool(lambda spool: spool.arrivals.list(limit=RECENT))
    except SpoolMissing:
        return []


async def site(node: Node) -> Seen:
    """Names and values that came in here lately."""
    try:
        return await node.spool(_SITES.setdefault(node, Site()).seen)
    except SpoolMissing:
        return {}


async def of_arrival(request: web.Request, number: int, version: Version) -> form.Form:
    """A new rule that describes an arrival. Raises NotFound, LedgerUnavailable."""
    node, source = request.app[NODE], request.app[RULES]
    case, _ = await node.run(lambda: source.case_of_arrival(number, version.configuration))
    values = {**case.subject.common, **dict(case.subject.origin)}
    made = form.empty(version.number)
    taken = {rule.name for rule in version.configuration.rules}
    made.rule |= {"name": describing.name_of(values, taken), "when": describing.condition_of(values)}
    names = list(version.configuration.targets)
    made.rule["targets"] = names if len(names) == 1 else []
    return made
