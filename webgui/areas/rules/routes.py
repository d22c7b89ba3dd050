"""The addresses of rules. It must not hold behaviour."""

from __future__ import annotations

from webgui.areas.rules import acts, api, asking, backtests, models, pages
from webgui.areas.rules.shapes import CompletionAnswer, LintAnswer, RulesAnswer, RuleShown, SchemaAnswer, TriedAnswer
from webgui.guards import Need
from webgui.route import Route
from webgui.shapes import JobAnswer, MadeAnswer, Nothing, StartedAnswer

_API = "/api/v1/rules"

ASKING = (
    Route("GET", _API, asking.show, Need.VIEWER, "The rules in force, with their counters.", query=models.Days, answer=RulesAnswer),
    Route("POST", f"{_API}/test", asking.test, Need.VIEWER, "Try rules on a header or a past arrival.", body=models.Asked,
          reads=True, answer=TriedAnswer),
    Route("POST", f"{_API}/backtest", asking.start, Need.VIEWER, "Start a backtest.", body=models.Backtest, reads=True,
          answer=StartedAnswer),
    Route("GET", f"{_API}/backtest/{{id}}", asking.look, Need.VIEWER, "How far a backtest is, and its result.", answer=JobAnswer),
    Route("DELETE", f"{_API}/backtest/{{id}}", asking.cancel, Need.VIEWER, "End a backtest.", answer=Nothing),
    Route("GET", "/api/v1/routing/schema", asking.schema, Need.VIEWER, "JSON Schema of the routing configuration.", answer=SchemaAnswer),
)  # fmt: skip
"""What needs `keys.RULES` alone: there also where the page has no node behind it."""

ROUTES = (
    Route("GET", "/rules", pages.listing, Need.VIEWER),
    Route("GET", "/rules/new", pages.new, Need.VIEWER),
    Route("POST", "/rules/edit", acts.edit, Need.ADMIN),
    Route("POST", "/rules/try", pages.try_, Need.VIEWER),
    Route("POST", "/rules/backtest", backtests.start, Need.VIEWER),
    Route("GET", "/rules/backtests/{id}", backtests.show, Need.VIEWER),
    Route("POST", "/rules/backtests/{id}/cancel", backtests.cancel, Need.VIEWER),
    Route("POST", "/rules/backtests/{id}/cases", backtests.cases, Need.ADMIN),
    Route("POST", "/rules/order", acts.order, Need.ADMIN),
    Route("GET", "/rules/{name}", pages.one, Need.VIEWER),
    Route("POST", "/rules/{name}/mode", acts.mode, Need.ADMIN),
    Route("POST", "/rules/{name}/move", acts.move, Need.ADMIN),
    Route("POST", "/rules/{name}/delete", acts.delete, Need.ADMIN),
    Route("POST", "/rules/{name}/forget", acts.forget_draft, Need.ADMIN),
    Route("POST", f"{_API}/lint", pages.lint, Need.VIEWER,
          "What the compiler says of a condition: English, rows of a builder, or the fault with its place.", body=models.Lint,
          answer=LintAnswer),
    Route("POST", f"{_API}/complete", pages.complete, Need.VIEWER,
          "Names that a condition may read, with VR and values seen on this site.", body=models.Completing, answer=CompletionAnswer),
    Route("POST", f"{_API}/order", api.order, Need.ADMIN, "Put the rules in an order.", body=models.Order, answer=MadeAnswer),
    Route("GET", f"{_API}/{{name}}", api.one, Need.VIEWER, "One rule with its counters, test results and warnings.", answer=RuleShown,
          tagged=True),
    Route("PUT", f"{_API}/{{name}}", api.put, Need.ADMIN, "Add or change a rule.", body=models.Put, answer=MadeAnswer,
          tagged=True),
    Route("DELETE", f"{_API}/{{name}}", api.delete, Need.ADMIN, "Forget a rule.", body=models.Why, answer=MadeAnswer, tagged=True),
    Route("POST", f"{_API}/{{name}}/mode", api.mode, Need.ADMIN, "Switch a rule to active, shadow or off.",
          body=models.Mode, answer=MadeAnswer),
    Route("POST", f"{_API}/{{name}}/move", api.move, Need.ADMIN, "Move a rule up, down or to a place.", body=models.Move,
          answer=MadeAnswer),
)  # fmt: skip
