"""The sockets: the only home of ZeroMQ in actors and tools; lanes.py says which exist and with which options.
It must never block on a send, cancel a receive or be touched by two threads, and nothing in it may be needed for correctness.

Every socket sits in the poll of its owner, senders too: libzmq attaches and re-subscribes peers inside the calls of the
thread that owns the socket, so an unpolled one comes back deaf after its peer restarted.
"""

from __future__ import annotations

import fcntl
import math
import os
import threading
import uuid
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import zmq

from protocol.clock import Clock, SystemClock
from protocol.errors import DecodeError, WireError
from protocol.wire import lanes
from protocol.wire.codec import MAX_BYTES, pack, unpack_map
from protocol.wire.lanes import ARRIVALS, BUS_IN, BUS_OUT, LANES, OFFERS, REPLAY
from protocol.wire.messages import Envelope, Event, envelope
from protocol.wire.nudges import Bell, Complaints, NoWire, Nudge, Wire
from protocol.wire.topics import WELCOME, topic

__all__ = ["HubWire", "NoWire", "Nudge", "Station", "Wire", "connect_wire"]

PROTOCOL = 1  # version of frames and kinds, said in the welcome
DRAIN = 10_000  # messages taken from one socket per wait: bounds memory, the rest comes next time
QUEUE = 10_000  # what other threads may leave until the owner looks; more is dropped, as a full socket would
OFFERS_AT_ONCE = 64
COMMITTED, EVENT, ARRIVED, OFFER, FETCH, RECORDS = b"committed", b"event", b"arrived", b"offer", b"fetch", b"records"

Frames = list[bytes]
_contexts: dict[int, tuple[zmq.Context[zmq.Socket[bytes]], int]] = {}  # by process: an inherited context is deaf
_contexts_lock = threading.Lock()


def _borrow_context() -> zmq.Context[zmq.Socket[bytes]]:
    with _contexts_lock:
        context, users = _contexts.get(os.getpid()) or (zmq.Context(), 0)
        if not users:
            context.setsockopt(zmq.LINGER, 0)  # the default of for ever hangs an exit while a peer is away
        _contexts[os.getpid()] = (context, users + 1)
        return context


def _return_context() -> None:
    with _contexts_lock:
        context, users = _contexts[os.getpid()]
        if users > 1:
            _contexts[os.getpid()] = (context, users - 1)
            return
        del _contexts[os.getpid()]
    context.term()  # waits for what lingers, at most the linger of its sockets


