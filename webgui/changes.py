"""Differences of configurations as rows for a page: each setting before and after, with the words marked that changed.

Pure: data in, data out. It must not build HTML; templates do, and escape every word.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from protocol.routing.difference import Change

_WORD = re.compile(r"\w+|\s+|[^\w\s]")
_LONGEST = 4_000  # characters of one value that are shown
_MOST_WORDS = 1_500  # of a value; comparing more takes longer than anybody looks
KINDS = {
    "added": ("ok", "added"),
    "removed": ("bad", "removed"),
    "moved": ("busy", "moved"),
    "changed": ("warn", "changed"),
}
PATHS = {"rules": "/rules/", "targets": "/targets/", "groups": "/groups/", "sources": "/sources/"}

Piece = tuple[bool, str]
"""Whether it is on one side only, and the text."""


def rows(changes: Sequence[Change]) -> list[dict[str, Any]]:
    """One row for each changed part; its fields have `old` and `new` as pieces, None where there is no such side."""
    return [_row(change) for change in changes]


def _row(change: Change) -> dict[str, Any]:
    level, word = KINDS[change.kind]
    where = ""
    if change.kind == "moved":
        where = f"from place {change.before} to {change.after}"
    elif change.kind == "added" and change.after is not None:
        where = f"at place {change.after}"
    path = PATHS[change.section] + change.name if change.kind != "removed" else ""
    return {
        "title": change.title, "section": change.section, "name": change.name, "level": level, "word": word,
        "where": where, "path": path, "fields": [_field(change, one) for one in change.fields],
    }  # fmt: skip


def _field(change: Change, one: Any) -> dict[str, Any]:
    old = None if change.kind == "added" else shown(one.old)
    new = None if change.kind == "removed" else shown(one.new)
    if old is None or new is None:
        return {"field": one.field, "old": [(False, old)] if old is not None else None,
                "new": [(False, new)] if new is not None else None}  # fmt: skip
    before, after = marked(old, new)
    return {"field": one.field, "old": before, "new": after}


def shown(value: Any) -> str:
    """A setting as people read it: texts without quotes, nothing as a dash."""
    if value is None or value == "" or value == []:
        return "–"
    if isinstance(value, str):
        text = value
    elif isinstance(value, bool):
        text = "yes" if value else "no"
    elif isinstance(value, list) and all(isinstance(item, str) for item in value):
        text = ", ".join(value)
    else:
        text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


def marked(old: str, new: str) -> tuple[list[Piece], list[Piece]]:
    """Both texts in pieces, those of one side only marked."""
    before, after = _WORD.findall(old), _WORD.findall(new)
    if len(before) > _MOST_WORDS or len(after) > _MOST_WORDS:
        return [(True, old)], [(True, new)]
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    left, right = [], []
    for tag, a, b, c, d in matcher.get_opcodes():
        left.append((tag != "equal", "".join(before[a:b])))
        right.append((tag != "equal", "".join(after[c:d])))
    return list(_joined(left)), list(_joined(right))


def _joined(pieces: Sequence[Piece]) -> Iterator[Piece]:
    for is_marked, text in pieces:
        if text:
            yield is_marked, text
