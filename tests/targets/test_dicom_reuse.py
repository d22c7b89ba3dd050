"""A DICOM association that stays open between deliveries, with real sockets: what the peer may do to it meanwhile."""

from __future__ import annotations

import gc
import socket
import threading
import weakref

import pytest
from test_dicom_target import CT, EXPLICIT, dicom, image, target

from actors.dicom import dimse, pdus
from actors.dicom.pdus import AssociateAc, ContextResult
from actors.dicom.tls import ServerTls
from actors.dicom.upper import fragments
from actors.targets.dicom import DicomSession, node_of
from protocol.errors import NetworkError, PeerTimeout
from tests.certificates import Authority
from tests.dicom.dicom_fakes import WAIT_S, RecordingHandler, raw_peer, read_pdu, running_scp
from tests.peers import HOST

QUIET = lambda: None  # noqa: E731


def take_one(sock: socket.socket, late: threading.Event | None = None, status: int = 0, last_word: bytes = b"") -> None:
    """Accept the association and answer its first C-STORE; with `late` only after that."""
    assert read_pdu(sock)[0] == pdus.ASSOCIATE_RQ
    sock.sendall(AssociateAc((ContextResult(1, 0, EXPLICIT),), 16384).encode())
    while read_pdu(sock)[1][5] != 2:  # the last fragment of a dataset
        pass
    if late is not None:
        late.wait(WAIT_S)
    answer = dimse.encode({0x0100: dimse.C_STORE_RSP, 0x0120: 1, 0x0800: 0x0101, 0x0900: status})
    sock.sendall(b"".join(bytes(part) for part in fragments(1, answer, True, True, 16384)) + last_word)


@pytest.mark.parametrize("tls", [False, True])
def test_the_next_series_goes_through_the_same_association(tmp_path, tls):
    authority = Authority(tmp_path / "ca")
    theirs = authority.issue("pacs")
    handler, first, second = RecordingHandler(), *([image(tmp_path, n)] for n in (1, 2))
    server = ServerTls(theirs.cert, theirs.key) if tls else None
    with running_scp(handler, server) as port:
        session = target(port, **({"tls": {"ca": str(authority.cert)}} if tls else {})).open(first, QUIET)
        assert session.send(first[0]).ok
        moved: list[int] = []
        assert session.again(second, lambda: moved.append(1))
        assert session.send(second[0]).ok and moved
        session.close()
        assert not session.again(first, QUIET)
    assert len(handler.opened_ids) == 1 and len(handler.stored) == 2 and handler.endings == ["released"]


@pytest.mark.parametrize("end", ["close", "abort"])
def test_an_association_that_is_over_leaves_no_circle_that_holds_its_buffers(tmp_path, end):
    images = [image(tmp_path, 1)]
    gc.disable()  # a slot looks for circles after thousands of objects: a megabyte each would stay until then
    try:
        with running_scp(RecordingHandler()) as port:
            session = target(port).open(images, QUIET)
            assert session.send(images[0]).ok
            association = weakref.ref(session.association)
            getattr(session, end)()
            del session
            assert association() is None
    finally:
        gc.enable()


def test_a_target_that_is_asked_for_commitment_gets_no_idle_association_beside_it():
    assert target(1, reuse_s=3.0).reuse_s == 3.0
    assert target(1, reuse_s=3.0, commitment={}).reuse_s == 0.0


def test_images_that_need_other_contexts_need_another_association(tmp_path):
    first, other = [image(tmp_path, 1)], [image(tmp_path, 2, "1.2.840.10008.5.1.4.1.1.4")]
    with running_scp(RecordingHandler()) as port:
        session = target(port).open(first, QUIET)
        assert not session.again(other, QUIET) and session.again(first, QUIET)
        session.close()


