"""The API of configuration versions: the JSON twins of its pages. It must not render HTML."""

from __future__ import annotations

from aiohttp import web

from protocol.errors import RoutingError
from protocol.routing.difference import difference
from protocol.routing.publishing import plan
from webgui import answers, inputs, publishing
from webgui.areas.config import history, models, pages
from webgui.areas.config.blame import blame
from webgui.keys import NODE


async def versions(request: web.Request) -> web.Response:
    """The versions, newest first."""
    asked, node = inputs.query(request, models.Listing), request.app[NODE]
    rows, after = await node.run(
        lambda: history.listed(node.routing, after=asked.after, author=asked.author, part=asked.part, limit=asked.limit)
    )
    problems = await node.run(node.routing.problems)
    told = [{"number": one.number, "message": one.message} for one in problems]
    return answers.given({"versions": rows, "after": after, "problems": told})


async def version(request: web.Request) -> web.Response:
    """One version with its configuration and what it changed."""
    node, number = request.app[NODE], int(request.match_info["number"])
    found = await node.run(lambda: pages.get(node, number))
    changed = await node.run(lambda: history.changes_of(found, node.routing))
    return answers.given(
        history.facts(found)
        | {"changes": [one.to_data() for one in changed], "configuration": history.whole(found)}
    )  # fmt: skip


async def diff(request: web.Request) -> web.Response:
    """What differs between two versions."""
    asked, node = inputs.query(request, models.Sides), request.app[NODE]
    now = await publishing.current(node)
    two = await node.run(lambda: pages.get(node, now.number if asked.b is None else asked.b))
    one = await node.run(lambda: pages.get(node, two.parent if asked.a is None else asked.a))
    changed = difference(one.configuration, two.configuration)
    return answers.given({"a": one.number, "b": two.number, "changes": [each.to_data() for each in changed]})


async def blamed(request: web.Request) -> web.Response:
    """Who set what of one part."""
    asked, node = inputs.query(request, models.Part), request.app[NODE]
    found = await node.run(lambda: blame(node.routing, asked.name))
    if not found:
        raise web.HTTPNotFound(text=f"There is no rule, target, group or source '{asked.name}'.")
    return answers.given({"blame": [one.plain() for one in found]})


async def rollback(request: web.Request) -> web.Response:
    """Publish an earlier version again, as a new one."""
    asked, number = await inputs.body(request, models.Back), int(request.match_info["number"])
    await request.app[NODE].run(lambda: pages.get(request.app[NODE], number))
    made = await publishing.go_back(request, number, asked.reason or f"rollback to {number}")
    return answers.given(made.to_data())


async def restore(request: web.Request) -> web.Response:
    """Take one part as it was in a version."""
    asked, node, number = (
        await inputs.body(request, models.Restore),
        request.app[NODE],
        int(request.match_info["number"]),
    )
    earlier = await node.run(lambda: history.whole(pages.get(node, number)))
    edit = history.restore(asked.section, asked.name, earlier)
    made = await publishing.publish(request, edit, asked.reason or f"{asked.name} as in version {number}")
    return answers.given(made.to_data())


async def undo(request: web.Request) -> web.Response:
    """Take a version back, if it is still in force."""
    asked = await inputs.body(request, models.Undo)
    return answers.given((await publishing.undo(request, asked.version)).to_data())


async def import_(request: web.Request) -> web.Response:
    """Check a configuration, or make it the next version."""
    asked, node = await inputs.body(request, models.Imported), request.app[NODE]
    draft = history.draft_of(asked.routing)
    planned = await node.run(lambda: plan(publishing.versions_of(node), draft, "this file", asked.base, asked.only))
    findings = await publishing.findings_of(node, planned.configuration)
    if asked.do == "activate":
        faults = [one.fault for one in findings if one.level == "error"]
        if faults:
            raise RoutingError.of(faults, "this file")
        made = await publishing.publish_whole(
            request, planned.configuration, asked.reason or "import", planned.current.number
        )
        return answers.given(made.to_data() | {"note": planned.note})
    return answers.given(
        {
            "ok": not any(one.level == "error" for one in findings),
            "note": planned.note,
            "version": planned.current.number,
            "changes": [one.to_data() for one in planned.changes],
            "findings": [one.to_data() for one in findings],
        }
    )
