"""Recorded associations, damaged: the receiver answers in whole PDUs, ends, forgets nothing, and serves the next one."""

from __future__ import annotations

import contextlib
import logging
import socket
import struct
import threading
import tracemalloc
from collections.abc import Iterator

import pytest
from dicom_fakes import WAIT_S, RecordingHandler, node, read_all, read_pdu, running_scp
from hypothesis import HealthCheck, given, settings

from actors.dicom import dimse, pdus, statuses
from actors.dicom.pdus import AssociateRq, ProposedContext
from actors.dicom.scu import VERIFICATION_CONTEXT, open_association
from tests.peers import HOST
from tests.streams import LENGTHS, RECORDED, damaged_streams, pdus_of, pdv

pytestmark = pytest.mark.usefixtures("both_ways")
CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
REQUEST = AssociateRq(
    "SCANPOST",
    "RAW",
    (ProposedContext(1, CT, (EXPLICIT,)), ProposedContext(3, VERIFICATION_CONTEXT[0], (EXPLICIT,))),
    0,
).encode()
FAULTS = {"scp.fault", "scp.handler", "scp.requested", "scp.store", "scp.abandon"}
PATIENCE = {"acse_timeout_s": 20.0, "idle_timeout_s": 20.0, "network_timeout_s": 20.0}


