"""A whole node: its target goes down, a mail comes at a real server; the target comes back, and so does the news. Then more
goes wrong with the same node, of every kind, and each has its alert.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import pytest

from protocol.header.scan import Header
from protocol.spool.images import Incoming
from protocol.testing.images import TestImage
from tests.mailserver import Box, smtp_server
from tests.network.evidence import arrived, events, send, series
from tests.network.system import Node, rule, target, wait_until
from tests.peers import StoreScp, free_port, needs_dcmtk

pytestmark = [needs_dcmtk, pytest.mark.slow, pytest.mark.timeout(400)]


def mails(box: Box, to: str = "ops@example.org") -> list[str]:
    """Subject and text of each mail to somebody."""
    found = []
    for envelope in box.taken:
        if to in envelope.rcpt_tos:
            read = message_from_bytes(envelope.content, policy=default)
            found.append(f"{read['Subject']}\n{read.get_content()}")
    return found


def test_a_target_that_goes_down_is_mailed_and_so_is_that_it_is_back(tmp_path):
    box, port = Box(), free_port()
    images = series(1, 3)
    with smtp_server(box) as smtp:
        node = Node(tmp_path / "home", environment={
            "SCANPOST_ALERTS__SMTP__HOST": "127.0.0.1", "SCANPOST_ALERTS__SMTP__PORT": str(smtp),
            "SCANPOST_ALERTS__SMTP__SENDER": "node@example.org", "SCANPOST_ALERTS__SMTP__TO": '["ops@example.org"]',
            "SCANPOST_ALERTS__GROUP_S": "0", "SCANPOST_ALERTS__TARGET_DOWN_S": "1", "SCANPOST_ALERTS__CLEAR_AFTER_S": "1",
        })  # fmt: skip
        told = {"on": ["completed"], "to": "mail:ward@example.org", "text": "{images} images of {PatientID}"}
        node.route({"pacs": target(port)}, [rule("all", "True", "pacs", notify=[told])])
        with node:
            assert node.json("alerts", "list") == []
            steps = node.json("alerts", "test", "mail")
            assert steps["ok"] and "this is a test" in mails(box)[0]
            send(node, tmp_path / "scanner", images)
            wait_until(lambda: len(mails(box)) > 1, 90, lambda: f"a mail\n{node.logs()}")
            assert "target pacs is down since" in mails(box)[1] and "no program listens at that port" in mails(box)[1]
            (alert,) = [one for one in node.json("alerts", "list") if one["key"] == "target.down.pacs"]
            assert alert["severity"] == "critical" and alert["tells"] == 1
            with StoreScp(tmp_path / "pacs", port=port) as pacs:
                wait_until(lambda: len(arrived(pacs)) == 3, 90, lambda: f"delivered\n{node.logs()}")
                wait_until(lambda: len(mails(box)) > 2, 90, lambda: f"a second mail\n{node.logs()}")
                wait_until(lambda: mails(box, "ward@example.org"), 60, lambda: f"the ward is told\n{node.logs()}")
            assert "over: target pacs is down" in mails(box)[2] and node.json("alerts", "list") == []
            assert "3 images of (hidden)" in mails(box, "ward@example.org")[0]
            sent = [one for one in node.json("alerts", "letters") if one["state"] == "sent"]
            assert len(sent) == 3 and len(box.taken) == 4
            with ledger_locked(node):
                more_goes_wrong(node, tmp_path)
                node.kill("bookkeeper")  # the next one looks at everything at once, and reads the new settings
                told = lambda: {one["key"] for one in node.json("alerts", "list") if one["tells"]}  # noqa: E731
                wait_until(lambda: told() >= WANTED, 90, lambda: f"{WANTED - told()}\n{node.logs()}", 1.0)
            assert all("Test^Image" not in mail for mail in mails(box)), "the patient's name is in no mail"


WANTED = {
    "arrival.held.CT1", "rule.failed.broken", "delivery.parked.nobody.connection_refused", "target.down.away",
    "delivery.late.away", "quarantine.CT1", "accounting.imbalance", "certificate.webhook.ca", "ledger.away", "ledger.lag",
}  # fmt: skip
LATE = """[alerts]
oldest_h = 0.0001

[alerts.webhook]
ca = "%s"

[ledger]
away_alert_s = 1
lag_alert_s = 1
"""


@contextmanager
def ledger_locked(node: Node) -> Iterator[None]:
    """Another program holds the ledger's file, for as long as this lasts."""
    other = sqlite3.connect(node.home / "ledger.sqlite3", isolation_level=None, timeout=30)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.close()


def more_goes_wrong(node: Node, folder: Path) -> None:
    """One after the other happens to the node that runs; in the end all stand together."""
    once = {"first_s": 1, "factor": 1, "max_s": 1, "give_up_after_s": 3600, "max_attempts": 1}
    node.route({"nobody": target(free_port(), retry=once), "away": target(free_port())}, [
        rule("parked", "Modality == 'MR'", "nobody", "away"), rule("aside", "Modality == 'CT'", action="hold"),
        rule("broken", "number(PatientName) > 3", "nobody"),
    ])  # fmt: skip
    send(node, folder / "held", series(2, 1))
    send(node, folder / "parked", series(3, 1, modality="MR"))
    wait_until(lambda: events(node, "delivery.parked"), 60, lambda: f"parked\n{node.logs()}")
    lost(node, series(4, 1)[0])
    no_certificate = folder / "ca.pem"
    no_certificate.write_text("nothing")
    (node.home / "config" / "scanpost.toml").write_text(LATE % no_certificate)


def lost(node: Node, image: TestImage) -> None:
    """An object without a place goes to quarantine; and of another one the row vanishes, as by a hand that should not."""
    spool = node.spool()
    header = Header({"SOPInstanceUID": image.sop_uid})
    bad = Incoming(bytes(16), "CT1", "SCANPOST", "127.0.0.1", None, image.sop_class_uid, "1.2/../3", image.transfer_syntax_uid,
                   image.dataset(), header)  # fmt: skip
    assert spool.images.commit([spool.images.save(bad)])[0].outcome == "quarantined"
    with spool.database.write() as tx:
        tx.execute("DELETE FROM image WHERE receipt = (SELECT receipt FROM image ORDER BY receipt LIMIT 1)")
    spool.close()
