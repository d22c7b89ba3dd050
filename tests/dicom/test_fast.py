"""The compiled helper: whatever comes, reading with it gives what reading without it gives, and it never leaves its buffer."""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from actors.dicom import dimse, fast, pdus
from actors.dicom.message import Message, ReleaseRequested
from actors.dicom.pdus import InvalidPdu
from actors.dicom.upper import Connection, fragments
from protocol.errors import NetworkError
from tests.streams import RECORDED, damaged, pdus_of, pdv

HELPER = fast.helper
needed = pytest.mark.skipif(
    HELPER is None, reason=f"the compiled helper is {fast.why_not}; install gcc and python3-dev"
)
CT = "1.2.840.10008.5.1.4.1.1.2"
SMALL, LARGE = bytes(range(256)) * 10, bytes(range(251)) * 4000  # the large one does not fit into the buffer
MAX_OBJECT = 100_000


@contextlib.contextmanager
def reading(stream: bytes, cuts: list[int]) -> Iterator[Connection]:
    """A connection to a peer that says `stream`, in pieces, and closes its side."""
    with socket.create_server(("127.0.0.1", 0)) as door, socket.create_connection(door.getsockname()) as peer:
        ours, _ = door.accept()
        connection = Connection(ours, 16384, MAX_OBJECT)
        connection.settle_down(0.4, 0.4)
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
        peer.setblocking(False)
        marks = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
        rest = b""
        for start, end in zip(marks, marks[1:], strict=False):
            rest += stream[start:end]
            with contextlib.suppress(BlockingIOError):
                rest = rest[peer.send(rest) :] if rest else rest
        assert not rest, "the stream is longer than the kernel's buffers"
        peer.shutdown(socket.SHUT_WR)
        yield connection
        connection.close()


class Kept:
    """A sink that keeps its bytes."""

    def __init__(self) -> None:
        self.data, self.ends = b"", 0

    def write(self, pieces: list[memoryview], last: bool) -> None:
        self.data += b"".join(pieces)
        self.ends += last


def heard(stream: bytes, helper: Any, cuts: list[int], *, sinks: bool = True) -> list[Any]:
    """All that comes out of a stream of PDUs, up to the error that ends it."""
    found: list[Any] = []

    def choose(message: Message) -> Kept | None:
        return Kept() if sinks and message.command.elements.get(dimse.COMMAND_FIELD) == b"\1\0" else None

    fast.helper = helper
    try:
        with reading(stream, cuts) as connection:
            while True:
                message = connection.read_message(0.4, 0.4, choose)
                kept = message.sink
                if message.pieces is not None:
                    data: Any = b"".join(message.pieces)
                elif isinstance(kept, Kept):
                    assert kept.ends == 1
                    data = kept.data
                else:
                    data = message.dataset
                found.append((message.context_id, message.command.elements, data, message.oversized))
    except (NetworkError, InvalidPdu, ReleaseRequested) as exc:
        found.append((type(exc).__name__, str(exc)))
    finally:
        fast.helper = HELPER
    return found


def messages(*datasets: bytes, max_send: int = 16384) -> bytes:
    """C-STORE requests as a sender cuts them."""
    parts: list[Any] = []
    for number, dataset in enumerate(datasets):
        command = dimse.store_request(number, CT, f"1.2.{number}")
        parts += fragments(1, command, True, True, max_send) + fragments(1, dataset, False, True, max_send)
    return b"".join(bytes(part) for part in parts)


ECHO = pdv(1, 3, dimse.echo_request(9))
TOGETHER = (
    struct.pack(">BxI", 4, 12 + 90 + 300) + struct.pack(">IBB", 92, 1, 3) + bytes(90) + struct.pack(">IBB", 302, 1, 2)
)
RELEASE = bytes(pdus.RELEASE_RQ_PDU)


@needed
@pytest.mark.parametrize("sinks", [True, False], ids=["stored", "collected"])
@pytest.mark.parametrize("max_send", [64, 4096, 131072])
def test_images_of_all_sizes_come_out_the_same_both_ways(max_send: int, sinks: bool) -> None:
    stream = (
        messages(SMALL, b"", SMALL[:1], LARGE if max_send > 64 else SMALL, SMALL, max_send=max_send) + ECHO + RELEASE
    )
    found = heard(stream, HELPER, [], sinks=sinks)
    assert found == heard(stream, None, [], sinks=sinks)
    assert len(found) == 7 and found[-1][0] == "InvalidPdu"  # a release, for this connection never opened
    if sinks:
        assert [data for _, _, data, _ in found[:2]] == [SMALL, b""]


