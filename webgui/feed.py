"""Listens to the bus so that the page looks at the node sooner. It must not carry figures: a lost message costs
nothing, and without the bus the page is only up to a second later.

The only other home of ZeroMQ beside protocol/wire/bus.py: its asyncio twin for one SUB socket.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable

import zmq
import zmq.asyncio

from protocol.errors import ConfigurationError
from protocol.settings import Settings
from protocol.wire import lanes

TOPIC = b"ev."
REST_S = 0.2
"""After a wake-up the rest of the burst is thrown away in one go: one look stands for all of it."""

log = logging.getLogger(__name__)


async def listen(settings: Settings, poke: Callable[[], None]) -> AsyncIterator[None]:
    """Call `poke` soon after every durable event, for as long as the application runs (an aiohttp cleanup context)."""
    if not settings.bus.enabled:
        yield
        return
    context = zmq.asyncio.Context()
    task = None
    try:
        socket = _connect(context, settings)
        task = asyncio.create_task(_wake(socket, poke))
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
    socket.setsockopt(zmq.SUBSCRIBE, TOPIC)
    socket.connect(endpoint)
    return socket


async def _wake(socket: zmq.asyncio.Socket, poke: Callable[[], None]) -> None:
    plain: zmq.Socket[bytes] = zmq.Socket.shadow(socket.underlying)
    while True:
        await socket.poll()
        _throw_away(plain)
        poke()
        await asyncio.sleep(REST_S)


def _throw_away(socket: zmq.Socket[bytes]) -> None:
    while True:
        try:
            socket.recv_multipart(zmq.DONTWAIT)
        except zmq.Again:
            return
