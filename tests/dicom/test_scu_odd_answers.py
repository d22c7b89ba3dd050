"""Answers to C-STORE that come when or as nobody expects them: before the whole image has gone out, or not as the last word."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from dicom_fakes import ct_and_mr, node, raw_peer, read_pdu
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from actors.dicom import dimse, pdus
from actors.dicom.frame import OutgoingImage
from actors.dicom.part10 import read_part10
from actors.dicom.pdus import AssociateAc, ContextResult
from actors.dicom.scu import open_association
from actors.dicom.upper import fragments
from protocol.errors import AssociationAborted, PeerTimeout

CT = (CTImageStorage, ExplicitVRLittleEndian)
ABORT = pdus.encode_abort(0, 0)


def accept(sock: socket.socket) -> None:
    """Accept context 1 (CT) of the association request that comes."""
    assert read_pdu(sock)[0] == pdus.ASSOCIATE_RQ
    sock.sendall(AssociateAc((ContextResult(1, 0, CT[1]),), 16384).encode())


def answer(status: int, message_id: int = 1, **more: int) -> bytes:
    command = {0x0100: dimse.C_STORE_RSP, 0x0120: message_id, 0x0800: 0x0101, 0x0900: status, **more}
    return b"".join(bytes(part) for part in fragments(1, dimse.encode(command), True, True, 16384))


def until_stored(sock: socket.socket) -> None:
    """Read the PDUs of one whole C-STORE request."""
    while read_pdu(sock)[1][5] != 2:  # the last fragment of a dataset
        pass


@pytest.fixture
def large(tmp_path: Path) -> OutgoingImage:
    """More than the buffers of any system between two sockets hold."""
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(200_000_000)
    return OutgoingImage(path, 0, CT[0], "1.2.3", CT[1])


@pytest.mark.parametrize("last_word", [ABORT, b""], ids=["aborts", "hangs up"])
@pytest.mark.parametrize("status", [0xA700, 0x0122, 0xC000])
def test_a_failure_that_comes_before_the_whole_image_counts_though_the_peer_ends_it(
    status: int, last_word: bytes, large: OutgoingImage
) -> None:
    """PS3.7 lets a peer refuse early; who sees only the broken connection would send the same image for ever."""

    def serve(sock: socket.socket) -> None:
        accept(sock)
        read_pdu(sock)
        sock.sendall(answer(status) + last_word)

    with raw_peer(serve) as port:
        association = open_association(node(port), [CT])
        assert association.store(large).status == status
        assert not association.usable


def test_a_failure_that_comes_before_the_whole_image_counts_though_the_peer_takes_no_more(large: OutgoingImage) -> None:
    def serve(sock: socket.socket) -> None:
        accept(sock)
        read_pdu(sock)
        sock.sendall(answer(0xA700))
        over.recv(1)

    here, over = socket.socketpair()
    with here, over, raw_peer(serve) as port:
        association = open_association(node(port, dimse_timeout_s=0.5), [CT])
        assert association.store(large).status == 0xA700
        assert not association.usable
        here.send(b"x")


@pytest.mark.parametrize("said", [answer(0), answer(0xB007), answer(0xA700, 999)], ids=["stored", "warning", "another"])
def test_half_an_image_is_never_taken_for_stored(said: bytes, large: OutgoingImage) -> None:
    def serve(sock: socket.socket) -> None:
        accept(sock)
        read_pdu(sock)
        sock.sendall(said)

    with raw_peer(serve) as port:
        association = open_association(node(port), [CT])
        with pytest.raises(AssociationAborted):
            association.store(large)
        assert not association.usable


@pytest.mark.parametrize("status", [0x0000, 0xB000, 0xA700])
def test_a_pending_answer_is_not_the_last_one(status: int) -> None:
    """C-STORE knows none, but there are peers that say it, and then what counts."""

    def serve(sock: socket.socket) -> None:
        accept(sock)
        for message_id in (1, 2):
            until_stored(sock)
            sock.sendall(answer(0xFF00, message_id) + answer(0xFF01, message_id))
            sock.sendall(answer(status, message_id))
        assert read_pdu(sock)[0] == pdus.RELEASE_RQ
        sock.sendall(pdus.RELEASE_RP_PDU)

    image = read_part10(ct_and_mr()[0])
    with raw_peer(serve) as port, open_association(node(port), [CT]) as association:
        assert [association.store(image).status for _ in range(2)] == [status, status]


def test_answers_that_stay_pending_are_a_timeout() -> None:
    def serve(sock: socket.socket) -> None:
        accept(sock)
        until_stored(sock)
        while True:
            try:
                sock.sendall(answer(0xFF00))
                sock.settimeout(0.05)
                if not sock.recv(100):
                    return
            except TimeoutError:
                continue
            except OSError:
                return

    with raw_peer(serve) as port:
        association = open_association(node(port, dimse_timeout_s=0.5), [CT])
        with pytest.raises(PeerTimeout, match="no answer"):
            association.store(read_part10(ct_and_mr()[0]))
        assert not association.usable
