"""What an audit entry changed, as lines of path, before and after. It must not know what the values mean."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from protocol.records import record

MAX_LINES = 200
MAX_TEXT = 2000
_GONE = object()


@record
class Difference:
    """One value; `before` or `after` is None where there was or is none."""

    path: str
    before: str | None
    after: str | None


def differences(before: Any, after: Any) -> list[Difference]:
    """Every value that differs between two JSON values, in the order of their names; at most MAX_LINES."""
    found: list[Difference] = []
    for one in _walk("", _GONE if before is None else before, _GONE if after is None else after):
        if len(found) == MAX_LINES:
            break
        found.append(one)
    return found


def _walk(path: str, before: Any, after: Any) -> Iterator[Difference]:
    if isinstance(before, Mapping) or isinstance(after, Mapping):
        left = before if isinstance(before, Mapping) else {}
        right = after if isinstance(after, Mapping) else {}
        if before is not _GONE and not isinstance(before, Mapping):
            yield Difference(path, _text(before), None)
        if after is not _GONE and not isinstance(after, Mapping):
            yield Difference(path, None, _text(after))
        for name in sorted(left.keys() | right.keys()):
            inner = f"{path}.{name}" if path else str(name)
            yield from _walk(inner, left.get(name, _GONE), right.get(name, _GONE))
    elif before != after or type(before) is not type(after):
        yield Difference(path, _text(before), _text(after))


def _text(value: Any) -> str | None:
    if value is _GONE:
        return None
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…"
