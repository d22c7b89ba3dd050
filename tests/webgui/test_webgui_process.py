"""The process: it serves, says so, stops in order; and the bus only makes it look sooner."""

import asyncio
import fcntl
import json
import os
import signal
import sys

import aiohttp
import pytest

from protocol.settings import load_settings
from protocol.wire import lanes
from protocol.wire.bus import Station
from protocol.wire.codec import pack
from protocol.wire.events import DeliveryProgress
from protocol.wire.messages import envelope
from webgui import feed


class Process:
    """`python -m webgui` on a home and port of its own."""

    def __init__(self, home, **variables):
        clean = {key: value for key, value in os.environ.items() if not key.startswith("SCANPOST_")}
        self.environ = clean | {"SCANPOST_HOME": str(home), "SCANPOST_WEBGUI__PORT": "0"} | variables

    async def __aenter__(self):
        pipe = asyncio.subprocess.PIPE
        command = (sys.executable, "-m", "webgui")
        self.child = await asyncio.create_subprocess_exec(*command, env=self.environ, stdout=pipe, stderr=pipe)
        return self

    async def __aexit__(self, *exc):
        if self.child.returncode is None:
            self.child.kill()
            await self.child.wait()

    async def line(self, action):
        async with asyncio.timeout(120):
            while text := await self.child.stdout.readline():
                line = json.loads(text)
                if line["action"] == action:
                    return line
        raise AssertionError((await self.child.stderr.read()).decode())

    async def stop(self):
        self.child.send_signal(signal.SIGTERM)
        async with asyncio.timeout(120):
            return await self.child.wait()


def is_locked(path):
    with open(path) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@pytest.mark.slow
async def test_the_page_is_there_before_the_spool_and_stops_in_order(tmp_path):
    async with Process(tmp_path) as process:
        url = (await process.line("ready"))["url"]
        lock = tmp_path / "run" / "webgui.lock"
        assert is_locked(lock)
        async with aiohttp.ClientSession() as browser:
            async with browser.get(f"{url}healthz") as answer:
                assert answer.status == 200
            async with browser.get(f"{url}readyz") as answer:
                assert answer.status == 503
                assert "scanpost up" in (await answer.json())["reasons"][0]
        assert await process.stop() == 0
        assert not is_locked(lock)
        assert json.loads(lock.read_text())["state"] == "stopping"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"SCANPOST_WEBGUI__HOST": "0.0.0.0"}, "without TLS"),
        ({"SCANPOST_WEBGUI__TLS__CERT": "/none.pem", "SCANPOST_WEBGUI__TLS__KEY": "/none.key"}, "webgui.tls.cert"),
    ],
)
async def test_settings_that_cannot_be_used_are_one_line_and_exit_78(tmp_path, variables, words):
    async with Process(tmp_path, **variables) as process, asyncio.timeout(120):
        _, complaint = await process.child.communicate()
        assert process.child.returncode == 78
        assert words in complaint.decode()
        assert complaint.count(b"\n") == 1


async def test_an_event_on_the_bus_makes_the_page_look(tmp_path):
    settings = load_settings(home=tmp_path, environ={})
    said = envelope(DeliveryProgress(5, 7, "pacs", 20, 200), source="/n/d/0", time=1.0)
    poked, heard = asyncio.Event(), []
    station = Station(lanes.endpoints(settings))
    try:
        station.open(lanes.BUS_OUT, bind=True)
        context = feed.listen(settings, poked.set, lambda *told: heard.append(told))
        await anext(context)
        async with asyncio.timeout(120):
            while not (poked.is_set() and heard):
                station.poll(0)
                station.send(lanes.BUS_OUT, [b"sys.news.", b""])
                station.send(lanes.BUS_OUT, [b"tmp.delivery.progress.pacs.", pack(said.to_map())])
                await asyncio.sleep(0.01)
        await anext(context, None)
        assert set(heard) == {(5, 20, 200)}
    finally:
        station.close()


async def test_without_bus_nothing_is_opened(tmp_path):
    settings = load_settings(home=tmp_path, environ={"SCANPOST_BUS__ENABLED": "false"})
    context = feed.listen(settings, lambda: None, lambda *_: None)
    await anext(context)
    await anext(context, None)
    assert not (tmp_path / "run").exists()
