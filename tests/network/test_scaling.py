"""More and fewer dispatchers while the node works, and a node drained before maintenance: nothing is sent twice or left."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from actors.dicom.scp import ScpConfig, StorageScp
from tests.network.evidence import digests, doctor, events, send, series
from tests.network.sink import Sink
from tests.network.system import Node, rule, target, wait_until
from tests.peers import HOST, free_port, needs_dcmtk

pytestmark = [needs_dcmtk, pytest.mark.slow, pytest.mark.timeout(240)]
SERIES = [series(study, 3) for study in range(1, 4)]
IMAGE_S = 0.5  # how long the target takes for one


@contextmanager
def slow_sink(record: Path) -> Iterator[int]:
    """The port of a target that takes its time, and writes down what it got."""
    scp = StorageScp(ScpConfig(host=HOST, port=(port := free_port()), ae_title="SINK"), Sink(str(record), IMAGE_S))
    scp.start()
    try:
        yield port
    finally:
        scp.stop(1)


def senders(node: Node) -> set[str]:
    """Numbers of the dispatchers that have a delivery in hand."""
    spool = node.spool()
    try:
        rows = spool.deliveries.list(states=["sending"])
        return {row["owner"].split("/")[1].partition("-")[0] for row in rows}
    finally:
        spool.close()


def test_a_dispatcher_that_is_taken_out_hands_its_deliveries_back_and_a_drained_node_has_delivered_all(
    tmp_path,
) -> None:
    """1 two dispatchers send to a slow target; 2 one is taken out in the middle of its work; 3 the node is drained: no more
    comes in, what was here is delivered by the other, each image once; 4 the number is kept, and images are taken again."""
    # One slot each: the target may have two at once, so it takes both dispatchers, however the offers fell.
    node = Node(tmp_path / "home", dispatchers=2, environment={"SCANPOST_DISPATCHER__SLOTS": "1"})
    with slow_sink(tmp_path / "sink") as port:
        node.route({"pacs": target(port, concurrency=4)}, [rule("all", "True", "pacs")])
        with node:
            for images in SERIES:
                send(node, tmp_path / "scanner", images)
            wait_until(lambda: senders(node) == {"0", "1"}, 60, "both dispatchers send")
            assert node.json("dispatchers")["running"] == ["dispatcher_00", "dispatcher_01"]
            told = node.json("dispatchers", "1")
            assert told == {"wanted": 1, "running": ["dispatcher_00"], "missing": []}
            assert "1" not in senders(node)
            assert not events(node, "delivery.attempt.failed")

            done = node.cli("drain", "--wait", "--reason", "new disk")
            assert "drained: nothing goes on" in done.stderr
            got = Counter(line.split()[1] for line in (tmp_path / "sink").read_text().splitlines())
            assert got == digests([image for images in SERIES for image in images])
            assert len(events(node, "delivery.completed")) == len(SERIES)
            assert node.cli("echo", "127.0.0.1", str(node.port), check=False).returncode != 0
            status = node.status()
            assert (status["ready"], status["serving"], status["draining"]["reason"]) == (False, True, "new disk")

            assert node.cli("restart", "receiver").returncode == 0
            assert node.cli("echo", "127.0.0.1", str(node.port), check=False).returncode != 0
            node.cli("drain", "--end")
            wait_until(
                lambda: node.cli("echo", "127.0.0.1", str(node.port), check=False).returncode == 0, 20, "open again"
            )
            assert json.loads((node.home / "run" / "dispatchers.json").read_text())["dispatchers"] == 1
            assert node.cli("up", "--dispatchers", "2").stderr.strip() == "2 dispatchers run"
            assert node.json("dispatchers") == {
                "wanted": 2,
                "running": ["dispatcher_00", "dispatcher_01"],
                "missing": [],
            }
            doctor(node)
