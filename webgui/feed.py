"""Listens to the bus so that the page looks at the node sooner, and for how far sends are. It must not carry figures of the
node: a lost message costs nothing, and without the bus the page is only up to a second later, without moving bars.

The only other home of ZeroMQ beside protocol/wire/bus.py: its asyncio twin for one SUB socket.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable

import zmq
import zmq.asyncio

from protocol.errors import ConfigurationError, WireError
from protocol.settings import Settings
from protocol.wire import lanes
from protocol.wire.codec import unpack_map
from protocol.wire.messages import Envelope

TOPIC, PROGRESS = b"sys.news.", b"tmp.delivery.progress."
REST_S = 0.2
"""After a wake-up the rest of the burst is thrown away in one go: one look stands for all of it."""

log = logging.getLogger(__name__)


Hear = Callable[[int, int, int], None]


async def listen(settings: Settings, poke: Callable[[], None], hear: Hear) -> AsyncIterator[None]:
    """Call `poke` soon after every durable event, and `hear(delivery, sent, total)` for what dispatchers say of their sends,
    for as long as the application runs (an aiohttp cleanup context).
    """
    if not settings.bus.enabled:
        yield
        return
    context = zmq.asyncio.Context()
    task = None
    try:
        socket = _connect(context, settings)
        task = asyncio.create_task(_wake(socket, poke, hear))
    except (zmq.ZMQError, ConfigurationError) as exc:
        log.warning("no bus: %s", exc, extra={"action": "bus_not_used"})
    yield
    if task is not None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    context.destroy(linger=0)


def _connect(context: zmq.asyncio.Context, settings: Settings) -> zmq.asyncio.Socket:
    lane, endpoint = lanes.LANES[lanes.BUS_OUT], lanes.endpoints(settings)[lanes.BUS_OUT]
    socket = context.socket(zmq.SUB)
    for option, value in lanes.options(lane, bind=False, endpoint=endpoint).items():
        socket.setsockopt(getattr(zmq, option), value)
    for topic in (TOPIC, PROGRESS):
        socket.setsockopt(zmq.SUBSCRIBE, topic)
    socket.connect(endpoint)
    return socket


async def _wake(socket: zmq.asyncio.Socket, poke: Callable[[], None], hear: Hear) -> None:
    plain: zmq.Socket[bytes] = zmq.Socket.shadow(socket.underlying)
    while True:
        await socket.poll()
        if _take(plain, hear):
            poke()
        await asyncio.sleep(REST_S)


def _take(socket: zmq.Socket[bytes], hear: Hear) -> bool:
    """All that is there; whether anything was recorded."""
    recorded = False
    while True:
        try:
            frames = socket.recv_multipart(zmq.DONTWAIT)
        except zmq.Again:
            return recorded
        if frames[0].startswith(PROGRESS):
            pass_on(frames, hear)
        else:
            recorded = True


def pass_on(frames: list[bytes], hear: Hear) -> None:
    """One word about a send; what cannot be read is nothing."""
    try:
        told = Envelope.from_map(unpack_map(frames[1])).data
        hear(int(told["delivery"]), int(told["sent"]), int(told["total"]))
    except (WireError, IndexError, KeyError, TypeError, ValueError):
        log.debug("odd progress", extra={"action": "progress_not_read"})
