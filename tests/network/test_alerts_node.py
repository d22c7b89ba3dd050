"""A whole node: its target goes down, a mail comes at a real server; the target comes back, and so does the news."""

from __future__ import annotations

from email import message_from_bytes
from email.policy import default

import pytest

from tests.mailserver import Box, smtp_server
from tests.network.evidence import arrived, send, series
from tests.network.system import Node, rule, target, wait_until
from tests.peers import StoreScp, free_port, needs_dcmtk

pytestmark = [needs_dcmtk, pytest.mark.slow, pytest.mark.timeout(240)]


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
            assert len(sent) == 3
    assert len(box.taken) == 4
