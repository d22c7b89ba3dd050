"""The lanes of the system as data: who binds, who connects, with which options, at which address.
It opens nothing and knows no sockets; option names are those of zmq_setsockopt(3), every value is set before bind or connect.

Why these values: a lost message is harmless (everybody looks at the spool once a second), a blocked or swollen process
is not. So every send is non-blocking and every queue bounded.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from protocol.errors import SettingsError
from protocol.records import record
from protocol.wire.topics import OPEN_ROOTS

ARRIVALS, OFFERS, BUS_IN, BUS_OUT, REPLAY = "arrivals", "offers", "bus-in", "bus-out", "replay"
IPC_LIMIT = 107  # bytes of a socket's path, sun_path without its end (unix(7))
MAX_MESSAGE = 1 << 20


@record
class Lane:
    """One lane: socket types of its two sides and their options. `linger_ms` counts at an orderly stop only."""

    name: str
    binder: str
    connector: str
    setting: str  # key in the section `bus` that may name another address
    bind_options: Mapping[str, int] = field(default_factory=dict)
    connect_options: Mapping[str, int] = field(default_factory=dict)
    linger_ms: int = 0


LANES: Mapping[str, Lane] = {
    lane.name: lane
    for lane in (
        # IMMEDIATE: nothing is queued for a router that is away; it finds the images by its sweep
        Lane(ARRIVALS, "PULL", "PUSH", "endpoint_arrivals", {}, {"IMMEDIATE": 1, "SNDHWM": 1000}),
        # 1/1: as little as possible waits behind a dispatcher; choice is by claim in the spool, never by message
        Lane(OFFERS, "PUSH", "PULL", "endpoint_offers", {"SNDHWM": 1, "IMMEDIATE": 1}, {"RCVHWM": 1}),
        Lane(BUS_IN, "PULL", "PUSH", "endpoint_in", {"RCVHWM": 100_000}, {"SNDHWM": 10_000}, linger_ms=500),
        # about 6 MB per slow subscriber, then it alone loses; never XPUB_NODROP, with which one slow tap starves all
        Lane(BUS_OUT, "XPUB", "SUB", "endpoint_out", {"SNDHWM": 20_000, "XPUB_MANUAL": 1}, {"RCVHWM": 20_000}),
        # credit of one: a peer gets its next records after it asked again
        Lane(REPLAY, "ROUTER", "DEALER", "endpoint_replay", {"ROUTER_MANDATORY": 1, "SNDHWM": 4}, {"SNDHWM": 4}),
    )
}
ON_BIND = {"MAXMSGSIZE": MAX_MESSAGE, "BACKLOG": 1024}
ON_TCP = {
    "HEARTBEAT_IVL": 5000, "HEARTBEAT_TIMEOUT": 15_000, "HEARTBEAT_TTL": 20_000, "HANDSHAKE_IVL": 5000,
    "TCP_KEEPALIVE": 1, "TCP_KEEPALIVE_IDLE": 30, "TCP_KEEPALIVE_INTVL": 10, "TCP_KEEPALIVE_CNT": 3,
    "RECONNECT_IVL": 100, "RECONNECT_IVL_MAX": 5000,
}  # fmt: skip


@record
class Role:
    """Which lanes an actor binds and connects, and the topic prefixes that wake it."""

    bind: tuple[str, ...] = ()
    connect: tuple[str, ...] = (BUS_IN,)
    subscribe: tuple[str, ...] = ()


ROLES: Mapping[str, Role] = {
    "bus": Role(bind=(BUS_IN, BUS_OUT, REPLAY), connect=()),
    "receiver": Role(connect=(ARRIVALS, BUS_IN)),
    "router": Role(bind=(ARRIVALS, OFFERS), subscribe=("ev.command.asked.",)),
    "dispatcher": Role(connect=(OFFERS, BUS_IN), subscribe=("ev.command.asked.", "ev.target.", "ev.config.")),
    "bookkeeper": Role(subscribe=("sys.news.",)),  # each event would cost it as much again as to write it down
}
ANYBODY = Role()  # cleaner, webgui, command line: only tell the bus


def options(lane: Lane, *, bind: bool, endpoint: str) -> dict[str, int]:
    """Every option of one side of a lane, for this address."""
    own = lane.bind_options if bind else lane.connect_options
    return {**(ON_BIND if bind else {}), **(ON_TCP if endpoint.startswith("tcp://") else {}), **own}


class Places(Protocol):
    """What lanes need of the settings (protocol.settings.Settings)."""

    @property
    def bus(self) -> Any: ...

    def socket(self, name: str) -> Path: ...


def endpoints(settings: Places) -> dict[str, str]:
    """Address of each lane: as the section `bus` says, else a unix socket of this node.

    Raises SettingsError for an address that is neither ipc nor tcp on this machine (see `check`).
    """
    found = {}
    for lane in LANES.values():
        endpoint = getattr(settings.bus, lane.setting) or f"ipc://{settings.socket(f'{lane.name}.ipc')}"
        check(endpoint, lane.setting)
        found[lane.name] = endpoint
    return found


def check(endpoint: str, setting: str = "endpoint") -> None:
    """Refuse what must not be opened. Raises SettingsError with place and cure.

    tcp beyond loopback waits for CURVE keys: without them anybody on the network could read and write the bus.
    """
    where = f"bus.{setting}"
    if endpoint.startswith("ipc://"):
        path = endpoint.removeprefix("ipc://")
        if len(os.fsencode(path)) > IPC_LIMIT:
            raise SettingsError(f"socket path longer than {IPC_LIMIT} bytes: {path}", where, "Choose a shorter path")
        return
    if not endpoint.startswith("tcp://"):
        raise SettingsError(f"cannot use {endpoint!r}", where, "Use ipc://PATH or tcp://127.0.0.1:PORT")
    host = urlsplit(endpoint).hostname or ""
    if host not in ("localhost", "::1") and not _is_loopback(host):
        raise SettingsError(
            f"{endpoint} reaches beyond this machine, which needs keys (CURVE)", where, "Use ipc or 127.0.0.1"
        )


def may_subscribe(prefix: bytes) -> list[bytes]:
    """What a subscription to `prefix` is granted: itself under an open root; everything means every open root."""
    roots = [f"{root}.".encode() for root in OPEN_ROOTS]
    if prefix == b"":
        return roots
    return [prefix] if any(prefix.startswith(root) for root in roots) else []


def prepare(endpoint: str) -> None:
    """Make the folder of an ipc address, closed to other users (libzmq gives sockets the mode of the umask)."""
    if endpoint.startswith("ipc://"):
        Path(endpoint.removeprefix("ipc://")).parent.mkdir(mode=0o750, parents=True, exist_ok=True)


def _is_loopback(host: str) -> bool:
    parts = host.split(".")
    return len(parts) == 4 and parts[0] == "127" and all(part.isdigit() and int(part) < 256 for part in parts)
