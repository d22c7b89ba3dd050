"""Read scanpost.toml, the environment and flags into one frozen `Settings`, or say in one line what is wrong.
It must not create or change a file; every complaint names file, place and cure.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, cast, get_args, get_origin

from pydantic import BaseModel, ValidationError

from protocol.errors import SettingsError
from protocol.settings.home import default_home
from protocol.settings.model import Settings

FILE_NAME = "scanpost.toml"
PREFIX = "SCANPOST_"
MOST_SHOWN = 80  # characters of a value
Tree = dict[str, Any]


def load_settings(
    home: Path | None = None, overrides: Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None
) -> Settings:
    """Settings of the node at `home` (default: $SCANPOST_HOME or its default).

    Args:
        overrides: what flags say, by full key: ``{"receiver.port": 11113}``.
        environ: the environment, os.environ unless a test says otherwise.

    Raises:
        SettingsError: in one line: file (or variable, or flag), place, cure.
    """
    environ = os.environ if environ is None else environ
    origin = "flag" if home else "environment SCANPOST_HOME" if environ.get("SCANPOST_HOME") else "default"
    home = home.expanduser().absolute() if home else default_home(environ)
    file = home / "config" / FILE_NAME
    values, origins = _merge(_read_file(file), environ, overrides or {}, str(file))
    values = _with_home(values, home)
    try:
        settings = Settings(home=home, **values)
    except ValidationError as exc:
        raise _complaint(exc, origins) from exc
    settings._origins.update(origins, home=origin)
    return settings


def flatten(model: BaseModel, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """All settings as (key, value), in the order of the tree."""
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _merge(
    file_values: Tree, environ: Mapping[str, str], overrides: Mapping[str, Any], file: str
) -> tuple[Tree, dict[str, str]]:
    """Lay the sources over one another. A key is checked where it stands: a typing error must name its own place."""
    merged: Tree = {}
    origins: dict[str, str] = {}
    for key, value in _leaves(file_values):
        _check_known(key, file)
        _put(merged, key, value, file)
        origins[key] = file
    for key, value, variable in _from_environment(environ):
        _put(merged, key, value, variable)
        origins[key] = f"environment {variable}"
    for key, value in overrides.items():
        _check_known(key, "flag")
        _put(merged, key, value, "flag")
        origins[key] = "flag"
    return merged, origins


def _read_file(file: Path) -> Tree:
    try:
        return tomllib.loads(file.read_text("utf-8-sig"))  # editors of Windows begin a file with a mark
    except FileNotFoundError:
        return {}
    except tomllib.TOMLDecodeError as exc:
        raise SettingsError(f"not TOML: {exc}", str(file), "correct that line, then `scanpost config check`") from exc
    except UnicodeDecodeError as exc:
        line = exc.object[: exc.start].count(b"\n") + 1
        raise SettingsError(f"not UTF-8 (at line {line})", str(file), "save it as UTF-8") from exc
    except OSError as exc:
        raise SettingsError(f"cannot be read ({exc.strerror})", str(file), "check its owner and mode") from exc


def _from_environment(environ: Mapping[str, str]) -> Iterator[tuple[str, Any, str]]:
    """(key, value, variable) of every SCANPOST_<SECTION>__<KEY>; lists as JSON, `null` for none."""
    for variable in sorted(environ):
        if not variable.startswith(PREFIX) or "__" not in variable:
            continue
        key = variable.removeprefix(PREFIX).lower().replace("__", ".")
        _check_known(key, f"environment {variable}")
        value: Any = None if environ[variable] == "null" else environ[variable]
        if value is not None and _is_compound(_model_at(key)):
            try:
                value = json.loads(value)
            except ValueError as exc:
                raise SettingsError(
                    "not JSON", f"environment {variable}: {key}", "write lists and tables as JSON: [...] or {...}"
                ) from exc
        tree: Tree = {}
        _put(tree, key, value, variable)
        for name, leaf in _leaves(tree):
            yield name, leaf, variable


def _is_compound(annotation: Any) -> bool:
    """Whether values of this type are lists or tables, or may be."""
    origin = get_origin(annotation)
    if origin in (Annotated, Union, UnionType):
        return any(map(_is_compound, get_args(annotation)[: 1 if origin is Annotated else None]))
    kind = origin or annotation
    return isinstance(kind, type) and issubclass(kind, list | tuple | set | frozenset | dict | BaseModel)


def _leaves(tree: Tree, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict) and (value or _is_section(key)) and not _is_leaf(key):
            yield from _leaves(value, f"{key}.")
        else:
            yield key, value


def _put(tree: Tree, key: str, value: Any, place: str) -> None:
    *sections, name = key.split(".")
    for section in sections:
        tree = tree.setdefault(section, {})
        if not isinstance(tree, dict):
            raise SettingsError(f"{section} is a table", f"{place}: {key}", f"write [{section}] above its keys")
    tree[name] = value


def _model_at(key: str) -> Any:
    """The type of `section.key`: a Section's class, an annotation, or None if there is no such key."""
    at: Any = Settings
    for part in key.split("."):
        fields = getattr(at, "model_fields", {})
        if part not in fields or (at is Settings and part == "home"):
            return None
        at = fields[part].annotation
    return at


