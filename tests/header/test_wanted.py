"""The default set of elements and the lookup of extra ones."""

from __future__ import annotations

import pytest
from pydicom.datadict import dictionary_VR, tag_for_keyword

from protocol.header.wanted import DEFAULT_KEYWORDS, PHI_KEYWORDS, PIXEL, compile_wanted, is_phi


def test_every_default_keyword_is_in_the_dictionary_once() -> None:
    assert len(set(DEFAULT_KEYWORDS)) == len(DEFAULT_KEYWORDS)
    assert [keyword for keyword in DEFAULT_KEYWORDS if tag_for_keyword(keyword) is None] == []


def test_patient_data_is_part_of_the_defaults() -> None:
    assert set(DEFAULT_KEYWORDS) >= PHI_KEYWORDS


def test_names_long_texts_and_birth_dates_are_patient_data() -> None:
    free = {keyword for keyword in DEFAULT_KEYWORDS if dictionary_VR(keyword) in ("PN", "LT", "ST", "UT")}
    assert free <= PHI_KEYWORDS
    assert all(is_phi(keyword) for keyword in ("PatientBirthDate", "0019,100C", "PatientAddress"))
    assert not is_phi("Modality")


def test_extra_elements_are_named_by_number_keyword_or_text() -> None:
    table = compile_wanted(frozenset({0x00191001, "0019,100c", "PatientAddress"})).big
    assert table[0x00191001].key == "0019,1001"
    assert table[0x0019100C].key == "0019,100C"
    assert table[0x00101040].key == "PatientAddress"


def test_elements_of_repeating_groups_get_a_key_each() -> None:
    table = compile_wanted(frozenset({0x60000010, 0x60020010})).big
    assert (table[0x60000010].key, table[0x60020010].key) == ("6000,0010", "6002,0010")


def test_pixel_data_cannot_be_wanted() -> None:
    assert compile_wanted(frozenset({0x7FE00010})).big[0x7FE00010] is PIXEL


@pytest.mark.parametrize("name", ["NoSuchKeyword", "", "0019", -1, 2**32])
def test_a_name_that_does_not_exist_is_refused(name: int | str) -> None:
    with pytest.raises(ValueError, match="no DICOM"):
        compile_wanted(frozenset({name}))
