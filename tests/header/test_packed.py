"""Header values of an arrival packed for keeping: the way there and back, what is left out, and what no bytes can do."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.errors import DecodeError
from protocol.header.diff import difference
from protocol.header.numbered import NUMBERED
from protocol.header.packed import (
    MAX_PACKED,
    RARELY_READ,
    first_of,
    pack_header,
    pack_headers,
    unpack_columns,
    unpack_header,
)
from protocol.header.wanted import DEFAULT_KEYWORDS
from protocol.routing.rules.subject import Subject
from protocol.wire.codec import pack

single = (
    st.sampled_from(["", "a", "ORIGINAL", "1.2.840.10008.1", "1.2.840.10008.2", "é\x00"])
    | st.integers(-3, 300)
    | st.sampled_from([1.0, 1.5, -0.0, 0.1, 1e300])
    | st.floats(allow_nan=False, allow_infinity=False)
)
value = single | st.lists(single, min_size=2, max_size=3)
keywords = ["Modality", "InstanceNumber", "SOPInstanceUID", "ImageType", "0019,100C", "SliceLocation"]
header = st.dictionaries(st.sampled_from(keywords), value).map(
    lambda one: {**one, "SOPInstanceUID": str(one["SOPInstanceUID"])} if "SOPInstanceUID" in one else one
)  # of a UID the scan makes text


def packed_of(images, limit=MAX_PACKED):
    common = images[0] if images else {}
    return pack_headers(common, [difference(common, image) for image in images], limit)


def restored(packed):
    return [{**packed.shared, **image} for image in unpack_columns(packed.columns, packed.count).images()]


@given(st.lists(header, min_size=1, max_size=12))
def test_every_image_comes_back_as_it_was(images):
    packed = packed_of(images)
    assert restored(packed) == images and packed.dropped == ()


@given(st.lists(header, min_size=1, max_size=12))
def test_the_first_image_is_the_one_that_rules_call_first(images):
    packed = packed_of(images)
    first = images[Subject(images).first]
    assert {**packed.shared, **packed.first} == first
    assert images[first_of(images)] == first
    assert not packed.columns or unpack_columns(packed.columns, packed.count).first == first_of(images)


@given(header)
def test_a_header_alone_comes_back(values):
    assert unpack_header(pack_header(values)) == values


def series(count):
    """A series as scanners make them: common values, a number, a place, an own UID."""
    for at in range(count):
        yield {
            "Modality": "CT", "SliceThickness": 1.25 if at else 5.0, "InstanceNumber": at + 1,
            "ImagePositionPatient": [-150.5, -150.5, -300.0 + at * 1.25], "SOPInstanceUID": f"1.2.3.{at * 7919}",
            "SliceLocation": -300.0 + at * 1.25, "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        }  # fmt: skip


def test_single_columns_can_be_read_alone():
    packed = packed_of(list(series(30)))
    found = unpack_columns(packed.columns, 30, {"SliceThickness", "Modality"})
    assert set(found.values) == {"SliceThickness"} and found.values["SliceThickness"] == [5.0, *[1.25] * 29]


@pytest.mark.parametrize("limit", [200, 500, 1000, 2000])
def test_too_many_images_lose_whole_columns_by_name_and_the_rare_ones_first(limit):
    images = list(series(400))
    packed = packed_of(images, limit)
    assert len(packed.columns) <= limit and packed.dropped
    found = unpack_columns(packed.columns, 400)
    assert found.dropped == packed.dropped
    assert set(found.values) | set(packed.dropped) == {
        "SliceThickness", "InstanceNumber", "ImagePositionPatient", "SOPInstanceUID", "SliceLocation"}  # fmt: skip
    assert "InstanceNumber" in found.values and set(packed.dropped) <= set(RARELY_READ)
    assert {**packed.shared, **packed.first} == images[0]  # the first image is always whole


def test_even_no_column_at_all_is_said():
    packed = packed_of(list(series(40)), 1)
    assert unpack_columns(packed.columns, 40).dropped == packed.dropped and len(packed.dropped) == 5


def test_one_image_needs_no_columns():
    packed = packed_of([{"Modality": "CT"}])
    assert (packed.columns, packed.first, packed.shared) == (b"", {}, {"Modality": "CT"})
    assert unpack_columns(b"", 1).images() == [{}]


def test_a_number_once_given_to_a_keyword_stays():
    assert len(set(NUMBERED)) == len(NUMBERED)
    assert zlib.crc32(" ".join(NUMBERED[:111]).encode()) == 2397439625, "append only"
    assert set(DEFAULT_KEYWORDS) <= set(NUMBERED), "append the new keywords, so that they are kept shortly, too"


@settings(max_examples=300)
@given(st.binary(max_size=60) | st.lists(st.integers(0, 9) | st.text(max_size=3) | st.binary(max_size=3)).map(pack))
def test_bytes_of_anybody_else_are_one_error(raw):
    for given_bytes in (raw, zlib.compress(raw)):
        with pytest.raises(DecodeError):
            unpack_columns(given_bytes or b"x", 3)


@settings(max_examples=200)
@given(st.data())
def test_damaged_columns_are_one_error_or_columns_of_the_right_length(data):
    packed = packed_of(list(series(20)))
    plain = bytearray(zlib.decompress(packed.columns))
    plain[data.draw(st.integers(0, len(plain) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = unpack_columns(zlib.compress(bytes(plain)), 20)
    except DecodeError:
        return
    assert all(len(column) == 20 for column in found.values.values())