def _is_section(key: str) -> bool:
    return hasattr(_model_at(key), "model_fields")


def _is_leaf(key: str) -> bool:
    return _model_at(key) is not None and not _is_section(key)


def known_keys(model: Any = Settings, prefix: str = "") -> Iterator[str]:
    """Every key there is, as `section.key`."""
    for name, field in model.model_fields.items():
        if hasattr(field.annotation, "model_fields"):
            yield from known_keys(field.annotation, f"{prefix}{name}.")
        elif prefix:
            yield f"{prefix}{name}"


def _check_known(key: str, place: str) -> None:
    if _model_at(key) is not None:
        return
    if key == "home":
        raise SettingsError("home is not set here", f"{place}: home", "set the environment variable SCANPOST_HOME")
    near = difflib.get_close_matches(key, list(known_keys()), n=1, cutoff=0.4)
    cure = f"Did you mean {near[0]}?" if near else "`scanpost config show` lists the keys"
    raise SettingsError("unknown key", f"{place}: {key}", cure)


def _with_home(values: Tree, home: Path) -> Tree:
    """Put the home folder where a value says $SCANPOST_HOME, also into the ledger's default."""

    def fill(value: Any) -> Any:
        if isinstance(value, str):
            return value.replace("$SCANPOST_HOME", str(home))
        if isinstance(value, dict):
            return {name: fill(inner) for name, inner in value.items()}
        return [fill(inner) for inner in value] if isinstance(value, list) else value

    ledger = values.get("ledger", {})
    if isinstance(ledger, dict) and "url" not in ledger:
        default = Settings.model_fields["ledger"].default.url
        values = {**values, "ledger": {**ledger, "url": default}}
    return cast(Tree, fill(values))


def _complaint(exc: ValidationError, origins: Mapping[str, str]) -> SettingsError:
    """The first error of pydantic in our words; the input is shown unless the key may hold a secret."""
    error = exc.errors()[0]
    place = ".".join(str(part) for part in error["loc"])
    context: Mapping[str, Any] = error.get("ctx") or {}
    if error["type"] == "settings":
        message, cure = context["message"], context["cure"]
    elif error["type"] == "extra_forbidden":  # in an element of a list; those of tables were checked where they stand
        message, cure = "unknown key", "see deploy/scanpost.toml.example"
    else:
        message, cure = _plain(error["msg"]), "see deploy/scanpost.toml.example"
        secret = "password" in place or "token" in place or place == "ledger.url"
        if not secret and isinstance(error["input"], str | int | float):
            given = repr(error["input"])
            message += f", not {given if len(given) <= MOST_SHOWN else given[:MOST_SHOWN] + '...'}"
    return SettingsError(message, f"{_origin_of(place, origins)}: {place}", cure)


def _plain(message: str) -> str:
    """pydantic's message without its own types and grammar."""
    text = " ".join(message.replace("Input should be", "must be").split()).split(", unable to")[0]
    text = re.sub(r"a valid (dictionary|mapping).*", "a table", text)
    text = (
        re.sub(r"a (?:valid )?(tuple|list|set)\b", "a list", text)
        .replace("a valid ", "a ")
        .replace("a boolean", "true or false")
    )
    return re.sub(r"\ba (integer)\b", r"an \1", text)


def _origin_of(place: str, origins: Mapping[str, str]) -> str:
    key = place
    while key:
        if key in origins:
            return origins[key]
        below = [origin for name, origin in origins.items() if name.startswith(f"{key}.")]
        if below:
            return below[-1]
        key = key.rpartition(".")[0]
    return FILE_NAME
