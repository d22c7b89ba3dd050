"""Objects with impossible UIDs, objects that are no objects, and peers that speak no DICOM: kept apart, nothing else harmed.
known-failures 36 and 37, through a whole node.
"""

from __future__ import annotations

import hashlib
import random
import re
import socket
import struct
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.filebase import DicomBytesIO
from pynetdicom import AE

from actors.dicom.frame import OutgoingImage
from actors.dicom.scu import Node as Scp
from actors.dicom.scu import open_association
from protocol.testing.images import EXPLICIT_VR_LITTLE_ENDIAN, TestImage
from tests.network import evidence
from tests.network.evidence import CT_STORAGE, arrived, digests, doctor, events, part10, series
from tests.network.system import ROOT, Node, rule, target, wait_until
from tests.peers import HOST, StoreScp, needs_dcmtk

pytestmark = [needs_dcmtk, pytest.mark.slow, pytest.mark.timeout(240)]

GOOD = series(1, 12)
BEFORE_GARBAGE = series(2, 3)
UIDS = ("../../evil", "/evil", "1.2/evil", "evil*", "error", "", "1." * 32 + "1", "1.2\x003.evil", "1..2", None)


# ---- what is sent -------------------------------------------------------------------------------------------------
def element(group: int, number: int, vr: bytes, value: str) -> bytes:
    raw = value.encode() + b"\0" * (len(value) % 2)
    return struct.pack("<HH2sH", group, number, vr, len(raw)) + raw


def misplaced(study: str | None, of_series: str | None, sop: str | None, mark: int) -> bytes:
    """A data set with these UIDs; None leaves the element out."""
    parts = [(0x0008, 0x0016, b"UI", CT_STORAGE), (0x0008, 0x0018, b"UI", sop), (0x0008, 0x0060, b"CS", "CT"),
             (0x0010, 0x0020, b"LO", f"P{mark}"), (0x0020, 0x000D, b"UI", study), (0x0020, 0x000E, b"UI", of_series)]  # fmt: skip
    return b"".join(element(group, number, vr, value) for group, number, vr, value in parts if value is not None)


def hostile() -> list[tuple[str, bytes]]:
    """(SOP instance UID of the command, data set) of objects that have no place."""
    found: list[tuple[str, bytes]] = []
    for mark, uid in enumerate(UIDS):
        found.append((f"2.25.1.{mark}", misplaced(uid, "2.25.2", f"2.25.1.{mark}", mark)))
        found.append((f"2.25.3.{mark}", misplaced("2.25.2", uid, f"2.25.3.{mark}", mark)))
        found.append((uid or "", misplaced("2.25.2", "2.25.4", uid, mark)))
    found.append(("2.25.5.1", misplaced("2.25.2", "2.25.4", "2.25.5.2", 0)))  # the command names another instance
    found.append(("2.25.6.1", random.Random(4711).randbytes(600)))
    found.append(("2.25.6.2", TestImage(instance=99).dataset()[:150] + b"\xff" * 20))
    return found


def send_in_one_association(node: Node, folder: Path, objects: list[tuple[str, bytes]]) -> None:
    """Every one is acknowledged: what has no place is kept, too."""
    scp = Scp(HOST, node.port, "SCANPOST", "HOSTILE")
    with open_association(scp, [(CT_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN)]) as association:
        for sop, dataset in objects:
            (folder / "object").write_bytes(b"-" + dataset)
            outgoing = OutgoingImage(folder / "object", 1, CT_STORAGE, sop, EXPLICIT_VR_LITTLE_ENDIAN)
            assert association.store(outgoing).status == 0x0000, (sop, node.logs())


# ---- what must have become of it ----------------------------------------------------------------------------------
def outside(folder: Path, home: Path) -> dict[str, str]:
    """Everything beside the node's home, with its content."""
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for path in folder.rglob("*")
        if home not in path.parents and path != home
    }


def only_our_names(home: Path) -> None:
    """Image folders hold day/key/receipt, quarantine holds receipts: no value out of DICOM became a name."""
    images = [str(path.relative_to(home / "spool" / "images")) for path in (home / "spool" / "images").rglob("*.*")]
    assert images and all(re.fullmatch(r"\d{8}/[0-9a-f]{64}/[0-9a-f]{32}\.dcm", name) for name in images)
    assert all(re.fullmatch(r"[0-9a-f]{32}(\.json)?", path.name) for path in (home / "spool" / "quarantine").iterdir())
    places = [home, *home.parents, ROOT, ROOT.parent, home / "spool", home / "spool" / "images"]
    assert not [place for place in places if (place / "evil").exists()] and not list(home.rglob("*evil*"))


def bytes_are_kept(home: Path, objects: list[tuple[str, bytes]]) -> None:
    kept = [path.read_bytes() for path in (home / "spool" / "quarantine").iterdir() if not path.suffix]
    assert len(kept) == len(objects)
    for sop, dataset in objects:
        assert any(content.endswith(dataset) for content in kept), sop


