"""The addresses of the first-run guide. It must not hold behaviour."""

from __future__ import annotations

from webgui.areas.welcome import pages
from webgui.areas.welcome.shapes import SampleAnswer, WelcomeAnswer
from webgui.guards import Need
from webgui.route import Route

SAMPLE = "Send the bundled test study to this node, and on to a target."

ROUTES = (
    Route("GET", "/welcome", pages.show, Need.VIEWER),
    Route("POST", "/welcome/sample", pages.sample, Need.OPERATOR),
    Route(
        "GET",
        "/api/v1/welcome",
        pages.given,
        Need.VIEWER,
        "What of the first steps is done: callers, targets, rules.",
        answer=WelcomeAnswer,
    ),
    Route(
        "POST",
        "/api/v1/welcome/sample",
        pages.sample,
        Need.OPERATOR,
        SAMPLE,
        body=pages.Sample,
        answer=SampleAnswer,
    ),
)
