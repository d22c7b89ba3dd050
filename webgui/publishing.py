"""Changes of the routing configuration by people on the page: judged, published as a version, written into the audit.

It must not decide what may be published (protocol/routing does) nor know forms or pages.
"""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Any

from aiohttp import web

from protocol.errors import RoutingConflict, RoutingError, SpoolMissing
from protocol.fsops import RealFs
from protocol.records import record
from protocol.routing.audited import entries
from protocol.routing.checks.findings import Finding
from protocol.routing.checks.ourselves import ourselves
from protocol.routing.checks.whole import errors_of, examine
from protocol.routing.difference import Change, difference, summary
from protocol.routing.model import RoutingConfiguration
from protocol.routing.publishing import Edit, apply
from protocol.routing.versions import RoutingVersions, Version
from webgui import auth
from webgui.answers import go
from webgui.keys import ACCOUNTS, NODE, SESSION
from webgui.node import Node

NOT_YET = ("no rule names ", "no active rule routes")
UNDO = "/config/undo"


@record
class Made:
    """What a publication changed; the same version twice where it changed nothing."""

    before: Version
    after: Version
    changes: tuple[Change, ...]
    findings: tuple[Finding, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether there is a new version."""
        return self.before.number != self.after.number

    def to_data(self) -> dict[str, Any]:
        """As the command line tells it."""
        return {
            "version": self.after.number,
            "changes": [one.to_data() for one in self.changes],
            "findings": [one.to_data() for one in self.findings],
        }


def versions_of(node: Node) -> RoutingVersions:
    """The versions, for one thread."""
    return RoutingVersions(node.places.routing, RealFs(), node.clock)


async def current(node: Node) -> Version:
    """The version in force."""
    return await node.run(node.routing.current)


async def in_use(node: Node) -> dict[str, str]:
    """Targets and groups that may not be removed, and why."""
    try:
        return await node.spool(lambda spool: spool.deliveries.targets_in_use())
    except SpoolMissing:
        return {}


def now_of(node: Node) -> datetime:
    """The time, in the zone in which rules expire."""
    return datetime.fromtimestamp(node.clock.now()).astimezone(node.settings.node.zone)


async def findings_of(node: Node, configuration: RoutingConfiguration) -> tuple[Finding, ...]:
    """What is odd about a configuration, on this node."""
    return await node.run(lambda: examine(configuration, now_of(node), ourselves(node.settings)))


async def publish(request: web.Request, edit: Edit, reason: str) -> Made:
    """A small edit on top of whatever is current. Raises what the edit raises, RoutingError, RoutingConflict."""
    node, who = request.app[NODE], request[SESSION].who
    busy = await in_use(node)

    def call() -> Made:
        done = apply(versions_of(node), edit, who, reason, now_of(node), ourselves(node.settings), busy)
        changes = difference(done.before.configuration, done.after.configuration)
        return Made(done.before, done.after, changes, done.findings)

    return await _audited(request, await node.run(call), reason)


async def publish_whole(request: web.Request, configuration: RoutingConfiguration, reason: str, parent: int) -> Made:
    """A whole configuration made from version `parent`. Raises RoutingError, RoutingConflict."""
    node, who = request.app[NODE], request[SESSION].who
    busy = await in_use(node)

    def call() -> Made:
        versions = versions_of(node)
        before = versions.current()
        changes = difference(before.configuration, configuration)
        if before.number and not changes and parent == before.number:
            return Made(before, before, ())
        findings = examine(configuration, now_of(node), ourselves(node.settings))
        refusal = errors_of(findings, "this version")
        if refusal is not None:
            raise refusal
        after = versions.publish(configuration, who, reason, parent, busy)
        return Made(before, after, changes, findings)

    return await _audited(request, await node.run(call), reason)


async def go_back(request: web.Request, number: int, reason: str) -> Made:
    """Publish version `number` again, whatever is odd about it: it has been in force. Raises RoutingError."""
    node, who = request.app[NODE], request[SESSION].who
    busy = await in_use(node)

    def call() -> Made:
        versions = versions_of(node)
        before, earlier = versions.current(), versions.get(number)
        changes = difference(before.configuration, earlier.configuration)
        if not changes:
            return Made(before, before, ())
        after = versions.publish(earlier.configuration, who, reason, before.number, busy)
        return Made(before, after, changes)

    return await _audited(request, await node.run(call), reason)


async def undo(request: web.Request, number: int) -> Made:
    """Take version `number` back, if it is still the current one. Raises RoutingConflict, RoutingError."""
    node = request.app[NODE]

    def earlier() -> int:
        versions = versions_of(node)
        now = versions.current()
        if now.number != number:
            cure = "Look at the history, and roll back what you want there"
            raise RoutingConflict(f"version {now.number} by {now.author} came after it", f"version {number}", cure)
        if now.parent == 0:
            raise RoutingError("there is nothing before it", f"version {number}", "")
        return now.parent

    return await go_back(request, await node.run(earlier), f"undo of {number}")


def done(request: web.Request, made: Made, path: str, what: str = "") -> web.Response:
    """After a form: see `path`, where it is told once what was done, with a way back."""
    if not made.changed:
        return go(request, path, f"Nothing changed: version {made.after.number} stays in force.")
    words = what or sentence(summary(made.changes))
    text = f"{words} Version {made.after.number} is in force."
    warnings = _worth_telling(made)
    if warnings:
        text += f" Note: {warnings[0]}." + (f" (and {len(warnings) - 1} more)" if len(warnings) > 1 else "")
    back = UNDO if made.after.parent else ""
    return go(request, path, text, "warn" if warnings else "ok", back, {"version": str(made.after.number)})


def _worth_telling(made: Made) -> list[str]:
    """Warnings; but who adds targets before the rules that will name them is not told that no rule names them."""
    found = [one.message for one in made.findings if one.level == "warning"]
    if any(change.section == "rules" or change.kind != "added" for change in made.changes):
        return found
    return [text for text in found if not text.startswith(NOT_YET)]


def sentence(text: str) -> str:
    """With a capital and a full stop."""
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."


async def _audited(request: web.Request, made: Made, reason: str) -> Made:
    if made.changed:
        accounts, who, where = request.app[ACCOUNTS], request[SESSION].who, auth.address(request)
        told = entries(made.changes, made.after.number, reason)
        for entry in told:
            await auth.in_thread(partial(accounts.record, who, where, *entry))
    return made
