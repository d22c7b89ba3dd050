"""The pages of targets and groups: list, forms, the test ladder. Changes are versions; acts are in `acts`."""

from __future__ import annotations

from functools import partial
from typing import Any

from aiohttp import web

from protocol.errors import RoutingError
from protocol.routing.groups import Group
from protocol.routing.parse import build, to_data
from protocol.routing.versions import Version
from webgui import answers, inputs, modelform, overtaking, publishing
from webgui.areas.targets import edits, models, reading, words
from webgui.csvs import download, when
from webgui.jobs import Job, JobRefused
from webgui.keys import LADDERS, NODE, SESSION
from webgui.words import size

COLUMNS = ("name", "kind", "address", "state", "waiting", "sending", "parked", "held", "oldest_s", "images", "bytes",
           "success", "last_success", "last_error")  # fmt: skip
GROUP_SPECS = modelform.specs(Group, words.GROUP, ("members",), ("mode", "sticky_by", "patience_s", "comment"))


OPENS = frozenset({"blank", "type", "copy"})
"""What asks for a new target; without these /targets/new is the target of that name, if there is one."""


async def listing(request: web.Request) -> web.Response:
    """All targets and groups."""
    asked = inputs.query(request, models.Listing)
    version, rows = await reading.listed(request)
    total, wanted = len(rows), asked.q.lower()
    rows = [
        row for row in rows
        if wanted in f"{row['name']} {row['address']} {row['comment']} {row['kind']}".lower()
        and asked.state in ("", row["state"])
    ]  # fmt: skip
    if asked.format == "csv":
        cells = [[when(row[name]) if name == "last_success" else row[name] for name in COLUMNS] for row in rows]
        return download("targets.csv", COLUMNS, cells)
    groups = [
        {"name": name, "mode": group.mode, "members": list(group.members), "comment": group.comment,
         "rules": reading.used_by(version.configuration, name)["rules"]}
        for name, group in version.configuration.groups.items()
    ]  # fmt: skip
    return answers.page(request, "targets/targets.html", rows=rows, groups=groups, asked=asked, total=total,
                        revision=version.number)  # fmt: skip


async def new(request: web.Request) -> web.Response:
    """Which type; then its form, empty or a copy's."""
    asked = inputs.query(request, models.Opening)
    version = await publishing.current(request.app[NODE])
    if not OPENS & request.query.keys() and "new" in version.configuration.targets:
        return await one(request)
    data: dict[str, Any] = {"type": asked.type}
    name = ""
    if asked.copy_:
        data = _target(version, asked.copy_)
        name = f"{asked.copy_[:56]}-copy"
    if not data["type"]:
        return answers.page(request, "targets/types.html", types=words.TYPES)
    return await editor(request, version, data, "", name)


async def one(request: web.Request) -> web.Response:
    """A target: how it does, its settings, the test."""
    asked, name = inputs.query(request, models.Showing), request.match_info.get("name", "new")
    version = await publishing.current(request.app[NODE])
    return await editor(request, version, _target(version, name), name, name, test=asked.test)


def _target(version: Version, name: str) -> dict[str, Any]:
    if name not in version.configuration.targets:
        raise web.HTTPNotFound(text=f"There is no target '{name}'.")
    found: dict[str, Any] = to_data(version.configuration)["targets"][name]
    return found


async def editor(
    request: web.Request, version: Version, data: dict[str, Any], was: str, name: str, status: int = 200, test: str = "",
    errors: dict[str, str] | None = None, others: list[str] | None = None, reason: str = "", base: int | None = None,
    conflict: overtaking.Conflict | None = None,
) -> web.Response:  # fmt: skip
    """The page of a target. `base`: the version that its form was made from, if not this one."""
    specs = reading.SPECS[data["type"]]
    values = modelform.filled(specs, data)
    rows = (await reading.listed(request))[1] if was else []
    row = next((row for row in rows if row["name"] == was), None)
    job = request.app[LADDERS].find(test, request[SESSION].user.name) if test else None
    return answers.page(
        request, "targets/editor.html", status, specs=specs, values=values, set_ones=modelform.set_ones(specs, values),
        errors=errors or {}, others=others or [], was=was, name=name, type=data["type"],
        kind=words.TYPES.get(data["type"], (data["type"], "")),
        row=row, in_words=size, job=job, steps=steps_of(job), reason=reason, base=version.number if base is None else base,
        conflict=conflict,
        by_environment=any("${" in str(value) for value in values.values()), elsewhere=[
            key for key in (*version.configuration.targets, *version.configuration.groups) if key != was
        ],
    )  # fmt: skip


def steps_of(job: Job | None) -> dict[str, Any] | None:
    """The rungs of a test as a page shows them."""
    if job is None:
        return None
    found = job.result or {"steps": [], "ok": None}
    steps = [step | {"title": words.RUNGS.get(step["name"], step["name"].capitalize())} for step in found["steps"]]
    ok = found["ok"] if job.state == "done" else None
    return {"id": job.id, "running": job.state == "running", "ok": ok, "steps": steps, "error": job.error}


