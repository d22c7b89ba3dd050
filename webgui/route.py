"""What the table of addresses is made of: one entry per method and path, with what it needs and what it takes and gives.
It must not know handlers or pages.
"""

from __future__ import annotations

from aiohttp import web
from pydantic import BaseModel

from protocol.records import record
from webgui.guards import API, Handler, Need


@record
class Route:
    """One address. The last six describe entries of the API; its description (OpenAPI) is made of them.

    Attributes:
        need: who may; denied is what has no entry.
        summary: one sentence, shown in the description of the API; pages have none.
        query, body: models that `inputs.query` and `inputs.body` read the request into.
        reads: the handler reads the body itself, and `body`, if given, only describes it; with neither there is to be none
            (webgui/strict.py).
        answer: model of the JSON answer; None if it is described by its example only.
        tagged: GET gives an entity tag, PUT and DELETE take it as a condition (webgui/preconditions.py).
    """

    method: str
    path: str
    handler: Handler
    need: Need
    summary: str = ""
    query: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    reads: bool = False
    answer: type[BaseModel] | None = None
    tagged: bool = False

    @property
    def in_api(self) -> bool:
        """Whether programs call it."""
        return self.path.startswith(API)


TABLE: web.AppKey[list[Route]] = web.AppKey("table", list)
"""Every route of the application; the API is described from it."""
