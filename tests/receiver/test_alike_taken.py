"""Images alike, taken by compiled code: whatever comes, answers, rows and files are those that there are without it."""

from __future__ import annotations

import random
import select
import socket
import sqlite3
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from receiver_rig import CT, HOST, WAIT_S, Rig, receiver

from actors.dicom import dimse, pdus
from actors.dicom.pdus import AssociateRq, ProposedContext
from actors.receiver import alike
from protocol.spool import Cursor
from protocol.spool.part10 import MAX_META, decode
from protocol.wire.codec import unpack_stored

HELPER = alike.helper
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        HELPER is None, reason="the compiled helper is not there; install gcc, python3-dev and libxxhash"
    ),
]
MR = "1.2.840.10008.5.1.4.1.1.4"
SMALL, EARLY, LARGE = 3000, 200_000, 900_000  # stored whole, in parts, and what does not fit into the buffer
RELEASE = bytes(pdus.RELEASE_RQ_PDU)
Pdv = tuple[int, bytes]  # message control header and contents


# ---- what is sent ----------------------------------------------------------------------------------------------------
def element(group: int, number: int, vr: bytes, value: bytes) -> bytes:
    value += (b"\0" if vr in (b"UI", b"OW") else b" ") * (len(value) % 2)
    length = struct.pack("<HL", 0, len(value)) if vr in (b"OW", b"SQ") else struct.pack("<H", len(value))
    return struct.pack("<HH2s", group, number, vr) + length + value


def image(
    sop: str, number: int, size: int, *, series: str = "1.2.1", odd: bool = False, sop_class: str = CT[0]
) -> bytes:
    """A data set with `size` bytes of pixels; an `odd` one has an element that others have not."""
    return b"".join((
        element(0x0008, 0x0005, b"CS", b"ISO_IR 100"),
        element(0x0008, 0x0016, b"UI", sop_class.encode()),
        element(0x0008, 0x0018, b"UI", sop.encode()),
        element(0x0008, 0x0033, b"TM", f"1200{number:02}.5".encode()),
        element(0x0008, 0x103E, b"LO", b"Sch\xe4del") if odd else b"",
        element(0x0010, 0x0010, b"PN", b"M\xfcller^" + b"x" * (number % 3)),
        element(0x0018, 0x0050, b"DS", b"" if number % 4 == 3 else f"{number}.25".encode()),
        element(0x0020, 0x000D, b"UI", b"1.2"),
        element(0x0020, 0x000E, b"UI", series.encode()),
        element(0x0020, 0x0013, b"IS", str(number).encode()),
        element(0x0021, 0x1001, b"SQ", bytes(2 * (number % 5))),
        element(0x7FE0, 0x0010, b"OW", random.Random(number).randbytes(size)),
    ))  # fmt: skip


def request(sop: str, dataset: bytes, *, most: int = 16384, number: int = 1, sop_class: str = CT[0]) -> list[Pdv]:
    """A C-STORE request as PDVs of at most so many bytes of the data set."""
    pieces = [dataset[at : at + most] for at in range(0, len(dataset), most)] or [b""]
    command = dimse.store_request(number, sop_class, sop)
    return [(3, command), *((0, piece) for piece in pieces[:-1]), (2, pieces[-1])]


def series(count: int, size: int = SMALL, *, first: int = 1, most: int = 16384) -> list[Pdv]:
    """So many images that are alike."""
    numbers = range(first, first + count)
    return [one for n in numbers for one in request(f"1.2.1.{n}", image(f"1.2.1.{n}", n, size), most=most, number=n)]


