"""The addresses of sources. It must not hold behaviour."""

from __future__ import annotations

from webgui.areas.sources import models, pages
from webgui.areas.sources.shapes import SourcesAnswer, SourceShown
from webgui.guards import Need
from webgui.route import Route
from webgui.shapes import MadeAnswer

_API = "/api/v1/sources"

ROUTES = (
    Route("GET", "/sources", pages.listing, Need.VIEWER),
    Route("GET", "/sources/new", pages.new, Need.VIEWER),
    Route("POST", "/sources/save", pages.save, Need.ADMIN),
    Route("GET", "/sources/{name}", pages.one, Need.VIEWER),
    Route("POST", "/sources/{name}/suggested", pages.suggested, Need.ADMIN),
    Route("POST", "/sources/{name}/delete", pages.delete, Need.ADMIN),
    Route("GET", _API, pages.given, Need.VIEWER, "Known sources, strangers, and whose series come late.",
          query=models.Listing, answer=SourcesAnswer),
    Route("GET", f"{_API}/{{name}}", pages.given_one, Need.VIEWER, "One known source with its settings.", answer=SourceShown,
          tagged=True),
    Route("PUT", f"{_API}/{{name}}", pages.put, Need.ADMIN, "Add or change a source.", body=models.Put, answer=MadeAnswer,
          tagged=True),
    Route("DELETE", f"{_API}/{{name}}", pages.delete, Need.ADMIN, "Forget a source.", body=models.Why, answer=MadeAnswer,
          tagged=True),
    Route("POST", f"{_API}/{{name}}/suggested", pages.suggested, Need.ADMIN,
          "Take the completion time learned from parts that came late.", body=models.Why, answer=MadeAnswer),
)  # fmt: skip
