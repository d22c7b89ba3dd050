"""What a rule is asked about: shared values and differences, single images, groups of images that are alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.header.diff import difference
from protocol.routing.rules.compiler import compile_rule
from protocol.routing.rules.subject import FIRST_IMAGE_NOTE, Subject
from tests.routing.rules.rule_testing import judged

VALUES = st.sampled_from([1, 2, 2.0, "2", "a", ["a", "b"], ["a"], "20260131"])
HEADERS = st.dictionaries(
    st.sampled_from(
        ["InstanceNumber", "SOPInstanceUID", "EchoTime", "Modality", "ImageType", "StudyDate", "0019,100C"]
    ),
    VALUES,
)
RULES = [
    compile_rule(text)
    for text in (
        "any_image(EchoTime > 1)",
        "all_images(EchoTime == 2 and Modality == 'a')",
        "count_images(EchoTime <= 2 or 'a' in ImageType) >= 2",
        "count_images(missing(EchoTime)) == 1",
        "first_image(Modality) == 'a' or EchoTime == 2",
        "first_image(exists(ImageType) and StudyDate < '2027')",
        "any_image(tag('0019,100C') == 2) or any_image(tag('0019,100C') == '2')",
        "Modality == 'a'",
        "count_images() == 3",
        "any_image(SenderAET == 'X' and exists(StudyDate))",
    )
]


@pytest.mark.slow
@given(st.lists(HEADERS, min_size=1, max_size=6))
def test_differences_over_a_common_header_come_to_the_same_as_whole_headers(headers: list[dict[str, Any]]) -> None:
    common = headers[0]
    whole = Subject(headers, {"SenderAET": "X"}, zone=UTC)
    differing = Subject([difference(common, header) for header in headers], {"SenderAET": "X"}, common, UTC)
    for rule in RULES:
        assert judged(rule, whole) == judged(rule, differing)
        one, other = (rule.evaluate(subject).explanation for subject in (whole, differing))
        assert one == other
    assert whole.varying == differing.varying
    assert whole.first == differing.first


@pytest.mark.slow
@given(st.lists(HEADERS, min_size=1, max_size=6), st.integers(0, 5))
def test_a_single_image_is_a_subject_of_its_own(headers: list[dict[str, Any]], index: int) -> None:
    index %= len(headers)
    common = headers[0]
    arrival = Subject(
        [difference(common, header) for header in headers], {"ImageCount": 99, "SenderAET": "X"}, common, UTC
    )
    single, alone = arrival.single(index), Subject([headers[index]], {"SenderAET": "X"}, zone=UTC)
    for text in ("EchoTime == 2", "Modality == 'a' and ImageCount == 1", "StudyDate == '20260131'", "SenderAET == 'X'"):
        assert judged(compile_rule(text), single) == judged(compile_rule(text), alone)


def test_a_single_image_keeps_origin_and_zone() -> None:
    arrival = Subject(
        [{}, {}], {"ReceivedAt": "2026-07-31T22:30:00Z", "SenderAET": "MR3"}, {}, ZoneInfo("Europe/Berlin")
    )
    assert judged(compile_rule("hour() == 0 and SenderAET == 'MR3' and ImageCount == 1"), arrival.single(1)) == "true"
    with pytest.raises(IndexError):
        arrival.single(2)


def test_varying_names_the_keys_that_differ() -> None:
    common = {"Modality": "MR", "EchoTime": 1, "Rows": 512}
    images: list[Mapping[str, object]] = [{}, {"EchoTime": 2, "Rows": 512}, {"KVP": None}]
    assert Subject(images, {}, common).varying == {"EchoTime"}
    assert Subject([{"Modality": "MR"}, {"Modality": "MR"}]).varying == frozenset()
    assert Subject([]).varying == frozenset()


def test_nothing_inside_an_object_poses_as_its_sender() -> None:
    images = [{"SenderAET": "EVIL"}, {"SenderAET": "EVIL", "ReceivedAt": "2026-01-01T00:00:00Z"}]
    for text in ("any_image(SenderAET == 'EVIL')", "SenderAET == 'EVIL'", "any_image(hour() == 0)"):
        assert judged(compile_rule(text), Subject(images, {}, {"SenderAET": "EVIL"})) == "unknown"
    assert Subject(images).varying == frozenset()


@pytest.mark.parametrize(
    ("images", "over", "noted"), [([{}, {"EchoTime": 2}], 1, True), ([{}, {"EchoTime": "1.0"}], 1, False)]
)
def test_the_note_tells_only_of_values_that_differ_once_they_are_typed(
    images: list[dict[str, Any]], over: float, noted: bool
) -> None:
    subject = Subject(images, {}, {"EchoTime": over})
    entry = compile_rule("EchoTime == 1").evaluate(subject).explanation["values"][0]
    assert entry.get("note") == (FIRST_IMAGE_NOTE if noted else None)


def test_a_value_that_could_not_be_decoded_is_noted() -> None:
    subject = Subject([{"PatientName": "M\ufffdller"}])
    assert (
        "could not be decoded" in compile_rule("PatientName == 'x'").evaluate(subject).explanation["values"][0]["note"]
    )


class Counting(Mapping[str, object]):
    """A header that counts how often it is asked."""

    def __init__(self, values: dict[str, object]) -> None:
        self.values_, self.asked = values, 0

    def __getitem__(self, key: str) -> object:
        self.asked += 1
        return self.values_[key]

    def __iter__(self) -> Iterator[str]:
        self.asked += 1
        return iter(self.values_)

    def __len__(self) -> int:
        return len(self.values_)


@pytest.mark.parametrize("count", [1, 10, 200])
def test_each_image_is_asked_for_each_name_once_however_many_rules_there_are(count: int) -> None:
    """Work is linear in images: typed values are kept for the subject, for all rules and their explanations."""
    images = [Counting({"EchoTime": index, "InstanceNumber": index}) for index in range(count)]
    subject = Subject(images, {}, {"Modality": "MR"})
    texts = (
        "any_image(EchoTime > 5 and Modality == 'MR')",
        "all_images(EchoTime >= 0) and count_images(EchoTime < 3) > 0",
        "EchoTime == 0 or count_images(Modality == 'MR' and EchoTime < 7) == 2",
    )
    for text in texts * 20:
        judged(compile_rule(text), subject)
    # for all its keys, for EchoTime, InstanceNumber and (in the example) SOPInstanceUID; alone it is asked as the arrival, too
    assert all(image.asked <= (4 if count > 1 else 6) for image in images)


def test_what_all_images_share_is_judged_once_for_all_of_them() -> None:
    images = [Counting({"EchoTime": index}) for index in range(50)]
    subject = Subject(images, {}, {"Modality": "MR", "StudyDescription": "cardiac"})
    rule = compile_rule("count_images(contains(StudyDescription, 'cardiac') and Modality == 'MR') == 50")
    assert judged(rule, subject) == "true"
    assert len(subject.grouped((("Modality", "text"), ("StudyDescription", "text")))) == 1
    assert all(image.asked == 1 for image in images)
