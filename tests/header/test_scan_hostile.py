"""Damaged and malicious objects: nothing but UnreadableImage, and work in proportion to the object."""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import pydicom
from header_bytes import BIG, DEFLATED, EXPLICIT, IMPLICIT, element, item, sequence
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.errors import UnreadableImage
from protocol.header.scan import Header, scan
from protocol.header.walk import EXPLICIT_LITTLE, walk
from protocol.header.wanted import compile_wanted

FILES = Path(pydicom.__file__).parent / "data" / "test_files"
SYNTAXES = [EXPLICIT, IMPLICIT, BIG, DEFLATED, "1.2.840.10008.1.2.4.70", ""]


def dataset(name: str) -> bytes:
    """The data set of a bundled file up to a little pixel data."""
    data = (FILES / name).read_bytes()
    meta = 144 + struct.unpack_from("<I", data, 140)[0]
    return data[meta : meta + 8000]


SEEDS = [
    (dataset("MR_small.dcm"), EXPLICIT),
    (dataset("MR_small_implicit.dcm"), IMPLICIT),
    (dataset("MR_small_bigendian.dcm"), BIG),
    (dataset("image_dfl.dcm"), DEFLATED),
    (dataset("nested_priv_SQ.dcm"), IMPLICIT),
    (dataset("reportsi.dcm"), EXPLICIT),
]


def attempt(data: bytes, syntax: str) -> Header | None:
    """Scan; what comes out must be storable, and the only error allowed is ours."""
    try:
        header = scan(data, syntax, extra=["SmallestImagePixelValue", 0x00091001, 0x00080006])
    except UnreadableImage as exc:
        assert len(str(exc)) < 100
        assert str(exc).isascii()
        return None
    json.dumps(header.values, allow_nan=False, ensure_ascii=False).encode()
    return header


@settings(deadline=None)
@given(st.sampled_from(SEEDS), st.lists(st.tuples(st.integers(0, 7999), st.integers(0, 255)), max_size=8), st.data())
def test_flipped_bytes_and_cuts_are_survived(
    seed: tuple[bytes, str], flips: list[tuple[int, int]], draw: st.DataObject
) -> None:
    data = bytearray(seed[0])
    for place, byte in flips:
        data[place % len(data)] = byte
    attempt(bytes(data[: draw.draw(st.integers(0, len(data)))]), seed[1])


@settings(deadline=None)
@given(st.sampled_from(SEEDS), st.sampled_from(SYNTAXES))
def test_the_wrong_transfer_syntax_is_survived(seed: tuple[bytes, str], syntax: str) -> None:
    attempt(seed[0], syntax)


@given(st.binary(max_size=200), st.sampled_from(SYNTAXES))
def test_noise_is_survived(data: bytes, syntax: str) -> None:
    attempt(data, syntax)


PIECES = [
    b"\xfe\xff\x00\xe0\xff\xff\xff\xff", b"\xfe\xff\x0d\xe0\0\0\0\0", b"\xfe\xff\xdd\xe0\0\0\0\0",
    b"\x08\0\x10\x11SQ\0\0\xff\xff\xff\xff", b"\x08\0\x10\x11\xff\xff\xff\xff", b"\x09\0\x01\x10UN\0\0\xff\xff\xff\xff",
    b"\x08\0\x60\0CS\x02\0CT", b"\x08\0\x60\0\x02\0\0\0CT", b"\xe0\x7f\x10\0OW\0\0\x02\0\0\0\0\0", b"\0",
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=40), st.sampled_from(SYNTAXES))
def test_shuffled_delimiters_are_survived(pieces: list[bytes], syntax: str) -> None:
    attempt(b"".join(pieces), syntax)


@st.composite
def nested_sequences(draw: st.DrawFn, syntax: str, depth: int = 0) -> bytes:
    """Elements, some of them sequences with items, of defined and undefined length in any mixture."""
    parts = []
    for _ in range(draw(st.integers(0, 3))):
        if depth < 4 and draw(st.booleans()):
            contents = draw(st.lists(nested_sequences(syntax, depth + 1), max_size=3))
            items = [item(content, syntax, draw(st.booleans())) for content in contents]
            parts.append(sequence(0x00091110 + depth, items, syntax, draw(st.booleans())))
        else:
            parts.append(element(0x00091001, "LO", draw(st.sampled_from([b"", b"ab", b"CT" * 9])), syntax))
    return b"".join(parts)


@settings(deadline=None)
@given(st.sampled_from([EXPLICIT, IMPLICIT, BIG]), st.data())
def test_any_mixture_of_nested_sequences_is_stepped_over(syntax: str, draw: st.DataObject) -> None:
    data = draw.draw(nested_sequences(syntax))
    end = element(0x00100020, "LO", b"12", syntax)
    assert scan(element(0x00080060, "CS", b"CT", syntax) + data + end, syntax).values == {
        "Modality": "CT",
        "PatientID": "12",
    }


def steps(data: bytes, syntax: str, call: Callable[[bytes, str], object] | None = None) -> int:
    """Lines of Python executed by one scan: a measure of work that no busy machine can falsify."""
    call = call or attempt
    count = 0

    def trace(frame: object, event: str, argument: object) -> object:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call(data, syntax)
    finally:
        sys.settrace(before)
    return count


@settings(deadline=None, max_examples=50)
@given(st.lists(st.sampled_from(PIECES), max_size=40), st.sampled_from(SYNTAXES))
def test_work_is_bounded_by_the_length_of_the_object(pieces: list[bytes], syntax: str) -> None:
    data = b"".join(pieces)
    assert steps(data, syntax) <= 4000 + 5 * len(data)


def test_a_repeated_element_is_kept_once() -> None:
    data = element(0x00080060, "CS", b"CT") * 1000
    assert len(walk(memoryview(data), compile_wanted(), EXPLICIT_LITTLE).spans) == 1


def test_depth_costs_nothing_extra() -> None:
    start = PIECES[3] + PIECES[0]
    assert steps(start * 10_000, EXPLICIT) < 10_000
