"""Peers that speak no DICOM, vanish, stall or lie about lengths; and handlers that fail. Nobody else may notice."""

from __future__ import annotations

import logging
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from dicom_fakes import RecordingHandler, node, read_all, read_pdu, running_scp
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from actors.dicom import dimse, pdus
from actors.dicom.pdus import AssociateRq, ProposedContext
from actors.dicom.scp import Peer, ScpConfig, StorageScp, StoreRequest
from actors.dicom.scu import Association, OutgoingImage, open_association
from actors.dicom.upper import fragments
from protocol.errors import AssociationAborted, AssociationRejected, DiskFailed, OutOfSpace, UnreadableImage
from tests.peers import HOST

CT = (CTImageStorage, ExplicitVRLittleEndian)
pytestmark = pytest.mark.usefixtures("both_ways")
VERIFY = (dimse.VERIFICATION, "1.2.840.10008.1.2")
ABORT_BY_USER = b"\x07\x00\x00\x00\x00\x04\x00\x00\x00"  # before an association, PS3.8 section 9.2, AA-1
ABORT_BY_PROVIDER = b"\x07\x00\x00\x00\x00\x04\x00\x00\x02"


@pytest.fixture
def handler() -> RecordingHandler:
    return RecordingHandler()


@pytest.fixture
def raw() -> Iterator[list[socket.socket]]:
    sockets: list[socket.socket] = []
    yield sockets
    for sock in sockets:
        sock.close()


def image(folder: Path, dataset: bytes, uid: str = "1.2.3") -> OutgoingImage:
    path = folder / "dataset"
    path.write_bytes(dataset)
    return OutgoingImage(path, 0, *CT[:1], uid, CT[1])


def connect(port: int) -> socket.socket:
    return socket.create_connection((HOST, port), timeout=60)


def associate(port: int) -> socket.socket:
    """An open association (context 1: CT) as a bare socket."""
    sock = connect(port)
    sock.sendall(AssociateRq("SCANPOST", "RAW", (ProposedContext(1, CT[0], CT[1:]),), 16384).encode())
    assert read_pdu(sock)[0] == pdus.ASSOCIATE_AC
    return sock


def store_bytes(dataset: bytes, context_id: int = 1, message_id: int = 1) -> bytes:
    command = dimse.store_request(message_id, CT[0], "1.2.3")
    parts = fragments(context_id, command, True, True, 16384) + fragments(context_id, dataset, False, True, 16384)
    return b"".join(bytes(part) for part in parts)


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x00",
        b"\x01\x00\xff\xff\xff\xff" + b"x" * 100,  # a request of 4 GB
        b"\x01\x00\x00\x00\x00\x02ab",  # a request of two bytes
        b"\x04\x00\x00\x00\x00\x06\x00\x00\x00\x02\x01\x03",  # data before the association
        pdus.RELEASE_RQ_PDU,
    ],
    ids=["http", "tls", "nul", "4gb", "short", "data", "release"],
)
def test_garbage_gets_an_abort_and_an_event(handler: RecordingHandler, garbage: bytes) -> None:
    with running_scp(handler) as port, connect(port) as sock:
        sock.sendall(garbage)
        assert read_all(sock).startswith(ABORT_BY_USER)
        handler.wait(lambda: handler.refused_pdus)
        with open_association(node(port), [VERIFY]) as association:
            assert association.echo() == 0
    assert len(handler.refused_pdus) == 1


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x09\x00\x00\x00\x00\x00",
        b"\x04\x00\xff\xff\xff\xff",
        b"\x04\x00\x00\x00\x00\x03\x00\x00\x00",
        b"\x04\x00\x00\x00\x00\x06\x7f\xff\xff\xff\x01\x03",  # an item longer than its PDU
        b"\x04\x00\x00\x00\x00\x06\x00\x00\x00\x01\x01\x03",
        b"\x04\x00\x00\x00\x00\x06\x00\x00\x00\x02\x01\x02",  # a dataset without a command
        store_bytes(b"abcd", context_id=9),  # a context nobody proposed
        b"".join(bytes(part) for part in fragments(1, b"\x08\x00\x05\x00\x02\x00\x00\x00ab", True, True, 16384)),
        b"".join(bytes(part) for part in fragments(1, dimse.encode({0x0100: 0x8001}), True, True, 16384)),
    ],
    ids=["type", "4gb", "tiny", "pdv", "pdv1", "orphan", "context", "group8", "response"],
)
def test_a_malformed_pdu_within_an_association_gets_an_abort_and_one_end(
    handler: RecordingHandler, garbage: bytes
) -> None:
    with running_scp(handler) as port, associate(port) as sock:
        sock.sendall(garbage)
        assert read_all(sock).startswith(ABORT_BY_PROVIDER)
        handler.wait(lambda: handler.closed_ids)
    assert handler.endings == ["aborted"] and len(handler.refused_pdus) == 1 and not handler.stored


