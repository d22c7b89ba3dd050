"""The addresses of dashboard and wall that need a node; `/` itself is in webgui/routes.py. It must not hold behaviour."""

from __future__ import annotations

from webgui.areas.dashboard import acts, pages
from webgui.areas.dashboard.shapes import DashboardAnswer
from webgui.guards import Need
from webgui.route import Route

ROUTES = (
    Route("GET", "/wall", pages.wall, Need.VIEWER),
    Route(
        "GET",
        "/api/v1/dashboard",
        pages.figures,
        Need.VIEWER,
        "What the dashboard shows: figures, lists, flows.",
        answer=DashboardAnswer,
    ),
    Route("POST", "/dashboard/pause", acts.pause, Need.OPERATOR),
    Route("POST", "/dashboard/resume", acts.resume, Need.OPERATOR),
    Route("POST", "/dashboard/acknowledge", acts.acknowledge, Need.OPERATOR),
)
