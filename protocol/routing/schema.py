"""The JSON Schema (draft 2020-12) of routing.json, made from the model, for editors that check while people type.

It must not be asked whether a configuration is valid: it cannot say everything (`parse` does).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from protocol.routing.fields import Frozen
from protocol.routing.model import RoutingConfiguration
from protocol.routing.parse import BASE_MARK, ONLY_MARK, SCHEMA_MARK, SECTIONS

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_MARKS: dict[str, Any] = {
    SCHEMA_MARK: {"type": "string", "description": "Where this schema is. Allowed, not kept."},
    BASE_MARK: {
        "type": ["string", "integer"],
        "description": "The version that this file was exported from; an import is refused if another one was published "
        "since. Allowed, not kept.",
    },
    ONLY_MARK: {
        "type": "array",
        "items": {"enum": list(SECTIONS)},
        "description": "The sections that an import takes from this file. Allowed, not kept.",
    },
}
_ATTRIBUTES = re.compile(r"\n\s*Attributes:\n(?P<list>.*)\Z", re.DOTALL)
_ATTRIBUTE = re.compile(
    r"^\s{0,8}(?P<names>[a-z_]+(?:, [a-z_]+)*): (?P<text>.*?)(?=^\s{0,8}[a-z_, ]+: |\Z)", re.MULTILINE | re.DOTALL
)


def schema() -> dict[str, Any]:
    """The schema as JSON data. What it refuses is refused by `parse`, too; not the other way round."""
    made = RoutingConfiguration.model_json_schema(mode="validation")
    for part in [made, *made["$defs"].values()]:
        _tidy(part)
    for model in _models(Frozen):
        if model.__name__ in made["$defs"]:
            _describe(made["$defs"][model.__name__], model)
    made["properties"] = _MARKS | made["properties"]
    made["title"], made["description"] = "scanpost routing configuration", "Targets, groups, sources and rules."
    return {"$schema": _DIALECT, **made}


def schema_text() -> str:
    """The schema as text; deploy/routing.schema.json is a copy."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def _tidy(part: Any) -> None:
    """Titles that repeat the key go; other keys than names are refused; patterns become such as ECMA-262 reads."""
    if isinstance(part, list):
        for one in part:
            _tidy(one)
    if not isinstance(part, dict):
        return
    if isinstance(part.get("title"), str):
        del part["title"]
    if isinstance(part.get("pattern"), str):
        part["pattern"] = _ecma(part["pattern"])
    if isinstance(part.get("patternProperties"), dict):
        part["patternProperties"] = {_ecma(key): one for key, one in part["patternProperties"].items()}
        part["additionalProperties"] = False
    for one in part.values():
        _tidy(one)


def _ecma(pattern: str) -> str:
    return pattern.replace(r"\Z", "$")


def _models(base: type[Frozen]) -> Iterator[type[Frozen]]:
    for model in base.__subclasses__():
        yield model
        yield from _models(model)


def _describe(part: dict[str, Any], model: type[Frozen]) -> None:
    """Move what the docstring says about each setting to the setting."""
    text = model.__doc__ or ""
    match = _ATTRIBUTES.search(text)
    if match is not None:
        part["description"] = _flat(text[: match.start()])
        for one in _ATTRIBUTE.finditer(match["list"]):
            for name in one["names"].split(", "):
                part["properties"][name]["description"] = _flat(one["text"])
    elif "description" in part:
        part["description"] = _flat(part["description"])


def _flat(text: str) -> str:
    return " ".join(text.split())
