"""Reads a header that somebody pasted: flat JSON {keyword: value}, the DICOM JSON model (PS3.18 Annex F), or dcmdump's text.
It must not raise anything but UnreadableHeader, and its messages name places, never values: they are patient data.

A JSON list of headers is a series: one header for each image.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from protocol.errors import UnreadableHeader
from protocol.header.dictionary import tag_for_keyword
from protocol.header.dumped import looks_dumped, read_dumped
from protocol.header.elements import (
    BINARY_VRS,
    MAX_VALUES,
    is_creator,
    key_of_tag,
    of_number,
    of_text,
    private_key,
    put,
    vr_of_tag,
)
from protocol.header.values import MAX_VALUE, Value
from protocol.header.wanted import MAX_PATH

MAX_TEXT = 1 << 20  # characters
MAX_IMAGES = 5_000
_TAG = re.compile(r"\(?([0-9A-Fa-f]{4}),?\s?([0-9A-Fa-f]{4})\)?")
_PRIVATE = re.compile(r"[0-9A-F]{4},xx[0-9A-F]{2} \S.*")
_WAYS = 'paste JSON such as {"Modality": "CT"}, the DICOM JSON model, or what dcmdump prints'


def read_pasted(text: str) -> list[dict[str, Any]]:
    """The header values of each image in the text, by key as the scan gives them. Raises UnreadableHeader."""
    if len(text) > MAX_TEXT:
        raise UnreadableHeader(f"longer than {MAX_TEXT} characters; paste the header alone")
    text = text.removeprefix("\ufeff").strip()
    if not text:
        raise UnreadableHeader(f"empty; {_WAYS}")
    if text[0] not in "{[" and looks_dumped(text):
        return read_dumped(text)
    return _of_json(_loaded(text))


def _loaded(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as exc:
        raise UnreadableHeader(f"no JSON (line {exc.lineno}, column {exc.colno}); {_WAYS}") from exc
    except (RecursionError, ValueError) as exc:
        raise UnreadableHeader(f"JSON that is nested too deeply or holds a number too long; {_WAYS}") from exc


def _of_json(data: Any) -> list[dict[str, Any]]:
    images = data if isinstance(data, list) else [data]
    if not images or not all(isinstance(one, dict) for one in images):
        raise UnreadableHeader(f"not a header nor a list of headers; {_WAYS}")
    if len(images) > MAX_IMAGES:
        raise UnreadableHeader(f"more than {MAX_IMAGES} headers")
    found = []
    for at, one in enumerate(images):
        where = f"image {at + 1}: " if len(images) > 1 else ""
        if len(one) > MAX_VALUES:
            raise UnreadableHeader(f"{where}more than {MAX_VALUES} elements")
        found.append(_of_model(one, where) if _is_model(one) else _of_flat(one, where))
    return found


# ---- flat -------------------------------------------------------------------------------------------------------
def _of_flat(header: Mapping[str, Any], where: str) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in header.items():
        key, vr = _named(name, where)
        put(values, key, _flat_value(value, vr, f"{where}{key}"))
    return values


def _named(name: str, where: str) -> tuple[str, str]:
    """Key and VR of a keyword, a tag, a path into sequences, or a private name."""
    if _PRIVATE.fullmatch(name):
        return name, ""
    if tag := _TAG.fullmatch(name.strip()):
        number = int(tag[1] + tag[2], 16)
        return key_of_tag(number), vr_of_tag(number, "")
    parts = name.split(".")
    tags = [tag_for_keyword(part) for part in parts if part]
    if len(tags) != len(parts) or None in tags or len(parts) > MAX_PATH:
        shown = name if len(name) <= 40 and name.isprintable() else "…"
        raise UnreadableHeader(f"{where}'{shown}' is no DICOM keyword or tag")
    return name, vr_of_tag(tags[-1] or 0, "")


def _flat_value(value: Any, vr: str, place: str) -> Value | None:
    if isinstance(value, list):
        parts = [_flat_part(part, vr, place) for part in value]
        plain: list[str | int | float] = ["" if part is None else part for part in parts]
        if not any(part != "" for part in plain):
            return None
        return plain[0] if len(plain) == 1 else plain
    if isinstance(value, str):
        return of_text(value, vr)
    return _flat_part(value, vr, place)


def _flat_part(value: Any, vr: str, place: str) -> str | int | float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise UnreadableHeader(f"{place} is no text, number or list of these")
    if not isinstance(value, str):
        return of_number(value)
    if len(value) > MAX_VALUE:
        raise UnreadableHeader(f"{place} is longer than {MAX_VALUE} characters")
    found = of_text(value.replace("\\", " "), vr)
    return found if not isinstance(found, list) else None


# ---- the DICOM JSON model -----------------------------------------------------------------------------------------
def _is_model(header: Mapping[str, Any]) -> bool:
    """Every value is an object with a VR (PS3.18 section F.2.2), every key eight digits."""
    return bool(header) and all(
        re.fullmatch(r"[0-9A-Fa-f]{8}", key) and isinstance(value, dict) and "vr" in value
        for key, value in header.items()
    )


def _of_model(header: Mapping[str, Any], where: str) -> dict[str, Any]:
    values: dict[str, Any] = {}
    _add_items(values, header, "", where, 1)
    creators: dict[int, str] = {}
    for key in sorted(header, key=lambda key: int(key, 16)):
        tag = int(key, 16)
        value = values.get(key_of_tag(tag))
        if is_creator(tag) and isinstance(value, str):
            creators[tag] = value
        if (name := private_key(tag, creators)) is not None:
            put(values, name, value)
    return values


def _add_items(values: dict[str, Any], header: Mapping[str, Any], prefix: str, where: str, depth: int) -> None:
    for key, element in header.items():
        if not re.fullmatch(r"[0-9A-Fa-f]{8}", str(key)) or not isinstance(element, dict):
            raise UnreadableHeader(f"{where}{prefix}an element of the DICOM JSON model is eight digits and an object")
        name, vr = prefix + key_of_tag(int(key, 16)), element.get("vr")
        found = element.get("Value", [])
        if not isinstance(vr, str) or not isinstance(found, list):
            raise UnreadableHeader(f"{where}{name} has no vr, or its Value is no list")
        if vr == "SQ" and found and isinstance(found[0], dict) and depth < MAX_PATH:
            _add_items(values, found[0], f"{name}.", where, depth + 1)
        elif vr not in BINARY_VRS:
            put(values, name, _flat_value([_model_part(part) for part in found], vr, f"{where}{name}"))


def _model_part(part: Any) -> Any:
    """A person's name is an object of its groups (PS3.18 section F.2.2); the scan gives them as they are encoded."""
    if not isinstance(part, dict):
        return part
    groups = [part.get(group) for group in ("Alphabetic", "Ideographic", "Phonetic")]
    if not all(group is None or isinstance(group, str) for group in groups):
        return part  # refused as no value
    return "=".join(group or "" for group in groups).rstrip("=")
