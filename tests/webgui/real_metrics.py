"""The text of /metrics of a node on which something of every kind has happened, without any process of it running."""

import logging

from prometheus_client import CollectorRegistry, generate_latest

from actors.bookkeeper.figures import FiguresDesk
from protocol.clock import ManualClock
from protocol.fsops import RealFs
from protocol.routing.parse import build
from protocol.routing.versions import RoutingVersions
from protocol.settings import load_settings
from protocol.spool import open_spool
from protocol.spool.figures.counting import RULES
from protocol.wire.messages import REGISTRY
from tests.certificates import Authority
from tests.ledger.ledger_events import example
from webgui.figures import Reading
from webgui.pages.metrics import NodeCollector
from webgui.source import SpoolSource

PACS = {"type": "dicom", "host": "10.1.9.9", "port": 104, "called_ae": "PACS"}
FIELDS = {"arrival.images.routed": {"counted": [["rule", "true", 2]]}}


def real_metrics(home):
    clock = ManualClock()
    pair = Authority(home / "certificates").issue("router")
    settings = load_settings(home=home, environ={
        "SCANPOST_WEBGUI__TLS__CERT": str(pair.cert), "SCANPOST_WEBGUI__TLS__KEY": str(pair.key)})  # fmt: skip
    spool = open_spool(home, clock=clock, create=True)
    routing = RoutingVersions(home / "config" / "routing", RealFs(), clock)
    routing.publish(build({"targets": {"pacs": PACS}}, "test"), "ann", "first", 0)
    for type in RULES:
        spool.outbox.record(example(REGISTRY[type], **FIELDS.get(type, {})))
    spool.notices.raise_alert("target.missing.pacs", "text")
    with spool.database.write() as tx:
        tx.execute("INSERT INTO delivery (arrival, decision, target, priority, due, state, images, bytes, created)"
                   " VALUES (1, 1, 'archive', 0, 0, 'waiting', 1, 1, 0)")  # fmt: skip
    desk = FiguresDesk(spool, clock, logging.getLogger())
    desk.round()
    desk.close()
    clock.advance(5)
    seat = spool.fs.lock(spool.places.run / "router.lock")
    seat.write('{"state": "ready", "started": 1, "beat": 2, "figures": {"mailbox": 3}}')
    source = SpoolSource(settings, clock)
    try:
        registry = CollectorRegistry(auto_describe=False)
        reading = Reading(source.status(), [], "", clock.now(), clock.monotonic())
        registry.register(NodeCollector(reading, source.measures(), "1.0"))
        return generate_latest(registry).decode()
    finally:
        source.close()
        seat.release()
        spool.close()
