"""Series as this request may see them: with patient data, or masked. It must not know where they come from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from aiohttp import web

from protocol.header.uids import valid_uid
from webgui import patients
from webgui.areas.series.asked import SeriesQuery
from webgui.areas.series.finding import Listing, find
from webgui.areas.series.lines import Line
from webgui.areas.series.story import Story, retold, story
from webgui.areas.series.why import hidden
from webgui.keys import NODE

NOT_SEARCHED = "Patients' names and numbers are not searched for while they are masked; UIDs and AE titles are."


def seen(request: web.Request, lines: Iterable[Line]) -> list[Line]:
    """Lines as they may be shown."""
    return list(lines) if patients.sees(request) else [line.masked(patients.MASK) for line in lines]


def meant(request: web.Request, asked: SeriesQuery, text: str) -> tuple[SeriesQuery, str, list[str]]:
    """What may be asked: who sees patients masked could find out by searching. With what people should know."""
    if not text or patients.sees(request) or valid_uid(text.strip()):
        return asked, text, []
    return asked.model_copy(update={"source": text.strip()}), "", [NOT_SEARCHED]


async def listing(request: web.Request, asked: SeriesQuery, text: str) -> Listing:
    """One page of the list."""
    asked, text, notes = meant(request, asked, text)
    found = await find(request.app[NODE], asked, text, asked.limit)
    return Listing(seen(request, found.lines), found.next, [*notes, *found.notes])


async def whole(request: web.Request, id: int, path: str | None = None) -> tuple[Story, Line]:
    """One series, and its line with patient data in clear, of which keys are made; `path` of its page. Raises NotFound."""
    one = await story(request.app[NODE], id)
    if patients.sees(request, path):
        return one, one.line
    decisions: list[Any] = [hidden(row, patients.KEYS, patients.MASK) for row in one.decisions]
    masked = replace(
        one, line=one.line.masked(patients.MASK), about=patients.hide(request, one.about), decisions=decisions
    )
    return retold(masked), one.line
