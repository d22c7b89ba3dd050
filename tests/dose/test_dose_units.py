"""Units by UCUM: what is converted, and what is not guessed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.dose.units import factor


@pytest.mark.parametrize("given_unit, wanted, by", [
    ("mGy", "mGy", 1), ("Gy", "mGy", 1000), ("uGy", "mGy", 1e-3), ("cGy", "mGy", 10), ("mGy.cm", "mGy.cm", 1),
    ("Gy.m", "mGy.cm", 1e5), ("mGy.mm", "mGy.cm", 0.1), ("Gy.m2", "dGy.cm2", 1e5), ("uGy.m2", "dGy.cm2", 0.1),
    ("cGy.cm2", "dGy.cm2", 0.1), ("mGy.cm2", "dGy.cm2", 0.01), ("cm2.dGy", "dGy.cm2", 1), ("ms", "s", 1e-3),
    ("min", "s", 60), ("h", "s", 3600), ("uA.s", "mA.s", 1e-3), ("V", "kV", 1e-3), ("{events}", "1", 1), ("1", "1", 1),
    ("{ratio}", "1", 1),
])  # fmt: skip
def test_a_number_in_one_unit_is_so_many_of_another(given_unit, wanted, by):
    assert factor(given_unit, wanted) == pytest.approx(by)


@pytest.mark.parametrize("unit", ["", "mGycm", "Gym2", "mSv", "m", "mGy.s", "Gy/m2", "GY", "mgy", "R", "mGy.", "mmGy", "Gy.m9",
                                  "mGy.cm.cm.cm.cm.cm.cm.cm.cm.cm.cm.cm"])  # fmt: skip
def test_what_is_no_such_unit_is_not_guessed(unit):
    assert factor(unit, "mGy.cm") is None


@given(st.text(max_size=60))
def test_no_text_is_too_odd(unit):
    assert factor(unit, "mGy") is None or factor(unit, "mGy") > 0
