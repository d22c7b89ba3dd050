"""Property: whatever a data set holds, a change of encoding and back gives the very same bytes."""

from __future__ import annotations

import struct
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom._dicom_dict import DicomDictionary

from actors.transcode.change import Job, change
from protocol.errors import UnreadableImage
from protocol.routing.syntaxes import BIG_ENDIAN, DEFLATED, EXPLICIT, IMPLICIT
from protocol.spool.part10 import fresh

UNDEFINED = 0xFFFFFFFF
WIDTHS = {"US": 2, "SS": 2, "UL": 4, "SL": 4, "FL": 4, "FD": 8, "AT": 4, "OW": 2, "OF": 4, "OL": 4, "OD": 8, "UV": 8}
LONG = {"OB", "OW", "OF", "OL", "OD", "UN", "UT", "UC", "UV"}
VRS = ("AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO", "LT", "OB", "OD", "OF", "OL", "OW", "PN", "SH", "SL",
       "SS", "ST", "TM", "UC", "UI", "UL", "US", "UT")  # fmt: skip
# One standard element for each, whose VR needs nobody's help.
TAGS = {vr: min(tag for tag, known in DicomDictionary.items() if known[0] == vr and 0x00080008 <= tag < 0x7FE00010 and tag & 0xFFFF)
        for vr in VRS}  # fmt: skip
SEQUENCES = (0x00081140, 0x00540016, 0x00400275)


def element(tag: int, vr: str, value: bytes, length: int | None = None) -> bytes:
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr.encode())
    size = len(value) if length is None else length
    return head + (struct.pack("<HL", 0, size) if vr in LONG or vr == "SQ" else struct.pack("<H", size)) + value


@st.composite
def plain(draw: st.DrawFn) -> tuple[int, bytes]:
    vr = draw(st.sampled_from(sorted(TAGS)))
    width = max(2, WIDTHS.get(vr, 2))
    value = draw(st.binary(max_size=6 * width)) if vr not in ("OB", "UT") else draw(st.binary(max_size=300))
    return TAGS[vr], element(TAGS[vr], vr, value[: len(value) - len(value) % width])


@st.composite
def sequence(draw: st.DrawFn, inner: st.SearchStrategy[bytes]) -> tuple[int, bytes]:
    tag, items = draw(st.sampled_from(SEQUENCES)), b""
    for content in draw(st.lists(inner, max_size=3)):
        if draw(st.booleans()):
            items += struct.pack("<HHL", 0xFFFE, 0xE000, len(content)) + content
        else:
            items += struct.pack("<HHL", 0xFFFE, 0xE000, UNDEFINED) + content + struct.pack("<HHL", 0xFFFE, 0xE00D, 0)
    if draw(st.booleans()):
        return tag, element(tag, "SQ", items)
    return tag, element(tag, "SQ", items, UNDEFINED) + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)


def level(parts: st.SearchStrategy[tuple[int, bytes]]) -> st.SearchStrategy[bytes]:
    return st.lists(parts, max_size=8, unique_by=lambda one: one[0]).map(
        lambda found: b"".join(data for _, data in sorted(found))
    )


DATASETS = st.recursive(level(plain()), lambda inner: level(st.one_of(plain(), sequence(inner))), max_leaves=8).filter(
    len
)


