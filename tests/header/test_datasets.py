"""Small data sets: read at every level as they were built byte by byte, bounded, and nothing but Unreadable for what is none."""

from __future__ import annotations

import struct

import pytest
from header_bytes import EXPLICIT, IMPLICIT, UNDEFINED, element, item, sequence
from hypothesis import given
from hypothesis import strategies as st

from protocol.header import datasets
from protocol.header.datasets import DataSet, Reader, Unreadable, read

UID, TEXT, BULK, OTHER, STEPS, CODES, SKIPPED = (
    0x00080018, 0x0008103E, 0x00091001, 0x00100010, 0x00400100, 0x00400260, 0x00400275,
)  # fmt: skip
VRS = {UID: "UI", TEXT: "LO", BULK: "OB", OTHER: "PN"}
WANTED, SEQUENCES = {UID, TEXT, BULK}, {STEPS, CODES}
SYNTAXES = [EXPLICIT, IMPLICIT]
both = pytest.mark.parametrize("syntax", SYNTAXES)


@st.composite
def built(draw: st.DrawFn, syntax: str, depth: int = 0) -> tuple[bytes, DataSet]:
    """A data set as bytes, and what is to be read of it."""
    data, expected = b"", DataSet()
    for tag in draw(st.lists(st.sampled_from([*VRS, STEPS, CODES, SKIPPED]), max_size=4)):
        if tag in VRS:
            value = draw(st.sampled_from([b"", b"1.2.", b"x" * 300]))
            data += element(tag, VRS[tag], value, syntax)
            if tag in WANTED:
                expected.values[tag] = value
        elif depth < 3:
            vr = draw(st.sampled_from(["SQ", "SQ", "UN"]))
            inside = syntax if vr == "SQ" else IMPLICIT
            parts = draw(st.lists(built(inside, depth + 1), max_size=2))
            items = [item(content, inside, draw(st.booleans())) for content, _ in parts]
            data += sequence(tag, items, syntax, draw(st.booleans()), vr)
            if tag in SEQUENCES:
                expected.sequences[tag] = [found for _, found in parts]
    return data, expected


@given(st.sampled_from(SYNTAXES), st.data())
def test_what_was_built_is_read_at_every_level(syntax: str, draw: st.DataObject) -> None:
    data, expected = draw.draw(built(syntax))
    assert read(data, syntax == EXPLICIT, WANTED, SEQUENCES) == expected


@given(st.sampled_from(SYNTAXES), st.data())
def test_the_items_of_a_sequence_come_one_by_one_as_they_are_written(syntax: str, draw: st.DataObject) -> None:
    parts = draw.draw(st.lists(built(syntax), max_size=3))
    value = b"".join(item(content, syntax, draw.draw(st.booleans())) for content, _ in parts)
    ends = draw.draw(st.sampled_from([b"", b"\xfe\xff\xdd\xe0\0\0\0\0", b"\xfe\xff\xdd\xe0\0\0\0\0behind"]))
    reader, found = Reader((), ()), []
    for content in reader.items(value + ends, syntax == EXPLICIT):
        reader.wants(WANTED, SEQUENCES)
        found.append((content, reader.read(content, syntax == EXPLICIT)))  # may be read in between
    assert found == parts


@both
def test_a_sequence_whose_bytes_are_wanted_comes_as_it_is_written(syntax: str) -> None:
    whole = item(element(TEXT, "LO", b"ab", syntax), syntax)
    for defined, end in ((True, b""), (False, b"\xfe\xff\xdd\xe0\0\0\0\0")):
        data = sequence(STEPS, [whole], syntax, defined) + element(OTHER, "PN", b"A^B ", syntax)
        assert read(data, syntax == EXPLICIT, {STEPS, OTHER}, ()).values == {STEPS: whole + end, OTHER: b"A^B "}


@both
def test_every_cut_is_unreadable_or_between_elements(syntax: str) -> None:
    parts = [
        element(TEXT, "LO", b"ab", syntax),
        sequence(STEPS, [item(element(BULK, "OB", b"abcd", syntax), syntax)], syntax),
        sequence(CODES, [item(element(TEXT, "LO", b"ab", syntax), syntax, True)], syntax, True),
        sequence(SKIPPED, [item(b"", syntax, True)], syntax),
        element(BULK, "OB", b"abcd", syntax),
    ]
    data, whole = b"".join(parts), {len(b"".join(parts[:count])) for count in range(6)}
    for cut in range(len(data) + 1):
        if cut in whole:
            read(data[:cut], syntax == EXPLICIT, WANTED, SEQUENCES)
        else:
            with pytest.raises(Unreadable):
                read(data[:cut], syntax == EXPLICIT, WANTED, SEQUENCES)


