"""The data dictionary (PS3.6 chapters 6 and 7) and the registry of UIDs (PS3.6 annex A) as pydicom has them.
It must not import pydicom itself: that costs each of our processes 0.2 s and 20 MB, for two tables.
"""

from __future__ import annotations

from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

_X = frozenset("x")


class Element(NamedTuple):
    """One element of the dictionary, in pydicom's order; `vr` may be "US or SS"."""

    vr: str
    vm: str
    name: str
    retired: str
    keyword: str


def entry(tag: int) -> Element:
    """The element with this tag, also one of a repeating group (PS3.6 section 6, xx in the tag). Raises KeyError."""
    found = _ELEMENTS.get(tag)
    if found is None and not tag >> 16 & 1:
        found = next((values for mask, same, values in _REPEATING if (tag ^ same) & mask == 0), None)
    if found is None:
        raise KeyError(f"no element {tag:08x} in the dictionary")
    return Element(*found)


def tag_for_keyword(keyword: str) -> int | None:
    """The tag with this keyword, exactly as it is written; None for one of a repeating group or an unknown one."""
    return KEYWORDS.get(keyword)


def _table(name: str) -> ModuleType:
    """A module of tables from pydicom's folder, without running the package around it; a copy of our own, as pynetdicom adds
    to pydicom's when it is imported.
    """
    package = find_spec("pydicom")
    folders = list(package.submodule_search_locations or ()) if package is not None else []
    spec = spec_from_file_location(f"{__name__}.{name}", Path(folders[0]) / f"{name}.py") if folders else None
    if spec is None or spec.loader is None:
        raise ImportError("pydicom is not installed, or not as files", name="pydicom")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _repeating(written: str, values: tuple[str, ...]) -> tuple[int, int, tuple[str, ...]]:
    """(bits that have to be the same, those bits, the element) of a tag such as "60xx0010"."""
    mask = int("".join("0" if digit in _X else "F" for digit in written), 16)
    return mask, int(written.replace("x", "0"), 16), values


_tables = _table("_dicom_dict")
_ELEMENTS: dict[int, tuple[str, ...]] = _tables.DicomDictionary
_REPEATING = [_repeating(written, values) for written, values in _tables.RepeatersDictionary.items()]
KEYWORDS: dict[str, int] = {values[4]: tag for tag, values in _ELEMENTS.items()}
UIDS: dict[str, tuple[str, ...]] = _table("_uid_dict").UID_dictionary  # name, type, info, retired, keyword


def uid_name(uid: str) -> str:
    """What people call this UID; one that the registry does not know, or has no name for, stands for itself."""
    return UIDS.get(uid, ("",))[0] or uid
