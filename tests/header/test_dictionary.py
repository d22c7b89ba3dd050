"""The dictionary without pydicom around it: the same answers, and really without it."""

from __future__ import annotations

import subprocess
import sys

import pydicom.charset
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydicom import datadict
from pydicom._dicom_dict import DicomDictionary, RepeatersDictionary
from pydicom._uid_dict import UID_dictionary

from protocol.header import dictionary
from protocol.header.charset import resolve

REPEATERS = [int(written.replace("x", digit), 16) for written in RepeatersDictionary for digit in "024AE"]


def asked(tag: int) -> tuple[str, ...] | None:
    try:
        return tuple(dictionary.entry(tag))
    except KeyError:
        return None


def expected(tag: int) -> tuple[str, ...] | None:
    try:
        return tuple(datadict.get_entry(tag))
    except KeyError:
        return None


def test_every_element_and_keyword_is_that_of_pydicom() -> None:
    tags = [*DicomDictionary, *REPEATERS]
    assert [asked(tag) for tag in tags] == [expected(tag) for tag in tags]
    assert datadict.keyword_dict == dictionary.KEYWORDS
    assert dictionary.UIDS.keys() >= {uid for uid in UID_dictionary if UID_dictionary[uid][1] == "SOP Class"}
    assert dictionary.tag_for_keyword("PatientID") == 0x0010_0020 and dictionary.tag_for_keyword("patientid") is None


@given(st.integers(0, 0xFFFF_FFFF))
@example(0x6001_3000)
@example(0x0020_3100)
@example(0x7FE0_0010)
def test_any_tag_is_answered_as_pydicom_answers(tag: int) -> None:
    assert asked(tag) == expected(tag)


@pytest.mark.parametrize("term", sorted(pydicom.charset.python_encoding))
def test_every_character_set_that_pydicom_knows_is_known(term: str) -> None:
    charset = resolve(term.encode())
    theirs = pydicom.charset.python_encoding[term]
    assert charset.known
    raw = {"iso2022_jp": b"\x1b$B;3ED\x1b(B", "iso2022_jp_2": b"\x1b$(D0!\x1b(B"}.get(charset.first, b"\xb0\xa1")
    if charset.first != "ascii":  # the default repertoire has no meaning above 127
        assert raw.decode(charset.first, "replace") == raw.decode(theirs, "replace")


def test_no_process_of_ours_loads_pydicom_whole() -> None:
    processes = (
        "actors.receiver.worker",
        "actors.router.actor",
        "actors.dispatcher.slot",
        "actors.bookkeeper.actor",
        "webgui.app",
    )
    code = f"import sys, {', '.join(processes)}; print([name for name in ('pydicom', 'numpy') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