def test_a_health_check_that_only_connects_makes_no_event(handler: RecordingHandler) -> None:
    with running_scp(handler) as port:
        connect(port).close()
        with open_association(node(port), [VERIFY]) as association:
            assert association.echo() == 0
    assert handler.refused_pdus == []


def test_a_peer_that_connects_and_says_nothing_is_dropped(handler: RecordingHandler) -> None:
    with running_scp(handler, acse_timeout_s=0.2) as port, connect(port) as sock:
        read_all(sock)
        handler.wait(lambda: handler.refused_pdus)
    assert "no association request" in handler.refused_pdus[0]


def test_a_request_that_comes_byte_by_byte_is_dropped_in_time(handler: RecordingHandler) -> None:
    over = threading.Event()
    request = AssociateRq("SCANPOST", "SLOW", (ProposedContext(1, CT[0], CT[1:]),), 16384).encode()
    with running_scp(handler, acse_timeout_s=0.3) as port, connect(port) as sock:

        def drip() -> None:
            for byte in request:
                if over.wait(0.02):
                    return
                try:
                    sock.send(bytes((byte,)))
                except OSError:
                    return

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            handler.wait(lambda: handler.refused_pdus)
        finally:
            over.set()
            thread.join()
    assert not handler.opened_ids


def test_a_peer_that_stalls_in_the_middle_of_an_image_is_lost(handler: RecordingHandler) -> None:
    with running_scp(handler, network_timeout_s=0.2) as port, associate(port) as sock:
        sock.sendall(store_bytes(bytes(1000))[:-10])
        handler.wait(lambda: handler.closed_ids)
    assert handler.endings == ["lost"] and not handler.stored


def test_an_idle_association_ends_after_the_idle_time(handler: RecordingHandler) -> None:
    with running_scp(handler, idle_timeout_s=0.2) as port, associate(port):
        handler.wait(lambda: handler.closed_ids)
    assert handler.endings == ["lost"]


def test_a_peer_that_vanishes_is_lost_and_its_acknowledged_image_counts(handler: RecordingHandler) -> None:
    with running_scp(handler) as port:
        with associate(port) as sock:
            sock.sendall(store_bytes(b"whole"))
            assert read_pdu(sock)[0] == pdus.P_DATA
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close as a crash does
        handler.wait(lambda: handler.closed_ids)
    assert handler.endings == ["lost"] and handler.datasets == [b"whole"]


def test_the_oldest_silent_connection_gives_way_to_a_new_one(
    handler: RecordingHandler, raw: list[socket.socket]
) -> None:
    with running_scp(handler, max_waiting=3) as port:
        raw += [connect(port) for _ in range(10)]
        with open_association(node(port), [VERIFY]) as association:
            assert association.echo() == 0


def test_one_association_too_many_is_rejected_for_now(handler: RecordingHandler) -> None:
    with running_scp(handler, max_associations=1) as port, open_association(node(port), [VERIFY]):
        with pytest.raises(AssociationRejected, match="local limit exceeded") as caught:
            open_association(node(port), [VERIFY])
        assert caught.value.retryable
    assert len(handler.opened_ids) == 1


def test_two_messages_and_pieces_of_any_size_are_put_together(handler: RecordingHandler) -> None:
    stream = store_bytes(b"first!") + store_bytes(b"second", message_id=2)
    with running_scp(handler) as port, associate(port) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(stream), 7):
            sock.sendall(stream[start : start + 7])
        assert [read_pdu(sock)[0] for _ in range(2)] == [pdus.P_DATA] * 2
    assert handler.datasets == [b"first!", b"second"]


def test_command_and_dataset_in_one_pdu_are_understood(handler: RecordingHandler) -> None:
    command = dimse.store_request(1, CT[0], "1.2.3")
    body = struct.pack(">IBB", len(command) + 2, 1, 3) + command + struct.pack(">IBB", 6, 1, 2) + b"data"
    with running_scp(handler) as port, associate(port) as sock:
        sock.sendall(struct.pack(">BxI", pdus.P_DATA, len(body)) + body)
        assert read_pdu(sock)[0] == pdus.P_DATA
    assert handler.datasets == [b"data"]


def test_evil_uids_reach_the_handler_unchanged(handler: RecordingHandler, tmp_path: Path) -> None:
    evil = ["../../evil", "1" * 70, "a/b\nc", "error"]
    with running_scp(handler) as port, open_association(node(port), [CT]) as association:
        for uid in evil:
            assert association.store(image(tmp_path, b"data", uid)).status == 0
    assert [request.sop_instance_uid for request in handler.stored] == evil


def test_an_object_above_the_limit_is_refused_and_the_association_goes_on(
    handler: RecordingHandler, tmp_path: Path
) -> None:
    with running_scp(handler, max_object_bytes=1000) as port, open_association(node(port), [CT]) as association:
        assert association.store(image(tmp_path, bytes(1001))).status == 0xA700
        assert association.store(image(tmp_path, bytes(1000))).status == 0
    assert [len(data) for data in handler.datasets] == [1000]


