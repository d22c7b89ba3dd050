"""Damaged associations into a real spool: what was acknowledged is there, what is there is accounted for, nothing is beside."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from receiver_rig import WAIT_S, Rig, receiver

from actors.dicom import dimse, pdus
from tests.peers import HOST
from tests.streams import RECORDED, damaged_streams, pdus_of

pytestmark = pytest.mark.slow
PATIENCE = {"receiver__acse_timeout_s": 20.0, "receiver__idle_timeout_s": 20.0}
KINDS = ("image.received", "image.duplicate", "image.quarantined")


def hear(port: int, stream: bytes) -> bytes:
    """Send all of it; what came back until the receiver closed, or b"" if it reset the connection."""
    heard = b""
    with socket.create_connection((HOST, port), timeout=WAIT_S) as sock:
        try:
            sock.sendall(stream)
            sock.shutdown(socket.SHUT_WR)
            while part := sock.recv(65536):
                heard += part
        except (BrokenPipeError, ConnectionResetError):
            return b""
    return heard


def acknowledged(answer: bytes) -> int:
    """How many C-STORE successes are in it."""
    responses = [dimse.decode(pdu[12:]) for pdu in pdus_of(answer) if pdu[0] == pdus.P_DATA]
    return sum(one.field == dimse.C_STORE_RSP and one.number(dimse.STATUS) == 0 for one in responses)


def everything(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def in_the_spool(rig: Rig) -> int:
    return sum(len(rig.events(kind)) for kind in KINDS)


def feed(folder: Path, examples: int) -> None:
    with receiver(folder / "home", **PATIENCE) as rig:
        heard = 0

        @settings(deadline=None, max_examples=examples, suppress_health_check=list(HealthCheck), database=None)
        @given(damaged_streams())
        def damage(stream: bytes) -> None:
            nonlocal heard
            heard += acknowledged(hear(rig.port, stream))

        damage()
        whole = RECORDED["storescu"]
        assert acknowledged(hear(rig.port, whole)) == 2
        rig.until(lambda: len(rig.events("association.closed")) == len(rig.events("association.opened")))
        assert heard + 2 <= in_the_spool(rig)
        assert rig.healthy()
        assert not rig.log.of("image_failed")
    names = everything(folder)
    assert all(name == "home" or name.startswith("home/") for name in names)
    assert all(re.fullmatch(r"[A-Za-z0-9._/-]+", name) and ".." not in name for name in names)


def test_a_damaged_association_leaves_nothing_unaccounted(tmp_path: Path) -> None:
    feed(tmp_path, 60)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_many_damaged_associations_leave_nothing_unaccounted(tmp_path: Path) -> None:
    feed(tmp_path, 3_000)
