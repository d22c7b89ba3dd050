"""The pages of rules: the list and the editor. They must not publish anything; acts do."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from protocol.errors import RoutingError, ScanpostError
from protocol.routing.parse import to_data
from protocol.routing.rules.line import one_line
from protocol.routing.versions import Version
from webgui import answers, inputs, modelform, patients, publishing
from webgui.areas.rules import builder, describing, form, models, notices, reading, suggesting, trying, words
from webgui.csvs import download
from webgui.keys import NODE, RULES

OPENS = frozenset({"blank", "from", "copy"})
"""What asks for a new rule; without these /rules/new is the rule of that name, if there is one."""
COLUMNS = ("place", "name", "mode", "when", "english", "then", "priority", "owner", "today", "total", "last", "errors",
           "warnings")  # fmt: skip


async def listing(request: web.Request) -> web.Response:
    """All rules in order."""
    asked = inputs.query(request, models.Listing)
    version, rows = await reading.listed(request, asked)
    if asked.format == "csv":
        told = [row | {"warnings": "; ".join(one["text"] for one in row["warnings"])} for row in rows]
        return download("rules.csv", COLUMNS, [[row[name] for name in COLUMNS] for row in told])
    drafts = await request.app[NODE].run(reading.drafts_of(request).all)
    names = {rule.name for rule in version.configuration.rules}
    return answers.page(
        request, "rules/rules.html", rows=rows, asked=asked, revision=version.number, drafts=drafts, names=names,
        total=len(version.configuration.rules),
    )  # fmt: skip


async def new(request: web.Request) -> web.Response:
    """An editor for a new rule: empty, out of an arrival, or a copy."""
    asked = inputs.query(request, models.Opening)
    version = await publishing.current(request.app[NODE])
    if not OPENS & request.query.keys() and (
        "draft" in request.query or any(rule.name == "new" for rule in version.configuration.rules)
    ):
        return await one(request)
    made = form.empty(version.number)
    if asked.from_ is not None:
        made = await reading.of_arrival(request, asked.from_, version)
    elif asked.copy_:
        data = to_data(version.configuration)
        found = reading.rule_of(data, asked.copy_)
        if found is None:
            raise web.HTTPNotFound(text=f"There is no rule '{asked.copy_}'.")
        taken = {rule["name"] for rule in data["rules"]}
        made.rule = found | {"name": describing.free(f"{asked.copy_[:50]}-copy", taken)}
    return await editor(request, made, version, arrival=asked.from_)


async def one(request: web.Request) -> web.Response:
    """The editor of a rule, with what is in force, or with the draft of who asks."""
    asked, name, node = inputs.query(request, models.Editing), request.match_info.get("name", "new"), request.app[NODE]
    version = await publishing.current(node)
    draft = await node.run(lambda: reading.drafts_of(request).find(name))
    rule = reading.rule_of(to_data(version.configuration), name)
    if draft is not None and (asked.draft or rule is None):
        made = form.of_rule(draft.rule, draft.was, draft.base)
        form.drafted(made, version.configuration)
        return await editor(request, made, version, draft=draft, arrival=asked.arrival)
    if rule is None:
        raise web.HTTPNotFound(text=f"There is no rule '{name}'.")
    return await editor(request, form.of_rule(rule, name, version.number), version, draft=draft, shown_draft=False,
                        arrival=asked.arrival)  # fmt: skip


async def editor(
    request: web.Request, made: form.Form, version: Version, status: int = 200, **more: Any
) -> web.Response:
    """The page of the editor around a form, faults and results of a test included."""
    node = request.app[NODE]
    configuration = version.configuration
    row = None
    if made.was:
        _, rows = await reading.listed(request, models.Listing())
        row = next((one for one in rows if one["name"] == made.was), None)
    values = modelform.filled(form.SPECS, made.rule)
    seen, lint = await reading.site(node), form.linted(made.when) if made.when else None
    named = [told for told in (suggesting.about(name, seen) for name in (lint or {}).get("names", ())) if told]
    shared = {
        "form": made, "revision": version.number, "row": row, "places": len(configuration.rules),
        "specs": form.SPECS, "values": values, "errors": made.errors, "set_ones": modelform.set_ones(form.SPECS, values),
        "notify": notices.text_of(made.rule.get("notify") or []), "tests": form.tested(made),
        "tests_json": json.dumps(made.rule.get("tests") or [], ensure_ascii=False),
        "lint": lint, "named": named, "targets": _targets(configuration, made),
        "builder_tests": builder.TESTS, "builder_scopes": builder.SCOPES, "modes": words.MODES,
        "arrivals": await reading.recent(node), "seen": sorted(seen), "asked": made.tried_on,
        "arrival": made.tried_on.arrival if made.tried_on else None,
        "draft": None, "shown_draft": True, "tried": None, "try_error": "", "conflict": None,
        "findings": (), "checked": False,
    }  # fmt: skip
    return answers.page(request, "rules/editor.html", status, **shared | more)


def _targets(configuration: Any, made: form.Form) -> list[dict[str, Any]]:
    chosen = list(made.rule.get("targets") or ())
    found = [
        {"name": name, "kind": target.type, "note": target.comment} for name, target in configuration.targets.items()
    ]
    found += [
        {"name": name, "kind": f"group, {group.mode}", "note": ", ".join(group.members)}
        for name, group in configuration.groups.items()
    ]
    known = {one["name"] for one in found}
    found += [
        {"name": name, "kind": "unknown", "note": "there is no such target"} for name in chosen if name not in known
    ]
    return [one | {"chosen": one["name"] in chosen} for one in found]


async def try_(request: web.Request) -> web.Response:
    """Hold the rule in the editor against a series, files or a pasted header. Changes nothing."""
    values = await large(request)
    made = form.read(values)
    asked = made.tried_on = trying.asked_of(values)
    version = await publishing.current(request.app[NODE])
    source = request.app[RULES]

    sees = patients.sees(request)

    def run() -> Any:
        if not sees and not asked.files and not asked.pasted:
            trying.refuse_guessing(made.when)
        configuration, name = form.for_trying(made, version.configuration)
        return trying.shown(configuration, name, *trying.case_of(asked, source, configuration))

    error, found = "", None
    try:
        found = await request.app[NODE].run(run)
    except RoutingError as exc:
        error = exc.faults[0].message + (f". {exc.faults[0].cure}" if exc.faults[0].cure else "")
    except ScanpostError as exc:
        error = str(exc)
    status = 422 if error else 200
    if request.headers.get("X-Fragment"):
        return answers.page(request, "rules/tried.html", status, tried=found, try_error=error)
    return await editor(request, made, version, status, tried=found, try_error=error)


async def large(request: web.Request) -> dict[str, Any]:
    """A form with files."""
    given = await request.clone(client_max_size=trying.MAX_BYTES).post()
    found: dict[str, Any] = {}
    for name in dict.fromkeys(given):
        every = [value for value in given.getall(name) if value != ""]
        if every:
            found[name] = every if len(every) > 1 or name in ("files", "targets") else every[0]
    return found


async def lint(request: web.Request) -> web.Response:
    """What the compiler says of a condition."""
    asked = await inputs.body(request, models.Lint)
    when = builder.text_of(asked.builder) if asked.builder is not None else one_line(asked.when)
    return answers.given(form.linted(when))


async def complete(request: web.Request) -> web.Response:
    """What may be written next: names with their VR and values seen here, functions."""
    asked, seen = await inputs.body(request, models.Completing), await reading.site(request.app[NODE])
    if asked.values_of:
        found = suggesting.values_of(asked.values_of, seen)
        return answers.given({"values": [{"value": value, "arrivals": count} for value, count in found]})
    if asked.about:
        told = suggesting.about(asked.about, seen)
        return answers.given({"names": [] if told is None else [told]})
    return answers.given({"names": suggesting.completions(asked.prefix, seen)})
