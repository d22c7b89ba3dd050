"""From the text of routing.json to a RoutingConfiguration and back.

It must not touch files. Whatever is wrong with the text becomes one RoutingError: one line with place, fault and cure.
"""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from protocol.errors import RoutingError
from protocol.routing.commitment import SourceCommitment, TargetCommitment
from protocol.routing.conditions import RuleFault
from protocol.routing.fields import NAME_PATTERN, NAME_RULE, Frozen
from protocol.routing.groups import Group
from protocol.routing.model import Misfit, Notify, RoutingConfiguration, Rule, RuleTest
from protocol.routing.rules.names import did_you_mean
from protocol.routing.sources import Source
from protocol.routing.targets import (
    TARGET_TYPES,
    DicomTarget,
    DicomWebTarget,
    FolderTarget,
    Retry,
    S3Target,
    SftpTarget,
)
from protocol.routing.terms import Quota, StudyTerms, Window

LIMIT_BYTES = 4 * 1024 * 1024
_CHECK = "Correct the file"
_LIMIT_QUOTE = 300  # characters of somebody's text that a message repeats
_WORDS = {
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "string_type": "must be text",
    "string_unicode": "is no valid text",
    "tuple_type": "must be a list",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "mapping_type": "must be an object",
    "dict_type": "must be an object",
}  # pydantic's own words speak of Python
_TARGETS: dict[str, type[Frozen]] = dict(
    zip(TARGET_TYPES, (DicomTarget, DicomWebTarget, FolderTarget, S3Target, SftpTarget), strict=True)
)


def parse(text: str | bytes, where: str) -> RoutingConfiguration:
    """Read a routing configuration. `where` names the file for messages. Raises RoutingError."""
    return build(load_json(text, where), where)


def build(data: Any, where: str) -> RoutingConfiguration:
    """A routing configuration out of JSON data. Raises RoutingError."""
    if not isinstance(data, dict):
        raise RoutingError("not a JSON object", where, 'It starts with {"targets": ...')
    try:
        return RoutingConfiguration.model_validate(data)
    except ValidationError as exc:
        raise _routing_error(exc, where) from exc
    except RecursionError as exc:
        raise RoutingError("nested too deeply", where, _CHECK) from exc


def to_data(configuration: RoutingConfiguration) -> dict[str, Any]:
    """The configuration as JSON data, every setting written out."""
    return configuration.model_dump(mode="json")


def dump(configuration: RoutingConfiguration) -> str:
    """The configuration as the text of routing.json; `parse` gives an equal one back."""
    return json.dumps(to_data(configuration), indent=2, ensure_ascii=False) + "\n"


# --- JSON ---------------------------------------------------------------------------------------------------------


class _NotStrict(ValueError):
    """JSON that Python would read, but that does not say one thing."""


def load_json(text: str | bytes, where: str) -> Any:
    """Strict JSON: no key twice, no NaN, at most LIMIT_BYTES. Raises RoutingError."""
    if len(text) > LIMIT_BYTES:
        raise RoutingError(f"larger than {LIMIT_BYTES // 1024 // 1024} MB", where, "This is no routing configuration")
    try:
        if isinstance(text, bytes):
            text = text.decode()
        text = text.removeprefix("\ufeff")  # some editors put a byte order mark
        data = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
        if "\\ud" in text.lower():
            json.dumps(data, ensure_ascii=False).encode()  # half a surrogate pair could not be written again
        return data
    except UnicodeDecodeError as exc:
        raise RoutingError(f"not UTF-8 at byte {exc.start + 1}", where, "Save the file as UTF-8") from exc
    except json.JSONDecodeError as exc:
        place = f"{where}: line {exc.lineno}, column {exc.colno}"
        raise RoutingError(f"broken JSON: {exc.msg}", place, "Check commas, quotes and braces there") from exc
    except RecursionError as exc:
        raise RoutingError("nested too deeply", where, _CHECK) from exc
    except UnicodeEncodeError as exc:
        raise RoutingError("half a surrogate pair is no character", where, "Write the whole pair") from exc
    except _NotStrict as exc:
        raise RoutingError(_one_line(str(exc)), where, _CHECK) from exc
    except ValueError as exc:
        raise RoutingError("a number has thousands of digits", where, _CHECK) from exc


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for key, value in pairs:
        if key in data:
            raise _NotStrict(f"the key '{key}' is there twice in one object")
        data[key] = value
    return data


