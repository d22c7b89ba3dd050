"""Acts on several series out of the list: the ticked ones, or all that its filters find; asked about once more on a page.
It must not carry anything out; the router does, part by part.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from aiohttp import web

from protocol.acts import CAN, states_for
from protocol.errors import StepRefused
from protocol.spool.selecting import ARRIVALS
from webgui import acting, answers, inputs
from webgui.areas.series import words
from webgui.areas.series.acts import arguments
from webgui.areas.series.asked import SeriesForm
from webgui.areas.series.finding import find_all
from webgui.areas.series.pages import FORGOTTEN, text_of
from webgui.areas.series.seeing import meant
from webgui.inputs import Invalid
from webgui.keys import NODE

MANY = 100
"""Of more the number has to be typed."""
MOST_FOUND = 500
"""So many of a search by text are acted on at once: the text stays here, the router is given numbers."""
AT_ONCE = ("hold", "release")


async def submit(request: web.Request) -> web.Response:
    """POST /series/act."""
    asked = await inputs.body(request, SeriesForm)
    if asked.no_longer:
        asked = asked.model_copy(update={"keep_until": "retention"})
    if asked.scope == "ids" and not asked.ids:
        return answers.go(request, asked.address(), "Nothing was ticked.", "warn")
    which, count = await _which(request, asked)
    if not count:
        title = words.BULK[asked.act][0].removesuffix(" …")
        return answers.go(request, asked.address(), f"None of what matches is in a state for this: {title}.", "warn")
    wrong: dict[str, str] = {}
    if asked.confirmed:
        if count > MANY and asked.typed.strip() != str(count):
            wrong["typed"] = "That is not their number."
        try:
            which |= arguments(asked.act, asked)
        except Invalid as exc:
            wrong |= exc.fields
    if wrong or not (asked.confirmed or (asked.scope == "ids" and count == 1 and asked.act in AT_ONCE)):
        return await _ask(request, asked, count, wrong)
    command = await acting.act(request, f"series.{asked.act}", which, asked.reason)
    return acting.back(request, command, asked.address())


async def _which(request: web.Request, asked: SeriesForm) -> tuple[dict[str, Any], int]:
    """Which series, as an act's arguments, and how many. Raises StepRefused."""
    kind, node = f"series.{asked.act}", request.app[NODE]
    if asked.scope == "ids":
        return {"ids": asked.ids}, len(asked.ids)
    text = text_of(request, asked)
    if text is None:
        raise StepRefused(FORGOTTEN)
    narrowed, wanted, _ = meant(request, asked, text)
    if wanted:
        lines = [line async for part in find_all(node, narrowed, wanted, MOST_FOUND + 1) for line in part]
        if len(lines) > MOST_FOUND:
            raise StepRefused(f"More than {MOST_FOUND} series match that text; narrow them by filters first.")
        ids = [line.id for line in lines if line.state in CAN[kind]]
        return {"ids": ids}, len(ids)
    selection = narrowed.selection()
    selection = replace(selection, states=states_for(kind, selection))
    counts = await node.spool(lambda spool: spool.bulk.matching(ARRIVALS, selection))
    return {"where": selection.plain()}, sum(counts.values())


async def _ask(request: web.Request, asked: SeriesForm, count: int, wrong: dict[str, str]) -> web.Response:
    """The page that says what would be done to how many, and asks what the act needs."""
    title, symbol = words.BULK[asked.act]
    configuration = (await request.app[NODE].run(request.app[NODE].routing.current)).configuration
    return answers.page(
        request, "series/confirm.html", 200, asked=asked, count=count, many=count > MANY, wrong=wrong,
        title=title.removesuffix(" …"), symbol=symbol, consequence=words.CONSEQUENCES[asked.act], back=asked.address(),
        targets=[*configuration.targets, *configuration.groups], searched=bool(asked.s) and asked.scope == "match",
    )  # fmt: skip