@pytest.mark.parametrize(
    ("error", "status"),
    [(OutOfSpace(), 0xA700), (UnreadableImage(), 0xC000), (RuntimeError("Doe^John"), 0x0110), (DiskFailed(), 0x0110)],
    ids=["space", "unreadable", "bug", "disk"],
)
def test_a_failing_handler_answers_with_its_status_and_the_association_goes_on(
    handler: RecordingHandler, tmp_path: Path, error: Exception, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(request: StoreRequest) -> int:
        raise error

    with running_scp(handler) as port, open_association(node(port), [CT]) as association:
        handler.on_store = fail
        assert association.store(image(tmp_path, b"data")).status == status
        handler.on_store = lambda request: 0
        assert association.store(image(tmp_path, b"data")).status == 0
    assert [type(exc) for exc in handler.fatal_errors] == ([DiskFailed] if isinstance(error, DiskFailed) else [])
    assert "Doe" not in caplog.text


def test_a_handler_that_refuses_to_open_aborts_and_is_not_told_the_end(handler: RecordingHandler) -> None:
    def fail() -> None:
        raise RuntimeError("no")

    handler.on_opened = fail
    with running_scp(handler) as port:
        with pytest.raises(AssociationAborted):
            open_association(node(port), [VERIFY])
        handler.on_opened = lambda: None
        open_association(node(port), [VERIFY]).release()
        handler.wait(lambda: handler.closed_ids)
    assert handler.endings == ["released"]


def test_a_handler_that_cannot_decide_rejects_transiently(handler: RecordingHandler) -> None:
    def fail(peer: Peer) -> str | None:
        raise RuntimeError("no configuration")

    handler.on_requested = fail
    with running_scp(handler) as port, pytest.raises(AssociationRejected, match="congestion") as caught:
        open_association(node(port), [VERIFY])
    assert caught.value.retryable


def test_an_operation_we_do_not_know_is_answered_not_aborted(handler: RecordingHandler) -> None:
    find = dimse.encode({0x0002: CT[0], 0x0100: 0x0020, 0x0110: 3, 0x0800: 1})
    parts = fragments(1, find, True, True, 16384) + fragments(1, b"query!", False, True, 16384)
    with running_scp(handler) as port, associate(port) as sock:
        sock.sendall(b"".join(bytes(part) for part in parts))
        answer = dimse.decode(read_pdu(sock)[1][6:])
        assert (answer.field, answer.number(dimse.STATUS)) == (0x8020, 0x0211)
        sock.sendall(store_bytes(b"data"))
        assert dimse.decode(read_pdu(sock)[1][6:]).number(dimse.STATUS) == 0


def test_stopping_lets_an_open_association_finish(handler: RecordingHandler, tmp_path: Path) -> None:
    scp = StorageScp(ScpConfig(host=HOST, port=0), handler)
    port = scp.start()
    stored, stopping = threading.Event(), threading.Thread(target=scp.stop, args=(10.0,))

    def store(request: StoreRequest) -> int:
        stopping.start()
        stored.set()
        return 0

    handler.on_store = store
    with open_association(node(port), [CT]) as association:
        assert association.store(image(tmp_path, b"one")).status == 0
        assert stored.is_set()
        handler.on_store = lambda request: 0
        assert association.store(image(tmp_path, b"two")).status == 0
    stopping.join(60)
    assert not stopping.is_alive() and handler.endings == ["released"] and handler.datasets == [b"one", b"two"]


def test_stopping_aborts_what_does_not_finish_in_time(handler: RecordingHandler) -> None:
    scp = StorageScp(ScpConfig(host=HOST, port=0), handler)
    association: Association = open_association(node(scp.start()), [VERIFY])
    scp.stop(0.1)
    assert handler.endings == ["aborted"]
    with pytest.raises(AssociationAborted, match="peer's application"):
        association.echo()
    with pytest.raises(OSError):
        connect(association._node.port)


def test_two_processes_can_share_a_port_and_one_may_stop(handler: RecordingHandler) -> None:
    with running_scp(handler, reuse_port=True) as port:
        second = StorageScp(ScpConfig(host=HOST, port=port, reuse_port=True), handler)
        assert second.start() == port
        second.stop(1.0)
        with open_association(node(port), [VERIFY]) as association:
            assert association.echo() == 0
        with pytest.raises(OSError):
            StorageScp(ScpConfig(host=HOST, port=port), handler).start()


def test_nothing_of_an_image_goes_into_the_log(
    handler: RecordingHandler, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with running_scp(handler) as port, open_association(node(port), [CT]) as association:
        association.store(image(tmp_path, b"\x10\x00\x10\x00PN\x08\x00Doe^John"))
    assert handler.stored and "Doe" not in caplog.text
