"""Damaged headers: what pydicom still reads out of them the scan reads too, or it says that something is odd."""

from __future__ import annotations

import logging
import random
import warnings
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.datadict import keyword_for_tag, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.uid import UID
from test_scan_hostile import DEFLATED, SEEDS
from test_scan_reference import PLAIN, agree, plain

from protocol.errors import UnreadableImage
from protocol.header.scan import PIXELS_CUT, Header, scan
from protocol.header.wanted import tag_text


def read(data: bytes, syntax: str) -> Dataset:
    uid = UID(syntax)
    return read_dataset(
        BytesIO(data), uid.is_implicit_VR, uid.is_little_endian, stop_when=lambda tag, vr, length: tag == 0x7FE00010
    )


PLAIN_SEEDS = [seed for seed in SEEDS if seed[1] != DEFLATED]
FLAT_SEEDS = PLAIN_SEEDS[:3]  # without sequences, which the scan steps over unread
EVERY_TAG = sorted({tag for seed in FLAT_SEEDS for tag in map(int, read(*seed).keys()) if tag < 0x7FE00000})
HEADER = 3000  # bytes in which damage does something


@pytest.fixture(autouse=True)
def _silent() -> Any:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def reference(data: bytes, syntax: str) -> dict[str, Any]:
    """pydicom's plain top-level values by the scan's keys, and the exceptions of those that it cannot give."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = read(data, syntax)
        values: dict[str, Any] = {}
        for tag in sorted(dataset.keys()):
            raw = dataset.get_item(tag)
            known = keyword_for_tag(tag)
            key = known if known and tag_for_keyword(known) == tag else tag_text(tag)
            if getattr(raw, "length", 0) == 0xFFFFFFFF or tag.group >= 0x7FE0:
                continue
            try:
                element = dataset[tag]
                if element.VR in PLAIN and (known or raw.VR not in (None, "UN")):
                    values[key] = plain(element.value)
            except Exception as exc:
                values[key] = exc
    return {key: value for key, value in values.items() if value is not None}


def same(mine: Any, theirs: Any) -> bool:
    if isinstance(mine, str) and isinstance(theirs, str) and mine.strip() == theirs.strip():
        return True  # pydicom also takes a tab off a UID
    return agree(mine, theirs, ())


def compare(data: bytes, syntax: str, flat: bool) -> str:
    """What came of both; asserts that the scan hides nothing."""
    try:
        expected: dict[str, Any] | None = reference(data, syntax)
    except Exception:
        expected = None
    names = [key for key, value in (expected or {}).items() if not isinstance(value, Exception)]
    try:
        header: Header = scan(data, syntax, extra=[*names, *EVERY_TAG])
    except UnreadableImage:
        return "unreadable"
    if set(header.flags) - {PIXELS_CUT}:  # the seeds are cut there
        return "flagged"
    if expected is None:
        assert not flat, "pydicom cannot read it, and the scan found nothing odd"
        return "unread"
    wrong = {
        key: (header.values.get(key), value)
        for key, value in expected.items()
        if not isinstance(value, Exception) and not same(header.values.get(key), value)
    }
    assert wrong == {}
    return "same"


damage = st.lists(
    st.tuples(st.integers(0, HEADER - 1), st.integers(0, 255) | st.sampled_from([0, 0xFF, 0x41])),
    min_size=1,
    max_size=3,
)


def damaged(seed: tuple[bytes, str], flips: list[tuple[int, int]]) -> bytes:
    data = bytearray(seed[0])
    for place, byte in flips:
        data[place % min(len(data), HEADER)] = byte
    return bytes(data)


@settings(deadline=None)
@given(st.sampled_from(PLAIN_SEEDS), damage)
def test_a_damaged_header_is_read_as_pydicom_reads_it_or_something_is_said(
    seed: tuple[bytes, str], flips: list[tuple[int, int]]
) -> None:
    compare(damaged(seed, flips), seed[1], seed in FLAT_SEEDS)


def test_undamaged_headers_are_the_same() -> None:
    assert [compare(*seed, flat=False) for seed in PLAIN_SEEDS] == ["same"] * len(PLAIN_SEEDS)


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_many_damaged_headers() -> None:
    chance, seen = random.Random(0), {}
    for _ in range(30_000):
        seed = chance.choice(PLAIN_SEEDS)
        flips = [(chance.randrange(HEADER), chance.choice((0, 0xFF, 0x41, chance.randrange(256)))) for _ in range(3)]
        what = compare(damaged(seed, flips), seed[1], seed in FLAT_SEEDS)
        seen[what] = seen.get(what, 0) + 1
    assert seen["same"] > 5000
    assert seen["unreadable"] > 1000