class Station:
    """The sockets of one thread: opens lanes, polls them together with a bell, drains, sends without blocking."""

    def __init__(self, endpoints: Mapping[str, str]) -> None:
        self.bell = Bell()
        self._endpoints = endpoints
        self._sockets: dict[str, zmq.Socket[bytes]] = {}
        self._admit: Callable[[bytes], list[bytes]] = lambda prefix: []
        self._locks: list[int] = []
        self._returned = False
        self._context = _borrow_context()
        self._poller = zmq.Poller()
        self._poller.register(self.bell.fd, zmq.POLLIN)

    def open(
        self, name: str, *, bind: bool, subscribe: Sequence[str] = (), welcome: bytes = b"",
        admit: Callable[[bytes], list[bytes]] = lanes.may_subscribe,
    ) -> None:  # fmt: skip
        """Open one side of a lane. Raises WireError if the address cannot be used or somebody else has bound it."""
        lane, endpoint = LANES[name], self._endpoints[name]
        lanes.check(endpoint, lane.setting)
        socket = self._context.socket(getattr(zmq, lane.binder if bind else lane.connector))
        self._sockets[name], self._admit = socket, admit
        try:
            for option, value in lanes.options(lane, bind=bind, endpoint=endpoint).items():
                socket.setsockopt(getattr(zmq, option), value)
            if welcome:
                socket.setsockopt(zmq.XPUB_WELCOME_MSG, welcome)
            for prefix in subscribe:
                socket.setsockopt(zmq.SUBSCRIBE, prefix.encode())
            lanes.prepare(endpoint)
            if bind:
                self._take(name, endpoint)
                socket.bind(endpoint)
            else:
                socket.connect(endpoint)
        except (zmq.ZMQError, OSError) as exc:
            raise WireError(f"cannot open lane {name} at {endpoint}: {exc}") from exc
        self._poller.register(socket, zmq.POLLIN)

    def _take(self, name: str, endpoint: str) -> None:
        # A second bind of the same ipc path succeeds in silence and leaves the first deaf for ever.
        if not endpoint.startswith("ipc://"):
            return
        fd = os.open(endpoint.removeprefix("ipc://") + ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        self._locks.append(fd)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise WireError(f"lane {name} is already bound by another process ({endpoint})") from exc

    def poll(self, timeout_s: float) -> tuple[list[tuple[str, Frames]], bool]:
        """Wait at most `timeout_s`; every message that is there as (lane, frames), and whether the bell rang."""
        ready = dict(self._poller.poll(max(0, math.ceil(timeout_s * 1000))))
        rung = self.bell.fd in ready
        if rung:
            self.bell.clear()
        messages: list[tuple[str, Frames]] = []
        for name, socket in self._sockets.items():
            if socket in ready:
                messages += [(name, frames) for frames in self._drain(socket)]
        return messages, rung

    def _drain(self, socket: zmq.Socket[bytes]) -> list[Frames]:
        taken: list[Frames] = []
        while len(taken) < DRAIN:
            try:
                frames = socket.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                break
            if socket.type == zmq.XPUB:
                self._subscription(socket, frames)
            taken.append(frames)
        return taken

    def _subscription(self, socket: zmq.Socket[bytes], frames: Frames) -> None:
        # Must follow its receive at once: libzmq applies it to the peer whose frame was read last.
        if len(frames) == 1 and frames[0][:1] in (b"\x00", b"\x01"):
            option = zmq.SUBSCRIBE if frames[0][:1] == b"\x01" else zmq.UNSUBSCRIBE
            for prefix in self._admit(frames[0][1:]):
                socket.setsockopt(option, prefix)

    def send(self, name: str, frames: Frames) -> bool:
        """Send if it can be done at once; False if the message was dropped (no peer, queue full, peer gone)."""
        socket = self._sockets.get(name)
        if socket is None or socket.type in (zmq.PULL, zmq.SUB):  # not a lane on which we speak
            return False
        try:
            socket.send_multipart(frames, zmq.DONTWAIT)
        except zmq.Again:
            return False
        except zmq.ZMQError as exc:
            if exc.errno == zmq.EHOSTUNREACH:  # the ROUTER's peer went away
                return False
            raise WireError(f"cannot send on lane {name}: {exc}") from exc
        return True

    def close(self) -> None:
        """Close everything; what waits for the bus gets its linger, the rest is dropped."""
        sockets, self._sockets = self._sockets, {}
        for name, socket in sockets.items():
            socket.close(LANES[name].linger_ms)
        self.bell.close()
        if not self._returned:
            self._returned = True
            _return_context()
        while self._locks:
            os.close(self._locks.pop())  # last: nobody may bind before we are gone


class SocketWire:
    """Wire over real sockets. Threads other than the owner only append to a queue and ring the bell."""

    def __init__(self, actor: str, settings: lanes.Places, source: str, clock: Clock) -> None:
        self._source, self._clock = source, clock
        self._thread = threading.get_ident()
        self._queue: deque[tuple[str, Frames]] = deque(maxlen=QUEUE)
        self._pending: deque[Nudge] = deque(maxlen=QUEUE)  # what a wire tells itself (the bus's own heartbeat)
        self._commit_waits = self._woken = self._closed = False
        self._complaints, self._dropped = Complaints(), 0
        self._station = Station(lanes.endpoints(settings))
        try:
            self._open(lanes.ROLES.get(actor, lanes.ANYBODY))
        except BaseException:
            self._station.close()
            raise

    def _open(self, role: lanes.Role) -> None:
        for name in role.bind:
            self._station.open(name, bind=True)
        for name in role.connect:
            self._station.open(name, bind=False)
        if role.subscribe:
            self._station.open(BUS_OUT, bind=False, subscribe=role.subscribe)

    def wait(self, timeout_s: float) -> list[Nudge]:
        if threading.get_ident() != self._thread:
            raise WireError("wait() belongs to the thread that connected")
        if self._closed:
            return []
        real = SystemClock()  # sockets wait in real time, whatever clock the actor lives by
        end = real.monotonic() + timeout_s
        while True:
            messages, _ = self._station.poll(0 if self._pending or self._woken else end - real.monotonic())
            self._flush()  # whoever queued something rang the bell
            nudges = [self._pending.popleft() for _ in range(len(self._pending))]
            nudges += [nudge for name, frames in messages if (nudge := self._read(name, frames))]
            if self._woken:
                self._woken = False
                nudges.append(Nudge("wake"))
            if nudges or real.monotonic() >= end:
                return nudges

    def _read(self, name: str, frames: Frames) -> Nudge | None:
        try:
            return self._nudge(name, frames)
        except DecodeError as exc:
            self._complaints.add("undecodable", f"lane {name}: {str(exc)[:100]}")
            return None

    def _nudge(self, name: str, frames: Frames) -> Nudge | None:
        kinds = {ARRIVALS: ARRIVED, OFFERS: OFFER}
        if name == BUS_OUT and len(frames) == 1 and frames[0].startswith(WELCOME.encode()):
            return None
        if len(frames) != 2:
            return self._unknown(name, f"{len(frames)} frames")
        if name == BUS_OUT:
            return Nudge("events", unpack_map(frames[1]))
        if frames[0] != kinds.get(name):
            return self._unknown(name, f"kind {ascii(frames[0][:40])}")
        return Nudge(name, unpack_map(frames[1]))

    def _unknown(self, name: str, why: str) -> Nudge | None:
        self._complaints.add("unknown", f"lane {name}: {why}")
        return None

    def _post(self, name: str, kind: bytes, body: Mapping[str, Any]) -> bool:
        """False if it certainly went nowhere; never raises for the content, since callers have committed already."""
        if self._closed:
            return False
        try:
            frames = [kind, pack(dict(body))]
        except (TypeError, ValueError, OverflowError) as exc:
            self._complaints.add("unsendable", f"lane {name}: {exc}")
            return False
        if len(frames[1]) > MAX_BYTES:
            self._complaints.add("unsendable", f"lane {name}: {len(frames[1])} bytes")
            return False
        if threading.get_ident() == self._thread:
            self._flush()
            return self._send(name, frames)
        self._queue.append((name, frames))
        self._station.bell.ring()
        return True

    def _send(self, name: str, frames: Frames) -> bool:
        sent = self._station.send(name, frames)
        self._dropped += not sent
        return sent

    def _flush(self) -> None:
        while self._queue:
            self._send(*self._queue.popleft())
        if self._commit_waits:
            self._commit_waits = False
            self._send(BUS_IN, [COMMITTED, pack({})])

    def arrived(self, arrival: int, data: Mapping[str, Any] = {}) -> None:
        self._post(ARRIVALS, ARRIVED, {**data, "arrival": arrival})

    def offer(self, count: int, data: Mapping[str, Any] = {}) -> None:
        for _ in range(min(count, OFFERS_AT_ONCE)):
            if not self._post(OFFERS, OFFER, data):
                return

    def committed(self) -> None:
        if threading.get_ident() == self._thread:
            self._post(BUS_IN, COMMITTED, {})
        elif not self._closed:
            self._commit_waits = True  # one nudge stands for all commits until the owner looks
            self._station.bell.ring()

    def publish(self, event: Event) -> None:
        self._post(BUS_IN, EVENT, envelope(event, source=self._source, time=self._clock.now()).to_map())

    def wake(self) -> None:
        self._woken = True
        self._station.bell.ring()

    def figures(self) -> dict[str, float]:
        counts = {f"wire_{what}": float(number) for what, number in self._complaints.counts.items()}
        return {"wire_dropped": float(self._dropped), **counts}

    def close(self) -> None:
        if not self._closed:
            self._flush()
            self._closed = True
            self._station.close()


class HubWire(SocketWire):
    """The bus actor's own wire: nudges `commits`, `status`, `subscribed`, `fetch`; sends to all, answers one."""

    def __init__(self, settings: lanes.Places, source: str, clock: Clock) -> None:
        self.bus_id = uuid.uuid4().hex
        super().__init__("bus", settings, source, clock)

    def _open(self, role: lanes.Role) -> None:
        self._station.open(BUS_IN, bind=True)
        self._station.open(BUS_OUT, bind=True, welcome=f"{WELCOME}{self.bus_id}.{PROTOCOL}.".encode())
        self._station.open(REPLAY, bind=True)

    def _nudge(self, name: str, frames: Frames) -> Nudge | None:
        if name == BUS_OUT:
            return self._subscription(frames)
        if name == REPLAY and len(frames) == 3 and frames[1] == FETCH:
            return Nudge("fetch", {"peer": frames[0], "request": unpack_map(frames[2])})
        if name == BUS_IN and len(frames) == 2 and frames[0] == COMMITTED:
            return Nudge("commits")
        if name == BUS_IN and len(frames) == 2 and frames[0] == EVENT:
            return Nudge("status", unpack_map(frames[1]))
        return self._unknown(name, f"{len(frames)} frames, kind {ascii(frames[-2:-1])[:40]}")

    def _subscription(self, frames: Frames) -> Nudge | None:
        if len(frames) != 1 or frames[0][:1] not in (b"\x00", b"\x01"):
            return self._unknown(BUS_OUT, "a subscriber tried to send")
        granted = lanes.may_subscribe(frames[0][1:])
        if not granted:
            self._complaints.add("refused", f"subscription to {ascii(frames[0][1:41])}")
        if frames[0][:1] == b"\x00" or not granted:
            return None
        return Nudge("subscribed", {"prefixes": [prefix.decode("utf-8", "replace") for prefix in granted]})

    def broadcast(self, message: Envelope) -> None:
        """Send to every subscriber; who is slow loses it and fetches. Raises WireError for an illegal type."""
        self._station.send(BUS_OUT, [topic(message).encode(), pack(message.to_map())])

    def answer(self, peer: bytes, reply: Mapping[str, Any]) -> None:
        """Reply to one FETCH; dropped if the peer went away or does not read."""
        self._dropped += not self._station.send(REPLAY, [peer, RECORDS, pack(dict(reply))])

    def committed(self) -> None:
        self._tell_self(Nudge("commits"))

    def publish(self, event: Event) -> None:
        self._tell_self(Nudge("status", envelope(event, source=self._source, time=self._clock.now()).to_map()))

    def _tell_self(self, nudge: Nudge) -> None:
        self._pending.append(nudge)
        self._station.bell.ring()


def connect_wire(
    actor: str, instance: str, settings: lanes.Places, source: str = "", clock: Clock | None = None
) -> SocketWire | HubWire:
    """Open the lanes of an actor (lanes.ROLES). Call it after the actor's lock is held, in the thread that will wait.

    `source` is who speaks, `/node/actor/instance`. Raises WireError, or SettingsError for an address that is refused.
    """
    name = source or f"/local/{actor}/{instance}"
    if actor == "bus":
        return HubWire(settings, name, clock or SystemClock())
    return SocketWire(actor, settings, name, clock or SystemClock())