def oddly(n: int, size: int, most: int) -> list[Pdv]:
    """An image alike whose command is written in one of several ways."""
    sop = f"1.2.1.{n}"
    (_, plain), *parts = request(sop, image(sop, n, size), most=most)
    at = plain.index(b"\0\0\0\x10")  # the SOP instance UID, the last element
    uid = plain[at + 8 :].rstrip(b"\0")
    written = [
        plain[12:],  # no group length
        plain[:12] + plain[at:] + plain[12:at],
        plain + struct.pack("<HHI", 0, 0x1031, 2) + b"\7\0",
        plain + plain[at:],
        plain[:at] + struct.pack("<HHI", 0, 0x1000, len(uid)) + uid,
        plain[:at] + struct.pack("<HHI", 0, 0x1000, len(uid) + 1) + uid + b" ",
        plain[:at] + struct.pack("<HHI", 0, 0x1000, len(uid) + 3) + uid + b"\0\0\0",
        plain.replace(CT[0].encode() + b"\0", CT[0].encode() + b" "),
        plain.replace(struct.pack("<HHIH", 0, 0x0700, 2, 0), b""),
        plain.replace(struct.pack("<HHIH", 0, 0x0700, 2, 0), struct.pack("<HHI", 0, 0x0700, 4) + b"odd "),
        plain.replace(struct.pack("<HHIH", 0, 0x0110, 2, 1), struct.pack("<HHIH", 0, 0x0110, 2, 0xFFFF)),
        plain.replace(struct.pack("<HHIH", 0, 0x0800, 2, 1), struct.pack("<HHIH", 0, 0x0800, 2, 0x0102)),
    ]
    return [(3, written[n % len(written)]), *parts]


KINDS: dict[str, Callable[[int, int, int], list[Pdv]]] = {
    "alike": lambda n, size, most: request(f"1.2.1.{n}", image(f"1.2.1.{n}", n, size), most=most, number=n),
    "series": lambda n, size, most: request(f"1.2.2.{n}", image(f"1.2.2.{n}", n, size, series="1.2.2"), most=most),
    "odd": lambda n, size, most: request(f"1.2.1.{n}", image(f"1.2.1.{n}", n, size, odd=True), most=most),
    "again": lambda n, size, most: request("1.2.1.1", image("1.2.1.1", 1, SMALL), most=most),
    "newer": lambda n, size, most: request("1.2.1.1", image("1.2.1.1", n, size), most=most),
    "wrong": lambda n, size, most: request(f"1.2.1.{n}", image(f"1.2.1.{n}9", n, size), most=most),
    "class": lambda n, size, most: request(f"1.2.1.{n}", image(f"1.2.1.{n}", n, size, sop_class=MR), most=most),
    "none": lambda n, size, most: request("1.2.x", image("1.2.x", n, size), most=most),
    "cut": lambda n, size, most: request(f"1.2.1.{n}", image(f"1.2.1.{n}", n, 0)[:-14], most=most),
    "junk": lambda n, size, most: request(f"1.2.1.{n}", b"\x08\0\x05\0CS\xff\xff" + bytes(size), most=most),
    "empty": lambda n, size, most: request(f"1.2.1.{n}", b"", most=most),
    "oddly": oddly,
    "echo": lambda n, size, most: [(3, dimse.echo_request(n))],
}


def together(parts: list[Pdv], groups: list[int]) -> bytes:
    """PDUs of several PDVs each, whatever messages they belong to."""
    stream, at = b"", 0
    for turn in range(len(parts)):
        if at >= len(parts):
            break
        group = parts[at : at + groups[turn % len(groups)]]
        at += len(group)
        body = b"".join(struct.pack(">IBB", len(data) + 2, 1, control) + data for control, data in group)
        stream += struct.pack(">BxI", pdus.P_DATA, len(body)) + body
    return stream


