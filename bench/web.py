"""The web interface as a process of its own over a spool and a ledger, and somebody who asks it. It must not judge time."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError

from aiohttp import ClientSession, CookieJar

from bench import peers
from protocol.accounts import Accounts
from protocol.clock import SystemClock

START_S = 30.0
USER = "bench"


@dataclass(frozen=True)
class Web:
    """A page that serves, and the session of an administrator there."""

    url: str
    session: str
    pid: int

    def client(self) -> ClientSession:
        """A browser that is logged in."""
        return ClientSession(cookies={"scanpost": self.session}, cookie_jar=CookieJar(unsafe=True),
                             headers={"Origin": self.url})  # fmt: skip


@contextmanager
def serving(home: Path, variables: Mapping[str, str]) -> Iterator[Web]:
    """`python -m webgui` until it answers, and until the `with` ends. `variables` are settings as environment variables."""
    accounts = Accounts(home / "accounts.sqlite3", SystemClock())
    if accounts.find_user(USER) is None:
        accounts.add_user(USER, "admin", "a password for the bench")
    session = accounts.open_session(USER, "127.0.0.1")
    accounts.close()
    port = peers.free_port()
    environment = {**peers.receiver_environment(home, peers.free_port(), "fsync"), "SCANPOST_WEBGUI__PORT": str(port),
                   "SCANPOST_WEBGUI__HOST": "127.0.0.1", **variables}  # fmt: skip
    process = subprocess.Popen([sys.executable, "-m", "webgui"], env=environment, stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    try:
        _until_there(url, process)
        yield Web(url, session, process.pid)
    finally:
        process.terminate()
        process.wait(20)


def _until_there(url: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + START_S
    while True:
        try:
            with urllib.request.urlopen(f"{url}/healthz", timeout=5):
                return
        except (URLError, OSError) as exc:
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError("the web interface does not answer") from exc
            time.sleep(0.05)


async def time_of(client: ClientSession, url: str, path: str) -> float:
    """Milliseconds until the whole answer is there. Raises ClientResponseError if it is none."""
    begun = time.perf_counter()
    async with client.get(url + path, headers={"Accept": "text/html"}) as answer:
        answer.raise_for_status()
        await answer.read()
    return 1000 * (time.perf_counter() - begun)


async def beginning_of(client: ClientSession, url: str, path: str) -> float:
    """Milliseconds until a long answer begins."""
    begun = time.perf_counter()
    async with client.get(url + path) as answer:
        answer.raise_for_status()
        await answer.content.readany()
        took = 1000 * (time.perf_counter() - begun)
        async for _ in answer.content.iter_any():  # what is broken off would still be worked on beside the next
            pass
    return took


async def snapshot_of(client: ClientSession, url: str) -> float:
    """Milliseconds from connecting the live page until its first snapshot is there."""
    begun = time.perf_counter()
    async with client.ws_connect(url + "/ws") as socket:
        await socket.send_str(json.dumps({"op": "sub", "topics": ["kpi", "targets", "actors"], "marks": ["queue"]}))
        async for message in socket:
            if json.loads(message.data)["t"] == "snap":
                break
    return 1000 * (time.perf_counter() - begun)
