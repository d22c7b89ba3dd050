"""The scanner of an association gives what `scan` gives, image after image, and the head what the whole gives."""

from __future__ import annotations

import struct

import pytest
from header_bytes import BIG, DEFLATED, EXPLICIT, IMPLICIT, UNDEFINED, element, item, sequence
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_scan import deflate
from test_scan_hostile import PIECES, SEEDS, SYNTAXES, steps

from protocol.errors import UnreadableImage
from protocol.header import scanner as scanners
from protocol.header.scan import PIXELS_CUT, Header, scan, scan_head
from protocol.header.scanner import Scanner

MODALITY, UID, NUMBER, PIXELS = 0x00080060, 0x00080018, 0x00200013, 0x7FE00010
EXTRA = [
    "SmallestImagePixelValue",
    0x00091001,
    0x00080006,
    "0009,xx01 12",
    "ReferencedStudySequence.ReferencedSOPInstanceUID",
]
CREATOR, SEQUENCE = 0x00090010, 0x00081110


def outcome(call, *args, **options):  # type: ignore[no-untyped-def]
    """What a scan gave, or its reason."""
    try:
        header = call(*args, **options)
    except UnreadableImage as exc:
        return str(exc)
    return header and (header.values, header.flags, header.pixel_stop)


# --- images of one association ---

TAGS = [
    0x00080005, 0x00080018, MODALITY, SEQUENCE, SEQUENCE, CREATOR, 0x00090011, 0x00091001, 0x00091101,
    0x00091002, 0x00100010, 0x00180050, NUMBER, 0x00280103, 0x00280106,
]  # fmt: skip
VALUES = [
    b"", b"12", b"1.5 ", b"ISO_IR 100", b"ISO_IR 99 ", b"\1\0", b"M\xfcller", b"x" * 600, b"1\\2 ", b"\xff\xff",
]  # fmt: skip


@st.composite
def series(draw: st.DrawFn, syntax: str) -> list[bytes]:
    """Images whose elements mostly stay, sometimes change, come, go, repeat, or stand in the wrong order."""
    vrs = {tag: draw(st.sampled_from(["LO", "DS", "US", "UN", "UT", "XY"])) for tag in TAGS}

    def one(tag: int) -> bytes:
        kind = draw(st.integers(0, 9))
        value = draw(st.sampled_from(VALUES))
        if tag == SEQUENCE and kind:
            inside = item(element(0x00081155, vrs[MODALITY], value, syntax), syntax, draw(st.booleans()))
            return sequence(tag, [inside], syntax, draw(st.booleans()), draw(st.sampled_from(["SQ", "SQ", "UN"])))
        if kind == 0:
            return sequence(tag, [item(value[:0], syntax)], syntax, vr=draw(st.sampled_from(["SQ", "UN"])))
        return element(tag, vrs[tag] if kind > 1 else "LO", value, IMPLICIT if kind == 2 else syntax)

    parts = [one(tag) for tag in sorted(draw(st.lists(st.sampled_from(TAGS), max_size=12)))]
    images = []
    for _ in range(draw(st.integers(3, 7))):
        for _ in range(draw(st.integers(0, 2))):
            at = draw(st.integers(0, len(parts)))
            parts[at : at + draw(st.integers(0, 1))] = [one(draw(st.sampled_from(TAGS)))] * draw(st.integers(0, 1))
        pixels = element(PIXELS, "OW", bytes(8), syntax, length=draw(st.sampled_from([8, 8, 8, 10, UNDEFINED])))
        whole = b"".join(parts) + (pixels if draw(st.integers(0, 3)) else b"")
        images.append(whole[: -draw(st.integers(1, 12))] if not draw(st.integers(0, 5)) else whole)
    return images


@settings(deadline=None, max_examples=300)
@given(st.data(), st.sampled_from([EXPLICIT, IMPLICIT, BIG]))
def test_every_image_gives_what_a_scan_of_it_alone_gives(data: st.DataObject, syntax: str) -> None:
    scanner = Scanner(extra=EXTRA, fallback_charset="ISO_IR 144")
    for image in data.draw(series(syntax)):
        expected = outcome(scan, image, syntax, extra=EXTRA, fallback_charset="ISO_IR 144")
        assert outcome(scanner.scan, image, syntax) == expected


@pytest.mark.soak
@pytest.mark.timeout(3600)
@settings(deadline=None, max_examples=20_000, suppress_health_check=list(HealthCheck))
@given(st.data(), st.sampled_from([EXPLICIT, IMPLICIT, BIG]))
def test_many_series_give_what_scans_of_their_images_give(data: st.DataObject, syntax: str) -> None:
    scanner = Scanner(extra=EXTRA)
    for image in data.draw(series(syntax)):
        assert outcome(scanner.scan, image, syntax) == outcome(scan, image, syntax, extra=EXTRA)


