"""The history as pages and commands ask for it: searches, timelines, attempts, events, images.
Read only, each function on a connection from `engine.reading`; nothing in this room writes or knows a page's form.

    search_arrivals(connection, node or None, Filter(q="A123"), after=None, limit=50) -> Page
    timeline(connection, node, arrival) -> [Entry] · attempts(connection, node, delivery) -> [Attempt]
    events(connection, node or None, EventFilter(types="delivery."), after=None, limit=100) -> Page
    image_history(connection, node, receipt=... or sop_uid=...)
"""

from protocol.ledger.history.asked import EventFilter, Filter, Page
from protocol.ledger.history.attempts import Attempt, attempts, attempts_of
from protocol.ledger.history.elsewhere import elsewhere
from protocol.ledger.history.events import events
from protocol.ledger.history.searching import search_arrivals
from protocol.ledger.history.telling import Entry, Story, tell
from protocol.ledger.history.timeline import timeline
from protocol.ledger.queries import image_history

__all__ = [
    "Attempt", "Entry", "EventFilter", "Filter", "Page", "Story", "attempts", "attempts_of", "elsewhere", "events", "image_history",
    "search_arrivals", "tell", "timeline",
]  # fmt: skip