class Faults(logging.Handler):
    """Collects what the association threads log when something of ours broke."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if getattr(record, "action", "") in FAULTS:
            self.seen.append(record.getMessage())


class Target:
    """A running receiver and who watches it."""

    def __init__(self, port: int, handler: RecordingHandler, faults: Faults) -> None:
        self.port, self.handler, self.faults = port, handler, faults

    def hear(self, stream: bytes) -> bytes:
        """Send all of it and nothing more; everything that came back until the other side closed."""
        with socket.create_connection((HOST, self.port), timeout=WAIT_S) as sock:
            try:
                sock.sendall(stream)
                sock.shutdown(socket.SHUT_WR)
                return read_all(sock)
            except (BrokenPipeError, ConnectionResetError):  # it had heard enough
                return b""

    def check(self, stream: bytes) -> list[bytes]:
        """Send a damaged association and look at everything that must hold whatever it was; the PDUs of the answer."""
        answer = pdus_of(self.hear(stream))
        kinds = [pdu[0] for pdu in answer]
        last_words = (pdus.ASSOCIATE_RJ, pdus.RELEASE_RP, pdus.ABORT)
        assert set(kinds) <= {pdus.ASSOCIATE_AC, pdus.P_DATA, *last_words}
        assert kinds.count(pdus.ASSOCIATE_AC) <= 1 and (kinds.index(pdus.ASSOCIATE_AC) == 0 if 2 in kinds else True)
        assert not any(kind in last_words for kind in kinds[:-1])
        for pdu in answer:
            if pdu[0] == pdus.P_DATA:
                response = dimse.decode(pdu[12:])
                assert response.field & dimse.RESPONSE
                assert response.number(dimse.STATUS) in statuses.ANSWERS
        handler = self.handler
        handler.wait(lambda: len(handler.closed_ids) == len(handler.opened_ids))
        assert len({association for association, _ in handler.closed_ids}) == len(handler.closed_ids)
        assert not handler.fatal_errors and not self.faults.seen
        return answer

    def echo(self) -> None:
        with open_association(node(self.port), [VERIFICATION_CONTEXT]) as association:
            assert association.echo() == 0


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    handler, faults = RecordingHandler(), Faults()
    logger = logging.getLogger("actors.dicom")
    logger.addHandler(faults)
    with running_scp(handler, max_object_bytes=1_000_000, **PATIENCE) as port:
        yield Target(port, handler, faults)
    logger.removeHandler(faults)


@pytest.mark.parametrize("sender", RECORDED)
def test_an_association_as_it_was_recorded_is_served(target: Target, sender: str) -> None:
    answer = [pdu[0] for pdu in target.check(RECORDED[sender])]
    assert answer[0] == pdus.ASSOCIATE_AC and answer[-1] == pdus.RELEASE_RP and len(answer) > 2


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(damaged_streams())
def test_a_damaged_association_harms_nothing(target: Target, stream: bytes) -> None:
    target.check(stream)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@settings(deadline=None, max_examples=8_000, suppress_health_check=list(HealthCheck))
@given(damaged_streams())
def test_many_damaged_associations_harm_nothing(target: Target, stream: bytes) -> None:
    target.check(stream)


def test_after_all_that_the_next_one_is_served(target: Target) -> None:
    target.echo()


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("kind", range(1, 9))
def test_a_pdu_that_lies_about_its_length_ends_the_association_only(target: Target, kind: int, length: int) -> None:
    lie = struct.pack(">BxI", kind, length) + b"\0\0\0\2\1\3"
    target.check(lie)
    target.check(REQUEST + lie)


# -- command sets that lie ---------------------------------------------------------------------------------------


def command(**changes: int | bytes | None) -> dict[int, int | bytes | str]:
    """A C-STORE request by element; None leaves one out."""
    elements: dict[int, int | bytes | str] = {
        dimse.AFFECTED_CLASS: CT, dimse.COMMAND_FIELD: dimse.C_STORE_RQ, dimse.MESSAGE_ID: 7, dimse.PRIORITY: 0,
        dimse.DATA_SET_TYPE: dimse.HAS_DATA_SET, dimse.AFFECTED_INSTANCE: "1.2.3",
    }  # fmt: skip
    for name, value in changes.items():
        if value is None:
            del elements[getattr(dimse, name)]
        else:
            elements[getattr(dimse, name)] = value
    return elements


def raw_element(number: int, value: bytes, length: int | None = None) -> bytes:
    return struct.pack("<HHI", 0, number, len(value) if length is None else length) + value


WHOLE = dimse.encode(command())
LIES = {
    "no message id": (dimse.encode(command(MESSAGE_ID=None)), "abort"),
    "a message id of three bytes": (WHOLE.replace(b"\x10\x01\2\0\0\0\7\0", b"\x10\x01\3\0\0\0\7\0\0"), "abort"),
    "no command field": (dimse.encode(command(COMMAND_FIELD=None)), "abort"),
    "an unknown operation": (dimse.encode(command(COMMAND_FIELD=0x0150)), 0x0211),
    "a response": (dimse.encode(command(COMMAND_FIELD=0x8001)), "abort"),
    "no sop class": (dimse.encode(command(AFFECTED_CLASS=None)), 0x0000),
    "another sop class": (dimse.encode(command(AFFECTED_CLASS=b"1.2.840.10008.5.1.4.1.1.4\0")), 0x0122),
    "a sop class of odd length": (WHOLE.replace(CT.encode() + b"\0", b"9" * 26), 0x0000),
    "a priority that is none": (dimse.encode(command(PRIORITY=77)), 0x0000),
    "a group length that lies": (struct.pack("<HHIi", 0, 0, 4, -5) + WHOLE[12:], 0x0000),
    "no group length": (WHOLE[12:], 0x0000),
    "elements in the wrong order": (raw_element(dimse.AFFECTED_INSTANCE, b"1.2.") + WHOLE[12:], 0x0000),
    "elements twice": (WHOLE + WHOLE[12:], 0x0000),
    "twice, and then other": (WHOLE + raw_element(dimse.COMMAND_FIELD, b"\x30\0"), 0x0000),
    "an element beyond the end": (WHOLE + raw_element(dimse.ERROR_COMMENT, b"", 9), "abort"),
    "an element of 4 GB": (WHOLE + raw_element(dimse.ERROR_COMMENT, b"", 0xFFFFFFFE), "abort"),
    "an element without length": (WHOLE + raw_element(dimse.ERROR_COMMENT, b"", 0xFFFFFFFF), "abort"),
    "half an element": (WHOLE + b"\0\0\0", "abort"),
    "an element of another group": (WHOLE + struct.pack("<HHI", 8, 5, 0), "abort"),
    "nothing at all": (b"", "abort"),
}


@pytest.mark.parametrize("name", LIES)
def test_a_command_set_that_lies_gets_its_answer(target: Target, name: str) -> None:
    said, expected = LIES[name]
    # The data of an image of its own follows each, whether the command promised it or not.
    answer = target.check(REQUEST + pdv(1, 3, said) + pdv(1, 2, b"data") + pdus.RELEASE_RQ_PDU)
    if expected == "abort":
        assert [pdu[0] for pdu in answer] == [pdus.ASSOCIATE_AC, pdus.ABORT]
    else:
        assert [pdu[0] for pdu in answer] == [pdus.ASSOCIATE_AC, pdus.P_DATA, pdus.RELEASE_RP]
        assert dimse.decode(answer[1][12:]).number(dimse.STATUS) == expected


def test_data_that_a_command_did_not_promise_is_no_image(target: Target) -> None:
    stored = len(target.handler.stored)
    silent = dimse.encode(command(DATA_SET_TYPE=dimse.NO_DATA_SET))
    answer = target.check(REQUEST + pdv(1, 3, silent) + pdv(1, 2, b"data") + pdus.RELEASE_RQ_PDU)
    assert [pdu[0] for pdu in answer] == [pdus.ASSOCIATE_AC, pdus.P_DATA, pdus.ABORT]
    assert dimse.decode(answer[1][12:]).number(dimse.STATUS) == 0xC000
    assert target.handler.refused_stores[-1][0] == 0xC000
    assert len(target.handler.stored) == stored


@pytest.mark.parametrize(
    "parts",
    [
        [pdv(1, 3, WHOLE), pdv(3, 2, b"data")],  # the dataset on another context
        [pdv(5, 3, WHOLE), pdv(5, 2, b"data")],  # a context nobody proposed
        [pdv(1, 3, WHOLE), pdv(1, 3, WHOLE)],  # a command instead of the dataset
        [pdv(1, 3, WHOLE), pdv(1, 0, b"data"), pdv(1, 1, WHOLE)],  # a command within the dataset
        [pdv(1, 2, b"data")],  # a dataset without a command
        [pdv(1, 1, WHOLE[:20]), pdv(1, 2, b"data")],  # a dataset within the command
    ],
)
def test_pieces_that_do_not_belong_together_are_an_abort_and_no_image(target: Target, parts: list[bytes]) -> None:
    stored = len(target.handler.stored)
    answer = target.check(REQUEST + b"".join(parts) + pdus.RELEASE_RQ_PDU)
    assert [pdu[0] for pdu in answer] == [pdus.ASSOCIATE_AC, pdus.ABORT]
    assert len(target.handler.stored) == stored


# -- memory ------------------------------------------------------------------------------------------------------


def flood(sock: socket.socket, piece: bytes, count: int) -> None:
    """Send a piece again and again, until the other side has had enough."""
    together = piece * max(1, 65536 // len(piece))
    with contextlib.suppress(OSError):
        for _ in range(count * len(piece) // len(together)):
            sock.sendall(together)


SMALL, LARGE = 1_000_000, 1_000_000_000  # limits of an object


@pytest.mark.parametrize(
    ("limit", "before", "piece", "count"),
    [
        (LARGE, b"", pdv(1, 1, bytes(100)), 100_000),  # a command without end
        (LARGE, b"", pdv(1, 1, b""), 100_000),  # one that never grows
        (SMALL, pdv(1, 3, WHOLE), pdv(1, 0, bytes(50_000)), 400),  # a dataset without end
        (LARGE, pdv(1, 3, WHOLE), pdv(1, 0, b""), 100_000),
        (LARGE, pdv(1, 3, dimse.encode(command(COMMAND_FIELD=0x0020))), pdv(1, 0, bytes(50_000)), 400),  # nobody's data
        (LARGE, pdv(1, 3, dimse.encode(command(AFFECTED_CLASS=b"1.2.840.10008.1.1\0"))), pdv(1, 0, bytes(50_000)), 400),
    ],
    ids=["command", "empty command", "dataset", "empty dataset", "query", "echo class"],
)
def test_what_has_no_end_takes_no_memory(limit: int, before: bytes, piece: bytes, count: int) -> None:
    handler = RecordingHandler()
    with (
        running_scp(handler, max_object_bytes=limit, **PATIENCE) as port,
        socket.create_connection((HOST, port), timeout=WAIT_S) as sock,
    ):
        sock.sendall(REQUEST)
        assert read_pdu(sock)[0] == pdus.ASSOCIATE_AC
        tracemalloc.start()
        try:
            sock.sendall(before)
            flood(sock, piece, count)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        sock.close()
        handler.wait(lambda: handler.closed_ids)
    assert peak < 4_000_000


def test_a_length_of_4_gb_takes_no_memory(target: Target) -> None:
    tracemalloc.start()
    try:
        for kind in range(1, 8):
            target.check(struct.pack(">BxI", kind, 0xFFFFFFFF) + bytes(1000))
            target.check(REQUEST + struct.pack(">BxI", kind, 0xFFFFFFFF) + bytes(1000))
            target.check(REQUEST + struct.pack(">BxII", 4, 4_000_000, 3_999_996) + bytes(1000))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4_000_000


def test_threads_of_ended_associations_are_gone(target: Target) -> None:
    for thread in threading.enumerate():
        if thread.name.startswith("scp-") and thread.name != "scp-accept":
            thread.join(WAIT_S)
            assert not thread.is_alive()
