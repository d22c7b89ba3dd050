"""Webhooks against a real HTTP server: JSON, signature, token, refusals, redirections, silence."""

from __future__ import annotations

import importlib.util
import json
import re
import ssl
from pathlib import Path
from typing import Any

import pytest

from actors.bookkeeper.alerts import webhook
from actors.bookkeeper.alerts.calls import Refused
from actors.bookkeeper.alerts.post import document
from actors.bookkeeper.alerts.trying import try_channel
from protocol.settings.alerts import Alerts, Webhook
from tests.bookkeeper.alerts.mute import mute_server
from tests.certificates import Authority
from tests.http_peer import HttpPeer
from tests.peers import HOST

DOCS = Path(__file__).parents[3] / "docs" / "alerts.md"
BODY = {"id": "node1.1.7", "text": "target pacs is down – Grüße", "alerts": []}


def taken(_: Any) -> Any:
    return 200, {}, b"ok"


@pytest.fixture(scope="module")
def one_peer():
    with HttpPeer(taken) as peer:
        yield peer


@pytest.fixture
def peer(one_peer: HttpPeer) -> HttpPeer:
    one_peer.requests.clear()
    one_peer.reply = taken
    return one_peer


def post(url: str) -> webhook.Post:
    return webhook.Post("node1.1.7", url, BODY)


def settings(url: str, **more: Any) -> Webhook:
    return Webhook(**{"url": url, "timeout_s": 5.0, **more})


def test_a_webhook_is_json_with_its_own_number(peer: HttpPeer, tmp_path) -> None:
    (tmp_path / "token").write_text("t0ken\n")
    url = f"{peer.url}/hook?room=7"
    webhook.send(settings(url, token_file=tmp_path / "token"), post(url))
    (request,) = peer.requests
    assert (request.method, request.path) == ("POST", "/hook?room=7") and json.loads(request.body) == BODY
    assert request.headers["content-type"] == "application/json" and request.headers["x-scanpost-id"] == "node1.1.7"
    assert request.headers["authorization"] == "Bearer t0ken" and "x-scanpost-signature" not in request.headers


def documented_check(tmp_path: Path) -> Any:
    """The function that docs/alerts.md shows to whoever receives."""
    (code,) = re.findall(r"```python\n(.*?)```", DOCS.read_text("utf-8"), re.S)
    module = tmp_path / "receiver_of_alerts.py"
    module.write_text(code, "utf-8")
    spec = importlib.util.spec_from_file_location("receiver_of_alerts", module)
    assert spec is not None and spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded.is_genuine


def test_the_signature_is_checked_as_the_documentation_says(peer: HttpPeer, tmp_path) -> None:
    (tmp_path / "secret").write_text("correct-horse\n")
    is_genuine = documented_check(tmp_path)
    url = f"{peer.url}/hook"
    webhook.send(settings(url, secret_file=tmp_path / "secret"), post(url), clock=lambda: 1_800_000_000.7)
    (request,) = peer.requests
    assert request.headers["x-scanpost-timestamp"] == "1800000000"
    assert is_genuine(request.headers, request.body, b"correct-horse", now=1_800_000_100)
    assert not is_genuine(request.headers, request.body, b"another", now=1_800_000_100)
    assert not is_genuine(request.headers, request.body + b" ", b"correct-horse", now=1_800_000_100)
    assert not is_genuine(request.headers, request.body, b"correct-horse", now=1_800_001_000), (
        "an old one that was kept"
    )
    later = {**request.headers, "x-scanpost-timestamp": "1800000900"}
    assert not is_genuine(later, request.body, b"correct-horse", now=1_800_001_000)


def test_the_token_is_not_for_what_a_rule_names(peer: HttpPeer, tmp_path) -> None:
    (tmp_path / "token").write_text("t0ken")
    webhook.send(settings("http://other.example.org/", token_file=tmp_path / "token"), post(f"{peer.url}/x"))
    assert "authorization" not in peer.requests[0].headers


@pytest.mark.parametrize(
    ("status", "retryable"),
    [(500, True), (503, True), (429, True), (408, True), (404, False), (400, False), (301, True)],
)
def test_what_passes_and_what_does_not_is_told_apart(peer: HttpPeer, status: int, retryable: bool) -> None:
    peer.reply = lambda _: (status, {"Location": "http://127.0.0.1:1/"}, b"the server's own words")
    url = f"{peer.url}/hook"
    with pytest.raises(Refused, match=f"answered {status}") as refused:
        webhook.send(settings(url), post(url))
    assert refused.value.retryable == retryable and "own words" not in str(refused.value)
    assert len(peer.requests) == 1, "a redirection is not followed"


def test_https_trusts_whom_it_is_told_to(tmp_path) -> None:
    authority = Authority(tmp_path / "ca")
    pair = authority.issue("hook")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert, pair.key)
    with HttpPeer(taken) as peer:
        peer._server.socket = context.wrap_socket(peer._server.socket, server_side=True)
        url = f"https://{HOST}:{peer.port}/hook"
        webhook.send(settings(url, ca=authority.cert), post(url))
        with pytest.raises(Refused, match="connection: .*certificate"):
            webhook.send(settings(url), post(url))


@pytest.mark.slow
@pytest.mark.parametrize("drip", [False, True], ids=["silent", "a byte at a time"])
def test_a_server_that_never_comes_to_an_end_is_left(drip: bool) -> None:
    with mute_server(b"2" if drip else b"") as port, pytest.raises(Refused):
        url = f"http://{HOST}:{port}/secret-path"
        webhook.send(settings(url, timeout_s=0.2), post(url))


def test_a_complaint_never_shows_the_url_which_may_be_a_secret() -> None:
    url = f"http://{HOST}:1/services/T000/SECRET"
    with pytest.raises(Refused) as refused:
        webhook.send(settings(url), post(url))
    assert "SECRET" not in str(refused.value)


@pytest.mark.parametrize("secret", ["", "two words", "schlüssel"])
def test_an_odd_secret_is_refused(peer: HttpPeer, tmp_path, secret: str) -> None:
    (tmp_path / "secret").write_text(secret)
    url = f"{peer.url}/hook"
    with pytest.raises(Refused, match="secret is empty, or more than one word"):
        webhook.send(settings(url, secret_file=tmp_path / "secret"), post(url))
    assert peer.requests == []


def test_the_button_says_each_step(peer: HttpPeer, tmp_path) -> None:
    (tmp_path / "secret").write_text("s")
    limits = Alerts(webhook=settings(f"{peer.url}/hook", secret_file=tmp_path / "secret"))
    steps = try_channel(limits, "node1", "webhook")
    assert [(one.name, one.ok) for one in steps] == [("connection", True), ("request", True)]
    assert steps[1].text == "taken with status 200, signed"
    assert "this is a test" in json.loads(peer.requests[0].body)["text"]
    peer.reply = lambda _: (403, {}, b"")
    assert [one.text for one in try_channel(limits, "node1", "webhook")][1] == "answered 403"


def test_a_body_tells_alerts_and_notifications_apart() -> None:
    body = {
        "subject": "s",
        "text": "t",
        "count": 2,
        "items": [{"kind": "alert", "key": "a"}, {"kind": "rule", "rule": "r"}],
    }
    made = document(body, "node1.1.7", "node1", 5.0)
    assert made["alerts"] == [{"kind": "alert", "key": "a"}] and made["notifications"][0]["rule"] == "r"
    assert (made["id"], made["text"], made["time"]) == ("node1.1.7", "t", 5.0)
