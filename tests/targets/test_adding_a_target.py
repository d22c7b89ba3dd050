"""The example of docs/adding-a-target.md is what it says: it is read out of the page and passes the battery."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import types
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from protocol.routing import targets
from tests.peers import HOST, dataset_bytes
from tests.targets.battery import LARGE_BYTES, Peer, TargetBattery

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "adding-a-target.md").read_text("utf-8")


def block(name: str) -> str:
    (found,) = re.findall(rf"```python {name}\n(.*?)```", PAGE, re.DOTALL)
    return found


def example() -> tuple[Any, types.ModuleType]:
    """The settings class, made where it would stand, and the module that sends."""
    place = dict(vars(targets))
    exec(block("settings"), place)
    settings = place["HttpPutTarget"]
    settings.model_rebuild(_types_namespace=place)
    module = types.ModuleType("http_put_example")
    sys.modules[module.__name__] = module
    code = block("sending").replace("from protocol.routing.targets import HttpPutTarget as HttpPutSettings\n", "")
    vars(module)["HttpPutSettings"] = settings
    exec(code, vars(module))
    return settings, module


SETTINGS, MODULE = example()


class Handler(BaseHTTPRequestHandler):
    """Writes what is PUT below the server's folder; says nothing while the peer hangs."""

    protocol_version = "HTTP/1.1"
    server: Server

    def setup(self) -> None:
        super().setup()
        self.server.connections.append(self.connection)

    def do_PUT(self) -> None:
        peer = self.server.peer
        if peer.hanging:
            peer.released.wait()
            return
        name = peer.folder / self.path.rsplit("/", 1)[1]
        part = peer.folder / f"{threading.get_ident()}.part"
        left = int(self.headers["Content-Length"])
        with open(part, "wb") as file:
            while left:
                data = self.rfile.read(min(left, 65_536))
                if not data:
                    part.unlink()
                    return
                file.write(data)
                left -= len(data)
        part.rename(name)
        peer.paths.append(self.path)
        self.send_response(201)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return


class Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    peer: HttpPutPeer

    def __init__(self, peer: HttpPutPeer, port: int) -> None:
        self.peer, self.connections = peer, list[socket.socket]()
        super().__init__((HOST, port), Handler)

    def handle_error(self, *_: object) -> None:
        return


class HttpPutPeer(Peer):
    """A web server in this process."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder / "server", 0
        self.folder.mkdir()
        self.paths: list[str] = []
        self.hanging, self.released = False, threading.Event()
        self.limit_s = 5.0
        self.come_back()

    def target(self) -> Any:
        settings = SETTINGS(type="http_put", host=HOST, port=self.port, layout="{PatientID}/{StudyInstanceUID}",
                            timeout_s=3.0)  # fmt: skip
        return MODULE.HttpPutTarget(settings)

    def arrived(self) -> Mapping[str, bytes]:
        return {path.stem: dataset_bytes(path) for path in self.folder.glob("*.dcm")}

    def large_arrived(self, image) -> bool:
        (path,) = self.folder.glob("*.dcm")
        return path.stat().st_size > LARGE_BYTES

    def go_away(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        for connection in self.server.connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue

    def come_back(self) -> None:
        self.server = Server(self, self.port)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def hang(self) -> None:
        self.hanging = True

    def close(self) -> None:
        self.released.set()
        self.go_away()


ASK = """
from actors.targets.registry import make_target
from protocol.routing.parse import parse
from webgui.areas.targets import reading

told = b'{"targets": {"web": {"type": "http_put", "host": "127.0.0.1"}}}'
(target,) = parse(told, "routing.json").targets.values()
print(type(make_target(target)).__module__, reading.address(target), "layout" in {spec.name for spec in reading.SPECS["http_put"]})
"""


def test_a_program_to_which_it_was_added_as_the_page_says_starts_and_knows_it(tmp_path):
    for name in ("protocol", "actors", "webgui", "scanpost"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))

    def put(file: str, before: str, text: str) -> None:
        head, found, rest = (tmp_path / file).read_text("utf-8").rpartition(before)
        assert found
        (tmp_path / file).write_text(head + text + found + rest, "utf-8")

    put("protocol/routing/targets.py", ",\n    Field(discriminator=", " | HttpPutTarget")
    put("protocol/routing/targets.py", "Target = Annotated[", block("settings") + "\n\n")
    put("actors/targets/registry.py", "    assert_never(target)", block("registry"))
    (tmp_path / "actors/targets/http_put.py").write_text(block("sending"), "utf-8")

    def run(*arguments: str) -> str:
        more = {**os.environ, "PYTHONPATH": str(tmp_path), "SCANPOST_HOME": str(tmp_path / "home")}
        return subprocess.run(
            [sys.executable, *arguments], cwd=tmp_path, env=more, check=True, capture_output=True, text=True
        ).stdout

    assert '"http_put"' in run("-m", "scanpost", "routing", "schema")
    assert run("-c", ASK).split() == ["actors.targets.http_put", "127.0.0.1", "True"]


class TestTheExample(TargetBattery):
    @pytest.fixture
    def peer(self, tmp_path):
        peer = HttpPutPeer(tmp_path)
        yield peer
        peer.close()


def test_the_names_of_the_page_are_there():
    for name in re.findall(r"`((?:actors|protocol|tests|deploy)/[a-z0-9_/.-]+)`", PAGE):
        if name != "actors/targets/http_put.py":
            assert (Path(__file__).resolve().parents[2] / name).exists(), name
    assert SETTINGS(type="http_put", host="h").layout_keywords == {"StudyInstanceUID", "SeriesInstanceUID"}
