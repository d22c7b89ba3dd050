"""The pages of a study and of a patient, and their twins for programs. It must not decide anything."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from aiohttp import web

from protocol.errors import LedgerUnavailable, NotFound
from protocol.header.uids import valid_uid
from protocol.ledger.history import Filter, elsewhere, search_arrivals
from protocol.ledger.history.abouts import abouts
from protocol.spool import Spool
from protocol.spool.browsing import ABOUT, LOOKED_THROUGH
from webgui import answers, inputs, patients, words
from webgui.areas.series.asked import SeriesQuery, Shown
from webgui.areas.series.finding import AWAY, NEWEST, find
from webgui.areas.series.lanes import Study, lanes, studies, study
from webgui.areas.series.lines import Line, of_ledger, of_spool
from webgui.areas.series.pages import patient_link
from webgui.areas.series.seeing import seen
from webgui.keys import NODE
from webgui.node import Node
from webgui.patientkeys import PatientKeys

MOST = 250  # series of one study or patient; more of them (a phantom) are for the list of series
PAGE = 200  # lines of a page; what stands above them counts all of these
SHOWN_NODES = 5
LATE_S = 5.0  # the ledger is behind: what it does not know may be more than the newest
MORE = f"There are more series than the newest {MOST:,} shown here; the list of series has all."


async def _of_study(request: web.Request) -> tuple[list[Line], list[str]]:
    """The series of the study in the address, the oldest first. Raises NotFound."""
    uid = request.match_info["uid"]
    if not valid_uid(uid):
        raise NotFound("this is no study instance UID")
    found = await find(request.app[NODE], SeriesQuery(study=uid), "", MOST)
    others = await _elsewhere(request.app[NODE], uid)
    if not found.lines:
        raise NotFound("; ".join(["there is no such study here", *others]))
    notes = [*found.notes, *([MORE] if found.next else []), *(f"{one[:1].upper()}{one[1:]}." for one in others)]
    return sorted(found.lines, key=lambda line: (line.time, line.id)), notes


async def _elsewhere(node: Node, uid: str) -> list[str]:
    """What other nodes have of the study, as sentences: their pages are theirs, and this one does not know where they stand."""
    try:
        found = await node.ledger(lambda connection: elsewhere(connection, node.name, uid))
    except LedgerUnavailable:
        return []  # the list said so already
    return [
        f"node {name} has {words.count(count, 'series', 'series')} of this study: see its own page, or"
        f" scanpost history search {uid} --node {name}" for name, count in found[:SHOWN_NODES]
    ]  # fmt: skip


async def show_study(request: web.Request) -> web.Response:
    """GET /studies/{uid}."""
    node, at = request.app[NODE], inputs.query(request, Shown).skip
    lines, notes = await _of_study(request)
    part = lines[at : at + PAGE]
    times = await node.spool(lambda spool: _times(spool, part))
    shown = seen(request, lines)
    rows = shown[at : at + PAGE]
    head = study(lines[0].study_uid, shown)
    patient = next((line for line in lines if line.patient_id), lines[0])
    (who,) = seen(request, [patient])
    return answers.page(request, "series/study.html", head=head, lines=rows, remarks=notes, who=who,
                        patient=patient_link(request, patient), axis=lanes(rows, times, node.clock.now()),
                        **_pages(request, at, len(lines)))  # fmt: skip


def _pages(request: web.Request, at: int, count: int) -> dict[str, Any]:
    """What the links to the other lines need."""
    more = f"{request.path}?skip={at + PAGE}" if at + PAGE < count else ""
    return {"first": request.path if at else "", "more": more, "part": (at + 1, min(at + PAGE, count), count)}


def _times(spool: Spool, lines: list[Line]) -> dict[int, dict[str, Any]]:
    found = spool.browsing.arrivals(line.id for line in lines)
    return {
        id: {"last": row["last_image"],
             "deliveries": [(one["target"], one["created"], one["finished"], one["state"]) for one in row["deliveries"]]}
        for id, row in found.items()
    }  # fmt: skip


async def _of_patient(request: web.Request) -> tuple[str, list[Line], list[str]]:
    """Patient's id, series, notes. Raises NotFound."""
    node = request.app[NODE]
    keys, key = PatientKeys(node.places.config), request.match_info["key"]
    patient_id = await node.run(lambda: keys.patient_id(key))

    def ask(connection: Any) -> tuple[list[Line], list[str]]:
        page = search_arrivals(connection, node.name, Filter(patient_id=patient_id), None, MOST)
        about = abouts(connection, [(row["node"], row["arrival"]) for row in page.rows], ABOUT)
        lines = [of_ledger(row, about.get((row["node"], row["arrival"]), {})) for row in page.rows]
        return lines, [MORE] if page.next else []

    try:
        lines, notes = await node.ledger(ask)
    except LedgerUnavailable:
        lines, notes = [], [AWAY]
    live = await node.spool(lambda spool: _in_spool(spool, patient_id, lines))
    lines = [*live.values(), *(line for line in lines if line.id not in live)]
    if not lines:
        raise NotFound("nothing is known of this patient any more")
    return patient_id, lines, notes


def _in_spool(spool: Spool, patient_id: str, known: list[Line]) -> dict[int, Line]:
    """The patient's series among those that the ledger named and the newest of the spool, as many as it may not know yet."""
    look = NEWEST if known and spool.outbox.lag_s("bookkeeper") < LATE_S else LOOKED_THROUGH
    found = spool.browsing.search(SeriesQuery().selection(), patient_id, None, MOST, look)
    rows = spool.browsing.arrivals({*found.ids, *(line.id for line in known)})
    return {id: line for id, row in rows.items() if (line := of_spool(row)).patient_id == patient_id}


async def show_patient(request: web.Request) -> web.Response:
    """GET /patients/{key}."""
    at = inputs.query(request, Shown).skip
    _, lines, notes = await _of_patient(request)
    lines = seen(request, lines)
    newest, found = max(lines, key=lambda line: line.time), studies(lines)
    return answers.page(
        request, "series/patient.html", patient_id=newest.patient_id, who=newest, remarks=notes,
        studies=found[at : at + PAGE], **_pages(request, at, len(found)),
    )  # fmt: skip


def _plain(one: Study) -> dict[str, Any]:
    return {name: value for name, value in asdict(one).items() if name != "chips"}


async def api_study(request: web.Request) -> web.Response:
    """GET /api/v1/studies/{uid}."""
    lines, notes = await _of_study(request)
    shown = seen(request, lines)
    head = study(lines[0].study_uid, shown)
    return answers.given({"study": _plain(head), "series": [line.plain() for line in shown], "notes": notes})


async def api_patient(request: web.Request) -> web.Response:
    """GET /api/v1/patients/{key}."""
    patient_id, lines, notes = await _of_patient(request)
    lines = seen(request, lines)
    return answers.given(
        {
            "patient_id": patients.shown(request, patient_id),
            "studies": [_plain(one) for one in studies(lines)],
            "notes": notes,
        }
    )
