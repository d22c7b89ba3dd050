"""/metrics for Prometheus: one collector for the whole node, actors open no ports of their own.
It is open to everybody who reaches the port unless `webgui.metrics_token_file` asks for a token; what is in it is in
webgui/metrics. It must not work anything out itself.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator
from pathlib import Path

from aiohttp import hdrs, web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from webgui.figures import Reading
from webgui.keys import CONFIG, HUB
from webgui.measures import Measures
from webgui.metrics.counted import counted
from webgui.metrics.families import gauge
from webgui.metrics.state import state

MAX_AGE_S = 5.0
log = logging.getLogger(__name__)


async def show(request: web.Request) -> web.Response:
    """All metrics in the text format."""
    if not _may(request, request.app[CONFIG].metrics_token_file):
        raise web.HTTPUnauthorized(
            text="Send the token of webgui.metrics_token_file: Authorization: Bearer TOKEN",
            headers={hdrs.WWW_AUTHENTICATE: "Bearer"},
        )
    hub = request.app[HUB]
    await hub.fresh(max_age_s=MAX_AGE_S)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(NodeCollector(hub.reading, await hub.measures(), request.app[CONFIG].version))
    return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})


def _may(request: web.Request, place: Path | None) -> bool:
    """Whether the caller has the token, if one is asked for. It is read anew each time: it may be changed at any time."""
    if place is None:
        return True
    try:
        token = place.read_text("utf-8").strip()
    except (OSError, ValueError) as exc:
        log.error("webgui.metrics_token_file cannot be read: %s", exc, extra={"action": "metrics_token_unreadable"})
        return False
    told = request.headers.get(hdrs.AUTHORIZATION, "")
    return bool(token) and secrets.compare_digest(told.encode("utf-8", "surrogateescape"), f"Bearer {token}".encode())


class NodeCollector:
    """Turns one look at the node into metric families."""

    def __init__(self, reading: Reading, measures: Measures | None, version: str) -> None:
        """`measures` None: they could not be read with the spool."""
        self._reading, self._measures, self._version = reading, measures, version

    def collect(self) -> Iterator[Metric]:
        """All families; without a readable spool only `scanpost_status_readable 0` and the build."""
        readable = not self._reading.error
        yield gauge("build_info", "The running version", ("version",), [((self._version,), 1)])
        yield gauge("status_readable", "1 if the spool can be read", (), [((), int(readable))])
        if readable:
            yield from state(self._reading.status)
            if self._measures is not None:
                yield from counted(self._measures)
