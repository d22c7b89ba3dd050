"""Rules of the original mercure, pasted as they are: they compile to our own form and come to the same."""

from __future__ import annotations

import pytest

from protocol.routing.rules.compiler import compile_rule
from tests.routing.rules.rule_testing import refusal, result

HEADER = {
    "SeriesDescription": "CINE 2ch",
    "ManufacturerModelName": "Trio",
    "Modality": "MR",
    "SliceThickness": 1.5,
    "SeriesNumber": 5,
    "StudyDate": "20260131",
    "ImageType": ["ORIGINAL", "PRIMARY"],
}


@pytest.mark.parametrize(
    ("pasted", "canonical"),
    [
        ("'CINE' in tags.SeriesDescription", "'CINE' in SeriesDescription"),
        ("tags.SeriesDescription == 'CINE 2ch'", "SeriesDescription == 'CINE 2ch'"),
        ("tags.seriesdescription.lower() == 'cine 2ch'", "lower(SeriesDescription) == 'cine 2ch'"),
        ("float(tags.SliceThickness) < 2.0", "number(SliceThickness) < 2.0"),
        ("'CINE' in @SeriesDescription@", "'CINE' in SeriesDescription"),
        ("'CINE' in %SeriesDescription%", "'CINE' in SeriesDescription"),
        (
            "('Tr' in @ManufacturerModelName@) | (@ManufacturerModelName@ == 'Trio')",
            "('Tr' in ManufacturerModelName) or (ManufacturerModelName == 'Trio')",
        ),
        (
            "(tags.Modality=='CT')|(tags.Modality=='MR') and tags.SeriesNumber=='5'",
            "((Modality=='CT') or (Modality=='MR')) and SeriesNumber==5",
        ),
        ("not ((tags.Modality == 'CT') & (True))", "not (((Modality == 'CT') and (True)))"),
        ("tags['Modality'] == \"MR\"", 'Modality == "MR"'),
        ("'Modality' in tags and 'PatientID' not in tags", "exists(Modality) and missing(PatientID)"),
        ("tags.Modality != '' and tags.PatientID == ''", "exists(Modality) and missing(PatientID)"),
        ("(tags.Modality) != ''", "exists((Modality))"),
        ("tags.SeriesDescription.startswith('CINE')", "startswith(SeriesDescription, 'CINE')"),
        ("tags.SeriesDescription.strip().upper().endswith( '2CH' )", "endswith(upper(SeriesDescription),  '2CH' )"),
        ("'cine' in (tags.SeriesDescription).lower()", "'cine' in lower((SeriesDescription))"),
        ("tags.SeriesNumber in ('4', '5')", "SeriesNumber in (4, 5)"),
        ("'5' in tags.SeriesNumber", "'5' in text(SeriesNumber)"),
        ("tags.SeriesNumber.startswith('5')", "startswith(text(SeriesNumber), '5')"),
        ("int(tags.SeriesNumber) >= 5 and len(tags.SeriesDescription) > 3", "number(SeriesNumber) >= 5 and length(SeriesDescription) > 3"),
        ("tags.StudyDate.startswith('2026') and tags.StudyDate >= '20260101'", "startswith(StudyDate, '2026') and StudyDate >= '20260101'"),
        ("str(tags.SeriesNumber) == '5'", "text(SeriesNumber) == '5'"),
        ("'ORIGINAL' in tags.ImageType", "'ORIGINAL' in ImageType"),
        (
            "@Modality@ == 'MR' and '@Modality@' not in @SeriesDescription@",
            "Modality == 'MR' and '@Modality@' not in SeriesDescription",
        ),
        ("tags.Modality == 'MR' and\n  (tags.SeriesNumber == '5')", "Modality == 'MR' and\n  (SeriesNumber == 5)"),
        ("'ä' != 'tags.X' and tags.Modality == 'MR'", "'ä' != 'tags.X' and Modality == 'MR'"),
    ],
)  # fmt: skip
def test_a_pasted_rule_becomes_our_form_and_applies(pasted: str, canonical: str) -> None:
    rule = compile_rule(pasted)
    assert rule.text == canonical
    assert compile_rule(canonical).text == canonical
    assert result(pasted, HEADER) == result(canonical, HEADER) == "true"


@pytest.mark.parametrize(
    ("pasted", "position", "says"),
    [
        ("tags.SeriesDescription.lower() = 'cine'", 31, "write =="),
        ("'x' in @Modalty@", 8, "'Modality'"),
        ("tags.Modalty == 'MR'", 5, "'Modality'"),
        ("tags.Modality | 'x'", 0, "whole conditions"),
        ("tags.Modality == 'a' | tags.Modality == 'b'", 17, "whole conditions"),
        ("tags.SeriesDescription.find('x') > 0", 0, "contains(X, 'a')"),
        ("tags.SeriesDescription[0] == 'x'", 0, "[ ]"),
        ("tags.__class__ == 'x'", 5, "unknown name"),
        ("tags['__class__'] == 'x'", 0, "unknown name"),
        ("tags['a b'] == 'x'", 0, "[ ]"),
        ("@Modality == 'x'", 0, "with both signs"),
        ("sum(tags.Modality) == 3", 0, "unknown function"),
        ("range(10**9) == 3", 0, "unknown function"),
        ("float(tags.SliceThickness) ** 2 > 1", 0, "calculating"),
    ],
)
def test_what_has_no_form_of_ours_is_refused_at_its_place(pasted: str, position: int, says: str) -> None:
    error = refusal(pasted)
    assert says in str(error)
    assert error.position == position
