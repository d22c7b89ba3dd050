"""Peers that drip, that never end, that come by the thousand (known-failures 44): each state of a connection has an end.

What they cost is one thread each at most; who sends next to them gets all images in.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from dicom_fakes import RecordingHandler, node, read_all, read_pdu, running_scp
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from actors.dicom import dimse, pdus
from actors.dicom.pdus import AssociateRq, ProposedContext
from actors.dicom.scu import Association, OutgoingImage, open_association
from actors.dicom.service import LimitReached
from actors.dicom.waiting import Waiting
from protocol.errors import AssociationRejected
from tests.peers import HOST

CT = (CTImageStorage, ExplicitVRLittleEndian)
VERIFY = (dimse.VERIFICATION, "1.2.840.10008.1.2")
ELSEWHERE = "127.0.0.2"
REQUEST = AssociateRq("SCANPOST", "RAW", (ProposedContext(1, CT[0], CT[1:]),), 16384).encode()


@pytest.fixture
def handler() -> RecordingHandler:
    return RecordingHandler()


def connect(port: int, source: str = HOST, room: int = 0) -> socket.socket:
    """`room` for what it receives, said before it connects: a window that was promised is filled in dribs otherwise."""
    sock = socket.socket()
    sock.settimeout(60)
    if room:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
    sock.bind((source, 0))
    sock.connect((HOST, port))
    return sock


def associate(port: int) -> socket.socket:
    sock = connect(port)
    sock.sendall(REQUEST)
    assert read_pdu(sock)[0] == pdus.ASSOCIATE_AC
    return sock


def image(folder: Path, uid: str) -> OutgoingImage:
    path = folder / uid
    path.write_bytes(b"data" * 100)
    return OutgoingImage(path, 0, CT[0], uid, CT[1])


def pdv(data: bytes, control: int) -> bytes:
    """A PDU with one presentation data value item of context 1."""
    return struct.pack(">BxIIBB", pdus.P_DATA, len(data) + 6, len(data) + 2, 1, control) + data


COMMAND = pdv(dimse.store_request(1, CT[0], "1.2.3"), 3)


@contextmanager
def dripping(sock: socket.socket, pieces: Iterator[bytes], every_s: float) -> Iterator[None]:
    """Send the pieces one by one until the block is left or the peer closes."""
    over = threading.Event()

    def drip() -> None:
        for piece in pieces:
            try:
                sock.sendall(piece)
            except OSError:
                return
            if over.wait(every_s):
                return

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        yield
    finally:
        over.set()
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)  # ends a send that is under way
        thread.join()


def endless(piece: bytes) -> Iterator[bytes]:
    while True:
        yield piece


# ---- one that drips ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("begin", "piece"),
    [
        (b"\x04\x00\x00\x01\x00\x00\x00\x00\xff\xfc\x01\x01", b"x"),  # within a PDU of a command
        (COMMAND + b"\x04\x00\x00\x01\x00\x00\x00\x00\xff\xfc\x01\x00", b"x"),  # and of a dataset
        (COMMAND, pdv(b"ab", 0)),  # whole PDUs, two bytes of the dataset in each
        (COMMAND, pdv(b"", 0)),
        (b"", pdv(b"", 1)),  # a command that never begins
        (b"", pdv(b"ab", 1)),
    ],
    ids=["pdu", "dataset-pdu", "dataset", "dataset-empty", "command-empty", "command"],
)
def test_a_message_that_drips_is_ended_though_each_of_its_bytes_comes_in_time(
    handler: RecordingHandler, begin: bytes, piece: bytes
) -> None:
    with running_scp(handler, network_timeout_s=0.4) as port, associate(port) as sock:
        sock.sendall(begin)
        with dripping(sock, endless(piece), 0.02):
            handler.wait(lambda: handler.closed_ids)
    assert handler.endings == ["lost"] and not handler.stored


@pytest.mark.parametrize("piece", [pdv(b"", 0) * 1000, pdv(b"", 1) * 1000], ids=["dataset", "command"])
def test_empty_fragments_at_full_speed_are_no_progress(handler: RecordingHandler, piece: bytes) -> None:
    with running_scp(handler, network_timeout_s=0.4) as port, associate(port) as sock:
        sock.sendall(COMMAND if piece.startswith(pdv(b"", 0)) else b"")
        with dripping(sock, endless(piece), 0):
            handler.wait(lambda: handler.closed_ids)
    assert handler.endings == ["lost"] and not handler.stored


def test_a_slow_sender_that_gets_on_is_not_ended(handler: RecordingHandler) -> None:
    pieces = [pdv(bytes(4000), 0)] * 9 + [pdv(bytes(4000), 2)]
    with running_scp(handler, network_timeout_s=2.0) as port, associate(port) as sock:
        sock.sendall(COMMAND)
        pause = threading.Event()
        for piece in pieces:  # five seconds in all, more than twice the limit of silence
            sock.sendall(piece)
            pause.wait(0.5)
        assert dimse.decode(read_pdu(sock)[1][6:]).number(dimse.STATUS) == 0
    assert handler.datasets == [bytes(40_000)]


def test_a_request_whose_answers_nobody_takes_ends_the_association(handler: RecordingHandler) -> None:
    echo = pdv(dimse.echo_request(1), 3)
    with running_scp(handler, network_timeout_s=0.4) as port, connect(port, room=2048) as sock:
        sock.sendall(REQUEST)
        assert read_pdu(sock)[0] == pdus.ASSOCIATE_AC
        with dripping(sock, endless(echo * 1000), 0):
            handler.wait(lambda: handler.closed_ids)
    assert handler.endings == ["lost"]


# ---- many of them --------------------------------------------------------------------------------------------------
def test_a_half_sent_message_is_an_open_association_and_counts_against_the_limit(handler: RecordingHandler) -> None:
    with running_scp(handler, max_associations=1) as port:
        with associate(port) as sock:
            sock.sendall(COMMAND + pdv(b"half", 0)[:-2])
            handler.wait(lambda: handler.opened_ids)
            with pytest.raises(AssociationRejected, match="local limit exceeded"):
                open_association(node(port), [VERIFY])
        handler.wait(lambda: handler.closed_ids)
        with until_admitted(port) as association:
            assert association.echo() == 0


def until_admitted(port: int) -> Association:
    """Its place is free a moment after the end of the former association was told."""
    while True:
        try:
            return open_association(node(port), [VERIFY])
        except AssociationRejected:
            continue


def test_hundreds_of_silent_connections_keep_few_threads_and_nobody_out(
    handler: RecordingHandler, tmp_path: Path
) -> None:
    before = threading.active_count()
    with running_scp(handler, max_waiting=32) as port:
        flood = [connect(port) for _ in range(400)]
        try:
            with open_association(node(port), [CT]) as association:
                assert [association.store(image(tmp_path, f"1.2.{n}")).status for n in range(20)] == [0] * 20
            for sock in flood[: 400 - 32]:
                assert read_all(sock) == b"", "it was ended, not answered"
            assert threading.active_count() - before <= 32 + 2
        finally:
            for sock in flood:
                sock.close()
    assert len(handler.stored) == 20 and handler.refused_pdus == []


def test_a_flood_from_one_address_pushes_out_its_own_connections_and_no_other(handler: RecordingHandler) -> None:
    with running_scp(handler, max_waiting=8) as port, connect(port, ELSEWHERE) as scanner:
        flood = [connect(port) for _ in range(50)]
        try:
            read_all(flood[0])
            scanner.sendall(REQUEST)  # the oldest of all, and slow to speak
            assert read_pdu(scanner)[0] == pdus.ASSOCIATE_AC
        finally:
            for sock in flood:
                sock.close()
    assert len(handler.opened_ids) == 1


@pytest.mark.parametrize("bytewise", [False, True], ids=["idle", "dripping"])
def test_two_hundred_connections_that_idle_or_drip_do_not_stop_a_fast_sender(
    handler: RecordingHandler, tmp_path: Path, bytewise: bool
) -> None:
    begin = COMMAND + pdv(bytes(1000), 0)[:-900] if bytewise else b""
    with running_scp(handler, max_associations=201) as port:
        others = [associate(port) for _ in range(200)]
        over = threading.Event()

        def drip() -> None:
            while not over.wait(1.0):
                for sock in others:
                    sock.send(b"x")

        thread = threading.Thread(target=drip)
        try:
            for sock in others:
                sock.sendall(begin)
            if bytewise:
                thread.start()
            with open_association(node(port), [CT]) as association:
                assert [association.store(image(tmp_path, f"1.2.{n}")).status for n in range(200)] == [0] * 200
            assert len(handler.opened_ids) == 201 and len(handler.closed_ids) <= 1, "all the others are still there"
        finally:
            over.set()
            if thread.ident:
                thread.join()
            for sock in others:
                sock.close()
        handler.wait(lambda: len(handler.closed_ids) == 201)
    assert len(handler.stored) == 200


# ---- doors ---------------------------------------------------------------------------------------------------------
def test_an_association_beyond_a_limit_of_the_handlers_is_rejected_for_now(handler: RecordingHandler) -> None:
    def full() -> None:
        raise LimitReached("two are open")

    handler.on_opened = full
    with running_scp(handler) as port:
        with pytest.raises(AssociationRejected, match="local limit exceeded") as caught:
            open_association(node(port), [VERIFY])
        assert caught.value.retryable
        handler.on_opened = lambda: None
        with open_association(node(port), [VERIFY]) as association:
            assert association.echo() == 0
        handler.wait(lambda: handler.closed_ids)
    assert handler.endings == ["released"]


def test_only_called_titles_of_ours_are_accepted_if_asked_for(handler: RecordingHandler) -> None:
    titles = {"ae_title": "PACS", "called_aes": frozenset({"ARCHIVE"}), "accept_any_called_ae": False}
    with running_scp(handler, **titles) as port:
        for called, accepted in (("PACS", True), ("ARCHIVE", True), ("OTHER", False), ("pacs", False)):
            with connect(port) as sock:
                sock.sendall(AssociateRq(called, "RAW", (ProposedContext(1, CT[0], CT[1:]),), 16384).encode())
                kind, body = read_pdu(sock)
                assert (kind == pdus.ASSOCIATE_AC) is accepted
                if not accepted:
                    assert (body[1], body[2], body[3]) == (1, 1, 7), "called AE title not recognised"
    assert handler.refused_pdus == ["'OTHER' is no AE title of ours", "'pacs' is no AE title of ours"]
    assert [peer.called_ae for peer in handler.peers] == ["PACS", "ARCHIVE"]


def refuse(address: str) -> bool:
    return address != ELSEWHERE


def test_an_address_that_is_not_welcome_is_closed_before_a_byte_is_read(handler: RecordingHandler) -> None:
    asked: Callable[[str], bool] = refuse
    with running_scp(handler, welcome=asked) as port:
        with connect(port, ELSEWHERE) as sock:
            assert read_all(sock) == b""
        with open_association(node(port), [VERIFY]) as association:
            assert association.echo() == 0
    assert len(handler.opened_ids) == 1 and handler.refused_pdus == []


def test_the_oldest_of_the_most_crowded_address_gives_way() -> None:
    waiting: Waiting[str] = Waiting()
    assert [waiting.add(name, address, 3) for name, address in (("a", "1"), ("b", "2"), ("c", "2"))] == [None] * 3
    assert waiting.add("d", "3", 3) == "b" and list(waiting) == ["a", "c", "d"]
    assert waiting.add("e", "3", 3) == "a", "all alike: the oldest"
    waiting.remove("c")
    waiting.remove("c")
    assert list(waiting) == ["d", "e"] and len(waiting) == 2 and not waiting._addresses["2"]
