"""The table of C-STORE statuses (PS3.4 table B.2-1, PS3.7 Annex C)."""

from __future__ import annotations

import pytest

from actors.dicom import statuses
from actors.dicom.scu import StoreResult


@pytest.mark.parametrize(
    ("status", "category", "retryable"),
    [
        (0x0000, "success", False),
        (0xB000, "warning", False),
        (0xB006, "warning", False),
        (0xB007, "warning", False),
        (0xB123, "warning", False),
        (0x0107, "warning", False),
        (0x0111, "warning", False),
        (0xA700, "failure", True),
        (0xA7FF, "failure", True),
        (0x0110, "failure", True),
        (0x0213, "failure", True),
        (0xA900, "failure", False),
        (0xC000, "failure", False),
        (0xCFFF, "failure", False),
        (0x0122, "failure", False),
        (0x0124, "failure", False),
        (0xFE00, "failure", False),
        (0x7777, "failure", False),
    ],
)
def test_category_and_retry_of_a_status(status: int, category: str, retryable: bool) -> None:
    result = StoreResult(status)
    assert (result.category, result.retryable) == (category, retryable)


def test_every_status_has_words_for_people() -> None:
    assert StoreResult(0xA701).__str__() == "A701 refused: out of resources"
    assert statuses.words(0xA901) == "dataset does not match the SOP class"
    assert statuses.words(0xC123) == "cannot understand"
    assert statuses.words(0xB001) == "stored with a warning"
    assert statuses.words(0x7777) == "unknown status"
    assert all(statuses.words(status) == text for status, text in statuses.WORDS.items())
