"""The reports behind `scanpost echo` and `scanpost send`, and reading where a Part 10 file's dataset starts."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from dicom_fakes import PYDICOM_FILES, RecordingHandler, ct_and_mr, node, raw_peer, read_pdu, running_scp
from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from actors.dicom import pdus
from actors.dicom.bulk import (
    CANNOT_NEGOTIATE,
    CANNOT_SEND,
    INVALID_INPUT_FILE,
    NO_CONTEXT,
    NO_INPUT_FILES,
    NO_VALID_INPUT_FILES,
    FileReport,
    Watch,
    send_files,
)
from actors.dicom.part10 import read_part10
from actors.dicom.pdus import AssociateAc, ContextResult
from actors.dicom.tools import echo
from protocol.errors import UnreadableImage
from tests.peers import dataset_bytes, dcmsend, echoscu, free_port, needs_dcmtk


class Seen(Watch):
    def __init__(self) -> None:
        self.total, self.size = (0, 0), 0
        self.files: list[FileReport] = []

    def found(self, images: int, size: int) -> None:
        self.total = (images, size)

    def moved(self, size: int) -> None:
        self.size += size

    def ended(self, file: FileReport) -> None:
        self.files.append(file)


def test_the_file_meta_information_says_what_pydicom_reads() -> None:
    checked = 0
    for path in sorted(PYDICOM_FILES.rglob("*.dcm")):
        try:
            image = read_part10(path)
            meta = dcmread(path, stop_before_pixels=True, specific_tags=[]).file_meta
        except (UnreadableImage, InvalidDicomError):
            continue
        assert image.sop_class_uid == meta.MediaStorageSOPClassUID
        assert image.sop_instance_uid == meta.MediaStorageSOPInstanceUID
        assert image.transfer_syntax_uid == meta.TransferSyntaxUID
        assert path.read_bytes()[image.dataset_offset :] == dataset_bytes(path)
        checked += 1
    assert checked > 50


@pytest.mark.parametrize("content", [b"", b"text", bytes(132), bytes(128) + b"DICM", bytes(128) + b"DICM\x02\0\0\0OB"])
def test_a_file_that_is_no_part_10_file_is_unreadable(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(UnreadableImage):
        read_part10(tmp_path / "file")
    with pytest.raises(UnreadableImage):
        read_part10(tmp_path / "missing")


@needs_dcmtk
@pytest.mark.slow
def test_dcmtk_ends_with_the_same_exit_codes(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no image")
    nobody = free_port()
    assert echoscu(nobody).returncode == echo(node(nobody)).exit_code
    assert dcmsend(nobody, ct_and_mr()).returncode == send_files(node(nobody), ct_and_mr()).exit_code
    nothing = dcmsend(nobody, [tmp_path / "text"], ["--no-halt"])
    assert nothing.returncode == send_files(node(nobody), [tmp_path / "text"]).exit_code


def test_echo_reports_each_way_it_can_end() -> None:
    with running_scp(RecordingHandler()) as port:
        report = echo(node(port))
    assert (report.ok, report.step, report.status, report.exit_code) == (True, "done", 0, 0)
    report = echo(node(free_port()))
    assert (report.ok, report.step, report.exit_code) == (False, "connect", 1)
    handler = RecordingHandler()
    handler.on_requested = lambda peer: "no"
    with running_scp(handler) as port:
        assert echo(node(port)).step == "associate"


def test_sending_files_reports_every_one_of_them(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for path in ct_and_mr():
        (tmp_path / "in" / path.name).write_bytes(path.read_bytes())
    (tmp_path / "in" / "readme.txt").write_text("no image")
    seen = Seen()
    handler = RecordingHandler()
    with running_scp(handler) as port:
        report = send_files(node(port), [tmp_path / "in"], seen)
    assert (report.sent, report.failed, report.associations, report.exit_code) == (2, 1, 1, INVALID_INPUT_FILE)
    size = sum(len(dataset_bytes(path)) for path in ct_and_mr())
    assert seen.total == (2, size) and seen.size == report.bytes == size and len(seen.files) == 3
    assert sorted(handler.datasets) == sorted(dataset_bytes(path) for path in ct_and_mr())


def test_exit_codes_of_sending_are_those_of_dcmsend(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no image")
    handler = RecordingHandler()
    assert send_files(node(1), []).exit_code == NO_INPUT_FILES
    assert send_files(node(1), [tmp_path / "text"]).exit_code == NO_VALID_INPUT_FILES
    assert send_files(node(free_port()), ct_and_mr()).exit_code == CANNOT_NEGOTIATE
    with running_scp(handler) as port:
        assert send_files(node(port), ct_and_mr()).exit_code == 0
        handler.on_store = lambda request: 0xA900
        report = send_files(node(port), ct_and_mr())
        assert report.exit_code == CANNOT_SEND and report.files[0].message.startswith("A900 ")

    def no_contexts(sock: socket.socket) -> None:
        read_pdu(sock)
        sock.sendall(AssociateAc((ContextResult(1, 3, ""),), 16384).encode())
        read_pdu(sock)
        sock.sendall(pdus.RELEASE_RP_PDU)

    with raw_peer(no_contexts) as port:
        assert send_files(node(port), ct_and_mr()[:1]).exit_code == NO_CONTEXT