# ---- two receivers ---------------------------------------------------------------------------------------------------
def exchange(port: int, calling: str, turns: list[bytes], cuts: Sequence[int]) -> bytes:
    """Say this in an association, in pieces, each turn but the last once the one before is answered; all the answers."""
    with socket.create_connection((HOST, port), timeout=WAIT_S) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        contexts = (ProposedContext(1, CT[0], CT[1:]), ProposedContext(3, dimse.VERIFICATION, CT[1:]))
        sock.sendall(AssociateRq("SCANPOST", calling, contexts, 16384).encode())
        accepted = sock.recv(6, socket.MSG_WAITALL)
        assert accepted[0] == pdus.ASSOCIATE_AC
        sock.recv(int.from_bytes(accepted[2:], "big"), socket.MSG_WAITALL)
        sock.setblocking(False)
        heard = b""
        for turn in turns:
            heard += talk(sock, pieces_of(turn, cuts), turn is turns[-1])
        return heard


def pieces_of(stream: bytes, cuts: Sequence[int]) -> list[bytes]:
    marks = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    return [stream[start:end] for start, end in zip(marks, marks[1:], strict=False) if end > start]


def talk(sock: socket.socket, pieces: list[bytes], last: bool) -> bytes:
    """Say these pieces and hear the answer, with the last ones all that is answered."""
    heard = b""
    while True:
        if not pieces and last:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_WR)
        if not last and not pieces and heard:
            return heard  # an answer is one segment
        readable, writable, _ = select.select([sock], [sock] if pieces else [], [], WAIT_S)
        assert readable or writable, "neither answers nor takes anything"
        try:
            if readable:
                data = sock.recv(65536)
                heard += data
                if not data or (heard.endswith(pdus.RELEASE_RP_PDU) and not pieces):
                    return heard
            if writable:
                pieces[0] = pieces[0][sock.send(pieces[0]) :]
                if not pieces[0]:
                    del pieces[0]
        except ConnectionResetError:
            return heard
        except BrokenPipeError:
            pieces.clear()


