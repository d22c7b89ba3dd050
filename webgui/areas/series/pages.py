"""The pages of series: the list with its search, and one series with its tabs. It must not decide anything."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from protocol.acts import CAN
from protocol.errors import LedgerError, LedgerUnavailable
from protocol.header.dictionary import UIDS
from protocol.ledger.history import EventFilter, Page, events
from protocol.spool.browsing import ABOUT
from webgui import answers, csvs, inputs, patients
from webgui.areas.series import tags, words
from webgui.areas.series.asked import FILTERS, Search, SeriesQuery
from webgui.areas.series.finding import Listing, find_all
from webgui.areas.series.guessing import day_of, instead
from webgui.areas.series.lines import COLUMNS, Line, cells
from webgui.areas.series.seeing import listing, meant, seen, whole
from webgui.areas.series.story import Story
from webgui.areas.series.timeline import with_days
from webgui.areas.series.why import said
from webgui.inputs import Invalid
from webgui.keys import CONFIG, NODE, SESSION
from webgui.patientkeys import PatientKeys
from webgui.searches import SEARCHES
from webgui.taking import taken
from webgui.viewing import zone_of

TABS = (
    ("why", "Why routed?"),
    ("deliveries", "Deliveries"),
    ("files", "Files"),
    ("header", "Header"),
    ("events", "Raw events"),
)
STATES = ("open", "closed", "waiting", "held", "in_delivery", "delivered", "discarded", "deleted")
FILES_PAGE = 100
FORGOTTEN = "This search is not kept any more: it was somebody else's, or too long ago. Please search again."


def text_of(request: web.Request, asked: SeriesQuery) -> str | None:
    """What was searched for; None if it is forgotten."""
    return request.app[SEARCHES].find(request[SESSION].user.name, asked.s) if asked.s else ""


async def show_list(request: web.Request) -> web.StreamResponse:
    """GET /series."""
    asked = inputs.query(request, SeriesQuery)
    text = text_of(request, asked)
    if text is not None and asked.format == "csv":
        narrowed, wanted, _ = meant(request, asked, text)
        await taken(request, "series", asked, bool(text))
        parts = find_all(request.app[NODE], narrowed, wanted, csvs.MOST_ROWS)
        rows = ([cells(line, csvs.when) for line in seen(request, lines)] async for lines in parts)
        return await csvs.stream(request, "series.csv", COLUMNS, rows)
    found = Listing([], notes=[FORGOTTEN]) if text is None else await listing(request, asked, text)
    return answers.page(request, "series/list.html", **await _list_context(request, asked, text or "", found))


async def _list_context(request: web.Request, asked: SeriesQuery, text: str, found: Listing) -> dict[str, Any]:
    configuration = (await request.app[NODE].run(request.app[NODE].routing.current)).configuration
    more = asked.address() + ("&" if asked.narrowed else "?") + f"after={found.next}" if found.next else ""
    chosen = {"source": asked.source, "modality": asked.modality, "rule": asked.rule, "target": asked.target,
              "state": asked.state.replace("_", " "), "study": asked.study, "from": asked.since, "until": asked.until}  # fmt: skip
    names = {"from": "since"}
    rules, targets = [rule.name for rule in configuration.rules], [*configuration.targets, *configuration.groups]
    return {
        "asked": asked, "text": text, "found": found, "first": asked.address() if asked.after else "", "more": more,
        "chosen": [(name, value, asked.address(**{names.get(name, name): ""})) for name, value in chosen.items() if value],
        "rules": rules, "targets": targets, "instead": instead(asked, text, rules, targets, STATES) if text else [],
        "acts": words.BULK, "filters": [(name, getattr(asked, name)) for name in FILTERS if getattr(asked, name)],
        "states": STATES, "csv": asked.address(format="csv"), "without_text": asked.address(s=""),
        "point_at": request.app[CONFIG],
    }  # fmt: skip


async def search(request: web.Request) -> web.Response:
    """POST /series/search: the text is kept here, and the address has its id alone."""
    asked = await inputs.body(request, Search)
    filters = SeriesQuery.model_validate(asked.model_dump(exclude={"q"}))
    if day := day_of(asked.q):
        return answers.go(request, filters.address(since=day, until=day))
    id = request.app[SEARCHES].keep(request[SESSION].user.name, asked.q) if asked.q.strip() else ""
    return answers.go(request, filters.address(s=id))


def number(request: web.Request) -> int:
    """The series in the address. Raises HTTPNotFound."""
    text = request.match_info["id"]
    if not text.isdecimal() or len(text) > 18:
        raise web.HTTPNotFound(text=f"There is no series {text[:40]}.")
    return int(text)


async def show(request: web.Request) -> web.Response:
    """GET /series/{id}."""
    id, node = number(request), request.app[NODE]
    tab = request.query.get("tab", "why")
    tab = tab if tab in dict(TABS) else "why"
    one, clear = await whole(request, id, f"/series/{id}")
    configuration, zone = (await node.run(node.routing.current)).configuration, zone_of(request)
    return answers.page(
        request, "series/show.html", id=id, one=one, steps=with_days(one.steps, zone), zone=zone, line=one.line, tab=tab, tabs=TABS,
        targets=[*configuration.targets, *configuration.groups], can=_can(one), patient=patient_link(request, clear),
        person=_person(one), words=words, here=f"/series/{id}?tab={tab}", uid_name=uid_name, **await _tab(request, one, tab),
    )  # fmt: skip


def uid_name(uid: str) -> str:
    """The name of a registered UID (PS3.6 Annex A), or the UID itself."""
    return UIDS[uid][0] if uid in UIDS else uid


def _can(one: Story) -> dict[str, bool]:
    """Acts that this series is in the state for."""
    return {
        act: one.here and one.line.state in CAN[f"series.{act}"]
        for act in ("route", "reroute", "hold", "release", "discard", "keep")
    }


def patient_link(request: web.Request, line: Line) -> str:
    """The page of the patient; "" where none is known."""
    keys = PatientKeys(request.app[NODE].places.config)
    return f"/patients/{keys.key(line.patient_id)}" if line.patient_id else ""


def _person(one: Story) -> list[tuple[str, str]]:
    about = one.about
    shown = [("Patient", one.line.patient), ("Patient ID", one.line.patient_id), ("Born", words.date(about.get("PatientBirthDate"))),
             ("Sex", str(about.get("PatientSex", ""))), ("Accession number", one.line.accession),
             ("Study", one.line.study_description), ("Body part", str(about.get("BodyPartExamined", ""))),
             ("Protocol", str(about.get("ProtocolName", "")))]  # fmt: skip
    return [(label, value) for label, value in shown if value]


# ---- tabs -------------------------------------------------------------------------------------------------------
async def _tab(request: web.Request, one: Story, tab: str) -> dict[str, Any]:
    """What the open tab shows."""
    node, id = request.app[NODE], one.line.id
    if tab == "why":
        return {"decisions": [said(row) for row in reversed(one.decisions)]}
    if tab == "deliveries":
        holdups = one.told.holdups if one.told else {}
        return {"attempts": one.attempts, "problems": await _problems(request, one), "holdups": holdups}
    if tab == "files":
        at = int(request.query.get("at", "0")) if request.query.get("at", "0").isdecimal() else 0
        images = await node.spool(lambda spool: spool.browsing.images(id, at, FILES_PAGE + 1)) if one.here else []
        more = images[FILES_PAGE - 1]["position"] if len(images) > FILES_PAGE else 0
        return {"images": images[:FILES_PAGE], "more": more, "at": at}
    if tab == "header":
        return await _header(request, one)
    return {"raw": await raw_events(request, id)}


async def _problems(request: web.Request, one: Story) -> dict[int, list[dict[str, Any]]]:
    wanted = [row["id"] for row in one.deliveries if row["refused"] or row["warnings"]]
    return await request.app[NODE].spool(lambda spool: {id: spool.browsing.problems(id) for id in wanted})


async def _header(request: web.Request, one: Story) -> dict[str, Any]:
    looked = 0
    first: dict[str, Any] = dict(one.about)
    other: dict[str, list[Any]] = {}
    if one.here:
        first, other, looked = await request.app[NODE].spool(lambda spool: spool.browsing.header(one.line.id))
    # A text that is looked for in values may be patient data: it comes by POST, and stays on this page.
    form = await request.post() if request.method == "POST" else {}
    wanted = str(form.get("find", ""))[:200]
    masked = () if patients.sees(request, f"/series/{one.line.id}") else patients.KEYS
    found = tags.table(first, other, wanted, masked, patients.MASK)
    return {"tags": found, "looked": looked, "wanted": wanted, "about": ABOUT}


async def raw_events(request: web.Request, id: int) -> dict[str, Any]:
    """The events that the ledger has of a series, newest first, without patient data."""
    after = request.query.get("after") or None
    node = request.app[NODE]
    try:
        page: Page = await node.ledger(
            lambda connection: events(connection, node.name, EventFilter(arrival=id), after, 50)
        )
    except LedgerUnavailable:
        return {"away": True, "rows": [], "next": None}
    except LedgerError as exc:
        raise Invalid({"after": str(exc)}) from exc
    rows = [{**row, "text": json.dumps(row["data"], indent=2, ensure_ascii=False, default=str)} for row in page.rows]
    return {"away": False, "rows": rows, "next": page.next}