@pytest.mark.parametrize("how", ["release", "abort", "close", "reset", "noise"])
def test_what_the_peer_does_while_it_is_idle_is_noticed_without_waiting(tmp_path, how):
    done, answered = threading.Event(), []

    def serve(sock: socket.socket) -> None:
        take_one(sock)
        if how == "release":
            sock.sendall(pdus.RELEASE_RQ_PDU)
        elif how == "abort":
            sock.sendall(pdus.encode_abort(0, 0))
        elif how == "noise":
            sock.sendall(b"noise")
        elif how == "reset":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        if how in ("close", "reset"):
            sock.close()
        done.set()
        if how == "release":
            answered.append(read_pdu(sock)[0])

    first = [image(tmp_path, 1)]
    with raw_peer(serve) as port:
        session = target(port).open(first, QUIET)
        assert session.send(first[0]).ok
        assert done.wait(WAIT_S)
        while session.again(first, QUIET):  # until the news has come through the kernel
            pass
        session.close()
    assert answered == ([pdus.RELEASE_RP] if how == "release" else [])


def test_after_a_timed_out_response_the_late_answer_is_never_taken_for_another_images(tmp_path):
    late, first = threading.Event(), [image(tmp_path, 1)]
    with raw_peer(lambda sock: take_one(sock, late)) as port:
        session = target(port, dimse_timeout_s=0.2, acse_timeout_s=2.0).open(first, QUIET)
        with pytest.raises(PeerTimeout):
            session.send(first[0])
        late.set()
        assert not session.again(first, QUIET)
        with pytest.raises(NetworkError):
            session.send(first[0])  # only a new association, which this peer does not take


@pytest.mark.parametrize("last_word", [pdus.encode_abort(0, 0), pdus.RELEASE_RQ_PDU], ids=["aborts", "releases"])
def test_a_target_that_ends_the_association_with_each_refusal_is_asked_for_each_image(tmp_path, last_word):
    images, listener = [image(tmp_path, n) for n in (1, 2, 3)], socket.create_server((HOST, 0))

    def serve() -> None:
        for _ in images:
            sock, _ = listener.accept()
            with sock:
                sock.settimeout(WAIT_S)
                take_one(sock, status=0xC000, last_word=last_word)
                while sock.recv(100):
                    pass

    peer = threading.Thread(target=serve, daemon=True)
    peer.start()
    with listener:
        session = target(listener.getsockname()[1]).open(images, QUIET)
        assert [session.send(one).status for one in images] == [0xC000] * 3
        session.abort()
        peer.join(WAIT_S)


def test_an_extra_context_can_be_used_beside_the_images(tmp_path):
    handler, verification = RecordingHandler(), (dimse.VERIFICATION, dimse.IMPLICIT_LITTLE)
    classes = [f"1.2.826.0.1.3680043.9.{n}" for n in range(130)]
    images = [image(tmp_path, n + 1, sop_class) for n, sop_class in enumerate(classes)]
    with running_scp(handler) as port:
        session = DicomSession(node_of(dicom(port)), images, QUIET, [verification])
        for one in images:
            assert session.send(one).ok
        assert session.association.accepts(*verification) and session.association.echo() == 0
        assert session.send(images[-1]).ok
        session.close()
    assert len(handler.stored) == 131 and len(handler.opened_ids) == 2


def test_a_file_shorter_than_the_spool_says_is_refused_before_a_byte_is_sent(tmp_path):
    handler, images = RecordingHandler(), [image(tmp_path, n) for n in (1, 2, 3)]
    images[1].path.write_bytes(images[1].path.read_bytes()[:-2])
    with running_scp(handler) as port:
        session = target(port).open(images, QUIET)
        answers = [session.send(one, after) for one, after in zip(images, [*images[1:], None], strict=True)]
        session.close()
    assert [answer.ok for answer in answers] == [True, False, True] and "too early" in answers[1].words
    assert [request.sop_class_uid for request in handler.stored] == [CT, CT] and len(handler.opened_ids) == 1