class Both:
    """A receiver with compiled code for images alike and one without."""

    def __init__(self, taking: Rig, plain: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
        self.taking, self.plain = taking, plain
        self.count, self.taken = 0, 0
        take = alike.Alike._taken

        def counted(one: alike.Alike, taken: Any, lent: Any) -> None:
            self.taken += len(taken)
            take(one, taken, lent)

        monkeypatch.setattr(alike.Alike, "_taken", counted)

    def agree(self, *turns: bytes, cuts: Sequence[int] = (), calling: str = "") -> tuple[int, dict[str, Any]]:
        """Say the same to both: how many images compiled code took, and what both made of it."""
        self.count += 1
        self.taken, calling = 0, calling or f"CT{self.count}"
        found = []
        for rig, helper in ((self.taking, HELPER), (self.plain, None)):
            alike.helper = helper
            try:
                answers = exchange(rig.port, calling, list(turns), cuts)
                rig.until_closed(self.count)
            finally:
                alike.helper = HELPER
            found.append({"answers": answers, **kept(rig, calling)})
        for what in found[1]:
            assert found[0][what] == found[1][what], what
        return self.taken, found[0]


def kept(rig: Rig, calling: str) -> dict[str, Any]:
    """What is left of an association: rows, files and events, without what is another each time."""
    with sqlite3.connect(rig.spool.places.database) as connection:
        connection.row_factory = sqlite3.Row
        session = connection.execute(
            "SELECT * FROM association WHERE calling_ae = ? ORDER BY opened DESC", (calling,)
        ).fetchone()
        rows = connection.execute(
            "SELECT * FROM image WHERE association = ? ORDER BY arrival, position", (session["id"],)
        ).fetchall()
        aside = connection.execute("SELECT * FROM quarantine WHERE calling_ae = ?", (calling,)).fetchall()
        first = connection.execute("SELECT series_uid, header FROM arrival WHERE calling_ae = ?", (calling,)).fetchall()
    places = rig.spool.places
    files = [filed(places.images / row["file"], row["receipt"]) for row in rows]
    for row, (meta, data) in zip(rows, files, strict=True):
        assert (row["bytes"], row["offset"], row["digest"]) == (len(data), meta.offset, meta.digest)
    events = [
        (one.type, {key: value for key, value in one.data.items() if key not in VARYING})
        for one in rig.spool.outbox.read(Cursor(0, 0), 100_000)
        if one.data.get("association") == session["id"].hex()
    ]
    return {
        "session": (session["state"], session["images"], session["bytes"]),
        "rows": [
            (row["position"], row["sop_uid"], row["sop_class_uid"], row["transfer_syntax_uid"], row["bytes"], row["digest"],
             row["header"] and unpack_stored(row["header"]), row["superseded"] is not None)
            for row in rows
        ],
        "first": [(row["series_uid"], unpack_stored(row["header"])) for row in first],
        "files": [(meta._replace(receipt=b"", association=b"", received=0.0), data) for meta, data in files],
        "aside": [
            (row["sop_uid"], row["bytes"], row["reason"], row["state"],
             filed(places.quarantine / row["receipt"].hex(), row["receipt"])[1])
            for row in aside
        ],
        "events": sorted(events, key=lambda one: one[0]),  # in their order within each kind: commits group them by chance
    }  # fmt: skip


VARYING = {"receipt", "association", "arrival", "twin"}


def filed(path: Path, receipt: bytes) -> tuple[Any, bytes]:
    """What a file says of itself, and its data set."""
    data = path.read_bytes()
    meta = decode(data[:MAX_META])
    assert meta.receipt == receipt and meta.whole
    return meta, data[meta.offset :]


@pytest.fixture(scope="module", params=["fsync", "relaxed"])
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    top = tmp_path_factory.mktemp("alike")
    with (
        pytest.MonkeyPatch.context() as monkeypatch,
        receiver(top / "taking", receiver__durability=request.param) as taking,
        receiver(top / "plain", receiver__durability=request.param) as plain,
    ):
        yield Both(taking, plain, monkeypatch)


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows wait as long as there is company: else an image that is slow to come, such as on a busy machine, is handed on."""
    monkeypatch.setattr(alike, "COMPANY_S", 60.0)


# ---- tests -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("size", [0, SMALL, EARLY, 600_000])
@pytest.mark.usefixtures("unhurried")
def test_a_series_is_taken_by_compiled_code_but_for_its_first_image(both: Both, size: int) -> None:
    taken, found = both.agree(*(together(series(1, size, first=n), [1]) for n in range(1, 13)), RELEASE)
    assert taken == 11 and len(found["rows"]) == 12 and found["session"][:2] == ("released", 12)
    assert found["answers"].count(b"\1\x80") == 12 and not found["aside"]


@pytest.mark.usefixtures("unhurried")
def test_after_a_single_image_nothing_is_made_ready_before_the_second_one_of_the_next_association(both: Both) -> None:
    calling = f"LONE{both.count}"
    taken = []
    for first, count in ((1, 1), (2, 1), (3, 3), (6, 3), (9, 1)):
        turns = [together(series(1, first=n), [1]) for n in range(first, first + count)]
        taken.append(both.agree(*turns, RELEASE, calling=calling)[0])
    assert taken == [0, 0, 1, 2, 0]


def test_senders_of_single_images_are_remembered_up_to_a_limit() -> None:
    loners = alike.Loners()
    for number in range(3 * loners.MOST):
        loners.note(f"CT{number}", 1)
        assert f"CT{number}" in loners
    assert len([number for number in range(3 * loners.MOST) if f"CT{number}" in loners]) <= loners.MOST
    loners.note("CT7", 1)
    loners.note("CT7", 0)
    assert "CT7" in loners, "nothing came: nothing is learnt"


@pytest.mark.usefixtures("unhurried")
def test_the_files_of_large_images_of_changing_size_hold_no_more_room_than_they_need(both: Both) -> None:
    sizes = [400_000, 400_002, 400_000, 170_000, 400_000, 400_000, 400_500, 399_000, 390_000]
    turns = [together(KINDS["alike"](n, size, 16384), [1]) for n, size in enumerate(sizes, 1)]
    assert both.agree(*turns, RELEASE, calling=f"SIZES{both.count}")[0] == len(sizes) - 1
    files = [path.stat() for path in both.taking.spool.places.images.rglob("*.dcm")]
    large = [one for one in files if one.st_size > 160_000]
    assert len(large) >= len(sizes) and all(one.st_blocks * 512 < one.st_size + 2 * 4096 for one in large)


@pytest.mark.usefixtures("unhurried")
def test_what_does_not_fit_into_the_buffer_goes_the_usual_way_and_the_next_is_taken_again(both: Both) -> None:
    turns = [together(series(1, LARGE if n == 7 else SMALL, first=n), [1]) for n in range(1, 14)]
    taken, found = both.agree(*turns, RELEASE)
    assert taken >= 8 and len(found["rows"]) == 13


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"alike"}))
@pytest.mark.usefixtures("unhurried")
def test_what_is_not_alike_goes_the_usual_way_in_the_middle_of_a_series(both: Both, kind: str) -> None:
    parts = series(6) + KINDS[kind](7, SMALL, 16384) + series(6, first=8)
    taken, found = both.agree(together(parts, [1]) + RELEASE)
    assert taken >= 7 and found["session"][0] == "released"


@pytest.mark.parametrize("groups", [[2], [3], [1, 2], [100]])
@pytest.mark.parametrize("most", [100, 1000, 16384])
def test_however_it_is_cut_into_pdus(both: Both, groups: list[int], most: int) -> None:
    parts = series(8, most=most)
    _, found = both.agree(together(parts, groups) + RELEASE, cuts=list(range(0, 40_000, 977)))
    assert len(found["rows"]) == 8


@pytest.mark.parametrize("start", range(7, 19))
def test_commands_that_are_written_in_another_way(both: Both, start: int) -> None:
    turns = [
        *(series(1, first=n) for n in range(1, 7)),
        oddly(start, SMALL, 16384),
        series(1, first=19),
        series(1, first=20),
    ]
    both.agree(*(together(parts, [1]) for parts in turns), RELEASE)


@st.composite
def talks(draw: st.DrawFn) -> tuple[list[bytes], list[int]]:
    """Requests, mostly alike, in turn with their answers or at once, cut in odd ways, perhaps with an end in the middle; and
    where TCP cuts them.
    """
    groups, most, in_turn = draw(GROUPS), draw(MOST), draw(st.booleans())
    turns, parts = [], list[Pdv]()
    for number in range(1, draw(st.integers(4, 20))):
        kind = draw(st.sampled_from(["alike"] * 60 + sorted(KINDS)))
        parts += KINDS[kind](number, draw(SIZES) if kind == "alike" else SMALL, most)
        if in_turn:
            turns.append(together(parts, groups))
            parts = []
    turns.append(together(parts, groups))
    end = draw(st.sampled_from(["release", "release", "release", "abort", "cut"]))
    if end == "cut":
        turns = turns[: draw(st.integers(1, len(turns)))]
        turns[-1] = turns[-1][: draw(st.integers(0, len(turns[-1])))]
    else:
        turns[-1] += RELEASE if end == "release" else pdus.encode_abort(0, 0)
    return turns, draw(st.lists(st.integers(0, 20_000), max_size=12))


GROUPS = st.sampled_from([[1], [1], [1], [2], [1, 2], [3, 1, 2], [7]])
MOST = st.sampled_from([16384, 16384, 131_000, 4000, 500])
SIZES = st.sampled_from([SMALL] * 16 + [0, 16_000, EARLY, 500_000])


@settings(max_examples=30, suppress_health_check=list(HealthCheck))
@given(talk=talks(), company_s=st.sampled_from([0.0, 0.05]))
def test_whatever_is_said_both_ways_give_the_same(
    both: Both, monkeypatch: pytest.MonkeyPatch, talk: tuple[list[bytes], list[int]], company_s: float
) -> None:
    monkeypatch.setattr(alike, "COMPANY_S", company_s)
    both.agree(*talk[0], cuts=talk[1])
