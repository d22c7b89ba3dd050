"""Our storage SCU against DCMTK's receivers, ourselves, and peers that refuse, abort, hang or vanish."""

from __future__ import annotations

import socket
import struct
import threading
import time
from pathlib import Path

import pytest
from dicom_fakes import (
    PYDICOM_FILES,
    SHARED_SYNTAXES,
    RecordingHandler,
    ct_and_mr,
    node,
    raw_peer,
    read_pdu,
    running_scp,
)
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage

from actors.dicom import dimse, pdus
from actors.dicom.frame import OutgoingImage
from actors.dicom.part10 import read_part10
from actors.dicom.pdus import AssociateAc, ContextResult
from actors.dicom.scu import (
    VERIFICATION_CONTEXT,
    Association,
    open_association,
    pack_contexts,
)
from actors.dicom.tls import ClientTls, ServerTls
from actors.dicom.upper import fragments
from protocol.errors import (
    AssociationAborted,
    AssociationRejected,
    PeerTimeout,
    TargetUnreachable,
    UnreadableImage,
)
from tests.certificates import Authority
from tests.peers import HOST, StoreScp, dataset_bytes, free_port, needs_dcmtk

CT = (CTImageStorage, ExplicitVRLittleEndian)


def images_of(folder: Path) -> list[OutgoingImage]:
    found: dict[tuple[str, str], OutgoingImage] = {}
    for path in sorted(folder.rglob("*")):
        try:
            image = read_part10(path)
        except UnreadableImage:
            continue
        found.setdefault((image.sop_instance_uid, image.transfer_syntax_uid), image)
    return list(found.values())


def contexts_of(images: list[OutgoingImage]) -> list[tuple[str, str]]:
    return [(image.sop_class_uid, image.transfer_syntax_uid) for image in images]


def as_sent(image: OutgoingImage) -> bytes:
    """The dataset; one bundled deflated file lacks the NUL that makes its length even (PS3.5 section A.5)."""
    data = dataset_bytes(image.path)
    return data + bytes(len(data) % 2) if image.transfer_syntax_uid == "1.2.840.10008.1.2.1.99" else data


def accept(sock: socket.socket) -> None:
    """Accept context 1 (CT) of the association request that comes."""
    assert read_pdu(sock)[0] == pdus.ASSOCIATE_RQ
    sock.sendall(AssociateAc((ContextResult(1, 0, CT[1]),), 16384).encode())


def until_stored(sock: socket.socket) -> None:
    """Read the PDUs of one whole C-STORE request."""
    while True:
        _, body = read_pdu(sock)
        if body[5] == 2:  # the last fragment of a dataset
            return


@needs_dcmtk
@pytest.mark.slow
@pytest.mark.parametrize("folder", [PYDICOM_FILES, SHARED_SYNTAXES], ids=["pydicom", "shared"])
def test_every_bundled_file_reaches_storescp_bit_by_bit(folder: Path, tmp_path: Path) -> None:
    if not folder.is_dir():
        pytest.skip(f"{folder.name} is not there")
    images = images_of(folder)
    with StoreScp(tmp_path / "in", options=["+uf"]) as target:
        sent = []
        for group in pack_contexts(contexts_of(images)):
            with open_association(node(target.port), group) as association:
                for image in images:
                    if association.accepts(image.sop_class_uid, image.transfer_syntax_uid):
                        assert association.store(image).status == 0
                        sent.append(image)
        arrived = {dataset_bytes(path) for path in target.received()}
    assert len({image.transfer_syntax_uid for image in sent}) >= 8
    assert arrived == {as_sent(image) for image in sent}


@pytest.mark.parametrize("folder", [PYDICOM_FILES, SHARED_SYNTAXES], ids=["pydicom", "shared"])
def test_every_bundled_file_reaches_ourselves_bit_by_bit(folder: Path) -> None:
    if not folder.is_dir():
        pytest.skip(f"{folder.name} is not there")
    handler, images = RecordingHandler(), images_of(folder)
    with running_scp(handler) as port:
        for group in pack_contexts(contexts_of(images)):
            with open_association(node(port), group) as association:
                for image in images:
                    if (image.sop_class_uid, image.transfer_syntax_uid) in group:
                        assert association.store(image).status == 0
    arrived = {(r.sop_instance_uid, r.transfer_syntax_uid): bytes(r.dataset) for r in handler.stored}
    assert arrived == {(i.sop_instance_uid, i.transfer_syntax_uid): as_sent(i) for i in images}


