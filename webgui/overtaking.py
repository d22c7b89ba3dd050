"""Publishing the form of a target, group or source, and what the second of two editors is told instead of replacing unseen.

Rules have their own way, since they have drafts. It must not know forms nor pages.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from protocol.errors import RoutingError
from protocol.records import record
from protocol.routing.difference import Change, difference
from protocol.routing.model import RoutingConfiguration
from protocol.routing.parse import to_data
from protocol.routing.publishing import Data, Edit
from protocol.routing.versions import RoutingVersions, Version
from webgui import changes, publishing
from webgui.changers import authors, changers
from webgui.keys import NODE
from webgui.node import Node


@record
class Conflict:
    """What somebody else did to the part since its form was made.

    Attributes:
        version: who did it last, when and why.
        authors: who did it, where it was changed several times by several people.
        rows: what changed, for a page; where the part is gone also what is new beside it, since it may be renamed.
        base: what a form that tells this is made from.
    """

    version: Version
    authors: str
    rows: list[dict[str, Any]]
    gone: bool
    base: int


class Overtaken(Exception):
    """Somebody else changed the part since its form was made; nothing was published."""

    def __init__(self, conflict: Conflict) -> None:
        self.conflict = conflict
        super().__init__("somebody else changed this meanwhile")


class _Differs(Exception):
    pass


def base_of(values: Mapping[str, Any]) -> int:
    """The version that a form was made from; 0: it says none, as no form of ours does."""
    text = str(values.get("base", ""))
    return int(text) if text.isdecimal() and len(text) < 12 else 0


async def publish(
    request: web.Request, edit: Edit, section: str, was: str, base: int, reason: str
) -> publishing.Made:  # fmt: skip
    """Publish an edit of the part `was`, or a new one (empty), unless it changed since `base`.

    Raises Overtaken, and as publishing.publish does.
    """
    node = request.app[NODE]
    try:
        guarded = _guarded(edit, section, was, await _seen(node, section, was, base)) if was else edit
        return await publishing.publish(request, guarded, reason)
    except _Differs:
        pass
    raise Overtaken(await node.run(lambda: _conflict(node.routing, section, was, base)))


def _guarded(edit: Edit, section: str, was: str, seen: Data | None) -> Edit:
    def call(data: Data) -> Data:
        if seen is None or data[section].get(was) != seen:
            raise _Differs
        return edit(data)

    return call


async def _seen(node: Node, section: str, name: str, base: int) -> Data | None:
    """The part as its form showed it."""
    try:
        version = await node.run(lambda: node.routing.get(base))
    except RoutingError:
        return None
    found: Data | None = to_data(version.configuration)[section].get(name)
    return found


def _conflict(versions: RoutingVersions, section: str, name: str, base: int) -> Conflict:
    now = versions.current()
    gone = _part(now, section, name) is None
    try:
        every = difference(versions.get(base).configuration, now.configuration)
    except RoutingError:
        every = difference(RoutingConfiguration(), now.configuration)
    mine = [one for one in every if one.section == section and _concerns(one, name, gone)]
    made = changers(versions, now, base, lambda version: _part(version, section, name)) or [now]
    return Conflict(made[0], authors(made), changes.rows(mine), gone, now.number)


def _concerns(change: Change, name: str, gone: bool) -> bool:
    return change.name == name or (gone and change.kind == "added")


def _part(version: Version, section: str, name: str) -> Any:
    return getattr(version.configuration, section).get(name)
