"""A fake node and small helpers for tests of the web page."""

import asyncio
import copy
import json

from webgui.measures import Measures
from webgui.news import News
from webgui.outlook import Curves, Outlook

PASSWORD = "correct horse battery"
HOME = {"Sec-Fetch-Site": "same-origin"}
PAGE = {"Accept": "text/html"}

STATUS = {
    "ready": True,
    "actors": {
        "receiver": {"state": "ready", "pid": 4711, "uptime_s": 7260, "version": "0.1.0"},
        "router": {"state": "ready", "pid": 4712, "uptime_s": 7259, "version": "0.1.0"},
    },
    "images": {
        "received": 100,
        "duplicates": 2,
        "refused": 0,
        "open": 10,
        "waiting": 0,
        "in_delivery": 30,
        "delivered": 60,
        "discarded": 0,
        "held": 0,
        "quarantined": 0,
        "deleted": 0,
    },
    "sent": 60,
    "arrivals": {"open": 1, "in_delivery": 1, "delivered": 2},
    "deliveries": {"waiting": 3, "sending": 1, "retrying": 0, "parked": 0},
    "oldest_waiting_s": 42.0,
    "targets": {"pacs": {"state": "up", "waiting": 3, "sending": 1, "fails": 0, "last_error": ""}},
    "disk": {"state": "ok", "free_bytes": 400e9, "reserve_bytes": 5e9},
}
ARRIVAL = {
    "id": 7,
    "opened": 1_800_000_000.0,
    "source": "MR1",
    "modality": "MR",
    "images": 30,
    "state": "in_delivery",
    "deliveries": [{"target": "pacs", "state": "sending"}],
}


class FakeNode:
    """A Source that tests change."""

    def __init__(self):
        self.document = copy.deepcopy(STATUS)
        self.arrivals = [dict(ARRIVAL)]
        self.failure = None
        self.measured = Measures()
        self.looks = 0
        self.changed, self.toasts = set(), []
        self.standing, self.seen = [], Outlook()

    def status(self):
        self.looks += 1
        if self.failure:
            raise self.failure
        return copy.deepcopy(self.document)

    def last_arrivals(self, limit):
        return copy.deepcopy(self.arrivals[:limit])

    def alerts(self):
        return list(self.standing)

    def outlook(self):
        return self.seen

    def curves(self, width, since, until):
        starts = list(range(int(since), int(until) + 1, width))
        rates = [5.0 + start % 7 for start in starts]
        return Curves(starts, rates, rates, rates, rates, {"pacs": [3 for _ in starts]})

    def measures(self):
        if self.failure:
            raise self.failure
        return self.measured

    def news(self):
        told = News(frozenset(self.changed), tuple(self.toasts))
        self.changed, self.toasts = set(), []
        return told


async def log_in(client, name, password=PASSWORD):
    answer = await client.post("/login", data={"name": name, "password": password}, headers=HOME, allow_redirects=False)
    assert answer.status == 303, await answer.text()
    return client


class Socket:
    """A live page: reads frames until one fits, with a limit."""

    def __init__(self, ws):
        self.ws = ws

    async def subscribe(self, *topics, marks=(), events=False):
        await self.ws.send_json({"op": "sub", "topics": list(topics), "marks": list(marks), "events": events})

    async def frame(self, fits, limit_s=60.0):
        async with asyncio.timeout(limit_s):
            while True:
                text = await self.ws.receive_str()
                frame = json.loads(text)
                if fits(frame):
                    return frame