@settings(deadline=None)
@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=20), st.data(), st.sampled_from(SYNTAXES))
def test_images_of_shuffled_delimiters_give_what_a_scan_gives(
    pieces: list[bytes], data: st.DataObject, syntax: str
) -> None:
    scanner = Scanner()
    for _ in range(5):
        pieces[data.draw(st.integers(0, len(pieces) - 1))] = data.draw(st.sampled_from(PIECES))
        image = b"".join(pieces)
        assert outcome(scanner.scan, image, syntax) == outcome(scan, image, syntax)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(SEEDS), st.integers(0, 7999), st.integers(0, 255)), min_size=3, max_size=8))
def test_damaged_images_of_several_kinds_in_one_association_give_what_a_scan_gives(
    images: list[tuple[tuple[bytes, str], int, int]],
) -> None:
    scanner = Scanner()
    for (seed, syntax), place, byte in images:
        for damage in (False, False, True):
            data = bytearray(seed)
            if damage:
                data[place % len(data)] = byte
            assert outcome(scanner.scan, bytes(data), syntax) == outcome(scan, bytes(data), syntax)


def agree(images: list[bytes]) -> list[object]:
    scanner = Scanner(extra=EXTRA)
    found = [outcome(scanner.scan, image, EXPLICIT) for image in images]
    assert found == [outcome(scan, image, EXPLICIT, extra=EXTRA) for image in images]
    return found


def test_the_creator_of_a_block_changes_what_its_elements_are() -> None:
    def one(creator: bytes, number: int) -> bytes:
        data = element(NUMBER, "IS", b"%d " % number) + element(PIXELS, "OW", b"")
        return element(CREATOR, "LO", creator) + element(0x00091001, "LO", b"v%d" % (number % 2)) + data

    found = agree([one(b"12" if number != 6 else b"XX", number) for number in range(9)])
    assert ["0009,xx01 12" in values for values, _, _ in found] == [number != 6 for number in range(9)]


def test_a_creator_of_two_blocks_is_read_as_written_last() -> None:
    def one(first: bytes, second: bytes) -> bytes:
        creators = element(CREATOR, "LO", b"12") + element(0x00090011, "LO", b"12")
        return creators + element(0x00091001, "LO", first) + element(0x00091101, "LO", second)

    agree([one(b"a%d" % number, b"b") for number in range(5)])
    agree([one(b"a", b"b%d" % number) for number in range(5)])
    agree([one(b"a", b"" if number < 5 else b"b") for number in range(8)])


def test_an_element_that_the_rest_of_the_object_explains_is_not_remembered() -> None:
    odd = struct.pack("<HH2sH", 0x0009, 0x1002, b"XY", 0)  # short, or as long as the next tag says if that fits
    data = element(0x00091001, "LO", b"ab") + odd + element(0x00100020, "LO", b"12")
    images = [data + element(PIXELS, "OW", bytes(size)) for size in (10, 10, 10, 10, 3_000_000)]
    found = agree(images)
    assert found[0] == found[3] != found[4]


def test_an_odd_element_is_not_read_by_another_length_alone() -> None:
    def one(size: int, rest: bytes) -> bytes:
        odd = struct.pack("<HH2sH", 0x0009, 0x1002, b"XY", size)
        return element(0x00091001, "LO", b"ab") + odd + rest + element(0x00100020, "LO", b"12")

    agree([one(4, b"abc%d" % number) for number in range(4)] + [one(0, struct.pack("<I", 4) + b"abcd")])


def image(number: int, *more: bytes) -> bytes:
    parts = [element(UID, "UI", b"1.2.%d" % number), element(MODALITY, "CS", b"MR")]
    parts += [element(0x00091001 + 256 * at, "LO", b"always the same") for at in range(200)]
    parts += [*more, element(NUMBER, "IS", b"%d" % number), element(PIXELS, "OW", bytes(200))]
    return b"".join(parts)


def test_what_stays_costs_nothing_from_the_third_image_on() -> None:
    scanner = Scanner()
    plain = steps(image(1), EXPLICIT)
    costs = [steps(image(number), EXPLICIT, scanner.scan) for number in range(6)]
    assert costs[0] < 1.1 * plain
    assert costs[2] < plain  # cuts the header where the images differ
    assert max(costs[3:]) < plain / 4


def test_images_without_likeness_cost_hardly_more_than_a_scan_of_each() -> None:
    scanner = Scanner()
    kinds = [b"".join(element(tag + kind, "LO", b"x") for tag in range(0x00091000, 0x00091800, 8)) for kind in range(8)]
    images = [kinds[at % 8] for at in range(64)]
    plain = sum(steps(image, EXPLICIT) for image in images)
    assert sum(steps(image, EXPLICIT, scanner.scan) for image in images) < 2 * plain


