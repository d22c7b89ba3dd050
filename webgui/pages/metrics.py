"""/metrics for Prometheus, out of the newest status document. No label may hold a UID or patient data.

One collector for the whole node: actors open no ports of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from webgui.attention import STOPPED
from webgui.hub import Hub
from webgui.keys import CONFIG, HUB

_COUNTERS = ("received", "duplicates", "refused")
_ACCOUNTED = ("open", "waiting", "in_delivery", "delivered", "discarded", "held", "quarantined", "deleted")


async def show(request: web.Request) -> web.Response:
    """All metrics in the text format."""
    await request.app[HUB].fresh(max_age_s=5.0)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(NodeCollector(request.app[HUB], request.app[CONFIG].version))
    return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})


class NodeCollector:
    """Turns the status document into metric families."""

    def __init__(self, hub: Hub, version: str) -> None:
        self._hub, self._version = hub, version

    def collect(self) -> Iterator[Metric]:
        """All families; without a readable spool only `scanpost_status_readable 0` and the build."""
        reading = self._hub.reading
        yield _gauge("build_info", "The running version", ("version",), [((self._version,), 1)])
        yield _gauge("status_readable", "1 if the spool can be read", (), [((), 0 if reading.error else 1)])
        if not reading.error:
            status = reading.status
            yield _gauge("ready", "1 if images can be received and stored", (), [((), int(bool(status.get("ready"))))])
            yield from _images(status.get("images", {}), self._hub.rates.sent_total)
            yield from _deliveries(status)
            yield from _actors(status.get("actors", {}))
            yield from _targets(status.get("targets", {}))
            yield from _disk(status.get("disk", {}))


def _images(images: dict[str, Any], sent: int) -> Iterator[Metric]:
    for name in _COUNTERS:
        family = CounterMetricFamily(f"scanpost_images_{name}", f"Images {name} since the spool exists")
        family.add_metric([], images.get(name) or 0)
        yield family
    family = CounterMetricFamily("scanpost_images_sent", "Images sent while this page runs, each target counted")
    family.add_metric([], sent)
    yield family
    pairs = [((state,), images.get(state) or 0) for state in _ACCOUNTED]
    yield _gauge("images", "Images by state; together they are the images received", ("state",), pairs)


def _deliveries(status: dict[str, Any]) -> Iterator[Metric]:
    counts = [((state,), value) for state, value in status.get("deliveries", {}).items()]
    yield _gauge("deliveries", "Deliveries by state", ("state",), counts)
    if (oldest := status.get("oldest_waiting_s")) is not None:
        yield _gauge("delivery_oldest_age_seconds", "Age of the oldest waiting delivery", (), [((), oldest)])


def _actors(actors: dict[str, Any]) -> Iterator[Metric]:
    pairs = [((name,), int(actor.get("state") not in STOPPED)) for name, actor in actors.items()]
    yield _gauge("actor_up", "1 if the actor runs", ("actor",), pairs)


def _targets(targets: dict[str, Any]) -> Iterator[Metric]:
    states = [(name, target.get("state")) for name, target in targets.items()]
    yield _gauge("target_up", "0 if sends fail", ("target",), [((n,), int(s != "failing")) for n, s in states])
    yield _gauge("target_paused", "1 if paused", ("target",), [((n,), int(s == "paused")) for n, s in states])
    waiting = [
        ((name, state), target[state])
        for name, target in targets.items()
        for state in ("waiting", "sending", "parked", "held")
        if isinstance(target.get(state), int)
    ]
    oldest = [((n,), t["oldest_s"]) for n, t in targets.items() if t.get("oldest_s") is not None]
    yield _gauge("target_oldest_age_seconds", "Age of the oldest unfinished delivery", ("target",), oldest)
    yield _gauge("target_deliveries", "Unfinished deliveries by target", ("target", "state"), waiting)


def _disk(disk: dict[str, Any]) -> Iterator[Metric]:
    for name, key in (("free", "free_bytes"), ("reserve", "reserve_bytes")):
        if disk.get(key) is not None:
            yield _gauge(f"spool_disk_{name}_bytes", f"Disk of the spool: {name}", (), [((), disk[key])])


def _gauge(
    name: str, text: str, labels: tuple[str, ...], pairs: Sequence[tuple[tuple[str, ...], float]]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"scanpost_{name}", text, labels=labels)
    for values, value in pairs:
        family.add_metric(list(values), value)
    return family
