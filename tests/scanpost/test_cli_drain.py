"""`scanpost drain`: waits until nothing goes on, says what is left, and how the node stands meanwhile."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from protocol.causes import Cause
from protocol.settings import load_settings
from scanpost import drain, readiness


def test_it_waits_until_nothing_goes_on_and_says_what_is_left(
    run, home, three, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, looks = home.spool.workers.enter("dispatcher", "1").owner, []

    def sleeps(seconds: float) -> None:
        """A dispatcher does its work meanwhile: the first fails, then both are delivered."""
        looks.append(seconds)
        if len(looks) > 3:
            return
        claim = home.spool.deliveries.claim(owner, {"pacs": 1}, 9e9)
        assert claim is not None
        if len(looks) == 1:
            home.spool.deliveries.retry(claim, 0.0, "no answer", Cause.TIMEOUT)
        else:
            home.spool.deliveries.complete(claim)

    monkeypatch.setattr(drain.time, "sleep", sleeps)
    done = run("drain", "--wait", "--reason", "new disk")
    assert done.stderr.splitlines() == [
        "the node is draining: new associations are refused, what is here is delivered",
        "left: 2 deliveries to pacs (down: PACS does not know us)",
        "left: 2 deliveries to pacs (down: no answer)",
        "left: 1 delivery to pacs",
        "drained: nothing goes on; 1 delivery is parked or held until a person acts",
    ]
    assert len(looks) == 4, "nothing goes on twice in a row: somebody may have come in just before"
    assert json.loads(run("drain", "--wait", "--json").stdout)["drained"] is True
    assert "no: drained since" in run("status").stdout
    assert "takes images again" in run("drain", "--end").stderr
    assert json.loads(run("status", "--json").stdout)["draining"] is None


def test_an_idle_node_is_not_drained_before_its_receiver_has_heard_of_it(
    run, home, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = home.spool.fs.lock(home.spool.places.run / "receiver.lock")
    looks = []

    def sleeps(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 5:
            home.spool.draining.heard()

    monkeypatch.setattr(drain.time, "sleep", sleeps)
    run("drain", "--wait")
    assert len(looks) == 6
    lock.release()


def test_it_gives_up_when_told_to_and_the_node_stays_drained(run, home, three) -> None:
    done = run("drain", "--wait", "--limit", "0", code=1)
    assert "left: 2 deliveries to pacs" in done.stderr
    assert home.spool.draining.state() is not None
    assert "exclude each other" in run("drain", "--end", "--wait", code=2).stderr


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (200, {"ready": True}, "ready"),
        (503, {"ready": False, "serving": True, "draining": True}, "ready"),
        (503, {"ready": False, "serving": False, "draining": True}, "answers 503"),
        (503, {"ready": False, "serving": False}, "answers 503"),
        (
            503,
            {"ready": False, "reasons": ["the disk is full", "router is missing"]},
            "answers 503: the disk is full; router is missing",
        ),
        (503, {"reasons": "odd"}, "answers 503"),
        (503, [], "answers 503"),
        (503, None, "answers 503"),
    ],
)
def test_a_drained_node_has_started_all_the_same(tmp_path: Path, status: int, body: dict | None, says: str) -> None:
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b"<html>" if body is None else json.dumps(body).encode())

        def log_message(self, *words: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Page)
    Thread(target=server.handle_request).start()
    try:
        settings = load_settings(tmp_path, {"webgui.port": server.server_port}, environ={})
        assert readiness.page_answer(settings) == says
    finally:
        server.server_close()
