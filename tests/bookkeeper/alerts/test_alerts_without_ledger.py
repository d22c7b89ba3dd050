"""Alerts come while the ledger's database is away, and its history is whole afterwards."""

from __future__ import annotations

from actors.base import passes
from actors.bookkeeper.actor import BookkeeperActor
from actors.bookkeeper.hand import OwnHand
from protocol.ledger.engine import reader, reading
from protocol.ledger.queries import alert_episodes, open_alerts
from protocol.ledger.record import Ledger
from protocol.spool.alerting import Symptom
from protocol.spool.alerts import Step
from tests.bookkeeper.alerts.alert_rig import HOUR, MINUTE, AlertRig


def bookkeeper(node: AlertRig, url: str) -> BookkeeperActor:
    ledger = Ledger(url, "node1", clock=node.world.clock)
    actor = BookkeeperActor(node.context, ledger=ledger, hand=OwnHand(), alerts=node.desk)
    actor.start()
    return actor


def live(node: AlertRig, actor: BookkeeperActor, seconds: float, step: float = 10.0) -> None:
    for _ in range(int(seconds / step)):
        node.world.clock.advance(step)
        node.breathe()
        passes(actor)


def test_alerts_are_told_while_the_database_is_away_and_their_story_is_kept(rig, tmp_path) -> None:
    """known-failures 34: what is wrong is seen in the spool, and told from there."""
    node = rig()
    away = bookkeeper(node, "postgresql://nobody@127.0.0.1:1/nothing")
    node.series(1, outcome="hold")
    live(node, away, 3 * MINUTE)
    assert "series of CT1 is held" in node.texts() and node.events("ledger.down")
    node.spool.alerts.acknowledge("arrival.held.CT1", "ann", "asked the ward")

    url = f"sqlite:///{tmp_path}/ledger.sqlite3"
    back = bookkeeper(node, url)
    held = node.spool.arrivals.list(state="held")[0]["id"]
    command = node.spool.commands.ask("series.discard", "ann", {"arrival": held})
    node.spool.arrivals.discard(held, "not needed", command)
    live(node, back, HOUR, step=30)
    node.spool.alerts.apply([Step("raise", Symptom("arrival.held.CT1", "2 series", "warning", "source/CT1", 2))])
    live(node, back, 30)
    with reading(reader(url)) as connection:
        later, first = alert_episodes(connection, "node1", alert_key="arrival.held.CT1")
        standing = [row["alert"] for row in open_alerts(connection, "node1")]
    back.stop()
    assert first["by"] == "ann" and first["note"] == "asked the ward" and first["severity"] == "warning"
    assert first["raised"] < first["acknowledged"] < first["cleared"] < later["raised"]
    assert later["by"] is None and later["cleared"] is None and later["count"] == 2
    assert standing == ["arrival.held.CT1"]
