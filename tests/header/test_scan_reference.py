"""The scan agrees with pydicom on every readable file that pydicom brings along, and on the shared data if present."""

from __future__ import annotations

import warnings
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.datadict import keyword_for_tag, tag_for_keyword
from pydicom.filereader import _read_file_meta_info, read_preamble
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag
from pydicom.valuerep import PersonName

from protocol.errors import UnreadableImage
from protocol.header.charset import REPLACEMENT
from protocol.header.scan import CHARSET, scan
from protocol.header.wanted import tag_text

BUNDLED = Path(pydicom.__file__).parent / "data"
SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
PLAIN = {"AE", "AS", "CS", "DA", "DT", "TM", "UI", "LO", "SH", "UC", "LT", "ST", "UT", "PN", "UR", "DS", "IS", "AT"}
PLAIN |= {"US", "SS", "UL", "SL", "UV", "SV", "FL", "FD"}

# No transfer syntax in the file; a router always knows it from the association.
SYNTAXES = {
    "ExplVR_BigEndNoMeta.dcm": "1.2.840.10008.1.2.2",
    "ExplVR_LitEndNoMeta.dcm": "1.2.840.10008.1.2.1",
}
UNREADABLE = {"rtplan_truncated.dcm", "no_meta.dcm"}  # cut; the latter also begins with a stray byte
SPARSE = {"chrSQEncoding.dcm", "chrSQEncoding1.dcm", "UN_sequence.dcm", "empty_charset_LEI.dcm", "priv_SQ.dcm"}
SPARSE |= {"meta_missing_tsyntax.dcm", "nested_priv_SQ.dcm", "no_meta_group_length.dcm"}


def dicom_files(folder: Path) -> list[Path]:
    """Everything that looks like DICOM by name or preamble; DICOMDIR trees are for media, not for a router."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "dicomdirtests" not in path.parts:
            with path.open("rb") as file:
                if path.suffix == ".dcm" or file.read(132)[128:] == b"DICM":
                    found.append(path)
    return found


def split(path: Path) -> tuple[bytes, str]:
    """The data set of a file and its transfer syntax."""
    file = BytesIO(path.read_bytes())
    read_preamble(file, True)
    meta = _read_file_meta_info(file)
    return file.read(), str(meta.get("TransferSyntaxUID", SYNTAXES.get(path.name, "1.2.840.10008.1.2")))


def plain(value: Any) -> Any:
    """A pydicom value as the scan would give it."""
    if isinstance(value, MultiValue | list):
        parts = [plain(part) for part in value]
        return (
            ["" if part is None else part for part in parts] if any(part not in ("", None) for part in parts) else None
        )
    if isinstance(value, BaseTag):
        return tag_text(value)
    if isinstance(value, str | PersonName):
        return str(value).strip(" \0") or None
    if isinstance(value, float):
        return float(value)
    return None if value is None else int(value)


def reference(path: Path) -> dict[str, Any]:
    """pydicom's values of all top-level elements that have a plain value, by the scan's keys."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(path, force=True)
        values = {}
        for tag in sorted(dataset.keys()):
            written = dataset.get_item(tag).VR
            known = keyword_for_tag(tag)
            # What a private element without a VR holds only its writer's dictionary knows.
            if tag.group < 0x7FE0 and dataset[tag].VR in PLAIN and (known or written not in (None, "UN")):
                key = known if known and tag_for_keyword(known) == tag else tag_text(tag)
                values[key] = plain(dataset[tag].value)
    return {key: value for key, value in values.items() if value is not None}


def agree(mine: Any, theirs: Any, flags: tuple[str, ...]) -> bool:
    if isinstance(mine, list) and isinstance(theirs, list):
        return len(mine) == len(theirs) and all(agree(a, b, flags) for a, b in zip(mine, theirs, strict=True))
    if isinstance(mine, str) and REPLACEMENT in mine and CHARSET in flags:
        return True  # pydicom guesses Latin-1 where nothing is declared
    if isinstance(mine, str):
        return mine.strip(" \0") in (theirs, f"{theirs}=")  # pydicom drops the empty last group of a name
    return bool(mine == theirs)


def check(path: Path) -> int:
    """Compare one file; returns the number of values compared."""
    expected = reference(path)
    data, syntax = split(path)
    header = scan(data, syntax, extra=list(expected))
    values = {key: header.values.get(key) for key in expected}
    wrong = {
        key: (values[key], expected[key]) for key in expected if not agree(values[key], expected[key], header.flags)
    }
    assert wrong == {}
    assert {key for key in header.values if key not in expected} <= {"PixelRepresentation"}
    return len(expected)


@pytest.mark.parametrize("path", dicom_files(BUNDLED), ids=lambda path: path.name)
def test_values_agree_with_pydicom(path: Path) -> None:
    if path.name in UNREADABLE:
        with pytest.raises(UnreadableImage):
            scan(*split(path))
    else:
        assert check(path) > (-1 if path.name in SPARSE else 5)


def test_the_bundled_files_are_there() -> None:
    assert len(dicom_files(BUNDLED)) > 80


@pytest.mark.skipif(not SHARED.is_dir(), reason="no ../shared/data beside the repository")
def test_values_of_shared_data_agree_with_pydicom() -> None:
    files = dicom_files(SHARED)
    assert files
    assert all(check(path) > 20 for path in files)
