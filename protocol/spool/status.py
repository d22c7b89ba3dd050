"""The status document of a node: actors, images, arrivals, deliveries, targets, disk, as `scanpost status --json` prints it.
It reads the spool and the lock files only, so it works while the ledger's database or the bus is away.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from protocol.selftest import SINK
from protocol.spool.database import WAL_ALERT_BYTES
from protocol.spool.spool import Spool
from protocol.spool.targets import TargetState

HUNG = "hung"
"""Alive, and without a sign of life for HUNG_AFTER_S (seconds); who starts or recovers may be busy for longer."""
HUNG_AFTER_S = 60.0
ACTORS = ("bus", "receiver", "router", "dispatcher", "cleaner", "bookkeeper", "webgui")


def actors(spool: Spool, now: float) -> dict[str, dict[str, Any]]:
    """What each running actor last said of itself, or HUNG; held lock = alive, whatever its text says."""
    found: dict[str, dict[str, Any]] = {}
    for name in spool.fs.listdir(spool.places.run):
        stem, dot, ending = name.rpartition(".")
        if ending != "lock" or not dot or "." in stem or stem.split("-")[0] not in ACTORS:
            continue  # bus-in.ipc.lock guards a socket of the bus
        path = spool.places.run / name
        if not spool.fs.is_locked(path):
            continue
        try:
            told = json.loads(spool.fs.lock_text(path))
        except ValueError:
            told = {}
        found[stem] = {
            "state": HUNG if _hangs(told, now) else told.get("state", "starting"),
            "pid": told.get("pid"),
            "uptime_s": round(max(0.0, now - told["started"]), 1) if "started" in told else 0.0,
            "version": told.get("version", ""),
            "beat": told.get("beat"),
            "mailbox": (told.get("figures") or {}).get("mailbox"),
        }
    return found


def _hangs(told: Mapping[str, Any], now: float) -> bool:
    return told.get("state") in ("ready", "failing") and bool(told.get("beat")) and now - told["beat"] > HUNG_AFTER_S


def targets(
    spool: Spool, configured: Sequence[str], now: float, queues: Mapping[str, Mapping[str, Any]] | None = None
) -> dict[str, dict[str, Any]]:
    """Every configured target and every one that still has work, with its queue and what happened last.

    `queues`: what `spool.targets.queue` said, where it was asked already.
    """
    queues = spool.targets.queue() if queues is None else queues
    states = spool.targets.all()
    document = {}
    for name in sorted({*configured, *queues} - {SINK}):
        state, queue = states.get(name), queues.get(name, {})
        paused = state is not None and state.paused and (state.until is None or state.until > now)
        failing = state is not None and state.fails > 0
        word = "removed" if name not in configured else "paused" if paused else "failing" if failing else "up"
        document[name] = {
            "state": word,
            "waiting": queue.get("waiting", 0) + queue.get("retrying", 0),
            "sending": queue.get("sending", 0),
            "parked": queue.get("parked", 0),
            "held": queue.get("held", 0),
            "oldest_s": round(max(0.0, now - queue["oldest"]), 1) if "oldest" in queue else None,
            "fails": state.fails if state else 0,
            "last_success": state.last_success if state else None,
            "last_error": state.last_error if state else "",
            "last_error_time": state.last_error_time if state else None,
            "reason": state.reason if state and paused else "",
            "breaker": breaker(state),
        }
    return document


def breaker(state: TargetState | None) -> dict[str, Any]:
    """How the circuit breaker of a target stands: since when (UTC), when it is tried next, how many probes found nobody, why."""
    if state is None or state.breaker == "closed":
        return {"state": "closed", "since": None, "next_probe": None, "probes": 0, "why": ""}
    next_probe = state.not_before if state.breaker == "open" else None
    return {"state": state.breaker, "since": state.opened, "next_probe": next_probe, "probes": state.probes,
            "why": state.last_error}  # fmt: skip


def disk(spool: Spool, reserve_bytes: float, reserve2_bytes: float) -> dict[str, Any]:
    """Space of the file system the images lie on, against the two reserves."""
    room = spool.fs.room(spool.places.images)
    word = "ok" if room.bytes > reserve_bytes else "reserve" if room.bytes > reserve2_bytes else "full"
    return {
        "state": word, "free_bytes": room.bytes, "free_inodes": room.inodes, "reserve_bytes": int(reserve_bytes),
        "wal_bytes": spool.database.wal_bytes(), "wal_alert": spool.database.wal_bytes() > WAL_ALERT_BYTES,
    }  # fmt: skip


def node_status(
    spool: Spool, *, configured_targets: Sequence[str], needed: Mapping[str, int], reserve_bytes: float, reserve2_bytes: float,
    revision: int = 0,
) -> dict[str, Any]:  # fmt: skip
    """The whole document. `needed` names the actors that must be ready and how many of each for `ready` to be true.

    `serving` is the same whether the node is being drained or not; `draining` says since when, by whom and why, or null.
    """
    now = spool.database.clock.now()
    figures = spool.accounting.figures()
    running = actors(spool, now)
    space = disk(spool, reserve_bytes, reserve2_bytes)
    ready = dict.fromkeys(needed, 0)
    for key, actor in running.items():
        if actor["state"] == "ready" and key.split("-")[0] in ready:
            ready[key.split("-")[0]] += 1
    with spool.database.read() as connection:
        sent = connection.execute("SELECT value FROM total WHERE name = 'sent'").fetchone()[0]
        node = connection.execute("SELECT value FROM meta WHERE key = 'node'").fetchone()[0]
    drain, queues = spool.draining.state(), spool.targets.queue()
    oldest = min(
        (queue["oldest_waiting"] for queue in queues.values() if queue["oldest_waiting"] is not None), default=None
    )
    serving = all(ready[name] >= count for name, count in needed.items()) and space["state"] == "ok"
    return {
        "ready": serving and drain is None,
        "serving": serving,
        "draining": None if drain is None else {"since": drain.since, "by": drain.by, "reason": drain.reason},
        "node": node,
        "time": now,
        "revision": revision,
        "actors": running,
        "images": {
            "received": figures.received,
            "duplicates": figures.duplicates,
            "refused": figures.refused,
            **figures.images,
        },
        "sent": int(sent),
        "arrivals": figures.arrivals,
        "deliveries": figures.deliveries,
        "oldest_waiting_s": round(max(0.0, now - oldest), 1) if oldest is not None else None,
        "targets": targets(spool, configured_targets, now, queues),
        "disk": space,
        "outbox": {"head": spool.outbox.head().seq, "bookkeeper_behind": spool.outbox.backlog("bookkeeper")},
    }
