"""Leaves out of documents what must not go to strangers: secrets, patient data, and free text that could hold either.
Pure. What is not known to be harmless goes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from protocol.addresses import in_brackets

LEFT_OUT = "(left out)"

_SECRET = re.compile(r"password|token|secret|credential|passphrase", re.I)
_FREE = frozenset({"last_error", "why", "reason", "error", "text", "note", "comment", "owner", "tests", "notify"})
"""Words of peers and people."""
_PATIENT = re.compile(
    r"Patient|Accession|Physician|Name|Birth|Address|Comment|Institution|Telephone|Person|Operator|ID\b", re.I
)
_LITERAL = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")
_DIGITS = re.compile(r"(?<![\w.])\d{4,}(?![\w.])")
_LOG_WORDS = frozenset({"actor", "action", "level", "time", "instance", "target", "rule", "kind", "state", "library", "version",
                        "how", "outcome", "cause", "part", "executor", "source", "node", "alert", "lane"})  # fmt: skip
_WORD = re.compile(r"[\w.:@/+-]{0,120}")
_FRAME = re.compile(r'\s*File "([^"]{1,300})", line (\d+), in (\w{1,80})')


def scrubbed(value: Any, key: str = "") -> Any:
    """A document without secrets and free text; keys stay, so that one sees that something was there."""
    if value and (_SECRET.search(key) or key in _FREE):
        return LEFT_OUT
    if isinstance(value, Mapping):
        return {str(name): scrubbed(one, str(name)) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [scrubbed(one, key) for one in value]
    if isinstance(value, str) and "://" in value:
        return url(value)
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def url(text: str) -> str:
    """Scheme, host, port and the last part of a database's or server's address; no user, no password, no query."""
    try:
        parts = urlsplit(text)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return LEFT_OUT
    return f"{parts.scheme}://{in_brackets(parts.hostname or '')}{port}{parts.path}"


def condition(text: str) -> str:
    """A rule's condition; if it asks for something of a patient, what it compares with is left out."""
    return _DIGITS.sub("…", _LITERAL.sub("'…'", text)) if _PATIENT.search(text) else text


def rule(data: Mapping[str, Any]) -> dict[str, Any]:
    """A rule without words of people, patients, and addresses."""
    return {name: condition(str(value)) if name == "when" else scrubbed(value, name) for name, value in data.items()}


def line(data: Mapping[str, Any]) -> dict[str, Any]:
    """A line of the log: numbers, and words that scanpost itself chooses; of a traceback where, never what."""
    kept: dict[str, Any] = {}
    for name, value in data.items():
        own = name in _LOG_WORDS and isinstance(value, str) and _WORD.fullmatch(value) is not None
        if own or isinstance(value, bool | int | float) or value is None:
            kept[name] = value
        elif name == "exception" and isinstance(value, str):
            frames = _FRAME.findall(value)
            kept[name] = [f"{file.rpartition('/')[2]}:{number} {function}" for file, number, function in frames]
        else:
            kept[name] = LEFT_OUT
    return kept
