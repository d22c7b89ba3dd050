"""The addresses of the queue. It must not hold behaviour."""

from __future__ import annotations

from webgui.areas.queue import acts, pages
from webgui.areas.queue.asked import QueueActs, QueueQuery
from webgui.areas.queue.shapes import CausesAnswer, QueueAnswer
from webgui.guards import Need
from webgui.route import Route
from webgui.shapes import ActAnswer

ROUTES = (
    Route("GET", "/queue", pages.show, Need.VIEWER),
    Route("POST", "/queue/act", acts.submit, Need.OPERATOR),
    Route("GET", "/api/v1/queue", pages.api, Need.VIEWER, "Deliveries, newest first, and how many are in which state.",
          query=QueueQuery, answer=QueueAnswer),
    Route("GET", "/api/v1/queue/causes", pages.api_causes, Need.VIEWER, "Why deliveries do not get on, by target and cause.",
          query=QueueQuery, answer=CausesAnswer),
    Route("POST", "/api/v1/queue/acts/{act}", acts.api, Need.OPERATOR, "Act on deliveries: by number, or all that match.",
          body=QueueActs, answer=ActAnswer),
)  # fmt: skip