def through(data: bytes, *syntaxes: str) -> bytes:
    """Changed from one to the next."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "dataset"
        for stored, to in zip(syntaxes, syntaxes[1:], strict=False):
            path.write_bytes(data)
            with open(Path(folder) / "out", "w+b") as out:
                change(Job(path, 0, len(data), stored, to), out, lambda: None)
                out.seek(0)
                data = out.read()
    return data


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(DATASETS)
def test_there_and_back_again_is_bit_identical(data):
    for between in (IMPLICIT, BIG_ENDIAN, DEFLATED):
        assert through(data, EXPLICIT, between, EXPLICIT) == data
    assert through(data, EXPLICIT, DEFLATED, BIG_ENDIAN, IMPLICIT, EXPLICIT) == data


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(DATASETS)
def test_pydicom_reads_the_same_elements_in_every_encoding(data):
    def tags(dataset: pydicom.Dataset) -> list:
        return [
            (element.tag, [tags(item) for item in element.value] if element.VR == "SQ" else None)
            for element in (dataset.get_item(tag) for tag in sorted(dataset.keys()))
            for element in [dataset[element.tag] if element.VR in ("SQ", None) else element]
        ]

    found = [
        tags(pydicom.dcmread(BytesIO(fresh("1.2", "1.3", to) + through(data, EXPLICIT, to))))
        for to in (EXPLICIT, IMPLICIT, BIG_ENDIAN)
    ]
    assert found[0] == found[1] == found[2]


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(DATASETS, st.data())
def test_a_damaged_data_set_is_changed_or_refused_and_nothing_else(data, more):
    damaged = bytearray(data)
    for _ in range(more.draw(st.integers(1, 4))):
        damaged[more.draw(st.integers(0, len(damaged) - 1))] = more.draw(st.integers(0, 255))
    cut = bytes(damaged[: more.draw(st.integers(1, len(damaged)))])
    for stored in (EXPLICIT, IMPLICIT, BIG_ENDIAN, DEFLATED):
        for to in (IMPLICIT, EXPLICIT):
            try:
                through(cut, stored, to)
            except UnreadableImage as exc:
                assert str(exc)


def test_sequences_without_end_and_without_bottom_are_refused():
    deep = b""
    for _ in range(10_000):
        deep += element(SEQUENCES[0], "SQ", b"", UNDEFINED) + struct.pack("<HHL", 0xFFFE, 0xE000, UNDEFINED)
    with pytest.raises(UnreadableImage, match="deep"):
        through(deep, EXPLICIT, IMPLICIT)
    whole = deep + 10_000 * (struct.pack("<HHL", 0xFFFE, 0xE00D, 0) + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0))
    with pytest.raises(UnreadableImage, match="deep"):
        through(whole, EXPLICIT, IMPLICIT)
    with pytest.raises(UnreadableImage, match="no end"):
        through(element(SEQUENCES[0], "SQ", b"", UNDEFINED), EXPLICIT, IMPLICIT)


def test_what_has_no_vr_gets_the_one_that_the_elements_around_it_decide():
    """Pixel representation decides about the padding value, inside of a sequence too (PS3.3 section C.7.6.3.1.1)."""

    def implicit(tag: int, value: bytes) -> bytes:
        return struct.pack("<HHL", tag >> 16, tag & 0xFFFF, len(value)) + value

    padding = implicit(0x00280120, struct.pack("<h", -2000))
    item = struct.pack("<HHL", 0xFFFE, 0xE000, len(padding)) + padding
    for signed, vr in ((0, b"US"), (1, b"SS")):
        data = implicit(0x00280103, struct.pack("<H", signed)) + padding
        data += implicit(0x52009229, item)
        after = through(data, IMPLICIT, EXPLICIT)
        assert after.count(b"\x28\x00\x20\x01" + vr) == 2


def test_private_elements_come_back_unknown_but_whole_and_a_creator_stays_readable():
    creator, value = b"SOMEBODY", b"\x01\x02\x03\x04"
    data = element(0x00290010, "LO", creator) + element(0x00291001, "UL", value)
    after = through(data, EXPLICIT, IMPLICIT, EXPLICIT)
    assert after == element(0x00290010, "LO", creator) + element(0x00291001, "UN", value)


def test_unknown_of_undefined_length_is_the_implicit_sequence_that_it_is():
    inner = struct.pack("<HHL", 0x0008, 0x0060, 2) + b"MR"
    items = struct.pack("<HHL", 0xFFFE, 0xE000, len(inner)) + inner + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
    data = element(0x00291001, "UN", items, UNDEFINED)
    after = through(data, EXPLICIT, BIG_ENDIAN, EXPLICIT)
    expected = element(0x00080060, "CS", b"MR")
    assert (
        after
        == element(0x00291001, "SQ", struct.pack("<HHL", 0xFFFE, 0xE000, len(expected)) + expected, UNDEFINED)
        + items[-8:]
    )
    assert through(data, EXPLICIT, IMPLICIT)[8:] == items


def test_a_value_that_its_vr_cannot_say_the_length_of_becomes_unknown():
    """PS3.5 section 6.2.2: what was possible with implicit VR only."""
    text = b"7 " * 40_000
    implicit = struct.pack("<HHL", 0x0018, 0x1100, len(text)) + text
    assert through(implicit, IMPLICIT, EXPLICIT) == element(0x00181100, "UN", text)


def test_group_lengths_go_since_they_would_be_wrong():
    data = element(0x00080000, "UL", struct.pack("<L", 10)) + element(0x00080060, "CS", b"MR")
    assert through(data, EXPLICIT, DEFLATED, EXPLICIT) == element(0x00080060, "CS", b"MR")
