"""Backtests from the editor: started with the rule as it stands there, watched, shown, their numbers pinned to the draft.

It must not judge the past; a process of its own does (webgui/jobs).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import quote, urlencode

from aiohttp import web

from protocol.errors import ScanpostError
from webgui import answers, guards, inputs, patients, publishing
from webgui import words as general
from webgui.areas.rules import acts, form, models, pages, reading, trying, words
from webgui.csvs import download
from webgui.guards import Need
from webgui.jobs import Job, JobRefused
from webgui.keys import JOBS, NODE, RULES, SESSION

WINDOWS = (1, 7, 30, 90)
KEPT = 5
"""Series of a result that are kept as test cases at once."""


async def start(request: web.Request) -> web.Response:
    """Run the rule in the editor over the past."""
    values = await pages.large(request)
    made = form.read(values)
    node, source = request.app[NODE], request.app[RULES]
    version = await publishing.current(node)
    if not patients.sees(request):
        trying.refuse_guessing(made.when)
    given = str(values.get("days") or "30")
    days = int(given) if given in map(str, WINDOWS) else 30
    configuration = form.drafted(made, version.configuration)
    if configuration is None:
        return await pages.editor(request, made, version, 422)
    if guards.may(request[SESSION].user, Need.ADMIN):
        await acts.save_draft(request, made)
    line = await node.run(lambda: source.trial(days, configuration).to_line())
    try:
        job = await request.app[JOBS].start(request[SESSION].user.name, line)
    except JobRefused as exc:
        raise web.HTTPConflict(text=f"Not now: {exc}.") from exc
    return answers.go(request, f"/rules/backtests/{job.id}?{urlencode({'rule': made.name})}")


async def show(request: web.Request) -> web.Response:
    """How far it is, and what came of it."""
    asked, job = inputs.query(request, models.Trial), _job(request)
    result = told(job.result, asked.rule) if job.result is not None else None
    if result is not None and asked.format == "csv":
        return download("backtest.csv", ("difference", "arrival", "active", "draft"),
                          [[row["kind"], row["arrival"], row["active"], row["draft"]] for row in result["listed"]])  # fmt: skip
    if result is not None:
        await _pin(request, asked.rule, result)
    return answers.page(request, "rules/backtest.html", job=job, rule=asked.rule, result=result, path=request.path)


async def cases(request: web.Request) -> web.Response:
    """Keep some of the series that it found as test cases of the draft: those newly matched, those no longer, others that match."""
    asked, job, node = inputs.query(request, models.Trial), _job(request), request.app[NODE]
    draft = await node.run(lambda: reading.drafts_of(request).find(asked.rule))
    if job.result is None or draft is None:
        raise web.HTTPConflict(text="This backtest has no result, or your draft of the rule is gone.")
    version, source, result = await publishing.current(node), request.app[RULES], told(job.result, asked.rule)
    made = form.of_rule(draft.rule, draft.was, draft.base)
    wanted = chosen(result)

    def run() -> list[dict[str, Any]]:
        found, (configuration, _) = [], form.for_trying(made, version.configuration)
        for arrival in wanted:
            try:
                title, case, _ = trying.case_of(trying.Asked(arrival), source, configuration)
            except ScanpostError:
                continue  # forgotten meanwhile
            found.append(trying.test_case(made.when, case, title))
        return found

    kept = [one for one in await node.run(run) if one not in made.rule["tests"]]
    made.rule["tests"] = [*made.rule["tests"], *kept]
    await acts.save_draft(request, made)
    text = (
        f"{len(kept)} of these series are test cases of the draft now."
        if kept
        else "None of them could be kept: see the editor."
    )
    return answers.go(request, f"/rules/{quote(asked.rule)}?draft=true", text, "ok" if kept else "warn")


def chosen(result: dict[str, Any], most: int = KEPT) -> list[int]:
    """Series worth keeping as test cases: what changes first, from both sides."""
    new, lost = list(result["new_arrivals"]), list(result["lost_arrivals"])
    half = max(most - len(lost), most - most // 2)
    return [*new[:half], *lost[: most - len(new[:half])]][:most]


async def cancel(request: web.Request) -> web.Response:
    """End it."""
    asked = inputs.query(request, models.Trial)
    await request.app[JOBS].cancel(_job(request))
    path = f"/rules/{asked.rule}?draft=true" if asked.rule.replace("-", "").replace("_", "").isalnum() else "/rules"
    return answers.go(request, path, "The backtest was ended.")


def _job(request: web.Request) -> Job:
    job = request.app[JOBS].find(request.match_info["id"], request[SESSION].user.name)
    if job is None:
        raise web.HTTPNotFound(text="There is no such backtest of yours. Results are kept for an hour.")
    return job


async def _pin(request: web.Request, rule: str, result: dict[str, Any]) -> None:
    node, drafts = request.app[NODE], reading.drafts_of(request)
    draft = await node.run(lambda: drafts.find(rule))
    pinned = {key: result[key] for key in ("matched", "of", "days", "percent", "per_day", "new", "lost")}
    if draft is not None and draft.backtest != pinned:
        await node.run(lambda: drafts.save(replace(draft, backtest=pinned)))


def told(result: dict[str, Any], rule: str) -> dict[str, Any]:
    """The result as a page shows it: numbers of the one rule, load per target, differences as lists of series."""
    draft, active, difference = result["draft"], result["active"], result["difference"] or {"arrivals": {}, "rules": {}}
    mine = next((one for one in draft["rules"] if one["rule"] == rule), None)
    total, days = result["arrivals"], result["window"]["days"]
    matched = mine["matched"] if mine else 0
    changed = difference["rules"].get(rule, {"newly_matched": {"count": 0, "arrivals": []},
                                             "no_longer_matched": {"count": 0, "arrivals": []}})  # fmt: skip
    new, lost = changed["newly_matched"], changed["no_longer_matched"]
    kinds = [
        {"kind": word, "count": found["count"], "arrivals": found["arrivals"][:200]}
        for key, word in words.DIFFERENCES
        if (found := difference["arrivals"].get(key)) and found["count"]
    ]
    return {
        "of": total, "matched": matched, "days": round(days), "percent": round(100 * matched / total, 1) if total else 0.0,
        "per_day": round(matched / days, 1), "new": new["count"], "lost": lost["count"], "same": matched - new["count"],
        "new_arrivals": new["arrivals"][:200], "lost_arrivals": lost["arrivals"][:200], "window": result["window"],
        "without_headers": result["without_headers"], "odd": _odd(mine), "by": mine["by"] if mine else {},
        "targets": _loads(draft["targets"], (active or {}).get("targets", {})), "kinds": kinds,
        "outcomes": {key: (draft["outcomes"][key], (active or draft)["outcomes"][key]) for key in draft["outcomes"]},
        "listed": [
            {"kind": one["kind"], "arrival": each["arrival"], "active": ", ".join(each["active"]),
             "draft": ", ".join(each["draft"])} for one in kinds for each in one["arrivals"]
        ],
    }  # fmt: skip


def _odd(mine: dict[str, Any] | None) -> list[dict[str, Any]]:
    names = {"unknown": "cannot tell (a value is missing)", "error": "come to an error", "blocked": "blocked by quota or schedule",
             "untold": "not recorded well enough to tell"}  # fmt: skip
    if mine is None:
        return []
    return [{"word": word, "count": mine[key], "arrivals": mine["examples"].get(key, [])} for key, word in names.items()
            if mine[key]]  # fmt: skip


def _loads(draft: dict[str, Any], active: dict[str, Any]) -> list[dict[str, Any]]:
    nothing = {"series_per_day": 0.0, "gb_per_day": 0.0, "busiest_hour": None}
    rows = []
    for name in sorted({*draft, *active}):
        now, then = active.get(name, nothing), draft.get(name, nothing)
        busiest = then["busiest_hour"]
        rows.append({"name": name, "series": then["series_per_day"], "size": general.size(then["gb_per_day"] * 1e9),
                     "more_series": then["series_per_day"] - now["series_per_day"],
                     "more_size": _more(then["gb_per_day"] - now["gb_per_day"]),
                     "peak": _peak(busiest) if busiest else ""})  # fmt: skip
    return rows


def _more(gb: float) -> str:
    """A change with its sign; "" where it is too small for the document's digits."""
    return f"{'+' if gb > 0 else '−'}{general.size(abs(gb) * 1e9)}" if abs(gb) >= 0.00005 else ""


def _peak(busiest: dict[str, Any]) -> str:
    """`12 series, 3.4 GB on 2026-11-27, 14:00 to 15:00`; hours of the node's clock."""
    day, _, hour = busiest["at"].partition("T")
    size = general.size(busiest["gb"] * 1e9)
    return (
        f"{general.count(busiest['series'], 'series', 'series')}, {size} on {day}, {hour}:00 to {(int(hour) + 1):02}:00"
    )