def nested(depth: int, tag: int) -> bytes:
    data = b""
    for _ in range(depth):
        data = sequence(tag, [item(data)])
    return data


@pytest.mark.parametrize("tag", [STEPS, SKIPPED])
def test_nesting_is_followed_to_its_limit_and_no_further(tag: int) -> None:
    read(nested(datasets.MAX_DEPTH, tag), True, (), {STEPS})
    assert list(Reader((), ()).items(item(nested(datasets.MAX_DEPTH, tag)), True)) == [nested(datasets.MAX_DEPTH, tag)]
    for depth in (datasets.MAX_DEPTH + 1, 10_000):
        with pytest.raises(Unreadable, match="too deeply"):
            read(nested(depth, tag), True, (), {STEPS})
        with pytest.raises(Unreadable, match="too deeply"):
            list(Reader((), ()).items(item(nested(depth, tag)), True))


def test_the_work_for_several_data_sets_has_one_bound() -> None:
    data = element(TEXT, "LO", b"ab") * 4
    reader = Reader({TEXT}, (), most=12)
    for _ in range(3):
        reader.read(data, True)
    with pytest.raises(Unreadable, match="too many"):
        reader.read(data[:10], True)
    inside = sequence(STEPS, [item(b"")] * 4)  # itself, two for each item and its end
    Reader((), {STEPS}, most=10).read(inside, True)
    with pytest.raises(Unreadable, match="too many"):
        Reader((), {STEPS}, most=9).read(inside, True)


LONG = element(TEXT, "LO", b"ab", length=4)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (sequence(STEPS, [item(LONG, defined=True) + b"xx"]), "what holds it"),  # into what follows the item
        (element(STEPS, "SQ", item(b"ab", defined=True), length=8) + b"cd", "cut off"),
        (element(STEPS, "SQ", item(element(TEXT, "LO", b"ab"), defined=True), length=12) + bytes(6), "its sequence"),
        (element(STEPS, "SQ", b"", length=8), "longer than the data set"),
        (sequence(STEPS, [element(TEXT, "LO", b"abcd")]), "something else"),
        (sequence(STEPS, [sequence(CODES, [])[-8:]], defined=True), "something else"),  # an end where none is due
        (element(TEXT, "LO", b"", length=2), "what holds it"),
    ],
)
def test_what_does_not_fit_is_unreadable(data: bytes, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        read(data, True, WANTED, SEQUENCES)


@pytest.mark.parametrize(
    "value", [b"abcdefgh", item(b"ab", defined=True)[:-1], item(b""), item(b"")[:12], b"\xfe\xff", item(b"")[:6]]
)
def test_what_is_no_item_is_unreadable(value: bytes) -> None:
    if value == item(b""):
        assert list(Reader((), ()).items(value, True)) == [b""]
        return
    with pytest.raises(Unreadable):
        list(Reader((), ()).items(value, True))


@given(st.binary(max_size=80), st.booleans())
def test_any_bytes_are_a_data_set_or_unreadable(data: bytes, explicit: bool) -> None:
    for attempt in (
        lambda: read(data, explicit, WANTED, SEQUENCES),
        lambda: list(Reader((), ()).items(data, explicit)),
        lambda: read(struct.pack("<HHI", 0x40, 0x100, UNDEFINED) + data, False, WANTED, SEQUENCES),
    ):
        try:
            attempt()
        except Unreadable:
            pass


@both
@pytest.mark.parametrize(
    ("tag", "vr", "value", "padded"),
    [(UID, "UI", b"1.2", b"1.2\0"), (TEXT, "LO", b"abc", b"abc "), (BULK, "LO", b"abcd", b"abcd")],
)
def test_an_element_is_written_with_the_padding_of_its_vr(
    syntax: str, tag: int, vr: str, value: bytes, padded: bytes
) -> None:
    explicit = syntax == EXPLICIT
    one = datasets.element(tag, vr.encode(), value, explicit)
    assert one == element(tag, vr, padded, syntax)
    items = [item(one, syntax, defined=True)] * 2
    assert datasets.sequence(STEPS, [one, one], explicit) == sequence(STEPS, items, syntax, defined=True)
