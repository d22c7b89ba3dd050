"""What hangs on a value inside an item: its character set, and what is wrong with it."""

from __future__ import annotations

import pytest
from header_bytes import EXPLICIT, element, item, sequence

from protocol.header.scan import CHARSET, scan

STEP = "RequestAttributesSequence.ScheduledProcedureStepID"
REQUESTS, STEP_ID, CHARACTER_SET = 0x00400275, 0x00400009, 0x00080005


@pytest.mark.parametrize(("declared", "text"), [(b"ISO_IR 144", "Ф"), (b"ISO_IR 100", "Ä")])
def test_an_item_without_a_character_set_has_that_of_the_object(declared: bytes, text: str) -> None:
    data = element(CHARACTER_SET, "CS", declared) + sequence(REQUESTS, [item(element(STEP_ID, "SH", b"\xc4"))])
    found = scan(data, EXPLICIT, extra=[STEP])
    assert found.values[STEP] == text and not found.flags


def test_bytes_of_an_item_that_are_no_text_of_its_character_set_are_flagged() -> None:
    good = element(CHARACTER_SET, "CS", b"ISO_IR 192") + element(STEP_ID, "SH", "Ä".encode())
    assert not scan(sequence(REQUESTS, [item(good)]), EXPLICIT, extra=[STEP]).flags
    bad = element(CHARACTER_SET, "CS", b"ISO_IR 192") + element(STEP_ID, "SH", b"\xc4")
    assert scan(sequence(REQUESTS, [item(bad)]), EXPLICIT, extra=[STEP]).flags == (CHARSET,)
