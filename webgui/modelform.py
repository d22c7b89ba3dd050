"""Forms out of settings models: which fields there are and of what kind, values for them, and JSON data back out of a form.

Nothing here judges a value: what cannot be read is handed on as it is, and the model says what is wrong with it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from pydantic import BaseModel

from protocol.errors import RoutingError
from protocol.records import record
from webgui import windows

Words = Mapping[str, tuple[str, str]]
"""Field -> (label, help). A dotted name for a nested one: `retry.first_s`."""
ON = "true"


@record
class Spec:
    """One field of a form.

    Attributes:
        name: where its value stands in the data, with dots.
        kind: text, secret, integer, number, switch, choice, list, windows, or part: a switch for a whole nested object.
        options: of a choice, (value, word).
        optional: null is allowed, and what an empty field means.
        default: as a form shows it.
    """

    name: str
    label: str
    help: str
    kind: str
    options: tuple[tuple[str, str], ...] = ()
    required: bool = False
    optional: bool = False
    default: Any = None
    folded: bool = False

    @property
    def inside(self) -> str:
        """The object that it is nested in, or nothing."""
        return self.name.rpartition(".")[0]


NAME = Spec("name", "Name", "", "text")
"""What a part is called: no setting of its model, but a field of its form that can be wrong."""


@cache
def _schema(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema(mode="validation")


def specs(model: type[BaseModel], words: Words, leave: Sequence[str] = (), shown: Sequence[str] = ()) -> list[Spec]:
    """The fields of a model: those that are `shown`, in that order, then the rest, folded away unless required."""
    made = _schema(model)
    places = {name: at for at, name in enumerate(shown)}
    found = [
        replace(one, folded=not one.required and one.name.split(".")[0] not in places)
        for one in _of(made, made, words, "", tuple(leave))
    ]
    return sorted(found, key=lambda one: (one.folded, places.get(one.name.split(".")[0], len(places))))


def _of(
    whole: Mapping[str, Any], part: Mapping[str, Any], words: Words, prefix: str, leave: tuple[str, ...]
) -> Iterator[Spec]:
    for key, described in part["properties"].items():
        name = f"{prefix}{key}"
        if name in leave:
            continue
        label, text = words.get(name) or (key.replace("_", " ").capitalize(), "")
        inner, optional = _inner(whole, described)
        required = key in part.get("required", ()) and not prefix
        spec = Spec(name, label, text, "text", required=required, optional=optional, default=described.get("default"))
        if "properties" in inner:
            if optional:
                yield replace(spec, kind="part", default=bool(spec.default))
            yield from _of(whole, inner, words, f"{name}.", leave)
        else:
            yield _kind(spec, inner)


def _inner(whole: Mapping[str, Any], described: Mapping[str, Any]) -> tuple[Mapping[str, Any], bool]:
    """What a property is besides null, references followed; of several shapes the object, or the first."""
    choices = [described] if "anyOf" not in described or "type" in described else list(described["anyOf"])
    optional = any(one.get("type") == "null" for one in choices)
    rest = [_followed(whole, one) for one in choices if one.get("type") != "null"]
    objects = [one for one in rest if "properties" in one]
    arrays = [one for one in rest if one.get("type") == "array"]
    chosen = (arrays or objects or rest or [described])[0]
    return (_followed(whole, chosen), optional)


def _followed(whole: Mapping[str, Any], part: Mapping[str, Any]) -> Mapping[str, Any]:
    while True:
        if "$ref" in part:
            part = whole["$defs"][part["$ref"].rpartition("/")[2]]
        elif "allOf" in part and "properties" not in part and "type" not in part:
            part = part["allOf"][0]
        else:
            return part


def _kind(spec: Spec, inner: Mapping[str, Any]) -> Spec:
    if "enum" in inner:
        return replace(spec, kind="choice", options=tuple((str(one), str(one)) for one in inner["enum"]))
    if "const" in inner:
        return replace(spec, kind="choice", options=((str(inner["const"]), str(inner["const"])),))
    match inner.get("type"):
        case "boolean":
            return replace(spec, kind="switch")
        case "integer":
            return replace(spec, kind="integer")
        case "number":
            return replace(spec, kind="number")
        case "array":
            items = inner.get("items", {})
            return replace(spec, kind="windows" if "$ref" in items else "list")
    secret = str(inner.get("description", "")).startswith("Where a secret is")
    return replace(spec, kind="secret" if secret else "text")


# ---- values in and out ------------------------------------------------------------------------------------------


def filled(fields: Sequence[Spec], data: Mapping[str, Any]) -> dict[str, Any]:
    """What stands in the form for JSON data; absent settings stand at their defaults."""
    values: dict[str, Any] = {}
    for spec in fields:
        found = _at(data, spec.name, spec.default)
        if spec.kind == "part":
            values[spec.name] = isinstance(found, Mapping) or found is True
        elif spec.kind == "switch":
            values[spec.name] = bool(found)
        elif spec.kind == "list":
            values[spec.name] = ", ".join(map(str, found or ()))
        elif spec.kind == "windows":
            values[spec.name] = windows.text_of(found)
        else:
            values[spec.name] = "" if found is None else _plain(found)
    return values


def set_ones(fields: Sequence[Spec], values: Mapping[str, Any]) -> list[str]:
    """Folded fields that do not stand at their defaults: what a person should see without unfolding."""
    usual = filled(fields, {})
    return [spec.label for spec in fields if spec.folded and values[spec.name] != usual[spec.name]]


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.10g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _at(data: Mapping[str, Any], name: str, default: Any) -> Any:
    at: Any = data
    for key in name.split("."):
        if not isinstance(at, Mapping) or key not in at:
            return default
        at = at[key]
    return at


def read(fields: Sequence[Spec], values: Mapping[str, Any]) -> dict[str, Any]:
    """JSON data out of a form: empty fields are left to their defaults, or null where the default is another."""
    data: dict[str, Any] = {}
    absent = {spec.name for spec in fields if spec.kind == "part" and not _is_on(values.get(spec.name))}
    for spec in fields:
        if spec.name in absent:
            _put(data, spec.name, None)
            continue
        if any(spec.name.startswith(f"{part}.") for part in absent):
            continue
        if spec.kind == "part":
            _put(data, spec.name, {})
            continue
        value = _value(spec, values.get(spec.name))
        if value is not None or (spec.optional and spec.default is not None):
            _put(data, spec.name, value)
    return data


def _value(spec: Spec, given: Any) -> Any:
    if spec.kind == "switch":
        return _is_on(given)
    if isinstance(given, list) and spec.kind != "list":
        given = given[-1] if given else None
    if given is None or given == "":
        return None
    if spec.kind == "list":
        parts = given if isinstance(given, list) else re.split(r"[,;\n]", str(given))
        return [text for part in parts if (text := str(part).strip())] or None
    if spec.kind == "windows":
        return windows.read(str(given)) or None
    text = str(given).replace("\r\n", "\n").strip()
    if spec.kind in ("integer", "number"):
        return _number(text, spec.kind == "integer")
    return text or None


def _number(text: str, whole: bool) -> Any:
    """A number; a text that is none stays one, and the model says so."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _is_on(given: Any) -> bool:
    return given is True or given in (ON, "on", "1") or (isinstance(given, list) and bool(given) and _is_on(given[-1]))


