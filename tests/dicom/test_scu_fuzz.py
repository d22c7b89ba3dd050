"""Targets that answer damaged: the sender says what happened by its own errors, never takes a wrong answer, and lets go."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

import pytest
from dicom_fakes import node, raw_peer, read_pdu
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.dicom import dimse, pdus
from actors.dicom.pdus import ACCEPTED, AssociateAc, ContextResult
from actors.dicom.scu import OutgoingImage, StoreResult, open_association
from protocol.errors import NetworkError
from tests.streams import damaged, pdv

CT = ("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1")
STATUSES = (0x0000, 0xA700, 0xB000)


def answer(message_id: int, status: int) -> bytes:
    request = dimse.decode(dimse.store_request(message_id, CT[0], f"1.2.{message_id}"))
    return pdv(1, 3, dimse.response_to(request, status))


ANSWERS = [AssociateAc((ContextResult(1, ACCEPTED, CT[1]),), 16384).encode()]
ANSWERS += [answer(number, status) for number, status in enumerate(STATUSES, 1)]
ANSWERS.append(pdus.RELEASE_RP_PDU)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[OutgoingImage]:
    path: Path = tmp_path_factory.mktemp("images") / "image"
    path.write_bytes(bytes(1000))
    return [OutgoingImage(path, 0, CT[0], f"1.2.{number}", CT[1]) for number in range(1, 4)]


def deliver(images: list[OutgoingImage], stream: bytes) -> tuple[list[StoreResult], bool]:
    """Send all images to a target that says `stream` whatever it hears; the answers, and whether all went well."""

    def serve(sock: socket.socket) -> None:
        with contextlib.suppress(OSError, EOFError):
            read_pdu(sock)
            sock.sendall(stream)
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(65536):
                pass

    results: list[StoreResult] = []
    with raw_peer(serve) as port:
        try:
            with open_association(node(port, acse_timeout_s=30.0, dimse_timeout_s=30.0), [CT]) as association:
                for image in images:
                    results.append(association.store(image))
        except NetworkError as exc:
            assert str(exc)
            return results, False
    return results, True


def test_an_undamaged_target_is_taken_at_its_word(images: list[OutgoingImage]) -> None:
    results, whole = deliver(images, b"".join(ANSWERS))
    assert whole and [result.status for result in results] == list(STATUSES)


def mute(message_id: int, **replaced: int | bytes) -> bytes:
    """An answer without a Status, or with what is none."""
    elements = {dimse.AFFECTED_CLASS: CT[0], dimse.COMMAND_FIELD: dimse.C_STORE_RSP, dimse.ANSWERED_ID: message_id,
                dimse.DATA_SET_TYPE: dimse.NO_DATA_SET}  # fmt: skip
    return pdv(1, 3, dimse.encode({**elements, **{getattr(dimse, name): value for name, value in replaced.items()}}))


@pytest.mark.parametrize(
    "said",
    [mute(1), mute(1, STATUS=b"\0\0\0\0"), mute(1, STATUS=b""), mute(1, STATUS=0, ANSWERED_ID=b"\1\0\0\0"),
     mute(1, STATUS=0, COMMAND_FIELD=b""), pdv(1, 3, b"\0\0\0"), pdv(1, 3, b"")],
    ids=["no status", "long status", "empty status", "long message id", "no command field", "cut off", "nothing"],
)  # fmt: skip
def test_after_an_answer_that_is_invalid_nothing_more_is_sent_on_the_association(
    images: list[OutgoingImage], said: bytes
) -> None:
    def serve(sock: socket.socket) -> None:
        with contextlib.suppress(OSError, EOFError):
            read_pdu(sock)
            sock.sendall(ANSWERS[0] + said + ANSWERS[2])
            while sock.recv(65536):
                pass

    with raw_peer(serve) as port:
        association = open_association(node(port, acse_timeout_s=30.0, dimse_timeout_s=30.0), [CT])
        with pytest.raises(NetworkError):
            association.store(images[0])
        assert not association.usable and not association.is_idle()
        with pytest.raises(NetworkError, match="over"):
            association.store(images[1])


def test_after_an_echo_without_a_status_the_association_is_over() -> None:
    context = (dimse.VERIFICATION, dimse.IMPLICIT_LITTLE)
    accepted = AssociateAc((ContextResult(1, ACCEPTED, context[1]),), 16384).encode()
    said = pdv(1, 3, dimse.encode({dimse.COMMAND_FIELD: dimse.C_ECHO_RSP, dimse.ANSWERED_ID: 1}))

    def serve(sock: socket.socket) -> None:
        with contextlib.suppress(OSError, EOFError):
            read_pdu(sock)
            sock.sendall(accepted + said)
            while sock.recv(65536):
                pass

    with raw_peer(serve) as port:
        association = open_association(node(port, acse_timeout_s=30.0, dimse_timeout_s=30.0), [context])
        with pytest.raises(NetworkError):
            association.echo()
        assert not association.usable


@settings(max_examples=60)
@given(damaged(b"".join(ANSWERS)))
def test_a_damaged_answer_is_an_error_of_the_network_or_an_answer(images: list[OutgoingImage], stream: bytes) -> None:
    deliver(images, stream)


@given(st.permutations(ANSWERS[1:-1]), st.sets(st.integers(0, 2), max_size=2))
def test_an_answer_counts_for_its_own_image_only(
    images: list[OutgoingImage], order: list[bytes], missing: set[int]
) -> None:
    said = [one for index, one in enumerate(order) if index not in missing]
    results, _ = deliver(images, b"".join([ANSWERS[0], *said, ANSWERS[-1]]))
    for result, status in zip(results, STATUSES, strict=False):
        assert result.status == status


@pytest.mark.soak
@pytest.mark.timeout(3600)
@settings(max_examples=5_000)
@given(damaged(b"".join(ANSWERS)))
def test_many_damaged_answers(images: list[OutgoingImage], stream: bytes) -> None:
    deliver(images, stream)
