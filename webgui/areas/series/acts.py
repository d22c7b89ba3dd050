"""What people do to series: forms and their twins for programs. It must not carry anything out; the router does."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from protocol.acts import CAN, states_for
from protocol.selection import read_selection
from webgui import acting, answers, inputs
from webgui.areas.series.asked import SeriesAct, SeriesActs, Wanted
from webgui.areas.series.pages import number
from webgui.inputs import Invalid

ACTS = ("route", "reroute", "hold", "release", "discard", "keep")


def _kind(request: web.Request) -> str:
    act = request.match_info["act"]
    if act not in ACTS:
        raise web.HTTPNotFound(text=f"Nothing can be done by that name; there are {', '.join(ACTS)}.")
    return act


def arguments(act: str, asked: Wanted) -> dict[str, Any]:
    """What an act needs beside which series. Raises Invalid."""
    if act == "keep":
        try:
            return {"until": asked.kept()}
        except ValueError as exc:
            raise Invalid({"keep_until": str(exc)}) from exc
    if act != "route":
        return {}
    if not asked.targets:
        raise Invalid({"targets": "name at least one target"})
    return {"targets": asked.targets, "priority": asked.priority}


async def submit(request: web.Request) -> web.Response:
    """POST /series/{id}/{act}."""
    id, act = number(request), _kind(request)
    asked = await inputs.body(request, SeriesAct)
    command = await acting.act(request, f"series.{act}", {"ids": [id], **arguments(act, asked)}, asked.reason)
    return acting.back(request, command, f"/series/{id}")


async def one(request: web.Request) -> web.Response:
    """POST /api/v1/series/{id}/{act}."""
    id, act = number(request), _kind(request)
    asked = await inputs.body(request, SeriesAct)
    return acting.given(
        await acting.act(request, f"series.{act}", {"ids": [id], **arguments(act, asked)}, asked.reason)
    )


async def many(request: web.Request) -> web.Response:
    """POST /api/v1/series/acts/{act}."""
    act = _kind(request)
    asked = await inputs.body(request, SeriesActs)
    if bool(asked.ids) == (asked.where is not None):
        raise Invalid({"ids": "give either ids, or where: what they have in common"})
    which: dict[str, Any] = {"ids": asked.ids}
    if asked.where is not None:
        selection = read_selection(asked.where, "arrival")
        if selection.empty:
            raise Invalid({"where": "nothing is said that they have in common"})
        states_for(f"series.{act}", selection)
        which = {"where": selection.plain()}
    return acting.given(await acting.act(request, f"series.{act}", {**which, **arguments(act, asked)}, asked.reason))


async def what_can_be_done(request: web.Request) -> web.Response:
    """GET /api/v1/series/acts: acts and the states in which they can be done."""
    return answers.given({act: list(CAN[f"series.{act}"]) for act in ACTS})
