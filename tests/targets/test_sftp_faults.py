"""What a server's status means is decided alike for every code, and a full disk is told from other failures where it can be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.targets.sftp_faults import meaning


@pytest.mark.parametrize(
    ("code", "reach", "again"),
    [
        (3, "target", False),
        (12, "target", False),
        (2, "target", True),
        (13, "target", True),
        (4, "image", True),
        (14, "image", True),
        (15, "image", True),
        (20, "image", False),
    ],
)
def test_permission_is_final_space_comes_back_and_a_name_concerns_one_image(code, reach, again):
    found = meaning(code)
    assert (found.reach, found.again) == (reach, again)


@given(st.integers(0, 2**32 - 1))
def test_every_code_has_a_meaning(code):
    assert meaning(code).words


def test_a_code_that_nobody_knows_is_tried_again():
    assert meaning(4711).again and "4711" in meaning(4711).words
