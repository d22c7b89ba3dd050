"""The addresses of logs. It must not hold behaviour."""

from __future__ import annotations

from webgui.areas.logs import pages
from webgui.areas.logs.asked import LogQuery
from webgui.areas.logs.shapes import LogsAnswer
from webgui.guards import Need
from webgui.route import Route

ROUTES = (
    Route("GET", "/logs", pages.show, Need.VIEWER),
    Route(
        "GET",
        "/api/v1/logs",
        pages.api,
        Need.VIEWER,
        "Lines of all logs, newest first.",
        query=LogQuery,
        answer=LogsAnswer,
    ),
)
