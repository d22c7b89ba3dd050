"""From the text of routing.json to a RoutingConfiguration and back.

It must not touch files. Whatever is wrong with the text becomes one RoutingError, which carries every fault with place
and cure.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any, NoReturn

from pydantic import ValidationError

from protocol.errors import Fault, RoutingError
from protocol.records import record
from protocol.routing.faults import CHECK, faults_of, one_line
from protocol.routing.model import RoutingConfiguration

LIMIT_BYTES = 4 * 1024 * 1024
SECTIONS = ("targets", "groups", "sources", "rules")
SCHEMA_MARK, BASE_MARK, ONLY_MARK = "$schema", "$base", "$only"
"""Marks that a file may carry; they say something about the file and are no part of the configuration."""


@record
class Draft:
    """A file that somebody wants to publish. `base` is the version it was exported from, as `$base` says (`versions`);
    `only` the sections that it is about, empty for all. `data` is the file without its marks.
    """

    data: dict[str, Any]
    base: str | int | None
    only: tuple[str, ...]


def parse(text: str | bytes, where: str) -> RoutingConfiguration:
    """Read a routing configuration. `where` names the file for messages. Raises RoutingError."""
    return build(load_json(text, where), where)


def build(data: Any, where: str) -> RoutingConfiguration:
    """A routing configuration out of JSON data. Raises RoutingError."""
    draft = unmarked(data, where)
    try:
        return RoutingConfiguration.model_validate(draft.data)
    except ValidationError as exc:
        faults, unread = faults_of(exc, draft.data)
        raise RoutingError.of(faults, where, unread) from exc
    except RecursionError as exc:
        raise RoutingError("nested too deeply", where, CHECK) from exc


def unmarked(data: Any, where: str) -> Draft:
    """JSON data apart from the marks of its file. Raises RoutingError: no object, or a mark that says nothing."""
    if not isinstance(data, dict):
        raise RoutingError("not a JSON object", where, 'It starts with {"targets": ...')
    faults = []
    if not isinstance(data.get(SCHEMA_MARK, ""), str):
        faults.append(Fault(SCHEMA_MARK, "must be text", "Name the schema, or leave it out"))
    base = data.get(BASE_MARK)
    if base is not None and (not isinstance(base, (int, str)) or isinstance(base, bool)):
        cure = "Leave it as `scanpost routing export` wrote it, or remove it"
        faults.append(Fault(BASE_MARK, "must be the number of a version", cure))
    only = data.get(ONLY_MARK, [])
    if not isinstance(only, list) or any(section not in SECTIONS for section in only):
        faults.append(Fault(ONLY_MARK, "must be a list of sections", "Sections are " + ", ".join(SECTIONS)))
    if faults:
        raise RoutingError.of(faults, where)
    marks = {SCHEMA_MARK, BASE_MARK, ONLY_MARK}
    return Draft({key: value for key, value in data.items() if key not in marks}, base, tuple(only))


def to_data(configuration: RoutingConfiguration) -> dict[str, Any]:
    """The configuration as JSON data, every setting written out."""
    return configuration.model_dump(mode="json")


def dump(configuration: RoutingConfiguration, base: str = "", only: Collection[str] = ()) -> str:
    """The configuration as the text of routing.json; `parse` gives an equal one back.

    `base` says which version it is, for the next import; `only` leaves the other sections out.
    """
    data = {key: value for key, value in to_data(configuration).items() if not only or key in only}
    marks: dict[str, Any] = {BASE_MARK: base} if base else {}
    if only:
        marks[ONLY_MARK] = [section for section in SECTIONS if section in only]
    return json.dumps(marks | data, indent=2, ensure_ascii=False) + "\n"


# --- JSON ---------------------------------------------------------------------------------------------------------


class _NotStrict(ValueError):
    """JSON that Python would read, but that does not say one thing."""


def load_json(text: str | bytes, where: str) -> Any:
    """Strict JSON: no key twice, no NaN, at most LIMIT_BYTES. Raises RoutingError."""
    if len(text) > LIMIT_BYTES:
        raise RoutingError(f"larger than {LIMIT_BYTES // 1024 // 1024} MB", where, "This is no routing configuration")
    twice: list[str] = []
    try:
        if isinstance(text, bytes):
            text = text.decode()
        text = text.removeprefix("\ufeff")  # some editors put a byte order mark
        data = json.loads(text, object_pairs_hook=lambda pairs: _unique(pairs, twice), parse_constant=_no_constant)
        if "\\ud" in text.lower():
            json.dumps(data, ensure_ascii=False).encode()  # half a surrogate pair could not be written again
    except UnicodeDecodeError as exc:
        raise RoutingError(f"not UTF-8 at byte {exc.start + 1}", where, "Save the file as UTF-8") from exc
    except json.JSONDecodeError as exc:
        place = f"{where}: line {exc.lineno}, column {exc.colno}"
        raise RoutingError(f"broken JSON: {exc.msg}", place, "Check commas, quotes and braces there") from exc
    except RecursionError as exc:
        raise RoutingError("nested too deeply", where, CHECK) from exc
    except UnicodeEncodeError as exc:
        raise RoutingError("half a surrogate pair is no character", where, "Write the whole pair") from exc
    except _NotStrict as exc:
        raise RoutingError(one_line(str(exc)), where, CHECK) from exc
    except ValueError as exc:
        raise RoutingError("a number has thousands of digits", where, CHECK) from exc
    if twice:
        messages = [one_line(f"the key '{key}' is there twice in one object") for key in dict.fromkeys(twice)]
        raise RoutingError.of([Fault("", message, CHECK) for message in messages], where)
    return data


def _unique(pairs: list[tuple[str, Any]], twice: list[str]) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for key, value in pairs:
        if key in data:
            twice.append(key)
        data[key] = value
    return data


def _no_constant(name: str) -> NoReturn:
    raise _NotStrict(f"{name} is not a JSON number")
