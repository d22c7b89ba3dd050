"""Commands and page of a running node, as people and scripts use them."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from tests.network import evidence
from tests.network.evidence import arrival_of, arrived, digests, events, part10, send, series
from tests.network.system import ROOT, Node, rule, target, wait_until
from tests.peers import HOST, StoreScp, echoscu, free_port, needs_dcmtk

pytestmark = [needs_dcmtk, pytest.mark.slow, pytest.mark.timeout(240)]

PASSWORD = "a sentence that is long enough"
EXIT_USAGE, EXIT_TIMEOUT = 2, 124


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory):
    return tmp_path_factory.mktemp("commands")


@pytest.fixture(scope="module")
def pacs(folder) -> Iterator[StoreScp]:
    with StoreScp(folder / "pacs", options=("+uf",)) as sink:
        yield sink


@pytest.fixture(scope="module")
def node(folder, pacs) -> Iterator[Node]:
    """Shared: each test sends series of its own, and leaves targets and actors as it found them."""
    made = Node(folder / "home")
    made.route(
        {"pacs": target(pacs.port), "gone": target(free_port())}, [rule("ct", "Modality == 'CT'", "pacs")]
    )  # fmt: skip
    with made:
        yield made


def deliver(node: Node, folder, study: int, count: int = 3) -> int:
    """A CT series goes all the way; its arrival's number."""
    sent = series(study, count)
    send(node, folder / "scanner", sent)
    wait_until(lambda: is_delivered(node, sent[0].series_uid), 60, "the series is delivered")
    return arrival_of(node, sent[0])


def is_delivered(node: Node, series_uid: str) -> bool:
    numbers = {e.data["arrival"] for e in events(node, "arrival.opened") if e.data["series_uid"] == series_uid}
    return any(event.data["arrival"] in numbers for event in events(node, "arrival.delivered"))


# ---- the page -----------------------------------------------------------------------------------------------------
def ask(
    node: Node, method: str, path: str, form: Mapping[str, str] | None = None, cookie: str = ""
) -> tuple[int, http.client.HTTPMessage, str]:
    """One request as a browser on this page would make it."""
    headers = {"Origin": f"http://{HOST}:{node.web}", "Accept": "text/html", "Cookie": cookie}
    headers |= {"Content-Type": "application/x-www-form-urlencoded"} if form else {}
    connection = http.client.HTTPConnection(HOST, node.web, timeout=30)
    try:
        connection.request(method, path, urlencode(form) if form else None, headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode()
    finally:
        connection.close()


def session(headers: http.client.HTTPMessage) -> str:
    return str(headers["Set-Cookie"]).split(";")[0]


def test_the_set_up_link_that_up_prints_works_once_and_added_users_can_log_in(node):
    link = re.search(r"first set-up (\S+)", "\n".join(node.lines))
    assert link, node.lines
    url = urlsplit(link[1])
    assert url.netloc == f"{HOST}:{node.web}"
    assert ask(node, "GET", "/")[0] == 303  # nobody is logged in
    status, _, page = ask(node, "GET", f"{url.path}?{url.query}")
    assert status == 200 and "Make the first admin" in page
    form = {"token": url.query.partition("=")[2], "name": "anna", "password": PASSWORD, "again": PASSWORD}
    status, headers, _ = ask(node, "POST", "/setup", form)
    assert status == 303
    status, _, page = ask(node, "GET", "/", cookie=session(headers))
    assert status == 200 and "pacs" in page
    assert ask(node, "POST", "/setup", {**form, "name": "eve"})[0] == 410
    assert ask(node, "GET", f"{url.path}?{url.query}")[0] == 410

    assert node.cli("user", "add", "ben", "--role", "viewer", "--password-stdin", input="short", check=False).returncode
    node.cli("user", "add", "ben", "--role", "viewer", "--password-stdin", input=PASSWORD + "\n")
    assert [(user["name"], user["role"]) for user in node.json("user", "list")] == [
        ("anna", "admin"),
        ("ben", "viewer"),
    ]
    status, headers, _ = ask(node, "POST", "/login", {"name": "ben", "password": PASSWORD})
    assert status == 303 and ask(node, "GET", "/", cookie=session(headers))[0] == 200
    assert ask(node, "POST", "/login", {"name": "eve", "password": PASSWORD})[0] in (401, 403, 422)


def test_health_readiness_and_metrics_need_no_log_in_and_count_images(node, folder):
    deliver(node, folder, 10)
    assert ask(node, "GET", "/healthz")[0] == 200
    status, _, body = ask(node, "GET", "/readyz")
    ready = json.loads(body)
    assert status == 200 and ready["ready"] and ready["actors"]["receiver"] == "ready"

    def metrics() -> dict[str, float]:
        lines = [line for line in ask(node, "GET", "/metrics")[2].splitlines() if not line.startswith("#")]
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}

    received = evidence.images(node)["received"]
    wait_until(lambda: metrics()["scanpost_images_received_total"] == received, 60, "metrics show every image", 0.5)
    assert metrics()['scanpost_actor_up{actor="router"}'] == 1
    counted = [
        f'scanpost_{name}{{target="pacs"}}' for name in ("images_sent_total", "end_to_end_latency_seconds_count")
    ]
    wait_until(lambda: all(metrics().get(name) for name in counted), 60, "figures of what was delivered", 0.5)
    assert metrics()["scanpost_accounting_missing_images"] == 0
    assert node.json("accounting", "--ledger")["ledger"]["differences"] == []


