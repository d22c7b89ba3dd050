"""The pages of sources and their API: known ones, strangers, forms, the completion time learned from late parts.

Changes are versions of the routing configuration. It must not decide who is known; protocol/routing does.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from aiohttp import web

from protocol.errors import NotFound, RoutingError, SpoolError, SpoolMissing
from protocol.routing.edits import change_source, remove_source
from protocol.routing.parse import to_data
from protocol.routing.publishing import Data, Edit
from protocol.routing.sources import Source
from protocol.routing.versions import Version
from protocol.spool import Spool
from protocol.spool.senders import senders
from webgui import answers, inputs, modelform, overtaking, preconditions, publishing
from webgui.areas.sources import models, words
from webgui.csvs import download, when
from webgui.keys import NODE

DAY_S = 86_400.0
SPECS = modelform.specs(Source, words.FIELDS, (), words.SHOWN)


async def _senders(request: web.Request, days: float) -> tuple[Version, dict[str, Any]]:
    """The document of `scanpost sources list --json`, with images of 24 h by calling AE title."""
    node = request.app[NODE]
    version = await publishing.current(node)
    settings, now = node.settings, node.clock.now()

    def look(spool: Spool) -> dict[str, Any]:
        sources = version.configuration.sources
        found = senders(
            sources, settings.receiver.unknown_sources, spool.sightings.all(), spool.arrivals.late(now - days * DAY_S)
        )
        try:
            totals = spool.statistics.totals("received_images", now - DAY_S, by=("source",))
        except SpoolError:
            totals = {}
        return found | {"images": {str(key[0]): int(value) for key, value in totals.items()}}

    try:
        found = await node.spool(look)
    except SpoolMissing:
        found = senders(version.configuration.sources, settings.receiver.unknown_sources, (), ()) | {"images": {}}
    found["unknown"] = [one for one in found["unknown"] if one["last_seen"] >= now - days * DAY_S]
    for one in found["sources"].values():
        one["completion"] = {
            key: getattr(settings.router, key) if one["policy"][key] is None else one["policy"][key]
            for key in ("quiet_s", "idle_s")
        }
        titles = {seen["calling_ae"] for seen in one["seen"]}
        one["images"] = sum(found["images"].get(title, 0) for title in titles)
    return version, found


async def listing(request: web.Request) -> web.Response:
    """Everybody who sends or sent."""
    asked = inputs.query(request, models.Listing)
    version, found = await _senders(request, asked.days)
    wanted = asked.q.lower()
    known = {
        name: one for name, one in found["sources"].items()
        if wanted in " ".join((name, one["label"], str(one["policy"]["calling_ae"]), str(one["policy"]["address"]))).lower()
    }  # fmt: skip
    unknown = [one for one in found["unknown"] if wanted in f"{one['calling_ae']} {one['address']}".lower()]
    if asked.format == "csv":
        rows = [[name, one["label"], one["policy"]["calling_ae"], one["policy"]["address"], when(one["last_seen"]), one["associations"],
                 one["rejected"]] for name, one in known.items()]  # fmt: skip
        rows += [["", "", one["calling_ae"], one["address"], when(one["last_seen"]), one["associations"], one["rejected"]]
                 for one in unknown]  # fmt: skip
        return download(
            "sources.csv", ("source", "label", "calling_ae", "address", "last_seen", "associations", "rejected"), rows
        )
    return answers.page(
        request, "sources/sources.html", known=known, unknown=unknown, asked=asked, images=found["images"],
        policy=found["unknown_sources"], words=words.SETTINGS, late=[one for one in found["late"] if one["source"] is None],
    )  # fmt: skip


async def new(request: web.Request) -> web.Response:
    """A form for a new source, perhaps of a stranger that was seen."""
    asked = inputs.query(request, models.Opening)
    version = await publishing.current(request.app[NODE])
    if not request.query and "new" in version.configuration.sources:
        return await one(request)
    data = {key: getattr(asked, key) or None for key in ("calling_ae", "address", "certificate")}
    return await _editor(request, version, data, "", asked.name)


async def one(request: web.Request) -> web.Response:
    """A source: when it was seen, its policy."""
    version, name = await publishing.current(request.app[NODE]), request.match_info.get("name", "new")
    data = _source(version, name)
    return await _editor(request, version, data, name, name)


def _source(version: Version, name: str) -> Data:
    found = to_data(version.configuration)["sources"].get(name)
    if found is None:
        raise web.HTTPNotFound(text=f"There is no source '{name}'.")
    return dict(found)


async def _editor(
    request: web.Request, version: Version, data: Data, was: str, name: str, status: int = 200,
    errors: dict[str, str] | None = None, others: list[str] | None = None, reason: str = "", base: int | None = None,
    conflict: overtaking.Conflict | None = None,
) -> web.Response:  # fmt: skip
    row = None
    if was:
        row = (await _senders(request, 30.0))[1]["sources"].get(was)
    values = modelform.filled(SPECS, data)
    router = request.app[NODE].settings.router
    return answers.page(
        request, "sources/editor.html", status, specs=SPECS, values=values, set_ones=modelform.set_ones(SPECS, values),
        errors=errors or {}, others=others or [], was=was, name=name, row=row, reason=reason, words=words.SETTINGS,
        usual={"quiet_s": router.quiet_s, "idle_s": router.idle_s}, base=version.number if base is None else base,
        conflict=conflict,
    )  # fmt: skip


async def save(request: web.Request) -> web.Response:
    """A form of a source: publish it."""
    values = await inputs.values(request)
    was, name = str(values.get("was", "")), str(values.get("name", "")).strip()
    reason, data = str(values.get("reason", ""))[:500], modelform.read(SPECS, values)
    version, base = await publishing.current(request.app[NODE]), overtaking.base_of(values)
    again = partial(_editor, request, version, data, reason=reason)
    try:
        words_ = f"source {name} {'changed' if was else 'added'}"
        made = await overtaking.publish(request, _put(name, data, was), "sources", was, base, reason or words_)
    except overtaking.Overtaken as exc:
        found = exc.conflict
        return await again("" if found.gone else was, name, 409, base=found.base, conflict=found)
    except RoutingError as exc:
        errors, others = modelform.errors(exc, f"sources.{name}", [*SPECS, modelform.NAME])
        return await again(was, name, 422, errors, others, base=base)
    return publishing.done(request, made, "/sources", f"Source '{name}' is {'changed' if was else 'known now'}.")


def _put(name: str, settings: Data, was: str) -> Edit:
    def edit(data: Data) -> Data:
        sources = dict(data["sources"])
        if was != name and name in sources:
            where = f"this source: sources.{name}.name"
            raise RoutingError(f"There is a '{name}' already", where, "Choose another name")
        if was in sources and was != name:
            sources = {name if key == was else key: one for key, one in sources.items()}
        return data | {"sources": sources | {name: settings}}

    return edit


async def suggested(request: web.Request) -> web.Response:
    """Take the completion time learned from parts that came late."""
    asked, name = await inputs.body(request, models.Why), request.match_info["name"]
    _, found = await _senders(request, 30.0)
    times = found["sources"].get(name, {}).get("suggested")
    if not times:
        raise NotFound(f"no part of a series of '{name}' came late in 30 days: there is nothing to suggest")
    made = await publishing.publish(
        request, change_source(name, times), asked.reason or f"source {name}: completion time as suggested"
    )
    if inputs.is_json(request):
        return answers.given(made.to_data())
    return publishing.done(request, made, f"/sources/{name}", f"Series of '{name}' are waited for longer now.")


async def delete(request: web.Request) -> web.Response:
    """Forget a source: its sender is a stranger again."""
    asked, name = await inputs.body(request, models.Why), request.match_info["name"]
    reason = asked.reason or f"source {name} removed"
    made = await preconditions.publish(request, remove_source(name), "sources", name, reason)
    if inputs.is_json(request):
        return answers.given(made.to_data())
    return publishing.done(request, made, "/sources", f"Source '{name}' is forgotten.")


# ---- API ------------------------------------------------------------------------------------------------------------


async def given(request: web.Request) -> web.Response:
    """Known sources, strangers, late parts."""
    asked = inputs.query(request, models.Listing)
    version, found = await _senders(request, asked.days)
    return answers.given({"revision": version.number} | found)


async def given_one(request: web.Request) -> web.Response:
    """One known source with its settings."""
    name, version = request.match_info["name"], await publishing.current(request.app[NODE])
    settings = _source(version, name)
    return preconditions.tagged({"revision": version.number, "name": name, "settings": settings}, settings)


async def put(request: web.Request) -> web.Response:
    """Add or change a source."""
    asked, name = await inputs.body(request, models.Put), request.match_info["name"]
    reason = asked.reason or f"source {name} changed"
    made = await preconditions.publish(request, _put(name, asked.settings, name), "sources", name, reason)
    return answers.given(made.to_data())
