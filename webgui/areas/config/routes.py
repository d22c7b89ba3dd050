"""The addresses of configuration versions. It must not hold behaviour."""

from __future__ import annotations

from webgui.areas.config import api, models, pages
from webgui.areas.config.shapes import BlameAnswer, DiffAnswer, ImportAnswer, VersionsAnswer, VersionShown
from webgui.guards import Need
from webgui.route import Route
from webgui.shapes import MadeAnswer

_ONE, _API = r"/config/versions/{number:\d{1,12}}", "/api/v1/config"
_API_ONE = _API + r"/versions/{number:\d{1,12}}"

ROUTES = (
    Route("GET", "/config/versions", pages.versions, Need.VIEWER),
    Route("GET", _ONE, pages.version, Need.VIEWER),
    Route("GET", f"{_ONE}/export", pages.export, Need.VIEWER),
    Route("GET", "/config/diff", pages.diff, Need.VIEWER),
    Route("POST", f"{_ONE}/rollback", pages.rollback, Need.ADMIN),
    Route("POST", f"{_ONE}/restore", pages.restore, Need.ADMIN),
    Route("POST", "/config/undo", pages.undo, Need.ADMIN),
    Route("GET", "/config/import", pages.import_form, Need.ADMIN),
    Route("POST", "/config/import", pages.import_, Need.ADMIN),
    Route("GET", f"{_API}/versions", api.versions, Need.VIEWER,
          "The versions of the routing configuration, newest first.", query=models.Listing, answer=VersionsAnswer),
    Route("GET", _API_ONE, api.version, Need.VIEWER, "One version, with its configuration and what it changed.", answer=VersionShown),
    Route("GET", f"{_API}/diff", api.diff, Need.VIEWER, "What differs between two versions.", query=models.Sides, answer=DiffAnswer),
    Route("GET", f"{_API}/blame", api.blamed, Need.VIEWER, "Who set what of one rule, target, group or source, and when.",
          query=models.Part, answer=BlameAnswer),
    Route("POST", f"{_API_ONE}/rollback", api.rollback, Need.ADMIN,
          "Publish an earlier version again, as a new one.", body=models.Back, answer=MadeAnswer),
    Route("POST", f"{_API_ONE}/restore", api.restore, Need.ADMIN,
          "Take one rule, target, group or source as it was in a version.", body=models.Restore, answer=MadeAnswer),
    Route("POST", f"{_API}/undo", api.undo, Need.ADMIN, "Take a version back, if it is still in force.",
          body=models.Undo, answer=MadeAnswer),
    Route("POST", f"{_API}/import", api.import_, Need.ADMIN,
          "Check a routing configuration, or make it the next version.", body=models.Imported, answer=ImportAnswer),
)  # fmt: skip
