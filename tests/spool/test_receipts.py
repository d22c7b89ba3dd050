"""Receipts: the keys of images and names of their files."""

from __future__ import annotations

import uuid

from hypothesis import given
from hypothesis import strategies as st

from protocol.spool.places import new_receipt

TIMES = st.floats(0, 8_000_000_000, allow_nan=False)


@given(TIMES)
def test_a_receipt_is_a_uuid_of_version_7_that_says_when(now: float) -> None:
    receipt = uuid.UUID(bytes=new_receipt(now))
    assert receipt.version == 7 and receipt.variant == uuid.RFC_4122
    assert receipt.int >> 80 == int(now * 1000) or abs((receipt.int >> 80) / 1000 - now) < 0.001


@given(TIMES, st.floats(0.001, 1000))
def test_a_later_receipt_sorts_behind_an_earlier_one(now: float, later_s: float) -> None:
    assert new_receipt(now) < new_receipt(now + later_s)


def test_receipts_of_the_same_moment_differ() -> None:
    assert len({new_receipt(1_800_000_000.0) for _ in range(10_000)}) == 10_000


def test_a_clock_that_is_far_out_still_gives_receipts() -> None:
    assert len(new_receipt(-5.0)) == len(new_receipt(1e15)) == 16
