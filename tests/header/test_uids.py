"""Which texts count as UIDs. No objects are read here."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import generate_uid

from protocol.header.uids import valid_uid


@pytest.mark.parametrize("text", ["1", "1.2.840.10008.1.2", "0.0", "2.25." + "9" * 39, "1." + "2" * 62, "1.02.3"])
def test_uids_seen_in_the_field_are_valid(text: str) -> None:
    assert valid_uid(text)


@pytest.mark.parametrize(
    "text",
    ["", ".", "1.", ".1", "1..2", "../../evil", "1.2.3\n", "1.2.3\0", "1.2 .3", "1.2.a", "1." + "2" * 63]
    + ["١.٢", "1.2\\3.4", "-1.2", "/1.2"],
)  # fmt: skip
def test_anything_else_is_not(text: str) -> None:
    assert not valid_uid(text)


@given(st.text(alphabet="0123456789./\\\0 \nA", max_size=70))
def test_a_valid_uid_is_made_of_digits_between_dots(text: str) -> None:
    expected = len(text) <= 64 and all(re.fullmatch("[0-9]+", part) for part in text.split("."))
    assert valid_uid(text) == expected


@given(st.integers(0, 2**32))
def test_generated_uids_are_valid(seed: int) -> None:
    assert valid_uid(str(generate_uid(entropy_srcs=[str(seed)])))