def test_long_headers_are_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanners, "MAX_BYTES", 3000)
    scanner = Scanner()
    for number in range(5):
        assert scanner.scan(image(number), EXPLICIT) == scan(image(number), EXPLICIT)
        assert scanner._memory is None


def test_headers_given_before_stay_as_they_were() -> None:
    scanner = Scanner()
    headers = [scanner.scan(image(number), EXPLICIT) for number in range(5)]
    assert [header.values["InstanceNumber"] for header in headers] == [0, 1, 2, 3, 4]
    assert [header.sop_uid for header in headers] == [f"1.2.{number}" for number in range(5)]


def test_a_name_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="no DICOM"):
        Scanner(extra=["NoSuchKeyword"])


# --- the head of an object ---


def heads(data: bytes, syntax: str) -> list[object]:
    return [outcome(scan_head, data[:length], syntax, extra=EXTRA) for length in range(len(data) + 1)]


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG])
def test_a_header_is_there_as_soon_as_the_pixel_data_begins(syntax: str) -> None:
    before = element(MODALITY, "CS", b"CT", syntax) + sequence(0x00081110, [item(b"", syntax)], syntax)
    data = before + element(PIXELS, "OW", bytes(10), syntax)
    start = len(data) - 10
    for length, given_ in enumerate(heads(data, syntax)):
        assert given_ == (None if length < start else ({"Modality": "CT"}, (), len(data)))
    header = scan_head(data[:start], syntax)
    assert header is not None
    assert header.of_length(len(data)) == Header({"Modality": "CT"})
    assert header.of_length(len(data) - 1) == Header({"Modality": "CT"}, (PIXELS_CUT,))


def test_what_has_no_pixel_data_is_for_the_scan_of_the_whole() -> None:
    assert set(heads(element(MODALITY, "SH", b"CT") * 3, EXPLICIT)) == {None}


def test_an_object_that_cannot_become_readable_is_refused_early() -> None:
    data = element(MODALITY, "CS", b"CT") + struct.pack("<HH2sHI", 8, 0x1110, b"SQ", 0, UNDEFINED) + bytes(8)
    with pytest.raises(UnreadableImage, match="no item"):
        scan_head(data, EXPLICIT)


def test_a_deflated_object_shows_its_header_early() -> None:
    before = element(MODALITY, "CS", b"CT") + element(0x00091001, "OB", bytes(range(256)) * 20)
    data = deflate(before + element(PIXELS, "OW", bytes(300_000)))
    found = [scan_head(data[:length], DEFLATED) for length in range(0, len(data), 7)]
    assert found[0] is None
    assert found[-1] == Header({"Modality": "CT"})
    assert found[-1].of_length(1) == Header({"Modality": "CT"})  # its length says nothing


def check_heads(data: bytes, syntax: str, lengths: list[int]) -> None:
    """Whatever a head tells is what the whole tells, whatever comes."""
    whole = outcome(scan, data, syntax, extra=EXTRA)
    for length in lengths:
        head = outcome(scan_head, data[:length], syntax, extra=EXTRA)
        if isinstance(head, str):
            assert head == whole
        elif head is not None and isinstance(whole, str):
            assert syntax == DEFLATED and "damaged" in whole  # behind the header, which the head cannot know
        elif head is not None:
            assert head[0] == whole[0]
            assert set(whole[1]) - {PIXELS_CUT} == set(head[1])


@settings(deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=30), st.sampled_from(SYNTAXES))
def test_no_head_contradicts_the_whole(pieces: list[bytes], syntax: str) -> None:
    data = b"".join(pieces)
    check_heads(data, syntax, list(range(len(data))))


@settings(deadline=None)
@given(st.sampled_from(SEEDS), st.lists(st.tuples(st.integers(0, 7999), st.integers(0, 255)), max_size=3), st.data())
def test_no_head_of_a_damaged_object_contradicts_the_whole(
    seed: tuple[bytes, str], flips: list[tuple[int, int]], draw: st.DataObject
) -> None:
    data = bytearray(seed[0])
    for place, byte in flips:
        data[place % len(data)] = byte
    check_heads(bytes(data), seed[1], draw.draw(st.lists(st.integers(0, len(data)), max_size=6)))


@settings(deadline=None)
@given(st.data(), st.sampled_from([EXPLICIT, IMPLICIT, BIG]))
def test_the_scanner_of_an_association_takes_heads_too(data: st.DataObject, syntax: str) -> None:
    scanner = Scanner(extra=EXTRA)
    for image in data.draw(series(syntax)):
        head = outcome(scanner.scan_head, image, syntax)
        expected = outcome(scan_head, image, syntax, extra=EXTRA)
        assert head == expected or head is None
