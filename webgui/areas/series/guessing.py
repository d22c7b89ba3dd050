"""What a text in the search box may be meant for where it is no value of a series: a day, a modality, a name of the routing
configuration, a state. Pure; it must not look anything up.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import date

from webgui.areas.series.asked import SeriesQuery

_ISO = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})")
_EUROPEAN = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})")
_MODALITY = re.compile(r"[A-Z]{2,4}")


def day_of(text: str) -> str:
    """A day that was typed, as 2026-01-31: `2026-1-31`, `31.1.2026`; "" if it is none. Eight digits may be an accession number."""
    text = text.strip()
    found, order = _ISO.fullmatch(text), (1, 2, 3)
    if found is None:
        found, order = _EUROPEAN.fullmatch(text), (3, 2, 1)
    if found is None:
        return ""
    try:
        return date(*(int(found[at]) for at in order)).isoformat()
    except ValueError:
        return ""


def instead(
    asked: SeriesQuery, text: str, rules: Collection[str], targets: Collection[str], states: Collection[str]
) -> list[tuple[str, str]]:
    """Lists that may be meant by a text that found nothing: words and address of each."""
    word = text.strip()
    low, found = word.lower(), []
    if _MODALITY.fullmatch(word.upper()):
        found.append((f"Series of modality {word.upper()}", asked.address(s="", modality=word.upper())))
    if low in rules:
        found.append((f"Series that rule {low} routed", asked.address(s="", rule=low)))
    if low in targets:
        found.append((f"Series that go to {low}", asked.address(s="", target=low)))
    if low.replace(" ", "_") in states:
        found.append((f"Series that are {low}", asked.address(s="", state=low.replace(" ", "_"))))
    return found
