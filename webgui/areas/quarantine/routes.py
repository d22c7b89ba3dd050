"""The addresses of quarantine. It must not hold behaviour."""

from __future__ import annotations

from webgui.areas.quarantine import pages
from webgui.areas.quarantine.pages import Discard, QuarantineQuery
from webgui.areas.quarantine.shapes import ObjectsAnswer, ObjectShown
from webgui.guards import Need
from webgui.route import Route
from webgui.shapes import ActAnswer

ROUTES = (
    Route("GET", "/quarantine", pages.show_list, Need.VIEWER),
    Route("GET", "/quarantine/{receipt}", pages.show, Need.VIEWER),
    Route("POST", "/quarantine/{receipt}/discard", pages.discard, Need.ADMIN),
    Route("GET", "/api/v1/quarantine", pages.api_list, Need.VIEWER, "Objects that could not be read or placed, newest first.",
          query=QuarantineQuery, answer=ObjectsAnswer),
    Route("GET", "/api/v1/quarantine/{receipt}", pages.api, Need.VIEWER, "One object: why it is here, and where its bytes are.",
          answer=ObjectShown),
    Route("POST", "/api/v1/quarantine/{receipt}/discard", pages.api_discard, Need.ADMIN, "Delete one object for good.",
          body=Discard, answer=ActAnswer),
)  # fmt: skip
