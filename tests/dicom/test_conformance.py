"""The conformance statement says what the code does, and all of it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from pydicom.uid import AllTransferSyntaxes as ALL_TRANSFER_SYNTAXES
from pydicom.uid import CTImageStorage, EncapsulatedPDFStorage, JPEG2000Lossless
from pynetdicom import AllStoragePresentationContexts

from actors.dicom import acceptor, conformance, statuses
from actors.dicom.service import ScpHandler

ROOT = Path(acceptor.__file__).parents[2]


def registered(line: str) -> bool:
    """A line that changes with the version of the libraries, not with our code."""
    return line.startswith("The registry is") or (line.startswith("|") and line.endswith("` |") and "`1.2.840." in line)


def test_the_statement_is_up_to_date() -> None:
    written, made = conformance.PLACE.read_text("utf-8").splitlines(), conformance.document().splitlines()
    if conformance.registry() not in written:
        written, made = ([line for line in page if not registered(line)] for page in (written, made))
    assert written == made, "run python -m actors.dicom.conformance"


def test_another_version_of_the_libraries_does_not_make_it_out_of_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conformance, "registry", lambda: "The registry is that of tomorrow.")
    monkeypatch.setattr(conformance, "storage_classes", lambda: [("New", "1.2.840.10008.5.1.4.1.1.9999")])
    test_the_statement_is_up_to_date()


def test_checking_tells_when_it_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conformance, "PLACE", tmp_path / "conformance.md")
    assert conformance.main(["--check"]) == 1
    assert conformance.main([]) == 0
    assert conformance.main(["--check"]) == 0


def test_every_storage_class_and_transfer_syntax_of_the_libraries_is_named() -> None:
    classes = {uid for _, uid in conformance.storage_classes()}
    assert {str(context.abstract_syntax) for context in AllStoragePresentationContexts} <= classes
    assert {CTImageStorage, EncapsulatedPDFStorage} <= classes
    syntaxes = {uid for _, uid in conformance.transfer_syntaxes()}
    assert {str(uid) for uid in ALL_TRANSFER_SYNTAXES if not uid.startswith("1.2.840.10008.1.2.7")} <= syntaxes
    assert JPEG2000Lossless in syntaxes


def used_statuses() -> set[int]:
    """Values of the constants of statuses.py that the receiving side names."""
    values = {name: value for name, value in vars(statuses).items() if name.isupper() and isinstance(value, int)}
    places = [
        ROOT / "actors/dicom/acceptor.py",
        ROOT / "actors/dicom/storing.py",
        *(ROOT / "actors/receiver").glob("*.py"),
    ]
    found = set()
    for place in places:
        for node in ast.walk(ast.parse(place.read_text("utf-8"))):
            name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
            if name in values:
                found.add(values[name])
    return found


def test_every_status_that_the_receiver_answers_is_explained() -> None:
    used = used_statuses()
    assert {0x0000, 0xA700, 0xC000} <= used
    assert used == set(statuses.ANSWERS)


def test_every_rejection_is_explained() -> None:
    known = {value for name, value in vars(acceptor).items() if name.startswith("REJECT_")}
    assert len(known) == 6
    assert known == set(conformance.REJECTIONS)


@pytest.mark.parametrize("offered", [False, True])
def test_storage_commitment_is_claimed_only_if_the_receiver_has_it(
    offered: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ScpHandler, "__annotations__", {"commitment": object} if offered else {})
    assert ("1.2.840.10008.1.20.1 |" in conformance.document()) == offered


def test_no_line_is_a_template_left_open() -> None:
    page = conformance.document()
    assert "None" not in page.replace("None.", "").replace("None are", "") and "{" not in page
    assert max(map(len, (line for line in page.splitlines() if not line.startswith("|")))) <= 140
