"""Sending to DCMTK's storescp, plain and TLS, and to pynetdicom: every transfer syntax, giants, dwarfs, many contexts."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from dicom_fakes import PYDICOM_FILES, SHARED_SYNTAXES, ct_and_mr, node
from pydicom.uid import (
    AllTransferSyntaxes,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    generate_uid,
)
from pynetdicom import AE, AllStoragePresentationContexts, evt

from actors.dicom.bulk import send_files
from actors.dicom.frame import OutgoingImage
from actors.dicom.part10 import read_part10
from actors.dicom.scu import Node, open_association, pack_contexts
from actors.dicom.tls import ClientTls
from protocol.errors import UnreadableImage
from tests.certificates import Authority
from tests.peers import HOST, StoreScp, dataset_bytes, needs_dcmtk

pytestmark = [pytest.mark.slow, needs_dcmtk]
DEFLATED = "1.2.840.10008.1.2.1.99"
GIANT = 500 * 1000 * 1000
FOLDERS = [folder for folder in (PYDICOM_FILES, SHARED_SYNTAXES, SHARED_SYNTAXES.parent) if folder.is_dir()]


def one_of_each() -> list[OutgoingImage]:
    """The smallest file of each SOP class and transfer syntax."""
    found: dict[tuple[str, str], OutgoingImage] = {}
    for folder in FOLDERS:
        for path in sorted(folder.rglob("*")):
            if "truncated" in path.name:  # storescp looks into it and aborts
                continue
            try:
                image = read_part10(path)
            except UnreadableImage:
                continue
            context = image.sop_class_uid, image.transfer_syntax_uid
            before = found.get(context)
            if before is None or (image.length or 0) < (before.length or 0):
                found[context] = image
    return list(found.values())


def as_sent(image: OutgoingImage) -> bytes:
    data = dataset_bytes(image.path)
    return data + bytes(len(data) % 2) if image.transfer_syntax_uid == DEFLATED else data


def made_from_ct(folder: Path, syntax: pydicom.uid.UID) -> Path:
    dataset = pydicom.dcmread(ct_and_mr()[0])
    dataset.file_meta.TransferSyntaxUID = syntax
    path = folder / f"{syntax}.dcm"
    pydicom.dcmwrite(path, dataset, implicit_vr=syntax.is_implicit_VR, little_endian=syntax.is_little_endian,
                     enforce_file_format=True)  # fmt: skip
    return path


@contextmanager
def secure_storescp(folder: Path) -> Iterator[tuple[StoreScp, ClientTls]]:
    authority = Authority(folder / "ca")
    theirs, ours = authority.issue("pacs"), authority.issue("scanpost")
    options = ["+tls", str(theirs.key), str(theirs.cert), "+cf", str(authority.cert), "+uf"]
    with StoreScp(folder / "in", options=options) as peer:
        yield peer, ClientTls(str(authority.cert), str(ours.cert), str(ours.key))


def send_accepted(target: Node, images: list[OutgoingImage]) -> list[OutgoingImage]:
    """Those that the peer takes at all, each followed by the next as deliveries do it."""
    sent = []
    for group in pack_contexts((image.sop_class_uid, image.transfer_syntax_uid) for image in images):
        with open_association(target, group) as association:
            mine = [
                image for image in images
                if (image.sop_class_uid, image.transfer_syntax_uid) in group
                and association.accepts(image.sop_class_uid, image.transfer_syntax_uid)
            ]  # fmt: skip
            for image, following in zip(mine, [*mine[1:], None], strict=True):
                assert association.store(image, following).status == 0
                sent.append(image)
    return sent


def test_every_transfer_syntax_reaches_storescp_over_tls_bit_by_bit(tmp_path: Path) -> None:
    images = one_of_each()
    with secure_storescp(tmp_path) as (peer, tls):
        sent = send_accepted(node(peer.port, tls=tls), images)
        arrived = {dataset_bytes(path) for path in peer.received()}
    assert len({image.transfer_syntax_uid for image in sent}) >= 8
    assert arrived == {as_sent(image) for image in sent}


def test_every_transfer_syntax_reaches_pynetdicom_bit_by_bit() -> None:
    received: list[bytes] = []

    def store(event: evt.Event) -> int:
        received.append(event.request.DataSet.getvalue())
        return 0

    entity = AE("PACS")
    for context in AllStoragePresentationContexts:
        entity.add_supported_context(context.abstract_syntax, AllTransferSyntaxes)
    server = entity.start_server((HOST, 0), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])
    try:
        sent = send_accepted(node(server.server_address[1]), one_of_each())
    finally:
        server.shutdown()
    assert len({image.transfer_syntax_uid for image in sent}) >= 8
    assert received == [as_sent(image) for image in sent]


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
)
def test_one_image_in_each_uncompressed_way_reaches_storescp(tmp_path: Path, syntax: pydicom.uid.UID) -> None:
    path = made_from_ct(tmp_path, syntax)
    with StoreScp(tmp_path / "in", options=["+uf"]) as peer:
        report = send_files(node(peer.port), [path])
        (arrived,) = peer.received()
        assert report.exit_code == 0 and dataset_bytes(arrived) == as_sent(read_part10(path))
        assert pydicom.dcmread(arrived).file_meta.TransferSyntaxUID == syntax


def test_more_contexts_than_an_association_has_take_several_of_storescp(tmp_path: Path) -> None:
    image, images = read_part10(ct_and_mr()[0]), []
    for number in range(300):
        uid = f"1.2.826.0.1.3680043.8.498.{number}"
        images.append(replace(image, sop_class_uid=uid, sop_instance_uid=f"1.2.{number}"))
    with StoreScp(tmp_path / "in", options=["--ignore"]) as peer:
        assert len(send_accepted(node(peer.port), images)) == 300


def giant(folder: Path) -> Path:
    """A multi-frame CT of half a gigabyte, whose pixels are a hole in the file."""
    dataset = pydicom.dcmread(ct_and_mr()[0])
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.Rows = dataset.Columns = 500
    dataset.NumberOfFrames = GIANT // (2 * 500 * 500)
    del dataset.PixelData
    path = folder / "giant.dcm"
    dataset.save_as(path, enforce_file_format=True)
    with path.open("ab") as file:
        file.write(b"\xe0\x7f\x10\x00OW\0\0" + GIANT.to_bytes(4, "little"))
        file.truncate(file.tell() + GIANT)
    return path


def send_alone(port: int, *words: str) -> int:
    """`scanpost send` as a process of its own; its largest resident memory in KB."""
    command = [sys.executable, "-m", "scanpost", "send", HOST, str(port), *words]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, said
    return usage.ru_maxrss


def test_half_a_gigabyte_is_sent_in_flat_memory(tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    small = made_from_ct(tmp_path / "small", ExplicitVRLittleEndian)
    with StoreScp(tmp_path / "in", options=["--ignore"]) as peer:
        needed = send_alone(peer.port, str(small))
        assert send_alone(peer.port, str(giant(tmp_path))) < needed + 10_000


@pytest.mark.soak
def test_half_a_gigabyte_arrives_whole_over_tls(tmp_path: Path) -> None:
    path = giant(tmp_path)
    with secure_storescp(tmp_path) as (peer, tls):
        assert send_files(node(peer.port, tls=tls, dimse_timeout_s=60.0), [path]).exit_code == 0
        (arrived,) = peer.received()
        assert dataset_bytes(arrived) == dataset_bytes(path)


def send_many(port: int, count: int) -> None:
    image = read_part10(ct_and_mr()[0])
    with open_association(node(port), [(CTImageStorage, ExplicitVRLittleEndian)]) as association:
        for number in range(count):
            assert association.store(replace(image, sop_instance_uid=f"1.2.{number}")).status == 0


def test_thousands_of_images_go_through_one_association(tmp_path: Path) -> None:
    with StoreScp(tmp_path / "in", options=["--ignore"]) as peer:
        send_many(peer.port, 3000)


@pytest.mark.soak
def test_more_images_than_there_are_message_ids_go_through_one_association(tmp_path: Path) -> None:
    with StoreScp(tmp_path / "in", options=["--ignore"]) as peer:
        send_many(peer.port, 70_000)


@pytest.mark.timeout(30)
def test_a_receiver_with_nagles_algorithm_on_is_sent_to_all_the_same(tmp_path: Path, monkeypatch) -> None:
    """It splits its answers and waits for our acknowledgement in between: 40 ms each, unless we acknowledge at once."""
    monkeypatch.setattr("tests.peers.FAST_SENDER", {})
    with StoreScp(tmp_path / "in", options=["--ignore"]) as peer:
        send_many(peer.port, 1000)  # above 40 s if it waited, which the time limit of this test does not allow
