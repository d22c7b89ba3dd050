"""The layout holds: arrows, no circles, one home for each library, nothing forbidden, no file too long."""

from __future__ import annotations

from pathlib import Path

import pytest

import tests.layers as layers
from tests.layers import Source, arrow_breaches, circles, forbidden, home_breaches, source, too_long

TOP = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def product() -> list[Source]:
    return layers.read(TOP)


def test_all_packages_are_read(product: list[Source]) -> None:
    assert {one.package for one in product} == set(layers.PACKAGES)
    assert len(product) > 50


def test_arrows_point_one_way(product: list[Source]) -> None:
    assert [breach for one in product for breach in arrow_breaches(one)] == []


def test_no_module_imports_itself_in_a_circle(product: list[Source]) -> None:
    assert circles(product) == []


def test_each_library_has_one_home(product: list[Source]) -> None:
    assert [breach for one in product for breach in home_breaches(one)] == []


def test_nothing_forbidden_is_used(product: list[Source]) -> None:
    assert [breach for one in product for breach in forbidden(one)] == []


def test_files_stay_short(product: list[Source]) -> None:
    assert [breach for one in product for breach in too_long(one)] == []


# The test of the test: each rule catches what it is for, and only that.


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ("protocol/x.py", "import actors.base"),
        ("protocol/x.py", "def f():\n    from webgui import app"),
        ("actors/x.py", "if TYPE_CHECKING:\n    from webgui.app import App"),
        ("webgui/x.py", "from actors import base"),
        ("scanpost/x.py", "from actors.dicom import tools"),
        ("scanpost/x.py", "try:\n    import webgui\nexcept ImportError:\n    webgui = None"),
        ("actors/x.py", "from . import base"),
    ],
)
def test_an_import_against_the_arrows_is_caught(place: str, text: str) -> None:
    assert len(arrow_breaches(source(place, text))) == 1


def test_imports_along_the_arrows_pass() -> None:
    assert arrow_breaches(source("scanpost/x.py", "def f():\n    from actors.dicom import tools")) == []
    assert arrow_breaches(source("actors/x.py", "from protocol.clock import Clock\nimport actors.base")) == []


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ("protocol/wire/bus.py", "import msgpack"),
        ("actors/bus.py", "def f():\n    import zmq.asyncio"),
        ("actors/cleaner/actor.py", "import sqlite3"),
        ("webgui/x.py", "from sqlalchemy.engine import Engine"),
        ("actors/receiver/actor.py", "from pynetdicom import AE"),
        ("actors/x.py", "from aiohttp import web"),
        ("scanpost/x.py", "import aiohttp.web_app\nimport aiohttp.web"),
    ],
)
def test_a_library_away_from_home_is_caught(place: str, text: str) -> None:
    assert len(home_breaches(source(place, text))) == 1


def test_a_library_at_home_passes() -> None:
    assert home_breaches(source("protocol/wire/codec.py", "import msgpack")) == []
    assert home_breaches(source("actors/targets/dicomweb.py", "from aiohttp import ClientSession")) == []


@pytest.mark.parametrize(
    "back",
    [
        "from protocol import a",
        "def f():\n    from protocol import a",
        "if TYPE_CHECKING:\n    from protocol.a import X",
    ],
)
def test_a_circle_is_caught_wherever_the_import_stands(back: str) -> None:
    one = source("protocol/a.py", "from protocol.b import x")
    two = source("protocol/b.py", "import protocol.c")
    assert circles([one, two, source("protocol/c.py", back)]) == [["protocol.a", "protocol.b", "protocol.c"]]
    assert circles([one, two, source("protocol/c.py", "from protocol import d")]) == []


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "def f():\n    from shelve import open",
        "eval('1')",
        "exec(code)",
        "import os\nos.system('ls')",
        "os.fork()",
        "subprocess.run(line, shell=True)",
        "subprocess.run(line, shell=flag)",
        "socket.recv_pyobj()",
        "async def f():\n    await asyncio.wait_for(socket.recv_multipart(), 1)",
        "async def f():\n    async with asyncio.timeout(1):\n        await socket.recv()",
        "multiprocessing.get_context('fork')",
        "try:\n    f()\nexcept Exception:\n    pass",
        "try:\n    f()\nexcept:\n    pass",
    ],
)
def test_a_forbidden_construct_is_caught(text: str) -> None:
    assert len(forbidden(source("actors/x.py", text))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "subprocess.run(words, shell=False)",
        "compiler.eval(tree)",
        "async def f():\n    if await socket.poll(10):\n        socket.recv_multipart()",
        "async def f():\n    await asyncio.wait_for(queue.get(), 1)",
        "try:\n    f()\nexcept KeyError:\n    pass",
        "try:\n    f()\nexcept Exception as exc:\n    log(exc)",
        "multiprocessing.get_context('spawn')",
    ],
)
def test_what_is_allowed_passes(text: str) -> None:
    assert forbidden(source("actors/x.py", text)) == []


def test_a_long_file_is_caught() -> None:
    assert too_long(source("actors/x.py", "\n" * 401)) != []
    assert too_long(source("actors/x.py", "\n" * 400)) == []
