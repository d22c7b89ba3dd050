"""Secrets of targets by reference: `${NAME}` of the environment, or `file:/absolute/path`. Only the reference is kept.

It must not keep, print or log a value: `resolve` gives it to whoever uses it, wrapped so that it does not print itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, SecretStr, WithJsonSchema

from protocol.errors import RoutingError
from protocol.routing.fields import Unspoken

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]{0,127})\}", re.ASCII)
_FILE = re.compile(r"file:(/[^\x00-\x1f]{1,1000})")
_PATTERN = r"^(\$\{[A-Za-z_][A-Za-z0-9_]{0,127}\}|file:/[^\u0000-\u001f]{1,1000})$"
_LIMIT_BYTES = 65_536
_CURE = "Put it into an environment variable and write ${NAME}, or into a file and write file:/absolute/path"


def _reference(value: Any) -> str:
    if isinstance(value, str) and (_VARIABLE.fullmatch(value) or _is_file(value)):
        return value
    raise Unspoken("a secret is not written down here, only where it is", _CURE)


def _is_file(value: str) -> bool:
    match = _FILE.fullmatch(value)
    return match is not None and ".." not in match[1].split("/")


Secret = Annotated[
    str,
    BeforeValidator(_reference),
    WithJsonSchema({"type": "string", "pattern": _PATTERN, "description": "Where a secret is: ${NAME} or file:/path."}),
]


def resolve(
    secret: str, environ: Mapping[str, str], read: Callable[[Path], bytes] = Path.read_bytes
) -> SecretStr:  # fmt: skip
    """The value that a reference stands for, at the moment it is used; the line end of a file does not belong to it.

    Raises RoutingError, which names the reference and never the value: it is not there, empty, or no single line of text.
    """
    variable = _VARIABLE.fullmatch(secret)
    if variable is not None:
        value = environ.get(variable[1])
        if value is None:
            cure = "Set it for the service (systemd: Environment= or EnvironmentFile=), and restart it"
            raise RoutingError("the environment variable is not set", secret, cure)
    elif _is_file(secret):
        value = _text_of(secret, read)
    else:
        raise RoutingError("is no reference to a secret", "a secret", _CURE)
    if not value or any(not letter.isprintable() for letter in value):
        raise RoutingError("must be one line of text, and not empty", secret, "Write the secret alone into it")
    return SecretStr(value)


def _text_of(secret: str, read: Callable[[Path], bytes]) -> str:
    try:
        data = read(Path(secret.removeprefix("file:")))
    except OSError as exc:
        cure = "Put the secret there, readable for the service alone"
        raise RoutingError(f"cannot be read: {exc.strerror or type(exc).__name__}", secret, cure) from exc
    try:
        return data[:_LIMIT_BYTES].decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        # without its cause, which quotes the bytes
        raise RoutingError("is not UTF-8 text", secret, "Write the secret as text into it") from None
