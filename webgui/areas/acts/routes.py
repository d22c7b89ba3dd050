"""The addresses of acts. It must not hold behaviour."""

from __future__ import annotations

from webgui.areas.acts import pages, taking_back
from webgui.areas.acts.pages import ActsQuery
from webgui.areas.acts.shapes import ActsAnswer, ActShown
from webgui.areas.acts.taking_back import Back
from webgui.guards import Need
from webgui.route import Route
from webgui.shapes import ActAnswer

ROUTES = (
    Route("GET", "/acts", pages.show_list, Need.VIEWER),
    Route("GET", "/acts/{id}", pages.show, Need.VIEWER),
    Route(
        "GET",
        "/api/v1/acts",
        pages.api_list,
        Need.VIEWER,
        "What people asked for, newest first.",
        query=ActsQuery,
        answer=ActsAnswer,
    ),
    Route(
        "GET",
        "/api/v1/acts/{id}",
        pages.api,
        Need.VIEWER,
        "One act: how far it is, and what came of it.",
        answer=ActShown,
    ),
    Route("POST", "/acts/{id}/undo", taking_back.undo, Need.OPERATOR),
    Route("POST", "/acts/{id}/stop", taking_back.stop, Need.OPERATOR),
    Route(
        "POST",
        "/api/v1/acts/{id}/undo",
        taking_back.api_undo,
        Need.OPERATOR,
        "Take an act back where it was done: hold, release, discard (they are held then), keep, priority.",
        body=Back,
        answer=ActAnswer,
    ),
    Route(
        "POST",
        "/api/v1/acts/{id}/stop",
        taking_back.api_stop,
        Need.OPERATOR,
        "End a long act where it is.",
        body=Back,
        answer=ActAnswer,
    ),
)
