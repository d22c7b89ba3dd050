"""Shared and differing header values: the way there and back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from protocol.header.diff import difference, differing, overlay, shared

single = st.text("ab\u00e9", max_size=3) | st.integers(-2, 2) | st.floats(allow_nan=False)
value = single | st.lists(single, min_size=2, max_size=3)
header = st.dictionaries(st.sampled_from(["A", "B", "C", "D", "E"]), value)


@given(header, header)
def test_overlay_undoes_difference(common: dict, values: dict) -> None:
    assert overlay(common, difference(common, values)) == values


@given(header, header)
def test_difference_names_only_what_differs(common: dict, values: dict) -> None:
    changed = difference(common, values)
    assert set(changed) == {key for key in {*common, *values} if common.get(key) != values.get(key)}
    assert all(key in common for key, new in changed.items() if new is None)


@given(header, header, header)
def test_differing_is_the_difference_found_from_another_image(common: dict, other: dict, changes: dict) -> None:
    values = {**other, **changes}
    for gone in sorted(changes)[:1]:
        del values[gone]
    assert differing(common, values, difference(common, other), tuple(changes)) == difference(common, values)


@given(header, st.lists(header, min_size=1, max_size=4))
def test_shared_is_what_every_image_has(common: dict, images: list[dict]) -> None:
    expected = {key: images[0][key] for key in images[0] if all(other.get(key) == images[0][key] for other in images)}
    assert shared(common, (difference(common, image) for image in images)) == expected


def test_a_missing_value_is_not_shared() -> None:
    assert shared({"Modality": "CT", "KVP": 120.0}, [{}, {"KVP": None}]) == {"Modality": "CT"}


def test_without_images_the_common_values_are_shared() -> None:
    assert shared({"Modality": "CT"}, []) == {"Modality": "CT"}


def test_the_arguments_stay_as_they_are() -> None:
    common, changed = {"A": 1, "B": 2}, {"A": None, "C": 3}
    assert overlay(common, changed) == {"B": 2, "C": 3}
    assert shared(common, [changed]) == {"B": 2, "C": 3}
    assert (common, changed) == ({"A": 1, "B": 2}, {"A": None, "C": 3})
