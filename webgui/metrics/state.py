"""Families out of the status document: how the node stands now. It must not read anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client.core import Metric

from webgui.attention import STOPPED
from webgui.metrics.families import counter, gauge

_TOTALS = {
    "received": "Images received since the spool exists, those in quarantine with them",
    "duplicates": "Images that came again bit for bit since the spool exists",
    "refused": "Images refused since the spool exists",
}
_ACCOUNTED = ("open", "waiting", "in_delivery", "delivered", "discarded", "held", "quarantined", "deleted")

Document = Mapping[str, Any]


def state(status: Document) -> Iterator[Metric]:
    """All of them."""
    yield gauge("ready", "1 if images can be received and stored", (), [((), int(bool(status.get("ready"))))])
    yield gauge("draining", "1 if the node is being drained", (), [((), int(bool(status.get("draining"))))])
    yield gauge("config_version", "Revision of the routing configuration", (), [((), status.get("revision") or 0)])
    yield from _images(status.get("images", {}))
    yield from _deliveries(status)
    yield from _actors(status.get("actors", {}))
    yield from _targets(status.get("targets", {}))
    yield from _disk(status.get("disk", {}))
    behind = status.get("outbox", {}).get("bookkeeper_behind", 0)
    yield gauge("ledger_backlog_events", "Events that are not in the ledger yet", (), [((), behind)])


def _images(images: Document) -> Iterator[Metric]:
    for name, text in _TOTALS.items():
        yield counter(f"images_{name}", text, (), {(): images.get(name) or 0})
    by_state = {(state,): images.get(state) or 0 for state in _ACCOUNTED}
    yield gauge("images", "Images by state; together they are the images received", ("state",), by_state.items())
    missing = (images.get("received") or 0) - sum(by_state.values())
    text = "Images received that are in no state; anything but 0 is a fault of the program"
    yield gauge("accounting_missing_images", text, (), [((), missing)])


def _deliveries(status: Document) -> Iterator[Metric]:
    counts = [((state,), value) for state, value in status.get("deliveries", {}).items()]
    yield gauge("deliveries", "Deliveries by state", ("state",), counts)
    arrivals = [((state,), value) for state, value in status.get("arrivals", {}).items()]
    yield gauge("arrivals", "Series by state", ("state",), arrivals)


def _actors(actors: Document) -> Iterator[Metric]:
    up = [((name,), int(actor.get("state") not in STOPPED)) for name, actor in actors.items()]
    yield gauge("actor_up", "1 if the actor runs", ("actor",), up)
    beats = [((name,), actor["beat"]) for name, actor in actors.items() if actor.get("beat")]
    text = "When the actor last said that it lives"
    yield gauge("actor_last_heartbeat_timestamp_seconds", text, ("actor",), beats)
    boxes = [((name,), actor["mailbox"]) for name, actor in actors.items() if actor.get("mailbox") is not None]
    text = "Most messages that an actor found waiting for it at once within its last heartbeat"
    yield gauge("actor_mailbox_messages", text, ("actor",), boxes)


def _targets(targets: Document) -> Iterator[Metric]:
    words = [(name, target.get("state")) for name, target in targets.items()]
    yield gauge("target_up", "0 if sends fail", ("target",), [((n,), int(s != "failing")) for n, s in words])
    yield gauge("target_paused", "1 if paused", ("target",), [((n,), int(s == "paused")) for n, s in words])
    opened = [((n,), int(t.get("breaker", {}).get("state", "closed") != "closed")) for n, t in targets.items()]
    yield gauge("target_breaker_open", "1 if the target is left alone because nobody is there", ("target",), opened)
    unfinished = [
        ((name, state), target[state])
        for name, target in targets.items()
        for state in ("waiting", "sending", "parked", "held")
        if isinstance(target.get(state), int)
    ]
    yield gauge("target_deliveries", "Unfinished deliveries by target", ("target", "state"), unfinished)
    oldest = [((name,), target.get("oldest_s") or 0) for name, target in targets.items()]
    text = "Age of the oldest delivery that waits or is sent, 0 if there is none"
    yield gauge("delivery_oldest_age_seconds", text, ("target",), oldest)


def _disk(disk: Document) -> Iterator[Metric]:
    for name, key, text in (
        ("spool_disk_free_bytes", "free_bytes", "Space left on the disk of the spool"),
        ("spool_disk_reserve_bytes", "reserve_bytes", "Below this much space no images are taken"),
        ("spool_wal_bytes", "wal_bytes", "Size of the write-ahead log of the spool's database"),
    ):
        if disk.get(key) is not None:
            yield gauge(name, text, (), [((), disk[key])])
