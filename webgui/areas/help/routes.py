"""The addresses of help. It must not hold behaviour."""

from __future__ import annotations

from webgui.areas.help import api, pages
from webgui.areas.help.shapes import OpenApiAnswer
from webgui.guards import Need
from webgui.route import Route

ROUTES = (
    Route("GET", "/help", pages.show, Need.VIEWER),
    Route("GET", "/help/docs/{name}", pages.document, Need.VIEWER),
    Route("GET", "/help/licences", pages.show_licences, Need.VIEWER),
    Route("GET", "/conformance", pages.conformance, Need.VIEWER),
    Route("GET", "/help/api", api.show, Need.VIEWER),
    Route(
        "GET",
        "/api/v1/openapi.json",
        api.document,
        Need.VIEWER,
        "This description (OpenAPI 3.1).",
        answer=OpenApiAnswer,
    ),
)
