"""The API that asks rules: what they are, what they would do with a header, an arrival, the past. It must not change anything.

Patient data stands only in answers to POST; what a person sends is never logged, and errors name places, not values.
"""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from protocol.errors import LedgerUnavailable, NotFound, RoutingError, RuleSyntaxError, ScanpostError, UnreadableHeader
from protocol.header.pasted import read_pasted
from protocol.routing.model import RoutingConfiguration
from protocol.routing.parse import build, load_json, to_data
from protocol.routing.trying import tried
from webgui import auth, patients
from webgui.areas.rules import models
from webgui.jobs import Job, JobRefused
from webgui.keys import JOBS, RULES, SESSION
from webgui.strict import refuse_fields

MAX_BODY = 6 << 20  # a routing configuration may have 4 MB, a header 1 MB
_ORIGIN = tuple(models.Origin.model_fields)


async def show(request: web.Request) -> web.Response:
    """The rules in force, with their counters."""
    days = _number(request.query.get("days", "30"), "days", 1, 400)
    source = request.app[RULES]
    return web.json_response(await auth.in_thread(lambda: source.rules(int(days))))


async def schema(request: web.Request) -> web.Response:
    """The JSON Schema of the routing configuration."""
    from protocol.routing.schema import schema as made

    return web.json_response(await auth.in_thread(made))


async def test(request: web.Request) -> web.Response:
    """Rules tried on a pasted header or an arrival: the ones in force, those of `routing`, or one `rule` of its own text."""
    body = await _body(request)
    refuse_fields(models.Asked, body)
    told = await _answered(lambda: _tried(request, body))
    return web.json_response(told if "arrival" not in body else patients.hide_values(request, told))


async def start(request: web.Request) -> web.Response:
    """Start a backtest: {"days": 30, "routing": {...}}; without `routing` of the rules in force alone."""
    body = await _body(request)
    refuse_fields(models.Backtest, body)
    days = _number(body.get("days", 30), "days", models.LEAST_DAYS, models.MOST_DAYS)

    def prepared() -> str:
        draft = _draft(body)
        if draft is not None:
            _refuse_guessing(request, body, draft)
        line: str = request.app[RULES].trial(days, draft).to_line()
        return line

    line = await _answered(prepared)
    try:
        job = await request.app[JOBS].start(request[SESSION].user.name, line)
    except JobRefused as exc:
        raise web.HTTPConflict(text=str(exc)) from exc
    return web.json_response({"id": job.id}, status=202)


async def look(request: web.Request) -> web.Response:
    """How far a backtest is, and its result: counts and numbers of arrivals, no patient data."""
    return web.json_response(_job(request).to_data())


async def cancel(request: web.Request) -> web.Response:
    """End a backtest and forget its result."""
    await request.app[JOBS].cancel(_job(request))
    return web.Response(status=204)


# ---- parts ------------------------------------------------------------------------------------------------------
def _tried(request: web.Request, body: dict[str, Any]) -> dict[str, Any]:
    source = request.app[RULES]
    revision, configuration, rule = _rules(request, body)
    if "arrival" in body:
        _refuse_guessing(request, body, configuration)
        number = body["arrival"]
        if type(number) is not int:
            raise UnreadableHeader("arrival is the number of one")
        case, notes = source.case_of_arrival(number, configuration)
    elif "header" in body:
        header = body["header"]
        text = header if isinstance(header, str) else json.dumps(header)
        case, notes = source.case_of_header(read_pasted(text), _origin(body)), []
    else:
        raise UnreadableHeader("nothing to try: give a header or an arrival")
    return {"revision": revision, "notes": notes} | tried(configuration, revision, case, rule)


def _rules(request: web.Request, body: dict[str, Any]) -> tuple[int, RoutingConfiguration, str]:
    """Revision, configuration, and the one rule to try or "". A rule given as text comes to the others."""
    draft, rule = _draft(body), body.get("rule", "")
    version = request.app[RULES].current()
    configuration, revision = (draft, 0) if draft is not None else (version.configuration, version.number)
    if isinstance(rule, dict):
        data = to_data(configuration)
        name = rule.get("name", "draft")
        one = {"action": "hold", **rule, "name": name}
        rules = [one if other["name"] == name else other for other in data["rules"]]
        rules += [] if one in rules else [one]
        return 0, build(data | {"rules": rules}, "rule"), str(name)
    if not isinstance(rule, str):
        raise UnreadableHeader("rule is a name, or an object with when")
    return revision, configuration, rule


def _refuse_guessing(request: web.Request, body: dict[str, Any], configuration: RoutingConfiguration) -> None:
    """Who sees patients masked could find out by asking with conditions of their own. Raises UnreadableHeader."""
    own = isinstance(body.get("rule"), dict) or body.get("routing") is not None
    told = sorted(patients.KEYS.intersection(configuration.keywords)) if own and not patients.sees(request) else []
    if told:
        raise UnreadableHeader(f"patient data are masked for you, and these rules read {', '.join(told)}")


def _draft(body: dict[str, Any]) -> RoutingConfiguration | None:
    given = body.get("routing")
    if given is None:
        return None
    return build(load_json(given, "routing") if isinstance(given, str) else given, "routing")


def _origin(body: dict[str, Any]) -> dict[str, str]:
    given = body.get("origin", {})
    if not isinstance(given, dict) or not all(key in _ORIGIN and isinstance(given[key], str) for key in given):
        raise UnreadableHeader(f"origin is an object with texts for {', '.join(_ORIGIN)}")
    return given


async def _body(request: web.Request) -> dict[str, Any]:
    """The JSON object that was sent. Answers 413, 400."""
    raw = await request.clone(client_max_size=MAX_BODY).read()
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError) as exc:
        raise web.HTTPBadRequest(text="The body is no JSON.") from exc
    if not isinstance(body, dict):
        raise web.HTTPBadRequest(text="The body is no JSON object.")
    return body


async def _answered(call: Any) -> Any:
    """Run it in a thread; what is wrong with what was sent is 422, 404 or 503, told in one line each."""
    try:
        return await auth.in_thread(call)
    except RoutingError as exc:
        raise web.HTTPUnprocessableEntity(text="; ".join(exc.lines())) from exc
    except (UnreadableHeader, RuleSyntaxError) as exc:
        raise web.HTTPUnprocessableEntity(text=str(exc)) from exc
    except NotFound as exc:
        raise web.HTTPNotFound(text=str(exc)) from exc
    except LedgerUnavailable as exc:
        raise web.HTTPServiceUnavailable(text="The ledger is away.") from exc
    except ScanpostError as exc:
        raise web.HTTPServiceUnavailable(text=str(exc)) from exc


def _job(request: web.Request) -> Job:
    job = request.app[JOBS].find(request.match_info["id"], request[SESSION].user.name)
    if job is None:
        raise web.HTTPNotFound(text="There is no such backtest of yours.")
    return job


def _number(value: Any, name: str, least: float, most: float) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if isinstance(value, bool) or not least <= number <= most:
        raise web.HTTPUnprocessableEntity(text=f"{name} is a number from {least:g} to {most:g}")
    return number
