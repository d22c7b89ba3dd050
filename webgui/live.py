"""The websocket /ws: JSON text frames to one viewer, subscriptions from it. It must not read the node (hub.py does).

C> {"op":"sub","topics":["kpi","targets"],      send rows of these, beginning with snapshots
    "marks":["queue","series:7"],                say when what these show changed,
    "since":8812,                                beginning with what changed since the page was made
    "events":true}                               tell what people should know
C> {"op":"pause"}                                the page is hidden: send nothing but heartbeats
S> {"t":"snap","topic":"kpi","seq":8,"d":{key:{field:value}}}
S> {"t":"d","topic":"kpi","seq":9,"d":{key:{changed field:value}, gone key:null}}
S> {"t":"inv","topic":"queue","seq":9}           fetch what shows this again; at most once a second
S> {"t":"event","id":99,"sev":"bad","text":"...","href":"/targets/ai7"}
S> {"t":"hb","seq":9} | {"t":"resync"} (snapshots follow) | {"t":"bye","code":4401,"reason":"..."}
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web

from webgui import auth
from webgui.hub import Hub
from webgui.keys import CONFIG, HUB
from webgui.viewer import Viewer
from webgui.viewing import zone_of

SESSION_ENDED = 4401
SEND_LIMIT_S = 10.0
"""A viewer that takes no frame for so long is let go; its page connects again."""
MAX_SOCKETS = 500

SOCKETS: web.AppKey[set[web.WebSocketResponse]] = web.AppKey("sockets", set)


async def socket(request: web.Request) -> web.WebSocketResponse:
    """Serve one live page until it leaves, its session ends, or we stop."""
    sockets, hub = request.app[SOCKETS], request.app[HUB]
    if len(sockets) >= MAX_SOCKETS:
        raise web.HTTPServiceUnavailable(text="Too many live pages are open.")
    ws = web.WebSocketResponse(heartbeat=20, max_msg_size=4096, compress=False)  # deflate would be paid for each viewer
    if not ws.can_prepare(request).ok:
        raise web.HTTPBadRequest(text="This address speaks websocket only.")
    await ws.prepare(request)
    sockets.add(ws)
    viewer = hub.join(zone_of(request))
    writer = asyncio.create_task(_write(request, ws, viewer))
    try:
        async for message in ws:
            if message.type is WSMsgType.TEXT:
                _hear(hub, viewer, message.data)
                if viewer.watching:
                    hub.look()
    finally:
        hub.leave(viewer)
        sockets.discard(ws)
        writer.cancel()
        await asyncio.gather(writer, return_exceptions=True)
    return ws


def _hear(hub: Hub, viewer: Viewer, text: str) -> None:
    """Obey a frame of the page; what is not understood is ignored, as newer pages may say more."""
    try:
        frame = json.loads(text)
        operation, names, marks = frame.get("op"), frame.get("topics", []), frame.get("marks", [])
        since = frame.get("since")
    except (ValueError, AttributeError, RecursionError):
        return
    if operation == "sub" and isinstance(names, list) and isinstance(marks, list):
        wanted = _names(marks)
        viewer.subscribe(_names(names), wanted, tell=frame.get("events") is True)
        if isinstance(since, int):
            viewer.offer(hub.missed(wanted, since))
    elif operation == "pause":
        viewer.subscribe(frozenset())


def _names(given: list[Any]) -> frozenset[str]:
    return frozenset(name for name in given if isinstance(name, str))


async def _write(request: web.Request, ws: web.WebSocketResponse, viewer: Viewer) -> None:
    hub, config = request.app[HUB], request.app[CONFIG]
    loop = asyncio.get_running_loop()
    await hub.fresh()
    check_at = loop.time() + config.session_check_s
    try:
        while not ws.closed:
            texts = await _next(hub, viewer, config.heartbeat_s)
            if loop.time() >= check_at:
                check_at = loop.time() + config.session_check_s
                if await auth.find_session(request, touch=False) is None:
                    await _say_goodbye(ws)
                    return
            async with asyncio.timeout(SEND_LIMIT_S):
                for text in texts:
                    await ws.send_str(text)
    except (TimeoutError, ConnectionError):
        await ws.close(code=WSCloseCode.TRY_AGAIN_LATER, drain=False)


async def _next(hub: Hub, viewer: Viewer, heartbeat_s: float) -> list[str]:
    """Frames as soon as there are some, else a heartbeat."""
    try:
        await asyncio.wait_for(viewer.wake.wait(), heartbeat_s)
    except TimeoutError:
        pass
    return viewer.take(hub.snapshot) or [f'{{"t":"hb","seq":{hub.seq}}}']


async def _say_goodbye(ws: web.WebSocketResponse) -> None:
    await ws.send_json({"t": "bye", "code": SESSION_ENDED, "reason": "session ended"})
    await ws.close(code=SESSION_ENDED, message=b"session ended")


async def close_all(app: web.Application) -> None:
    """On shutdown: pages connect again by themselves."""
    closing = [ws.close(code=WSCloseCode.GOING_AWAY, message=b"restarting") for ws in app[SOCKETS].copy()]
    await asyncio.gather(*closing, return_exceptions=True)
