"""Header values as a table of tags. Pure; everything here is patient data."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from protocol.header.dictionary import entry, tag_for_keyword
from protocol.records import record
from webgui.areas.series.lines import text

LONGEST = 2000
"""Characters of one value that are shown."""


@record
class Tag:
    """One element. `other`: values that further images of the series have."""

    tag: str
    keyword: str
    name: str
    vr: str
    value: str
    other: list[str]


def table(
    first: Mapping[str, Any], other: Mapping[str, Sequence[Any]], find: str = "", masked: Collection[str] = (), mask: str = ""
) -> list[Tag]:  # fmt: skip
    """All elements in the order of their tags; with `find` those in whose tag, name or value it occurs. The values of
    `masked` keywords are not shown, and not found.
    """
    rows = [
        _tag(name, mask if name in masked else first.get(name), () if name in masked else other.get(name, ()))
        for name in {*first, *other}
    ]
    wanted = find.strip().casefold()
    if wanted:
        rows = [row for row in rows if any(wanted in part.casefold() for part in
                                           (row.tag, row.keyword, row.name, row.value, *row.other))]  # fmt: skip
    return sorted(rows, key=lambda row: (row.tag == "", row.tag, row.keyword))


def _tag(name: str, value: Any, other: Sequence[Any]) -> Tag:
    found = tag_for_keyword(name)
    if found is None:
        return Tag(name if "," in name else "", name, "", "", _cut(value), [_cut(one) for one in other])
    element = entry(found)
    return Tag(f"{found >> 16:04X},{found & 0xFFFF:04X}", name, element.name, element.vr, _cut(value),
               [_cut(one) for one in other])  # fmt: skip


def _cut(value: Any) -> str:
    told = text(value)
    return told if len(told) <= LONGEST else told[:LONGEST] + "…"