def _no_constant(name: str) -> NoReturn:
    raise _NotStrict(f"{name} is not a JSON number")


# --- faults -------------------------------------------------------------------------------------------------------


def _routing_error(exc: ValidationError, where: str) -> RoutingError:
    details = exc.errors(include_url=False)
    place, message, cure = _fault(details[0])
    if len(details) > 1:
        message += f" (and {len(details) - 1} more)"
    cure = _one_line(cure[:1].upper() + cure[1:])
    return RoutingError(_one_line(message), _one_line(f"{where}: {place}" if place else where), cure)


def _fault(detail: ErrorDetails) -> tuple[str, str, str]:
    """Place, message and cure of one of pydantic's faults."""
    kind, error = detail["type"], detail.get("ctx", {}).get("error")
    place = _place(detail["loc"])
    if isinstance(error, Misfit):
        return error.place, str(error), error.cure
    if isinstance(error, RuleFault):
        return place, str(error), error.cure
    if kind == "extra_forbidden":
        key = str(detail["loc"][-1])
        return place, f"unknown key '{key}'", did_you_mean(key, _keys_at(detail["loc"]), "remove it")
    if kind in ("missing", "union_tag_not_found"):
        return place + ".type" * (kind == "union_tag_not_found"), "missing", "add it"
    if kind == "union_tag_invalid":
        return f"{place}.type", "no such target type", "use one of " + ", ".join(TARGET_TYPES)
    if kind == "string_pattern_mismatch" and NAME_PATTERN in str(detail.get("ctx", {}).get("pattern", "")):
        return place, f"{detail['input']!r} is not a name", NAME_RULE
    message = str(error) if error is not None else _WORDS.get(kind, detail["msg"])
    return place, f"{message}{_quoted(detail['input'])}", _CHECK


def _quoted(value: object) -> str:
    """What was written, where it is short enough to help."""
    return f", not {value!r}" if isinstance(value, (str, int, float)) and len(repr(value)) <= 60 else ""


def _place(loc: tuple[int | str, ...]) -> str:
    text = ""
    for part in _without_tags(loc):
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _without_tags(loc: tuple[int | str, ...]) -> list[int | str]:
    """Pydantic names the target type after the target's name, and [key] after a bad key; the file has neither there."""
    parts = list(loc)
    if len(parts) > 2 and parts[0] == "targets" and parts[2] in TARGET_TYPES:
        del parts[2]
    return [part for part in parts if part != "[key]"]


def _keys_at(loc: tuple[int | str, ...]) -> list[str]:
    """The keys that are allowed where an unknown one was found."""
    model: type[Frozen] = RoutingConfiguration
    match loc[:-1]:
        case ("targets", _, _, "commitment", *_):
            model = TargetCommitment
        case ("targets", _, str(tag), *rest):
            model = Retry if rest else _TARGETS.get(tag, DicomTarget)
        case ("groups", *_):
            model = Group
        case ("sources", _, "commitment", *_):
            model = SourceCommitment
        case ("sources", *_):
            model = Source
        case ("rules", _, "notify", *_):
            model = Notify
        case ("rules", _, "tests", *_):
            model = RuleTest
        case ("rules", _, "quota", *_):
            model = Quota
        case ("rules", _, "schedule", *_):
            model = Window
        case ("rules", _, "study", *_):
            model = StudyTerms
        case ("rules", *_):
            model = Rule
    return list(model.model_fields)


def _one_line(text: str) -> str:
    """Printable and on one line, however the file was written."""
    flat = "".join(letter if letter.isprintable() else " " for letter in re.sub(r"\s+", " ", text))
    return flat if len(flat) <= _LIMIT_QUOTE else flat[:_LIMIT_QUOTE] + "…"