def not_repeated(node: Node) -> None:
    """Texts out of bad UIDs stand in no event and no log."""
    assert not [event for event in events(node) if "evil" in f"{event.data}{event.subject}"]
    assert not [log.name for log in (node.home / "log").iterdir() if "evil" in log.read_text(errors="replace")]


def test_impossible_objects_are_quarantined_and_good_ones_beside_them_arrive(tmp_path):
    bad = hostile()
    mixed = [*bad]
    for place, image in enumerate(GOOD):
        mixed.insert(place * 3, (image.sop_uid, image.dataset()))
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside" / "evil").write_text("was here before")
    with StoreScp(tmp_path / "elsewhere" / "pacs", options=("+uf",)) as pacs:
        node = Node(tmp_path / "deep" / "home")
        node.route({"pacs": target(pacs.port)}, [rule("all", "True", "pacs")])
        with node:
            before = outside(tmp_path / "deep", node.home) | outside(tmp_path / "beside", node.home)
            scratch = tmp_path / "scanner"
            scratch.mkdir()
            send_in_one_association(node, scratch, mixed)
            figures = evidence.images(node)
            assert figures["received"] == len(mixed) and figures["quarantined"] == len(bad)
            peers_that_speak_no_dicom(node)
            garbage_in_an_association_costs_nothing_that_was_acknowledged(node)

            every = len(GOOD) + len(BEFORE_GARBAGE)
            wait_until(lambda: evidence.images(node)["delivered"] == every, 60, "the good ones are delivered")
            assert arrived(pacs) == digests([*GOOD, *BEFORE_GARBAGE])
            assert len(events(node, "image.quarantined")) == len(bad)
            only_our_names(node.home)
            bytes_are_kept(node.home, bad)
            not_repeated(node)
            assert outside(tmp_path / "deep", node.home) | outside(tmp_path / "beside", node.home) == before
            wait_until(lambda: node.status()["outbox"]["bookkeeper_behind"] == 0, 60, "the ledger has it", 0.5)
            assert not doctor(node)["bad"]


# ---- peers that speak no DICOM ------------------------------------------------------------------------------------
GARBAGE = {
    "a web browser": b"GET / HTTP/1.1\r\nHost: evil\r\n\r\n",
    "a PDU of 4 GB": b"\x01\x00\xff\xff\xff\xff" + b"A" * 1000,
    "data before an association": b"\x04\x00\x00\x00\x00\x08" + b"\x00\x00\x00\x04\x01\x03ab",
    "an association request of nonsense": b"\x01\x00\x00\x00\x00\xc8" + b"\xaa" * 200,
    "noise": b"\xee" + random.Random(1).randbytes(5000),
}


def answer_to(node: Node, data: bytes) -> bytes:
    """Everything the node says until it closes the connection."""
    with socket.create_connection((HOST, node.port), timeout=30) as peer:
        peer.sendall(data)
        said = b""
        try:
            while part := peer.recv(4096):
                said += part
        except ConnectionResetError:
            pass  # closed with bytes unread
        return said


def peers_that_speak_no_dicom(node: Node) -> None:
    """Each gets an A-ABORT (PS3.8 section 9.3.8) and the node's record of it."""
    for who, data in GARBAGE.items():
        said = answer_to(node, data)
        assert said[:1] == b"\x07" and len(said) == 10, (who, said)
    wait_until(lambda: len(turned_away(node)) >= len(GARBAGE), 60, f"an event for each; there are {turned_away(node)}")
    with socket.create_connection((HOST, node.port)) as peer:
        peer.sendall(b"\x01\x00\x00\x00\x01\x00only a part")
    wait_until(lambda: any("ended within" in reason for reason in turned_away(node)), 60, "half a request is noticed")


def turned_away(node: Node) -> list[str]:
    return [event.data["reason"] for event in events(node, "association.rejected")]


def garbage_in_an_association_costs_nothing_that_was_acknowledged(node: Node) -> None:
    scanner = AE("BROKEN")
    scanner.add_requested_context(CT_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN)
    association = scanner.associate(HOST, node.port, ae_title="SCANPOST")
    assert association.is_established
    for image in BEFORE_GARBAGE:
        assert association.send_c_store(dcmread(DicomBytesIO(part10(image)))).Status == 0x0000
    association.dul.socket.socket.sendall(b"\x99" * 500)
    wait_until(lambda: association.is_aborted, 60, "the node aborts")
    closed = wait_until(lambda: [event for event in events(node, "association.closed")
                                 if event.data["calling_ae"] == "BROKEN"], 30, "the end is recorded")  # fmt: skip
    assert closed[0].data["how"] == "aborted" and closed[0].data["images"] == len(BEFORE_GARBAGE)