@needed
def test_the_helper_reads_plain_images_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*arguments: object) -> object:
        raise AssertionError("read in Python")

    monkeypatch.setattr(Connection, "_read_pdv", never)
    monkeypatch.setattr(Connection, "_dataset_pdv", never)
    stream = messages(SMALL, SMALL)
    assert [one[2] for one in heard(stream, HELPER, [])[:-1]] == [SMALL, SMALL]


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """What is said in an open association, with faults or without."""
    if draw(st.booleans()):
        stream = b"".join(pdus_of(RECORDED[draw(st.sampled_from(sorted(RECORDED)))])[1:])  # without the request
    else:
        sizes = draw(st.lists(st.sampled_from([0, 1, 10, 3000, 20_000]), min_size=1, max_size=4))
        stream = messages(*(bytes(size) for size in sizes), max_send=draw(st.sampled_from([16, 100, 16384])))
    return draw(damaged(stream)) if draw(st.integers(0, 3)) else stream


@needed
@settings(deadline=None, max_examples=120, suppress_health_check=list(HealthCheck))
@example(messages(SMALL)[:40], [])
@example(messages(SMALL)[:200], [])
@example(TOGETHER, [])
@example(RELEASE, [3])
@given(streams(), st.lists(st.integers(0, 5000), max_size=3))
def test_damaged_streams_come_out_the_same_both_ways(stream: bytes, cuts: list[int]) -> None:
    assert heard(stream, HELPER, cuts) == heard(stream, None, cuts)


@needed
@settings(deadline=None, max_examples=400, suppress_health_check=list(HealthCheck))
@given(
    st.binary(max_size=300), st.binary(max_size=300), st.booleans(), st.integers(-2, 300), st.integers(-2, 300),
    st.integers(-1, 400), st.integers(-1, 400), st.booleans(), st.integers(0, 255), st.sampled_from([0, 6, 500, 2**32]),
)  # fmt: skip
def test_whatever_the_helper_is_given_it_stays_in_its_buffer(
    lies: bytes, comes: bytes, fresh: bool, start: int, end: int, pdu_left: int, pdv_left: int, last: bool, context: int,
    max_pdu: int,
) -> None:  # fmt: skip
    buffer = bytearray(lies)
    ours, peer = socket.socketpair()
    with ours, peer:
        peer.sendall(comes)
        peer.shutdown(socket.SHUT_WR)
        try:
            found = HELPER.receive(
                ours.fileno(), buffer, fresh, start, end, pdu_left, pdv_left, last, context, max_pdu, 0, 0.0, 60.0, 1e12,
                1024.0,
            )  # fmt: skip
        except ValueError:
            assert not (0 <= start <= end <= len(buffer) and min(pdu_left, pdv_left) >= 0)
            return
    assert 0 <= start <= found[2] <= found[3] <= len(buffer) and found[4] >= 0 and found[5] >= 0
    ends = found[13]
    assert len(ends) % 2 == 0 and list(ends) == sorted(ends) and all(start <= end <= len(buffer) for end in ends)


@needed
def test_many_small_fragments_are_more_than_one_call() -> None:
    stream = b"".join(pdv(1, 0, b"ab") for _ in range(1000)) + pdv(1, 2, b"end")
    command = pdv(1, 3, dimse.store_request(1, CT, "1.2"))
    assert heard(command + stream, HELPER, [])[0][2] == b"ab" * 1000 + b"end"


@needed
@pytest.mark.parametrize(("length", "read"), [(65_534, True), (65_536, True), (65_537, False), (300_000, False)])
def test_a_command_set_has_the_same_limit_both_ways(length: int, read: bool) -> None:
    command = dimse.store_request(1, CT, "1.2.3")
    size = length - 2 - len(command) - 8
    command += struct.pack("<HHI", 0, 0x1031, size) + bytes(size)
    stream = pdv(1, 3, command) + pdv(1, 2, SMALL) + ECHO
    found = heard(stream, HELPER, [])
    assert found == heard(stream, None, []) and len(found) == (3 if read else 1)


