"""No alert fires on a quiet healthy night: all actors of a node under a simulated clock, with sources whose hours are known,
a cleaner that deletes, storage commitment both ways, and the ledger compared. And what no real node can be brought to in
seconds is told by the same node.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing

import pytest

from actors.bookkeeper.alerts.calls import Refused
from protocol.fsops import Room
from protocol.testing.images import TestImage
from tests.bookkeeper.alerts.alert_rig import DAY, HOUR, MINUTE
from tests.bookkeeper.alerts.healthy_node import HealthyNode
from tests.certificates import Authority
from tests.crash.node_in_memory import make_ledger, quick_ledgers

pytestmark = pytest.mark.slow
SCANNERS = ("CT1", "MR1", "KEEP1")


@pytest.fixture
def nodes(tmp_path, monkeypatch) -> Callable[..., HealthyNode]:
    ledger = make_ledger(tmp_path)
    quick_ledgers(monkeypatch)
    made: list[HealthyNode] = []

    def make(**settings) -> HealthyNode:
        made.append(HealthyNode(tmp_path / "node", ledger, **settings))
        return made[-1]

    yield make
    for one in made:
        one.close()
    shutil.rmtree(tmp_path / "node")


def afternoon(node: HealthyNode, hours: int) -> None:
    """Each scanner sends a series each half hour, and one asks for storage commitment."""
    for study in range(1, 2 * hours + 1):
        for place, name in enumerate(SCANNERS):
            modality = "MR" if name == "MR1" else "CT"
            images = [TestImage(10 * study + place, 1, number, modality=modality) for number in (1, 2)]
            node.scan(*images, calling_ae=name)
            if name == "KEEP1":
                node.committing.ask(name, f"1.2.{study}", *images)
        node.live(2 * MINUTE, step=10)
        node.live(28 * MINUTE, step=2 * MINUTE)


def test_no_alert_fires_on_a_quiet_healthy_night(nodes, tmp_path):
    pair = Authority(tmp_path / "ca").issue("node", days=500)
    node = nodes(**{"webgui.tls.cert": str(pair.cert), "webgui.tls.key": str(pair.key)})
    for revision in (2, 3):
        node.publish(revision)
    node.work()  # what was recorded at the start is in the ledger before time jumps
    node.clock.advance(6 * HOUR)  # Friday, two o'clock
    node.were_seen(3, *SCANNERS)
    node.ask("target.pause", target="research", reason="an update", until=None)
    node.live(MINUTE)
    node.ask("target.resume", target="research", reason="done")
    afternoon(node, 4)
    node.live(14 * HOUR + 2 * DAY, step=10 * MINUTE)  # from Friday evening until Monday morning
    assert node.spool.alerts.all() == [] and node.letters == []
    assert node.events("alert.raised") == []
    everything_was_looked_at(node)


def everything_was_looked_at(node: HealthyNode) -> None:
    """It was quiet because it was healthy, not because nobody looked."""
    spool = node.spool
    assert {one["state"] for one in node.deliveries()} == {"delivered"} and len(node.events("arrival.deleted")) == 24
    assert {one["state"] for one in spool.commitments.list(limit=100)} == {"reported"}
    assert float(spool.notices.standing("accounting.compared")["accounting.compared"]) > node.clock.now() - DAY
    assert spool.notices.standing("audit.head") and spool.outbox.backlog("bookkeeper") == 0
    node.live(5 * HOUR, step=5 * MINUTE)  # Monday noon, and no scanner has sent anything
    assert node.standing() == ["source.silent.most"] and node.letters


def test_what_takes_hours_is_told_by_the_same_node_and_so_is_that_it_is_over(nodes):
    node = nodes(**{"alerts.webhook.url": "http://127.0.0.1:1/", "alerts.repeat_h": []})
    node.scan(TestImage(1), TestImage(1, 1, 2))
    node.live(2 * MINUTE, step=10)
    the_disk_fills_and_mails_are_not_taken(node)
    node.live(HOUR, step=MINUTE)
    assert node.standing() == ["channel.mail", "disk.soon"]
    told = "".join(str(one.body["text"]) for one in node.letters)
    assert "images will be refused at about" in told and "mails with alerts are not taken" in told
    assert {one.channel for one in node.letters} == {"webhook"}
    with closing(sqlite3.connect(node.ledger_file)) as ledger, ledger:
        rows = ledger.execute("SELECT * FROM image").fetchall()
        ledger.execute("DELETE FROM image")
    node.live(DAY, step=5 * MINUTE)
    assert {"accounting.ledger", "channel.mail"} <= set(node.standing())

    node.refuse = lambda letter: None
    node.disk.set_room(Room(int(500e9), 10_000_000))
    with closing(sqlite3.connect(node.ledger_file)) as ledger, ledger:
        ledger.executemany(f"INSERT INTO image VALUES ({','.join('?' * len(rows[0]))})", rows)
    node.live(DAY + HOUR, step=5 * MINUTE)
    assert node.standing() == []
    over = "".join(str(one.body["text"]) for one in node.letters if one.channel == "mail").partition("Over:")[2]
    assert "(disk.soon" in over and "(accounting.ledger" in over


def the_disk_fills_and_mails_are_not_taken(node: HealthyNode) -> None:
    def refuse(letter) -> None:
        if letter.channel == "mail":
            raise Refused("connection refused")

    node.refuse = refuse
    for tens in range(18):
        node.disk.set_room(Room(int(100e9 - tens * 2.5e9), 10_000_000))  # 15 GB an hour, above a reserve of 5 GB
        node.live(10 * MINUTE, step=5 * MINUTE)