@pytest.mark.parametrize("size", [1, 2, 16372, 16378, 16379, 1024 * 1024, 1024 * 1024 + 1, 5 * 1024 * 1024 + 3])
@pytest.mark.parametrize("max_pdu", [4096, 16384, 131072, 0])
def test_datasets_of_any_size_arrive_whole_whatever_the_pdu_size(size: int, max_pdu: int, tmp_path: Path) -> None:
    data = bytes(index * 7 % 256 for index in range(1021)) * (size // 1021 + 1)
    path = tmp_path / "image"
    path.write_bytes(b"header" + data[:size])
    handler = RecordingHandler()
    with running_scp(handler, max_pdu=max_pdu) as port, open_association(node(port), [CT]) as association:
        assert association.store(OutgoingImage(path, 6, CT[0], "1.2", CT[1])).status == 0
    assert handler.datasets == [data[:size]]


@needs_dcmtk
@pytest.mark.slow
def test_a_target_that_refuses_is_a_rejection(tmp_path: Path) -> None:
    with StoreScp(tmp_path / "in", options=["--refuse"]) as target, pytest.raises(AssociationRejected) as caught:
        open_association(node(target.port), [CT])
    assert "permanently" in str(caught.value) and caught.value.retryable


@needs_dcmtk
@pytest.mark.slow
@pytest.mark.parametrize("option", ["--abort-during", "--abort-after"])
def test_a_target_that_aborts_ends_the_association(tmp_path: Path, option: str) -> None:
    image = read_part10(ct_and_mr()[0])
    with StoreScp(tmp_path / "in", options=[option]) as target:
        association = open_association(node(target.port), [CT])
        with pytest.raises(AssociationAborted):
            association.store(image)
        assert not association.usable
        with pytest.raises(AssociationAborted):
            association.store(image)


@needs_dcmtk
@pytest.mark.slow
def test_a_target_that_hangs_is_a_timeout_and_its_late_answer_is_never_read(tmp_path: Path) -> None:
    image = read_part10(ct_and_mr()[0])
    with StoreScp(tmp_path / "in", options=["--sleep-during", "30"]) as target:
        association = open_association(node(target.port, dimse_timeout_s=0.3), [CT])
        start = time.monotonic()
        with pytest.raises(PeerTimeout):
            association.store(image)
        assert time.monotonic() - start < 25  # long before it would have answered
        with pytest.raises(AssociationAborted):
            association.store(image)


@needs_dcmtk
@pytest.mark.slow
def test_echo_and_several_images_in_one_association(tmp_path: Path) -> None:
    images = [read_part10(path) for path in ct_and_mr()]
    with (
        StoreScp(tmp_path / "in") as target,
        open_association(node(target.port), [VERIFICATION_CONTEXT, *contexts_of(images)]) as association,
    ):
        assert association.echo() == 0
        for image in images:
            result = association.store(image)
            assert (result.status, result.category) == (0, "success")
        assert association.release() is True
        assert association.release() is False
        received = target.received()
    assert sorted(map(dataset_bytes, received)) == sorted(dataset_bytes(image.path) for image in images)


def test_nobody_listens() -> None:
    with pytest.raises(TargetUnreachable, match="refused"):
        open_association(node(free_port()), [CT])


def test_a_name_that_does_not_exist() -> None:
    unknown = type(node(1))("no-such-host.invalid", 104, "PACS", "ME", connect_timeout_s=5.0)
    with pytest.raises(TargetUnreachable, match="name"):
        open_association(unknown, [CT])


def test_a_target_that_accepts_the_connection_and_hangs() -> None:
    silent = threading.Event()
    with raw_peer(lambda sock: silent.wait(60)) as port:
        with pytest.raises(PeerTimeout, match="association request"):
            open_association(node(port, acse_timeout_s=0.2), [CT])
        silent.set()


@pytest.mark.parametrize("reply", [b"", b"HTTP/1.1 400\r\n", pdus.encode_abort(2, 2), b"\x02\x00\x00\x00\x00\x01x"])
def test_a_wrong_answer_to_the_request_is_an_abort(reply: bytes) -> None:
    def serve(sock: socket.socket) -> None:
        read_pdu(sock)
        sock.sendall(reply)

    with raw_peer(serve) as port, pytest.raises(AssociationAborted):
        open_association(node(port), [CT])


def test_a_transient_rejection_keeps_its_words() -> None:
    def serve(sock: socket.socket) -> None:
        read_pdu(sock)
        sock.sendall(pdus.encode_reject(2, 3, 1))

    with raw_peer(serve) as port, pytest.raises(AssociationRejected, match="transiently: temporary congestion"):
        open_association(node(port), [CT])


@pytest.mark.parametrize("hard", [False, True], ids=["closes", "resets"])
def test_a_target_that_drops_the_connection_instead_of_answering(hard: bool) -> None:
    def serve(sock: socket.socket) -> None:
        accept(sock)
        until_stored(sock)
        if hard:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with raw_peer(serve) as port:
        association = open_association(node(port), [CT])
        with pytest.raises(AssociationAborted):
            association.store(read_part10(ct_and_mr()[0]))


def test_a_target_that_stops_reading_is_a_timeout(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(bytes(30_000_000))
    silent = threading.Event()

    def serve(sock: socket.socket) -> None:
        accept(sock)
        silent.wait(60)

    with raw_peer(serve) as port:
        association = open_association(node(port, dimse_timeout_s=0.3), [CT])
        with pytest.raises(PeerTimeout, match="taking data"):
            association.store(OutgoingImage(tmp_path / "big", 0, CT[0], "1.2", CT[1]))
        silent.set()


def test_the_answer_to_another_request_is_never_taken_for_ours() -> None:
    def serve(sock: socket.socket) -> None:
        accept(sock)
        until_stored(sock)
        answer = dimse.encode({0x0100: dimse.C_STORE_RSP, 0x0120: 999, 0x0800: 0x0101, 0x0900: 0})
        sock.sendall(b"".join(bytes(part) for part in fragments(1, answer, True, True, 16384)))
        sock.recv(100)

    with raw_peer(serve) as port:
        association = open_association(node(port), [CT])
        with pytest.raises(AssociationAborted, match="another request"):
            association.store(read_part10(ct_and_mr()[0]))
        assert not association.usable


ANSWER = dimse.encode({0x0002: CT[0], 0x0100: dimse.C_STORE_RSP, 0x0120: 1, 0x0800: 0x0101, 0x0900: 0, 0x1000: "1.2"})


@pytest.mark.parametrize("cut", [1, 5, 6, 11, 12, 40, -1])
def test_an_answer_that_stops_in_the_middle_is_a_timeout(cut: int) -> None:
    silent, whole = threading.Event(), b"".join(bytes(part) for part in fragments(1, ANSWER, True, True, 16384))

    def serve(sock: socket.socket) -> None:
        accept(sock)
        until_stored(sock)
        sock.sendall(whole[:cut])
        silent.wait(60)

    with raw_peer(serve) as port:
        association = open_association(node(port, dimse_timeout_s=0.2), [CT])
        with pytest.raises(PeerTimeout, match="no answer"):
            association.store(read_part10(ct_and_mr()[0]))
        assert not association.usable
        silent.set()


@pytest.mark.parametrize("size", [1, 7, 12, 100])
def test_an_answer_in_pieces_is_put_together(size: int) -> None:
    whole = b"".join(bytes(part) for part in fragments(1, ANSWER, True, True, 16384))

    def serve(sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        accept(sock)
        until_stored(sock)
        for start in range(0, len(whole), size):
            sock.sendall(whole[start : start + size])
        assert read_pdu(sock)[0] == pdus.RELEASE_RQ
        sock.sendall(pdus.RELEASE_RP_PDU)

    with raw_peer(serve) as port, open_association(node(port), [CT]) as association:
        assert association.store(read_part10(ct_and_mr()[0])).status == 0


def test_an_answer_in_other_pdus_and_pdvs_than_usual_is_understood() -> None:
    halves = fragments(1, ANSWER, True, True, 40)  # several PDUs of one PDV each

    def serve(sock: socket.socket) -> None:
        accept(sock)
        until_stored(sock)
        sock.sendall(b"".join(bytes(part) for part in halves))
        assert read_pdu(sock)[0] == pdus.RELEASE_RQ
        sock.sendall(pdus.RELEASE_RP_PDU)

    with raw_peer(serve) as port, open_association(node(port), [CT]) as association:
        assert association.store(read_part10(ct_and_mr()[0])).status == 0


def test_a_peer_of_tls_that_never_answers_or_stops_reading_is_a_timeout(tmp_path: Path) -> None:
    authority, handler, silent = Authority(tmp_path / "ca"), RecordingHandler(), threading.Event()
    theirs = authority.issue("pacs")
    (tmp_path / "big").write_bytes(bytes(30_000_000))

    def hang(request: object) -> int:
        silent.wait(60)
        return 0

    handler.on_store = hang
    with running_scp(handler, ServerTls(theirs.cert, theirs.key)) as port:
        secure = node(port, dimse_timeout_s=0.3, tls=ClientTls(str(authority.cert)))
        association = open_association(secure, [CT])
        with pytest.raises(PeerTimeout, match="no answer"):
            association.store(read_part10(ct_and_mr()[0]))
        silent.set()
    with socket.create_server((HOST, 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            wrapped = ServerTls(theirs.cert, theirs.key).wrap(connection)
            wrapped.do_handshake()
            accept(wrapped)
            stop.wait(60)
            wrapped.close()

        stop, thread = threading.Event(), threading.Thread(target=serve, daemon=True)
        thread.start()
        association = open_association(
            node(listener.getsockname()[1], dimse_timeout_s=0.3, tls=ClientTls(str(authority.cert))), [CT]
        )
        with pytest.raises(PeerTimeout, match="taking data"):
            association.store(OutgoingImage(tmp_path / "big", 0, CT[0], "1.2", CT[1]))
        stop.set()
        thread.join(60)


def test_another_thread_can_cancel_a_store_that_waits() -> None:
    waiting, over = threading.Event(), threading.Event()

    def serve(sock: socket.socket) -> None:
        accept(sock)
        until_stored(sock)
        waiting.set()
        over.wait(60)

    with raw_peer(serve) as port:
        association: Association = open_association(node(port), [CT])

        def cancel() -> None:
            waiting.wait(60)
            association.cancel()

        thread = threading.Thread(target=cancel)
        thread.start()
        with pytest.raises(AssociationAborted):
            association.store(read_part10(ct_and_mr()[0]))
        over.set()
        thread.join()


def test_a_release_that_nobody_confirms_does_not_raise() -> None:
    silent = threading.Event()

    def serve(sock: socket.socket) -> None:
        accept(sock)
        silent.wait(60)

    with raw_peer(serve) as port:
        association = open_association(node(port, acse_timeout_s=2.0), [CT])
        assert association.release() is False
        silent.set()


def test_an_image_the_target_does_not_take_leaves_the_association_usable() -> None:
    def serve(sock: socket.socket) -> None:
        accept(sock)
        until_stored(sock)
        answer = dimse.encode({0x0100: dimse.C_STORE_RSP, 0x0120: 1, 0x0800: 0x0101, 0x0900: 0xB007, 0x0902: b"odd"})
        sock.sendall(b"".join(bytes(part) for part in fragments(1, answer, True, True, 16384)))
        assert read_pdu(sock)[0] == pdus.RELEASE_RQ
        sock.sendall(pdus.RELEASE_RP_PDU)

    ct, mr = (read_part10(path) for path in ct_and_mr())
    with raw_peer(serve) as port, open_association(node(port), [CT, (MRImageStorage, CT[1])]) as association:
        assert association.accepts(*CT) and not association.accepts(MRImageStorage, CT[1])
        with pytest.raises(AssociationAborted, match="does not take"):
            association.store(mr)
        result = association.store(ct)
    assert (result.status, result.category, result.comment) == (0xB007, "warning", "odd")


def test_a_missing_file_leaves_the_association_usable(tmp_path: Path) -> None:
    with running_scp(RecordingHandler()) as port, open_association(node(port), [CT]) as association:
        with pytest.raises(UnreadableImage):
            association.store(OutgoingImage(tmp_path / "gone", 0, CT[0], "1.2", CT[1]))
        assert association.store(read_part10(ct_and_mr()[0])).status == 0


def test_contexts_are_packed_in_groups_of_128_without_repetition() -> None:
    contexts = [(f"1.2.{number}", CT[1]) for number in range(300)]
    groups = pack_contexts(contexts + contexts[:50])
    assert [len(group) for group in groups] == [128, 128, 44]
    assert [context for group in groups for context in group] == contexts
    with pytest.raises(ValueError, match="129"):
        open_association(node(1), contexts[:129])
    with running_scp(RecordingHandler()) as port, open_association(node(port), groups[0]) as association:
        assert all(association.accepts(*context) for context in groups[0])
