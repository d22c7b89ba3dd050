"""The addresses of acts. It must not hold behaviour."""

from __future__ import annotations

from webgui.areas.acts import pages
from webgui.areas.acts.pages import ActsQuery
from webgui.guards import Need
from webgui.route import Route

ROUTES = (
    Route("GET", "/acts", pages.show_list, Need.VIEWER),
    Route("GET", "/acts/{id}", pages.show, Need.VIEWER),
    Route("GET", "/api/v1/acts", pages.api_list, Need.VIEWER, "What people asked for, newest first.", query=ActsQuery),
    Route("GET", "/api/v1/acts/{id}", pages.api, Need.VIEWER, "One act: how far it is, and what came of it."),
)
