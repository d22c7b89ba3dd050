"""A connection of HTTP keeps its limits against servers that hang, reset, drip, lie about lengths or answer too early."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from web_fakes import QUIET, Visit, server_context, web

from actors.targets import http_connection
from actors.targets.http_connection import HttpConnection, Reply, Request
from protocol.errors import AssociationAborted, NetworkError, PeerTimeout
from tests.certificates import Authority
from tests.peers import HOST

MB = 1 << 20
HEADERS = [("Host", "here")]


def connection(port: int, timeout_s: float = 30.0, alive=QUIET) -> HttpConnection:
    return HttpConnection(socket.create_connection((HOST, port)), timeout_s, alive)


def post(body: bytes | Iterator[bytes] = b"body", length: int | None = None, **more) -> Request:
    if isinstance(body, bytes):
        return Request("POST", "/x", HEADERS, [body], len(body), **more)
    return Request("POST", "/x", HEADERS, body, length, **more)


def pieces(count: int, size: int = MB) -> Iterator[bytes]:
    for number in range(count):
        yield bytes([number]) * size


def test_one_connection_serves_one_request_after_the_other():
    def serve(visit: Visit) -> None:
        for number in range(3):
            visit.request()
            visit.answer(200 + number, b"yes", X_Trace="1")

    with web(serve) as there:
        line = connection(there.port)
        replies = []
        for _ in range(3):
            assert line.is_idle()
            replies.append(line.exchange(post()))
        line.close()
    assert [reply.status for reply in replies] == [200, 201, 202] and there.visits == 1
    assert replies[0].body == b"yes" and replies[0].headers["x-trace"] == "1"
    assert [asked.body for asked in there.asked] == [b"body"] * 3


@pytest.mark.parametrize("length", [3 * MB, None], ids=["with its length", "chunked"])
def test_a_body_arrives_as_it_is_and_moves_are_signs_of_life(length):
    moves: list[int] = []

    def serve(visit: Visit) -> None:
        visit.request()
        visit.answer()

    with web(serve) as there:
        line = connection(there.port, alive=lambda: moves.append(1))
        assert line.exchange(post(pieces(3), length)).status == 200
        line.close()
    assert there.asked[0].body == b"".join(pieces(3)) and len(moves) >= 3
    assert ("content-length" in there.asked[0].headers) is (length is not None)


def test_an_answer_in_chunks_or_until_the_end_is_read_whole():
    def serve(visit: Visit) -> None:
        visit.request()
        visit.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=1\r\nde\r\n0\r\nT: 1\r\n\r\n")
        visit.request()
        visit.say(b"HTTP/1.1 200 OK\r\n\r\nuntil the end")

    with web(serve) as there:
        line = connection(there.port)
        assert line.exchange(post()).body == b"abcde"
        assert line.is_idle()
        assert line.exchange(post()).body == b"until the end"
        assert not line.is_idle()


def test_interim_answers_are_passed_over_whenever_they_come():
    def serve(visit: Visit) -> None:
        visit.say(b"HTTP/1.1 102 Processing\r\nA: b\r\n\r\n")
        visit.request()
        visit.say(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n")
        visit.answer(201)

    with web(serve) as there:
        line = connection(there.port)
        assert line.exchange(post(pieces(4), 4 * MB)).status == 201
        line.close()


def test_a_server_that_talks_of_nothing_but_patience_is_given_up():
    def serve(visit: Visit) -> None:
        visit.request()
        visit.say(b"HTTP/1.1 102 Processing\r\n\r\n" * 1000)
        visit.wait_for_the_end()

    with web(serve) as there, pytest.raises(AssociationAborted, match="interim"):
        connection(there.port).exchange(post())


def test_an_answer_that_comes_early_ends_the_sending():
    def serve(visit: Visit) -> None:
        visit.head()
        visit.answer(413, b"too much")
        visit.wait_for_the_end()

    sent = []

    def endless() -> Iterator[bytes]:
        while True:
            sent.append(1)
            yield bytes(MB)

    with web(serve) as there:
        line = connection(there.port)
        reply = line.exchange(post(endless(), 1 << 40))
    assert (reply.status, reply.body) == (413, b"too much")
    assert line.over and not line.is_idle()


def test_the_reason_is_heard_although_the_server_hung_up_on_the_body():
    def serve(visit: Visit) -> None:
        visit.head()
        visit.answer(401)
        visit.reset()  # with unread bytes

    def endless() -> Iterator[bytes]:
        while True:
            yield bytes(MB)

    with web(serve) as there:
        assert connection(there.port).exchange(post(endless(), 1 << 40)).status == 401


def test_consent_is_waited_for_and_a_refusal_spares_the_body():
    body: list[bytes] = []

    def never() -> Iterator[bytes]:
        body.append(b"")
        yield bytes(MB)

    def serve(visit: Visit) -> None:
        if visit.number == 1:
            assert visit.head()[1]["expect"] == "100-continue"
            visit.answer(413)
        else:
            visit.head()
            visit.say(b"HTTP/1.1 100 Continue\r\n\r\n")
            visit.exactly(MB)
            visit.answer(200)

    with web(serve) as there:
        assert connection(there.port).exchange(post(never(), MB, expect=True)).status == 413
        assert body == []
        assert connection(there.port).exchange(post(never(), MB, expect=True)).status == 200


@pytest.mark.slow
def test_a_server_that_never_consents_gets_the_body_all_the_same():
    def serve(visit: Visit) -> None:
        visit.request()
        visit.answer()

    with web(serve) as there:
        assert connection(there.port).exchange(post(b"x" * 10, expect=True)).status == 200


@pytest.mark.slow
@pytest.mark.parametrize(
    "where", ["takes nothing", "says nothing", "drips its head", "drips its body", "stops half-way"]
)
def test_a_server_that_hangs_is_a_timeout(where):
    def serve(visit: Visit) -> None:
        if where == "takes nothing":
            visit.head()
            done.wait(60)
            return
        visit.request()
        text = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + bytes(1000)
        if where == "drips its head":
            drip(visit, b"HTTP/1.1 200 OK\r\nX: " + b"x" * 60_000)
        elif where == "drips its body":
            visit.say(text[:60])
            drip(visit, bytes(60_000))
        elif where == "stops half-way":
            visit.say(text)
        visit.wait_for_the_end()

    def drip(visit: Visit, data: bytes) -> None:
        for byte in data:
            visit.say(bytes([byte]))
            if done.wait(0.02):
                return

    done = threading.Event()
    with web(serve) as there:
        line = connection(there.port, timeout_s=0.3)
        body = pieces(100) if where == "takes nothing" else pieces(1)
        with pytest.raises(PeerTimeout):
            line.exchange(post(body, (100 if where == "takes nothing" else 1) * MB))
        done.set()
        assert line.over


@pytest.mark.slow
def test_a_server_that_takes_a_little_now_and_then_does_not_keep_us_for_ever(monkeypatch):
    def serve(visit: Visit) -> None:
        while not done.wait(0.01):
            visit.sock.recv(100_000)

    moves: list[int] = []
    monkeypatch.setattr(http_connection, "SLOWEST", 2000 * MB)
    done = threading.Event()
    with web(serve) as there:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        sock.connect((HOST, there.port))
        with pytest.raises(PeerTimeout):
            HttpConnection(sock, 3.0, lambda: moves.append(1)).exchange(post(pieces(1000), 1000 * MB))
        done.set()
    assert len(moves) > 10


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"garbage\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"H%d: x\r\n" % number for number in range(500)) + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n",
    ],
)
def test_what_is_no_answer_ends_the_connection(said):
    def serve(visit: Visit) -> None:
        visit.request()
        visit.say(said)

    with web(serve) as there:
        line = connection(there.port)
        with pytest.raises(AssociationAborted) as caught:
            line.exchange(post())
    assert line.over and caught.value.retryable and "garbage" not in str(caught.value)


@pytest.mark.parametrize("how", ["with its length", "in chunks", "until the end"])
def test_an_answer_without_end_is_not_kept(how):
    def serve(visit: Visit) -> None:
        visit.request()
        fields = {
            "with its length": b"Content-Length: 1000000000000\r\n",
            "in chunks": b"Transfer-Encoding: chunked\r\n",
        }
        visit.say(b"HTTP/1.1 200 OK\r\n" + fields.get(how, b"") + b"\r\n")
        while True:
            visit.say(
                (b"100000\r\n" if how == "in chunks" else b"") + bytes(MB) + (b"\r\n" if how == "in chunks" else b"")
            )

    with web(serve) as there, pytest.raises(AssociationAborted, match="longer than"):
        connection(there.port).exchange(post())


def test_a_reset_in_the_middle_of_the_body_is_told_as_such():
    def serve(visit: Visit) -> None:
        visit.head()
        visit.reset()

    with web(serve) as there, pytest.raises(AssociationAborted) as caught:
        connection(there.port).exchange(post(pieces(100), 100 * MB))
    assert "broke" in str(caught.value) or "closed" in str(caught.value)


def test_who_speaks_unasked_or_has_gone_is_not_used_again():
    goes_on = threading.Event()

    def serve(visit: Visit) -> None:
        visit.request()
        visit.answer()
        if visit.number == 1:
            visit.answer(500)  # a second answer would be taken for that to the next request
        goes_on.set()

    with web(serve) as there:
        for _ in range(2):
            line = connection(there.port)
            line.exchange(post())
            assert goes_on.wait(60)
            goes_on.clear()
            while line.is_idle():  # until what the server did has come over
                pass
            assert line.over


def test_an_unwritable_header_is_refused_before_anything_is_sent():
    def serve(visit: Visit) -> None:
        assert visit.sock.recv(1) == b""

    with web(serve) as there:
        line = connection(there.port)
        for bad in ("a\r\nInjected: yes", "ü"):
            with pytest.raises(ValueError):
                line.exchange(Request("GET", "/", [("X", bad)]))
        line.close()


def test_under_tls_an_early_answer_is_heard_and_session_tickets_are_none(tmp_path):
    authority = Authority(tmp_path)
    pair = authority.issue("web")

    def serve(visit: Visit) -> None:
        visit.request()
        visit.answer(200, b"first")
        visit.head()
        visit.answer(413)
        visit.wait_for_the_end()

    from actors.dicom.tls import ClientTls, dial

    with web(serve, server_context(pair)) as there:
        sock = dial(socket.create_connection((HOST, there.port)), ClientTls(ca=str(authority.cert)), "localhost", 5.0)
        line = HttpConnection(sock, 5.0, QUIET)
        assert line.exchange(post(pieces(3), 3 * MB)).body == b"first"
        assert line.is_idle()
        assert line.exchange(post(pieces(1000), 1000 * MB)).status == 413


class Scripted:
    """A socket that says what a test made up, in the pieces it chose."""

    def __init__(self, parts: list[bytes]) -> None:
        self._ours, theirs = socket.socketpair()
        self._thread = threading.Thread(target=self._speak, args=(theirs, parts), daemon=True)

    def __enter__(self) -> socket.socket:
        self._thread.start()
        return self._ours

    def __exit__(self, *_: object) -> None:
        self._ours.close()
        self._thread.join(60)

    def _speak(self, theirs: socket.socket, parts: list[bytes]) -> None:
        with theirs:
            try:
                theirs.recv(4096)
                for part in parts:
                    theirs.sendall(part)
            except OSError:
                return


GOOD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/dicom+json\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
)
WORDS = st.sampled_from(
    [b"HTTP/1.1 ", b"HTTP/1.0 100 C\r\n\r\n", b"200", b"\r\n", b"\n", b": ", b"Content-Length: ", b"-1", b"Transfer-Encoding: chunked\r\n",
     b"0\r\n\r\n", b"ffffffffffffffff\r\n", b"{}", b"\0", b"\xff"]
)  # fmt: skip


@given(st.one_of(
    st.lists(WORDS, max_size=25),
    st.lists(st.binary(max_size=60), max_size=5),
    st.tuples(st.integers(0, len(GOOD)), st.binary(max_size=4), st.integers(0, 4)).map(
        lambda change: [GOOD[: change[0]] + change[1] + GOOD[change[0] + change[2] :]]
    ),
))  # fmt: skip
def test_whatever_a_server_says_is_an_answer_or_a_network_error(parts):
    with Scripted(parts) as sock:
        line = HttpConnection(sock, 5.0, QUIET)
        try:
            reply = line.exchange(post())
        except NetworkError:
            assert line.over
        else:
            assert isinstance(reply, Reply) and 200 <= reply.status <= 999
            line.is_idle()
            line.close()
