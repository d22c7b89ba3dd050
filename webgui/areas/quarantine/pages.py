"""What is in quarantine, one object, and letting go of it; for people and programs. The cleaner deletes, nothing here does."""

from __future__ import annotations

from typing import Annotated, Any

from aiohttp import web
from pydantic import BaseModel, Field

from webgui import acting, answers, inputs
from webgui.inputs import Invalid
from webgui.keys import NODE

PAGE = 50
HIDDEN = ("digest", "association", "receipt", "offset", "length")


class QuarantineQuery(BaseModel):
    """Place in the list."""

    after: Annotated[float | None, Field(description="The `next` of the page before.", allow_inf_nan=False)] = None
    limit: Annotated[int, Field(ge=1, le=1000)] = PAGE


class Discard(BaseModel):
    """Why an object may go for good."""

    reason: Annotated[str, Field(max_length=500)] = ""
    confirmed: bool = False


async def _page(request: web.Request) -> tuple[list[dict[str, Any]], float | None]:
    asked = inputs.query(request, QuarantineQuery)
    found = await request.app[NODE].spool(lambda spool: spool.quarantine.list(asked.limit + 1, asked.after))
    return found[: asked.limit], found[asked.limit - 1]["stored"] if len(found) > asked.limit else None


async def show_list(request: web.Request) -> web.Response:
    """GET /quarantine."""
    rows, more = await _page(request)
    return answers.page(request, "quarantine/list.html", rows=rows, more=f"/quarantine?after={more!r}" if more else "",
                        first="/quarantine" if request.query.get("after") else "")  # fmt: skip


async def show(request: web.Request) -> web.Response:
    """GET /quarantine/{receipt}."""
    receipt = request.match_info["receipt"]
    one = await request.app[NODE].spool(lambda spool: spool.quarantine.show(receipt))
    meta = {
        name.replace("_", " "): value for name, value in (one["meta"] or {}).items() if name not in HIDDEN and value
    }
    return answers.page(request, "quarantine/show.html", one=one, meta=meta)


async def _discard(request: web.Request) -> Any:
    asked, receipt = await inputs.body(request, Discard), request.match_info["receipt"]
    if not asked.reason.strip():
        raise Invalid({"reason": "say why it may go for good"})
    found = await request.app[NODE].spool(lambda spool: spool.quarantine.show(receipt))
    return await acting.act(request, "quarantine.discard", {"receipt": found["receipt"]}, asked.reason, "cleaner")


async def discard(request: web.Request) -> web.Response:
    """POST /quarantine/{receipt}/discard."""
    return acting.back(request, await _discard(request), "/quarantine")


# ---- for programs -----------------------------------------------------------------------------------------------
async def api_list(request: web.Request) -> web.Response:
    """GET /api/v1/quarantine."""
    rows, more = await _page(request)
    return answers.given({"objects": rows, "next": more})


async def api(request: web.Request) -> web.Response:
    """GET /api/v1/quarantine/{receipt}."""
    receipt = request.match_info["receipt"]
    return answers.given(await request.app[NODE].spool(lambda spool: spool.quarantine.show(receipt)))


async def api_discard(request: web.Request) -> web.Response:
    """POST /api/v1/quarantine/{receipt}/discard."""
    return acting.given(await _discard(request))