# ---- commands -----------------------------------------------------------------------------------------------------
def test_status_doctor_series_and_queue_show_what_went_through(node, folder, pacs):
    number = deliver(node, folder, 20, 4)
    told: dict[str, Any] = node.status()
    assert told["ready"] and {actor["state"] for actor in told["actors"].values()} == {"ready"}
    assert set(told["actors"]) == {"bus", "receiver", "router", "dispatcher-0", "cleaner", "bookkeeper", "webgui"}
    images = dict(told["images"])
    received = images.pop("received")
    del images["duplicates"], images["refused"]
    assert received == sum(images.values()) >= 4
    for words in (("status",), ("doctor",), ("series", "list"), ("queue", "list", "--all"), ("target", "list")):
        assert node.cli(*words, own_process=True).stdout.strip(), words

    row = node.json("series", "list", "--series", series(20, 1)[0].series_uid)[0]
    assert (row["id"], row["state"], row["images"], row["calling_ae"]) == (number, "delivered", 4, "CT1")
    story = node.json("series", "show", str(number))
    assert [delivery["target"] for delivery in story["deliveries"]] == ["pacs"]
    assert [one["state"] for one in node.json("queue", "list", "--all") if one["arrival"] == number] == ["delivered"]
    assert node.cli("series", "show", "1", check=False).returncode == 1
    assert digests(series(20, 4)) <= arrived(pacs)


def test_people_pause_a_target_and_change_the_queue(node, folder):
    node.cli("target", "pause", "pacs", "--reason", "they move house")
    sent = series(30, 2)
    send(node, folder / "scanner", sent)
    number = arrival_of(node, sent[0])
    mine = wait_until(lambda: [e.data["delivery"] for e in events(node, "delivery.created")
                               if e.data["arrival"] == number], 60, "it is decided")  # fmt: skip
    assert node.status()["targets"]["pacs"]["state"] == "paused"
    delivery = str(mine[0])
    node.cli("queue", "priority", "urgent", delivery)
    node.cli("queue", "hold", delivery)
    assert [one["state"] for one in node.json("queue", "list")] == ["held"]
    refused = node.cli("queue", "hold", delivery, check=False)
    assert refused.returncode == 1 and f"delivery {delivery}" in refused.stderr
    node.cli("queue", "release", delivery)
    assert [one["state"] for one in node.json("queue", "list")] == ["waiting"]
    node.cli("target", "resume", "pacs")
    wait_until(lambda: is_delivered(node, sent[0].series_uid), 60, "it is delivered after all")
    assert not [e for e in events(node, "delivery.claimed")
                if e.data["delivery"] == mine[0] and e.time < events(node, "target.resumed")[0].time]  # fmt: skip
    about = [
        ("target.pause", "target pacs"),
        ("queue.hold", f"delivery {delivery}"),
        ("target.resume done", "target pacs"),
    ]

    def audited() -> bool:
        entries = node.json("audit", "list", "--since", "10m", "--limit", "1000")
        done = [(one["action"], one["object"].partition(" (")[0]) for one in entries if one["who"].startswith("cli:")]
        return all(done.count(one) >= 1 for one in about)

    wait_until(audited, 60, "what people did stands in the audit", 0.5)
    assert node.json("audit", "verify")["good"]


