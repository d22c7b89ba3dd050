"""Many open dashboards, in one process: `python -m bench.viewers URL COOKIE COUNT`; says `open`, goes on until its stdin ends, and
then how many frames and pages it got. Each does what the page's scripts do: it subscribes over /ws, and fetches the map of flows again
within a second when it is told that it changed, at most once a second.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from dataclasses import dataclass, field

from aiohttp import ClientSession, ClientTimeout, ClientWebSocketResponse, CookieJar, TCPConnector, WSMsgType

TOPICS = ["summary", "programs", "attention", "images", "targets", "arrivals", "kpi", "disk", "chart"]
MARKS = ["flow"]
REST_S = 1.0


@dataclass
class Got:
    """What all viewers together received."""

    frames: int = 0
    bytes: int = 0
    pages: int = 0
    failed: int = 0
    open: asyncio.Event = field(default_factory=asyncio.Event)
    watching: int = 0


async def _watch(client: ClientSession, url: str, count: int, got: Got) -> None:
    async with client.ws_connect(f"{url}/ws", headers={"Origin": url}, max_msg_size=0) as ws:
        await ws.send_json({"op": "sub", "topics": TOPICS, "marks": MARKS, "events": True})
        first, pages = True, set[asyncio.Task[None]]()
        async for text in _texts(ws):
            got.frames, got.bytes = got.frames + 1, got.bytes + len(text)
            if first:
                first, got.watching = False, got.watching + 1
                if got.watching == count:
                    got.open.set()
            if json.loads(text)["t"] == "inv" and not pages:
                pages.add(task := asyncio.create_task(_fetch(client, url, got)))
                task.add_done_callback(pages.discard)


async def _texts(ws: ClientWebSocketResponse):  # type: ignore[no-untyped-def]
    async for message in ws:
        if message.type is WSMsgType.TEXT:
            yield message.data


async def _fetch(client: ClientSession, url: str, got: Got) -> None:
    await asyncio.sleep(REST_S * random.random())
    async with client.get(f"{url}/", headers={"Accept": "text/html", "X-Refresh": "flow"}) as answer:
        await answer.read()
        got.pages, got.failed = got.pages + (answer.status == 200), got.failed + (answer.status != 200)
    await asyncio.sleep(REST_S)


async def _end(reader: asyncio.StreamReader) -> None:
    while await reader.read(4096):
        pass


async def main() -> None:
    url, cookie, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    loop, reader, got = asyncio.get_running_loop(), asyncio.StreamReader(), Got()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    jar, connector = CookieJar(unsafe=True), TCPConnector(limit=0)
    async with ClientSession(
        cookies={"scanpost": cookie}, cookie_jar=jar, connector=connector, timeout=ClientTimeout(total=None)
    ) as client:
        watching = [asyncio.create_task(_watch(client, url, count, got)) for _ in range(count)]
        ready = asyncio.create_task(got.open.wait())
        done, _ = await asyncio.wait({ready, *watching}, timeout=60, return_when=asyncio.FIRST_COMPLETED)
        if done != {ready}:
            sys.exit(f"dashboards do not open: {[one.exception() for one in done][:1]}")
        print("open", flush=True)
        await _end(reader)
        lost = sum(task.done() for task in watching)
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
    said = {"frames": got.frames, "bytes": got.bytes, "pages": got.pages, "failed": got.failed, "lost": lost}
    print(json.dumps(said), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
