"""`scanpost backup`, `restore` and `spool rebuild`: what is read anew from files is read as the rules want it."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from protocol.clock import SystemClock
from protocol.fsops import RealFs
from protocol.header.scan import scan
from protocol.routing.parse import build
from protocol.routing.versions import RoutingVersions
from protocol.spool import Spool, open_spool
from protocol.spool.images import Incoming
from protocol.testing.images import TestImage

Run = Callable[..., Result]
ASKED = "AcquisitionProtocolDescription"  # (0018,9424), which is read only while a rule asks for it
ROUTING = {
    "sources": {"ct1": {"calling_ae": "CT1", "charset": "ISO_IR 100"}},
    "rules": [{"name": "asks", "when": f"exists({ASKED}) and Source == 'ct1'", "action": "hold"}],
}


def receive(spool: Spool) -> None:
    """One image that has the element and a name in a character set that it does not tell; its association is not known."""
    image = TestImage()
    plain = image.dataset().replace(b"Test^Image", "Müller^Eva".encode("latin-1"))
    at = plain.index(struct.pack("<HH", 0x0020, 0x000D))
    data = plain[:at] + struct.pack("<HH2sH", 0x0018, 0x9424, b"LT", 4) + b"knee" + plain[at:]
    spool.images.commit([spool.images.save(
        Incoming(bytes(16), "CT1", "SCANPOST", "127.0.0.1", None, image.sop_class_uid, image.sop_uid,
                 image.transfer_syntax_uid, data, scan(data, image.transfer_syntax_uid)))])  # fmt: skip


@pytest.fixture
def node(tmp_path: Path) -> Path:
    versions = RoutingVersions(tmp_path / "config" / "routing", RealFs(), SystemClock())
    versions.publish(build(ROUTING, "test"), "ann", "first", 0)
    open_spool(tmp_path, create=True).close()
    return tmp_path


@pytest.mark.parametrize("how", ["restore", "rebuild"])
def test_what_is_read_anew_from_files_has_the_values_that_rules_ask_for(node: Path, run: Run, how: str) -> None:
    run("backup", str(node / "copies"))
    spool = open_spool(node)
    receive(spool)
    spool.close()
    if how == "restore":
        run("restore", str(node / "copies"))
    else:
        (node / "spool" / "spool.sqlite3").unlink()
        run("spool", "rebuild")
    spool = open_spool(node)
    with spool.database.read() as connection:
        (id,) = connection.execute("SELECT id FROM arrival").fetchone()
    row = spool.arrivals.subject(id)
    spool.close()
    assert row.common[ASKED] == "knee" and row.common["PatientName"] == "Müller^Eva" and row.arrival["source"] == "ct1"