def test_tap_counts_filters_and_says_when_nothing_came(node, folder):
    since = node.status()["outbox"]["head"] + 1
    listening = subprocess.Popen(
        [sys.executable, "-m", "scanpost", "tap", "delivery.completed", "--where", "target=pacs", "--count", "1",
         "--timeout", "100", "--since", str(since), "--json"],
        cwd=ROOT, env=node.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    number = deliver(node, folder, 40)
    out, err = listening.communicate(timeout=110)
    assert listening.returncode == 0, err
    told = [json.loads(line) for line in out.splitlines()]
    assert len(told) == 1 and told[0]["data"]["arrival"] == number and told[0]["specversion"] == "1.0"

    quiet = node.cli("tap", "alert.raised", "--count", "1", "--timeout", "0.5", "--quiet", check=False)
    assert quiet.returncode == EXIT_TIMEOUT and not quiet.stdout
    for way in ((), ("--no-bus",)):
        past = node.cli("tap", "delivery.completed", "--since", str(since), "--no-follow", *way).stdout.splitlines()
        assert len(past) == 1 and "delivery.completed" in past[0], way


def test_target_test_echo_and_send_say_what_works(node, folder, pacs):
    steps = node.json("target", "test", "pacs")
    assert steps["ok"] and [step["name"] for step in steps["steps"]][-1] == "echo"
    gone = node.cli("target", "test", "gone", "--json", check=False)
    assert gone.returncode == 1 and json.loads(gone.stdout)["steps"][-1]["name"] == "tcp"
    assert node.cli("target", "test", "nobody", check=False).returncode == EXIT_USAGE

    assert echoscu(node.port).returncode == 0
    assert node.cli("echo", HOST, str(node.port), "-aec", "SCANPOST").returncode == 0
    assert node.cli("echo", HOST, str(free_port()), check=False).returncode == 1
    (folder / "to-send").mkdir()
    sent = series(50, 3)
    for image in sent:
        (folder / "to-send" / f"{image.instance}.dcm").write_bytes(part10(image))
    words = (str(node.port), str(folder / "to-send"), "-aec", "SCANPOST", "-aet", "CT9")
    node.cli("send", HOST, *words)
    wait_until(lambda: is_delivered(node, sent[0].series_uid), 60, "what was sent by command is delivered")
    assert digests(sent) <= arrived(pacs)
    nobody = node.cli("send", HOST, str(free_port()), str(folder / "to-send"), check=False)
    assert 60 <= nobody.returncode <= 65 and "Traceback" not in nobody.stderr


def test_restart_gives_the_router_a_new_process_and_it_goes_on(node, folder):
    before = node.pid("router")
    assert "router" in node.cli("restart", "router").stderr
    assert node.pid("router") != before and node.status()["actors"]["router"]["state"] == "ready"
    assert node.cli("restart", "nobody", check=False).returncode == EXIT_USAGE
    deliver(node, folder, 60)


def test_down_stops_everything_and_the_up_that_waits_in_the_foreground_ends(node):
    """The last one of this file."""
    assert node.process is not None and "stopped" in node.cli("down").stderr
    assert node.process.wait(60) == 0
    assert node.processes() == []
