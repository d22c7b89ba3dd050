"""The API that reads one rule and changes rules (what asks them stands in asking.py). It must not render HTML."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from protocol.errors import Fault, RoutingConflict, RoutingError
from protocol.routing.edits import set_mode
from protocol.routing.parse import to_data
from webgui import answers, inputs, preconditions, publishing
from webgui.areas.rules import edits, form, models, reading
from webgui.keys import NODE


async def one(request: web.Request) -> web.Response:
    """A rule with its English, test results, counters and warnings."""
    name = request.match_info["name"]
    version, rows = await reading.listed(request, models.Listing())
    rule = reading.rule_of(to_data(version.configuration), name)
    if rule is None:
        raise web.HTTPNotFound(text=f"There is no rule '{name}'.")
    row = next(row for row in rows if row["name"] == name)
    told = {key: row[key] for key in ("place", "english", "today", "total", "last", "errors", "warnings")}
    tests = form.tested(form.of_rule(rule, name, version.number))
    return preconditions.tagged({"revision": version.number, "rule": rule, "tests": tests} | told, rule)


async def put(request: web.Request) -> web.Response:
    """Add or change a rule."""
    asked, name = await inputs.body(request, models.Put), request.match_info["name"]
    node = request.app[NODE]
    version = await publishing.current(node)
    data = to_data(version.configuration)
    was = name if reading.rule_of(data, name) is not None else ""
    made = form.Form(
        asked.rule | {"name": asked.rule.get("name", name)}, was, asked.base or version.number, asked.place
    )
    mode = str(asked.rule.get("mode", "active"))
    if form.drafted(made, version.configuration, mode) is None:
        faults = [Fault(key, text) for key, text in made.errors.items()] + [Fault("", text) for text in made.others]
        raise RoutingError.of(faults, "this rule")
    seen: Any = reading.rule_of(data, was)
    if asked.base is not None and was:
        seen = await reading.seen_at(node, asked.base, was)
    rule = made.rule | {"mode": mode}
    try:
        edit = edits.put(rule, was, seen, asked.place)
        done = await preconditions.publish(request, edit, "rules", name, asked.reason or f"rule {made.name} changed")
    except edits.Overtaken as exc:
        cure = "Read it again, put that into your edit"
        raise RoutingConflict("somebody else changed this rule meanwhile", f"rule '{name}'", cure) from exc
    return answers.given(done.to_data())


async def mode(request: web.Request) -> web.Response:
    """Switch a rule."""
    asked, name = await inputs.body(request, models.Mode), request.match_info["name"]
    word = f"{asked.mode}, off until {asked.off_until}" if asked.off_until else asked.mode
    edit = set_mode(name, asked.mode, asked.off_until)
    done = await publishing.publish(request, edit, asked.reason or f"rule {name}: {word}")
    return answers.given(done.to_data())


async def move(request: web.Request) -> web.Response:
    """Move a rule."""
    asked, name = await inputs.body(request, models.Move), request.match_info["name"]
    done = await publishing.publish(request, edits.move(name, asked.to), asked.reason or f"rule {name} moved")
    return answers.given(done.to_data())


async def order(request: web.Request) -> web.Response:
    """Put the rules in an order."""
    asked = await inputs.body(request, models.Order)
    done = await publishing.publish(request, edits.order(asked.names), asked.reason or "rules put in another order")
    return answers.given(done.to_data())


async def delete(request: web.Request) -> web.Response:
    """Forget a rule."""
    asked, name = await inputs.body(request, models.Why), request.match_info["name"]
    reason = asked.reason or f"rule {name} removed"
    done = await preconditions.publish(request, edits.remove(name), "rules", name, reason)
    return answers.given(done.to_data())
