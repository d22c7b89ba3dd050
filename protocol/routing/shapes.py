"""What the JSON Schema says beyond what pydantic knows: patterns of texts, and settings that need or exclude each other.

Nothing here validates: each says at most what a validator refuses, so that what is valid always fits the schema.
Patterns are written so that Python and ECMA-262 read them alike.
"""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, GetJsonSchemaHandler
from pydantic_core import CoreSchema

Schema = dict[str, Any]


class Shape:
    """Keys that a type adds to its JSON Schema: `Annotated[str, AfterValidator(...), Shape(pattern=...)]`."""

    def __init__(self, **keys: Any) -> None:
        self._keys = keys

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> Schema:
        return {**handler(schema), **self._keys}


AE_TITLE = Shape(pattern=r"^ *[!-\[\]-~]([ -\[\]-~]{0,14}[!-\[\]-~])? *$")
HOST = Shape(pattern=r"^[!-.0-?A-Z\\-~]{1,253}$")
NETWORK = Shape(
    pattern=r"^([0-9]{1,3}(\.[0-9]{1,3}){3}|[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*(%[^/]+)?)(/[0-9.]+)?$",
    examples=["10.0.0.5", "10.0.0.0/24", "fd00::5"],
)
PLAIN_TEXT = Shape(pattern="^[^\\u0000-\\u0008\\u000b\\u000c\\u000e-\\u001f]*$")
ABSOLUTE_PATH = Shape(pattern=r"^(?![\s\S]*/\.\.(/|$))/[^\u0000-\u001f]*$")
LAYOUT = Shape(
    pattern=r"^(?!\.{1,2}(/|$))(?!/)(?![\s\S]*/\.{0,2}(/|$))([^{}\u0000-\u001f]|\{[A-Za-z0-9]+\})*$",
    examples=["{PatientID}/{StudyInstanceUID}/{SeriesInstanceUID}"],
)
FILE_NAME = Shape(pattern=r"^(?!\.{1,2}$)[A-Za-z0-9._-]{1,64}$", examples=[".done"])
FILE_MODE = Shape(pattern="^0[67][0-7]{2}$", examples=["0640", "0664"])
URL = Shape(pattern=r"^https?://[^\s/@]+(/\S*)?$")
PROXY = Shape(pattern=r"^http://[^\s/@]+(/\S*)?$", examples=["http://proxy.example.org:3128"])
TIME_OF_DAY = Shape(pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$")
EXPIRY = Shape(
    pattern=r"^([0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9].+(Z|[+-][0-9:.]{2,}))$",
    examples=["2026-12-31", "2026-12-31T18:00+01:00"],
)
CONDITION = Shape(minLength=1, maxLength=4000, pattern=r"\S", examples=["Modality == 'MR' and SeriesNumber > 100"])
RECIPIENT = Shape(
    pattern=r"^(mail:[^\s@<>,;:]+@[^\s@<>,;:]+|webhook:https?://[^\s#]+)$",
    examples=["mail:ops@example.org", "webhook:https://chat.example.org/hook"],
)
LABEL = Shape(pattern="^[^\\u0000-\\u001f]*$")
UID = Shape(pattern=r"^[0-9][0-9.]{0,63}$")
NO_PDU_BELOW_4096 = Shape(anyOf=[{"const": 0}, {"minimum": 4096}])
EACH_ONCE = Shape(uniqueItems=True)


# --- several settings of one object


def given(*names: str) -> Schema:
    """These settings are there and not null."""
    return {"properties": {name: {"not": {"type": "null"}} for name in names}, "required": list(names)}


def needs(name: str, *others: str) -> Schema:
    """Who gives one setting gives the others, too."""
    return {"if": given(name), "then": given(*others)}


def excludes(name: str, other: str) -> Schema:
    """One of two settings at most."""
    return {"not": given(name, other)}


def where(name: str, value: Any, then: Schema) -> Schema:
    """Where a setting has a value, something else holds."""
    return {"if": {"properties": {name: {"const": value}}, "required": [name]}, "then": then}


def config(*conditions: Schema) -> ConfigDict:
    """A model's conditions, for its `model_config`."""
    return ConfigDict(json_schema_extra={"allOf": list(conditions)})