async def save(request: web.Request) -> web.Response:
    """A form of a target: check and try it as it stands there, or publish it."""
    values = await inputs.values(request)
    kind = str(values.get("type", ""))
    if kind not in reading.SPECS:
        raise web.HTTPBadRequest(text="Choose a type first.")
    was, name = str(values.get("was", "")), str(values.get("name", "")).strip()
    reason = str(values.get("reason", ""))[:500]
    data = modelform.read(reading.SPECS[kind], values) | {"type": kind}
    version, base = await publishing.current(request.app[NODE]), overtaking.base_of(values)
    again = partial(editor, request, version, data, reason=reason)
    key = name or "x"
    try:
        configuration = build({"targets": {key: data}}, "this target")
        if values.get("do") == "test":
            job = await request.app[LADDERS].start(
                request[SESSION].user.name,
                await reading.ladder_line(request.app[NODE], was, configuration.targets[key]),
            )
            return await again(was, name, test=job.id, base=base)
        words_ = f"target {name} {'changed' if was else 'added'}"
        edit = edits.put("targets", name, data, was)
        made = await overtaking.publish(request, edit, "targets", was, base, reason or words_)
    except overtaking.Overtaken as exc:
        found = exc.conflict
        return await again("" if found.gone else was, name, 409, base=found.base, conflict=found)
    except JobRefused as exc:
        return await again(was, name, 409, others=[f"Not now: {exc}"], base=base)
    except RoutingError as exc:
        errors, others = modelform.errors(exc, f"targets.{key}", [*reading.SPECS[kind], modelform.NAME])
        others = [text for text in others if name or "name" not in text]
        if not name:
            errors["name"] = "A target needs a name: a-z, digits, - and _"
        return await again(was, name, 422, errors=errors, others=others, base=base)
    return publishing.done(request, made, f"/targets/{name}", f"Target '{name}' is {'changed' if was else 'added'}.")


# ---- groups -------------------------------------------------------------------------------------------------------


async def new_group(request: web.Request) -> web.Response:
    """A form for a new group."""
    version = await publishing.current(request.app[NODE])
    if not request.query and "new" in version.configuration.groups:
        return await one_group(request)
    return _group_page(request, version, {"mode": "failover", "members": []}, "", "")


async def one_group(request: web.Request) -> web.Response:
    """A group."""
    version, name = await publishing.current(request.app[NODE]), request.match_info.get("name", "new")
    groups = to_data(version.configuration)["groups"]
    if name not in groups:
        raise web.HTTPNotFound(text=f"There is no group '{name}'.")
    return _group_page(request, version, groups[name], name, name)


def _group_page(
    request: web.Request, version: Version, data: dict[str, Any], was: str, name: str, status: int = 200,
    errors: dict[str, str] | None = None, others: list[str] | None = None, reason: str = "", base: int | None = None,
    conflict: overtaking.Conflict | None = None,
) -> web.Response:  # fmt: skip
    members = list(data.get("members") or ())
    rest = [key for key in version.configuration.targets if key not in members]
    return answers.page(
        request, "targets/group.html", status, specs=GROUP_SPECS, values=modelform.filled(GROUP_SPECS, data),
        errors=errors or {}, others=others or [], was=was, name=name, members=members, rest=rest,
        used=reading.used_by(version.configuration, was) if was else None, reason=reason,
        base=version.number if base is None else base, conflict=conflict,
    )  # fmt: skip


async def save_group(request: web.Request) -> web.Response:
    """A form of a group: publish it."""
    values = await inputs.values(request)
    was, name = str(values.get("was", "")), str(values.get("name", "")).strip()
    data = modelform.read(GROUP_SPECS, values) | {"members": _members(values)}
    version, base = await publishing.current(request.app[NODE]), overtaking.base_of(values)
    reason = str(values.get("reason", ""))[:500]
    again = partial(_group_page, request, version, data, reason=reason)
    try:
        words_ = f"group {name} {'changed' if was else 'added'}"
        edit = edits.put("groups", name, data, was)
        made = await overtaking.publish(request, edit, "groups", was, base, reason or words_)
    except overtaking.Overtaken as exc:
        found = exc.conflict
        return again("" if found.gone else was, name, 409, base=found.base, conflict=found)
    except RoutingError as exc:
        errors, others = modelform.errors(exc, f"groups.{name}", [*GROUP_SPECS, modelform.NAME])
        return again(was, name, 422, errors, others, base=base)
    return publishing.done(request, made, "/targets", f"Group '{name}' is {'changed' if was else 'added'}.")


def _members(values: dict[str, Any]) -> list[str]:
    """The marked members in the order of their numbers."""
    given = values.get("members", [])
    marked = [given] if isinstance(given, str) else list(given)
    places = {name: str(values.get(f"place-{name}", "")) for name in marked}
    return sorted(
        marked, key=lambda name: (int(places[name]) if places[name].isdecimal() else 10**6, marked.index(name))
    )