@needed
@pytest.mark.slow
@pytest.mark.parametrize("helper", [HELPER, None], ids=["compiled", "pure"])
def test_pdus_larger_than_the_buffer_have_each_their_own_time(helper: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full buffer ends in the middle of a PDU or right behind it: no header of the next one has begun to come then."""

    class Slow(Kept):
        def write(self, pieces: list[memoryview], last: bool) -> None:
            super().write([], last)
            self.size = getattr(self, "size", 0) + sum(map(len, pieces))
            time.sleep(0.1)  # a slow disk; all of it takes longer than one PDU may

    monkeypatch.setattr(fast, "helper", helper)
    sink = Slow()
    parts = [
        pdv(1, 3, dimse.store_request(1, CT, "1.2.3")), *(pdv(1, 0, bytes(1_000_000)) for _ in range(12)), pdv(1, 2, b"end.")
    ]  # fmt: skip
    with socket.create_server(("127.0.0.1", 0)) as door, socket.create_connection(door.getsockname()) as peer:
        ours, _ = door.accept()
        connection = Connection(ours, 0, 1 << 30)
        connection.settle_down(1.0, 1.0)

        def say() -> None:
            with contextlib.suppress(OSError):
                for part in parts:
                    peer.sendall(part)

        saying = threading.Thread(target=say)
        saying.start()
        try:
            assert connection.read_message(5.0, 1.0, lambda message: sink).sink is sink
        finally:
            connection.close()
            peer.close()
            saying.join()
    assert sink.size == 12_000_004 and sink.ends == 1


@needed
@given(st.binary(max_size=80), st.integers(0, 20), st.booleans())
def test_command_sets_are_read_as_without_it(data: bytes, cut: int, whole: bool) -> None:
    if whole:
        data = dimse.store_request(len(data), CT, "1.2.3")[: -cut or None]
    found = HELPER.elements(data, 0, len(data))
    try:
        assert found == dimse.decode(data).elements
    except InvalidPdu:
        assert found is None


@given(st.binary(max_size=64), st.binary(max_size=64), st.integers(0, 65535), st.integers(0, 65535))
def test_the_usual_response_is_what_the_general_way_makes(one: bytes, other: bytes, number: int, status: int) -> None:
    raw = struct.Struct("<H").pack
    request = dimse.Command({
        dimse.AFFECTED_CLASS: one, dimse.COMMAND_FIELD: raw(1), dimse.MESSAGE_ID: raw(number), dimse.AFFECTED_INSTANCE: other,
    })  # fmt: skip
    expected = dimse.encode({
        dimse.AFFECTED_CLASS: one, dimse.COMMAND_FIELD: dimse.C_STORE_RSP, dimse.ANSWERED_ID: number,
        dimse.DATA_SET_TYPE: dimse.NO_DATA_SET, dimse.STATUS: status, dimse.AFFECTED_INSTANCE: other,
    })  # fmt: skip
    assert dimse.response_to(request, status) == expected


def test_a_variable_turns_it_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(fast.VARIABLE, "1")
    assert fast._load() == (None, "turned off by SCANPOST_PURE_PYTHON=1")
    monkeypatch.setenv(fast.VARIABLE, "0")
    assert fast._load()[0] is HELPER


def test_one_compiled_from_other_sources_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(fast.VARIABLE, raising=False)
    monkeypatch.setattr(fast, "INTERFACE", fast.INTERFACE + 1)
    helper, why = fast._load()
    assert helper is None and (HELPER is None or "install scanpost again" in why)


def test_the_source_is_what_its_first_lines_say() -> None:
    source = (Path(fast.__file__).parent / "_fast.c").read_text()
    assert len(source.splitlines()) < 500 and not re.search(r"\b(strcpy|sprintf|strcat|gets|alloca)\b", source)


@needed
def test_what_a_taker_has_still_to_send_goes_out_when_the_reader_knows_where_it_is() -> None:
    class Taking:
        """Takes one message and owes its answer; what follows it is the end of the association."""

        sent = 0

        def receive(self, fd: int, buffer: bytearray, start: int, end: int, *limits: Any) -> tuple[Any, bool]:
            state = HELPER.receive(fd, buffer, True, start, end, 0, 0, False, 0, limits[0], 0, 0.0, *limits[1:])
            return ((*state[:4], 0, 0, 0, 0, 0, 0.0, state[10], -1, -1, ()), True) if state[11] >= 0 else (state, False)

        def send_rest(self) -> None:
            self.sent += 1
            assert bytes(connection._view[connection._start : connection._end]) == pdus.encode_abort(0, 0)

    with reading(messages(SMALL) + pdus.encode_abort(0, 0), []) as connection:
        connection.taker = taker = Taking()
        with pytest.raises(NetworkError):
            connection.read_message(0.4, 0.4, lambda message: None)
        assert taker.sent == 1
