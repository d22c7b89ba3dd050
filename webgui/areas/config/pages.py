"""The pages of configuration versions. They must not know how versions are kept."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import hdrs, web

from protocol.errors import RoutingConflict, RoutingError
from protocol.routing.difference import difference
from protocol.routing.parse import dump
from protocol.routing.publishing import mark_of, plan
from webgui import answers, changes, inputs, publishing
from webgui.areas.config import history, models
from webgui.areas.config.blame import blame
from webgui.csvs import download
from webgui.keys import NODE

LIST = "/config/versions"
LONGEST_VALUE = 200


async def versions(request: web.Request) -> web.Response:
    """All versions, newest first."""
    asked = inputs.query(request, models.Listing)
    node = request.app[NODE]
    limit = 500 if asked.format == "csv" else asked.limit
    rows, after = await node.run(
        lambda: history.listed(node.routing, after=asked.after, author=asked.author, part=asked.part, limit=limit)
    )
    if asked.format == "csv":
        columns = ("number", "time", "author", "reason", "parent", "changes")
        return download("versions.csv", columns, [[row[name] for name in columns] for row in rows])
    problems = await node.run(node.routing.problems)
    found = await node.run(lambda: blame(node.routing, asked.part)) if asked.part else []
    blamed = [one.plain() | {"text": _short(one.value)} for one in found]
    return answers.page(
        request, "config/versions.html", rows=rows, after=after, asked=asked, problems=problems, blamed=blamed
    )


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"


async def version(request: web.Request) -> web.Response:
    """One version: what it changed, and what is in it."""
    node, number = request.app[NODE], int(request.match_info["number"])
    found, now, changed = await node.run(lambda: _version(node, number))
    contents = {
        name: {key: history.text_of(one) for key, one in getattr(found.configuration, name).items()}
        for name in ("targets", "groups", "sources")
    }
    contents["rules"] = {rule.name: history.text_of(rule) for rule in found.configuration.rules}
    back = await node.run(lambda: changes.rows(difference(now.configuration, found.configuration)))
    return answers.page(
        request, "config/version.html", one=history.facts(found), current=now.number, contents=contents,
        changes=changes.rows(changed), back=back,
    )  # fmt: skip


def _version(node: Any, number: int) -> Any:
    found = get(node, number)
    return found, node.routing.current(), history.changes_of(found, node.routing)


def get(node: Any, number: int) -> Any:
    """One version. Raises HTTPNotFound, RoutingError."""
    try:
        return node.routing.get(number)
    except RoutingError as exc:
        if "no such version" in str(exc):
            raise web.HTTPNotFound(text=f"There is no version {number}.") from exc
        raise


async def export(request: web.Request) -> web.Response:
    """One version as `scanpost routing export` writes it."""
    node, number = request.app[NODE], int(request.match_info["number"])
    found = await node.run(lambda: get(node, number))
    text = dump(found.configuration, mark_of(found))
    disposition = f'attachment; filename="routing-{number}.json"'
    return web.Response(
        text=text, content_type="application/json", headers={hdrs.CONTENT_DISPOSITION: disposition}
    )  # fmt: skip


async def diff(request: web.Request) -> web.Response:
    """What differs between two versions."""
    asked, node = inputs.query(request, models.Sides), request.app[NODE]
    now = await publishing.current(node)
    b = now.number if asked.b is None else asked.b
    two = await node.run(lambda: get(node, b))
    a = two.parent if asked.a is None else asked.a
    one = await node.run(lambda: get(node, a))
    found = changes.rows(difference(one.configuration, two.configuration))
    numbers = (await node.run(node.routing.numbers))[:-201:-1]
    return answers.page(
        request, "config/diff.html", a=history.facts(one), b=history.facts(two), changes=found, numbers=numbers
    )


async def rollback(request: web.Request) -> web.Response:
    """Make an earlier version current again."""
    asked, number = await inputs.body(request, models.Back), int(request.match_info["number"])
    await request.app[NODE].run(lambda: get(request.app[NODE], number))
    made = await publishing.go_back(request, number, asked.reason or f"rollback to {number}")
    return publishing.done(request, made, LIST, f"Rolled back to version {number}.")


async def restore(request: web.Request) -> web.Response:
    """Take one part as it was in a version."""
    asked, node, number = (
        await inputs.body(request, models.Restore),
        request.app[NODE],
        int(request.match_info["number"]),
    )
    earlier = await node.run(lambda: history.whole(get(node, number)))
    made = await publishing.publish(
        request,
        history.restore(asked.section, asked.name, earlier),
        asked.reason or f"{asked.name} as in version {number}",
    )
    return publishing.done(request, made, f"{LIST}/{made.after.number}", f"'{asked.name}' is as in version {number}.")


async def undo(request: web.Request) -> web.Response:
    """Take the last change back; the way behind every "Undo" of configuration."""
    asked = await inputs.body(request, models.Undo)
    made = await publishing.undo(request, asked.version)
    return publishing.done(request, made, LIST, f"Version {asked.version} was taken back.")


async def import_form(request: web.Request) -> web.Response:
    """Where to paste or choose a file."""
    return _imported(request, models.Imported(), [], [], "")


async def import_(request: web.Request) -> web.Response:
    """Check a file and show what it would change; or make it the next version."""
    values = await inputs.values(request, models.Imported)
    uploaded = values.pop("file", None)
    if isinstance(uploaded, web.FileField):
        values["routing"] = uploaded.file.read().decode("utf-8", "replace")
    try:
        asked = models.Imported.model_validate(values)
    except ValueError as exc:
        raise inputs.Invalid({"routing": "cannot be read"}) from exc
    node = request.app[NODE]
    try:
        draft = history.draft_of(asked.routing)
        planned = await node.run(lambda: plan(publishing.versions_of(node), draft, "this file", asked.base, asked.only))
        findings = await publishing.findings_of(node, planned.configuration)
        if asked.do == "activate" and not any(one.level == "error" for one in findings):
            made = await publishing.publish_whole(
                request, planned.configuration, asked.reason or "import", planned.current.number
            )
            return publishing.done(request, made, LIST)
    except RoutingConflict as exc:
        return _imported(request, asked, [], exc.lines(), "", 409)
    except RoutingError as exc:
        return _imported(request, asked, [], exc.lines(), "", 422)
    rows = changes.rows(planned.changes)
    note = planned.note or ("" if rows else "It changes nothing.")
    return _imported(request, asked, findings, [], note, changes=rows, base=planned.current.number)


def _imported(
    request: web.Request, asked: models.Imported, findings: Any, faults: list[str], note: str, status: int = 200,
    changes: Any = None, base: int | None = None,
) -> web.Response:  # fmt: skip
    return answers.page(
        request, "config/import.html", status, asked=asked, findings=findings, faults=faults, note=note,
        changes=changes, base=base,
    )  # fmt: skip