def _put(data: dict[str, Any], name: str, value: Any) -> None:
    *above, key = name.split(".")
    for one in above:
        below = data.get(one)
        if not isinstance(below, dict):
            below = data[one] = {}
        data = below
    data[key] = value


# ---- what the model said ---------------------------------------------------------------------------------------


def errors(fault: RoutingError, place: str, fields: Sequence[Spec]) -> tuple[dict[str, str], list[str]]:
    """What is wrong, by field, and what belongs to none. `place`: where the part stands, such as `targets.pacs`."""
    names = {spec.name for spec in fields}
    by_field: dict[str, str] = {}
    others: list[str] = []
    for one in fault.faults:
        inside = one.place.startswith((f"{place}.", f"{place}["))
        path = one.place[len(place) + 1 :] if inside else ""
        name = next((name for name in _above(path) if name in names), "")
        text = f"{one.message}. {one.cure}" if one.cure and one.cure != "Correct the file" else one.message
        if name:
            by_field.setdefault(name, text)
        else:
            others.append(text if one.place == place or not one.place or inside else f"{one.place}: {text}")
    return by_field, others


def _above(path: str) -> Iterator[str]:
    """A place and those that it stands in: retry.first_s, retry; lists without their index."""
    path = re.sub(r"\[\d+\]", "", path)
    while path:
        yield path
        path = path.rpartition(".")[0]
