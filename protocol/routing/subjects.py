"""Subjects of TLS certificates as RFC 4514 writes them, made comparable. It must not verify one: TLS did.

Attribute types compare without case, values exactly (stricter than X.520, where case and spaces may not count): a subject
names who may send, and what differs from what a person wrote is somebody else.
"""

from __future__ import annotations

import re
from functools import lru_cache

_PAIR = re.compile(r"\\([0-9A-Fa-f]{2}|.)", re.DOTALL)
_TYPE = re.compile(r"[A-Za-z][A-Za-z0-9-]*|[0-9]+(\.[0-9]+)*")

Subject = tuple[frozenset[tuple[str, str]], ...]
"""Relative distinguished names, the most specific first; each one a set of (type, value)."""


@lru_cache(maxsize=1024)
def parse_subject(text: str) -> Subject:
    """The subject in comparable form. Raises ValueError: this is no distinguished name (RFC 4514 section 3)."""
    return tuple(
        frozenset(_attribute(part) for part in _split(relative, "+")) for relative in _split(text, ",") if text.strip()
    )


def common_name(subject: Subject) -> str:
    """The most specific common name, or an empty text."""
    for relative in subject:
        for kind, value in relative:
            if kind == "CN":
                return value
    return ""


def _attribute(text: str) -> tuple[str, str]:
    kind, equals, value = text.partition("=")
    kind = kind.strip().upper().removeprefix("OID.")
    if not equals or not _TYPE.fullmatch(kind):
        raise ValueError("a subject is like CN=mr1,OU=Radiology,O=Hospital")
    return kind, _value(value)


def _value(text: str) -> str:
    """Without escapes, and without the spaces around it that nobody escaped."""
    text = text.lstrip(" ")
    stripped = text.rstrip(" ")
    if len(stripped) < len(text) and _escapes_next(stripped):
        stripped += " "
    octets = _PAIR.sub(_unescaped, stripped)
    return octets.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _unescaped(match: re.Match[str]) -> str:
    """Two digits are one octet of UTF-8; anything else stands for itself."""
    code = match[1]
    return bytes.fromhex(code).decode("utf-8", "surrogateescape") if len(code) == 2 else code


def _split(text: str, separator: str) -> list[str]:
    """Cut at separators that are not escaped."""
    parts, start, escaped = [], 0, False
    for at, letter in enumerate(text):
        if letter == separator and not escaped:
            parts.append(text[start:at])
            start = at + 1
        escaped = letter == "\\" and not escaped
    return [*parts, text[start:]]


def _escapes_next(text: str) -> bool:
    return (len(text) - len(text.rstrip("\\"))) % 2 == 1
