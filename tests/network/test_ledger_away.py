"""The ledger's database is away for the whole run: routing does not notice, and afterwards the ledger is complete."""

from __future__ import annotations

import sqlite3

import pytest

from tests.network import evidence
from tests.network.evidence import arrived, digests, doctor, events, is_complete, send, series
from tests.network.system import Node, rule, target, wait_until
from tests.peers import StoreScp, needs_dcmtk
from tests.postgres import PostgresServer

pytestmark = [needs_dcmtk, pytest.mark.slow, pytest.mark.timeout(240)]


class StoppedPostgres:
    """A real server that crashes once the node runs, connections and all."""

    def __init__(self, folder):
        self._server = PostgresServer(folder)
        self.url = self._server.database()
        self.close = self._server.close

    def goes_away(self):
        self._server.stop("immediate")

    def comes_back(self):
        self._server.start()


class LockedSqlite:
    """A file that another program has locked before the bookkeeper first sees it."""

    def __init__(self, folder):
        self.url = f"sqlite:///{folder}/ledger.sqlite3"
        self._other = sqlite3.connect(folder / "ledger.sqlite3", isolation_level=None)
        self._other.execute("CREATE TABLE theirs (x)")
        self._other.execute("BEGIN EXCLUSIVE")
        self.close = self._other.close

    def goes_away(self):
        """It is."""

    def comes_back(self):
        self._other.execute("COMMIT")


@pytest.mark.parametrize("kind", [StoppedPostgres, LockedSqlite])
def test_routing_goes_on_while_the_ledger_is_away_and_afterwards_it_is_complete(tmp_path, kind):
    ledger = kind(tmp_path)
    images = [image for study in (1, 2, 3) for image in series(study, 10)]
    try:
        with StoreScp(tmp_path / "pacs", options=("+uf",)) as pacs:
            node = Node(tmp_path / "home", environment={"SCANPOST_LEDGER__URL": ledger.url})
            node.route({"pacs": target(pacs.port)}, [rule("all", "True", "pacs")])
            with node:
                ledger.goes_away()
                for study in range(3):
                    send(node, tmp_path / "scanner", images[study * 10 : study * 10 + 10])
                wait_until(lambda: evidence.images(node)["delivered"] == 30, 60, "all delivered")
                assert arrived(pacs) == digests(images)
                wait_until(lambda: events(node, "ledger.down"), 60, "the bookkeeper says so")
                assert node.status()["outbox"]["bookkeeper_behind"] > 30
                away = doctor(node)
                assert not away["bad"] and any("nothing is lost" in text for _, text in away["warning"]), away

                ledger.comes_back()
                wait_until(lambda: is_complete(node, ledger.url), 90, "the ledger is complete", 0.2)
                assert len(events(node, "image.received")) == 30 and events(node, "ledger.up")
                assert ("ledger", "the ledger knows every image of the spool") in doctor(node)["good"]
    finally:
        ledger.close()
