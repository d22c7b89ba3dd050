"""Reads the Store Instances Response (PS3.18 annex I) out of what a server answered, be it DICOM JSON or Native XML.
It must not judge: whoever asks gets what the server said of each instance, or None if it said nothing of the kind.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Any
from xml.parsers import expat

from protocol.records import record

SOP_INSTANCE, FAILED, STORED, OTHERS = "00081155", "00081198", "00081199", "0008119A"
RETRIEVE_URL, WARNING_REASON, FAILURE_REASON = "00081190", "00081196", "00081197"
_OF_THE_MODULE = (RETRIEVE_URL, FAILED, STORED, OTHERS)
_MAX_DEPTH = 32
_MAX_UID = 64

Dataset = dict[str, Any]
"""As in the DICOM JSON Model (PS3.18 annex F): tag -> {"Value": [...]}; whatever came from outside may be anything."""


@record
class StoreResponse:
    """What the server said. SOP instance UID -> Warning Reason (0: none), -> Failure Reason (None: no number).

    `others` are the reasons of instances that it could not tell the UID of (Other Failures Sequence).
    """

    stored: Mapping[str, int] = field(default_factory=dict)
    failed: Mapping[str, int | None] = field(default_factory=dict)
    others: tuple[int | None, ...] = ()


def read(body: bytes) -> StoreResponse | None:
    """None: no Store Instances Response. What the media type says is not asked: too many servers get it wrong."""
    start = body[:200].removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    dataset = _native(body) if start == b"<" else _json(body)
    if dataset is None:
        return None
    failed = {uid: _number(item, FAILURE_REASON) for item in _items(dataset, FAILED) if (uid := _uid(item))}
    stored = {uid: _number(item, WARNING_REASON) or 0 for item in _items(dataset, STORED) if (uid := _uid(item))}
    others = tuple(_number(item, FAILURE_REASON) for item in _items(dataset, OTHERS))
    return StoreResponse(stored, failed, others)


# -- what is in a dataset --------------------------------------------------------------------------------------------


def _values(dataset: Dataset, tag: str) -> list[Any]:
    element = dataset.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return values if isinstance(values, list) else []


def _items(dataset: Dataset, tag: str) -> Iterator[Dataset]:
    for item in _values(dataset, tag):
        if isinstance(item, dict):
            yield _upper(item)


def _uid(item: Dataset) -> str:
    for value in _values(item, SOP_INSTANCE):
        if isinstance(value, str) and len(uid := value.strip(" \0\r\n\t")) <= _MAX_UID:
            return uid
    return ""


def _number(item: Dataset, tag: str) -> int | None:
    """An unsigned short (US); servers also write it as text."""
    for value in _values(item, tag):
        if isinstance(value, str) and len(value) <= 16 and value.strip().isascii() and value.strip().isdigit():
            value = int(value)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 0xFFFF:
            return value
    return None


def _upper(dataset: Dataset) -> Dataset:
    return {tag.upper(): element for tag, element in dataset.items() if isinstance(tag, str)}


# -- JSON ------------------------------------------------------------------------------------------------------------


def _json(body: bytes) -> Dataset | None:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if isinstance(found, list) and len(found) == 1:  # some servers answer with a list, as to a query
        found = found[0]
    if not isinstance(found, dict):
        return None
    dataset = _upper(found)
    return dataset if not dataset or any(tag in dataset for tag in _OF_THE_MODULE) else None


# -- XML -------------------------------------------------------------------------------------------------------------


class _Refused(Exception):
    """Nothing that a Native DICOM Model needs."""


def _native(body: bytes) -> Dataset | None:
    """The Native DICOM Model (PS3.19 section A.1) in the shape of the JSON model."""
    builder = _Builder()
    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = builder.start, builder.end
    parser.CharacterDataHandler = builder.letters
    parser.StartDoctypeDeclHandler = builder.refuse  # without a DTD no entity can grow
    parser.buffer_text = True
    try:
        parser.Parse(body, True)
    except (expat.ExpatError, _Refused, ValueError, LookupError):
        return None
    return builder.dataset


class _Builder:
    """Open elements on a stack: a dataset (dict), the values of an attribute (list), the letters of a value, or None."""

    def __init__(self) -> None:
        self.dataset: Dataset | None = None
        self._open: list[Any] = []
        self._letters: list[str] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        local = name.rpartition(":")[2]
        top = self._open[-1] if self._open else None
        opened: Any = None
        if not self._open:
            if local != "NativeDicomModel":
                raise _Refused
            opened = self.dataset = {}
        elif len(self._open) >= _MAX_DEPTH:
            raise _Refused
        elif local == "DicomAttribute" and isinstance(top, dict):
            opened = []
            top[attributes.get("tag", "").upper()] = {"Value": opened}
        elif local == "Item" and isinstance(top, list):
            opened = {}
            top.append(opened)
        elif local == "Value" and isinstance(top, list):
            opened, self._letters = _VALUE, []
        self._open.append(opened)

    def letters(self, text: str) -> None:
        if self._open and self._open[-1] is _VALUE:
            self._letters.append(text)

    def end(self, name: str) -> None:
        if self._open.pop() is _VALUE:
            values = self._open[-1]
            assert isinstance(values, list)
            values.append("".join(self._letters))

    def refuse(self, *_: object) -> None:
        raise _Refused


_VALUE = object()
