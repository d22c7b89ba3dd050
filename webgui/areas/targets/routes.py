"""The addresses of targets and groups. It must not hold behaviour."""

from __future__ import annotations

from webgui.areas.targets import acts, models, pages
from webgui.areas.targets.shapes import GroupShown, TargetsAnswer, TargetShown, TestAnswer
from webgui.guards import Need
from webgui.route import Route
from webgui.shapes import ActAnswer, MadeAnswer, StartedAnswer

_API = "/api/v1/targets"

ROUTES = (
    Route("GET", "/targets", pages.listing, Need.VIEWER),
    Route("GET", "/targets/new", pages.new, Need.VIEWER),
    Route("POST", "/targets/save", pages.save, Need.ADMIN),
    Route("GET", "/targets/{name}", pages.one, Need.VIEWER),
    Route("POST", "/targets/{name}/test", acts.test, Need.OPERATOR),
    Route("POST", "/targets/{name}/pause", acts.pause, Need.OPERATOR),
    Route("POST", "/targets/{name}/resume", acts.resume, Need.OPERATOR),
    Route("POST", "/targets/{name}/redirect", acts.redirect, Need.OPERATOR),
    Route("POST", "/targets/{name}/delete", acts.delete, Need.ADMIN),
    Route("GET", "/groups/new", pages.new_group, Need.VIEWER),
    Route("POST", "/groups/save", pages.save_group, Need.ADMIN),
    Route("GET", "/groups/{name}", pages.one_group, Need.VIEWER),
    Route("POST", "/groups/{name}/delete", acts.delete, Need.ADMIN),
    Route("GET", _API, acts.listing, Need.VIEWER, "Targets with their state, queue and figures of 24 h; groups.", answer=TargetsAnswer),
    Route("GET", f"{_API}/tests/{{id}}", acts.look, Need.VIEWER, "How far a target test is, step by step.", answer=TestAnswer),
    Route("GET", f"{_API}/{{name}}", acts.one, Need.VIEWER, "One target with its state and settings.", answer=TargetShown,
          tagged=True),
    Route("PUT", f"{_API}/{{name}}", acts.put, Need.ADMIN, "Add or change a target.", body=models.Put, answer=MadeAnswer,
          tagged=True),
    Route("DELETE", f"{_API}/{{name}}", acts.delete, Need.ADMIN, "Forget a target that nothing names.", body=models.Why, answer=MadeAnswer,
          tagged=True),
    Route("POST", f"{_API}/{{name}}/test", acts.test, Need.OPERATOR, "Start a test of the way to a target.", answer=StartedAnswer),
    Route("POST", f"{_API}/{{name}}/pause", acts.pause, Need.OPERATOR, "Send nothing more to a target.",
          body=models.Pause, answer=ActAnswer),
    Route("POST", f"{_API}/{{name}}/resume", acts.resume, Need.OPERATOR, "Send to a target again.", body=models.Why, answer=ActAnswer),
    Route("POST", f"{_API}/{{name}}/redirect", acts.redirect, Need.OPERATOR,
          "Send all that waits for a target to another one.", body=models.Redirect, answer=ActAnswer),
    Route("GET", "/api/v1/groups/{name}", acts.one_group, Need.VIEWER, "One group with its settings.", answer=GroupShown, tagged=True),
    Route("PUT", "/api/v1/groups/{name}", acts.put, Need.ADMIN, "Add or change a group.", body=models.Put, answer=MadeAnswer,
          tagged=True),
    Route("DELETE", "/api/v1/groups/{name}", acts.delete, Need.ADMIN, "Forget a group that nothing names.",
          body=models.Why, answer=MadeAnswer, tagged=True),
)  # fmt: skip
