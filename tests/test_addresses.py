"""An address and a port that stand together can be told apart, whatever the address is."""

from __future__ import annotations

import pytest

from actors.dicom.scu import Node
from protocol.addresses import with_port
from protocol.settings import load_settings
from scanpost.readiness import ready_line


@pytest.mark.parametrize("host, shown", [
    ("pacs", "pacs:104"), ("10.0.0.1", "10.0.0.1:104"), ("::1", "[::1]:104"), ("fe80::1%eth0", "[fe80::1%eth0]:104"),
    ("[::1]", "[::1]:104"),
])  # fmt: skip
def test_an_ipv6_address_stands_in_brackets(host: str, shown: str) -> None:
    assert with_port(host, 104) == shown
    assert str(Node(host, 104, "PACS", "SCANPOST")).endswith(f"PACS@{shown}")


def test_the_line_of_a_node_that_is_ready_names_addresses_that_can_be_copied(tmp_path) -> None:
    settings = load_settings(
        tmp_path, {"receiver.host": "::1", "receiver.port": 21512, "webgui.host": "::1"}, environ={}
    )
    line = ready_line(settings, 1, None)
    assert "DICOM SCANPOST@[::1]:21512" in line and "http://[::1]:8080/" in line
