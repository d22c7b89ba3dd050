"""Which columns lists have, and which of them a user wants. Pure; it must not know rows. The first column always stays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

LISTS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "series": (
        ("source", "Source"), ("patient", "Patient"), ("images", "Images"), ("size", "Size"), ("state", "State"),
        ("deliveries", "Deliveries"),
    ),
    "queue": (
        ("target", "Target"), ("state", "State"), ("sent", "Sent"), ("attempts", "Attempts"), ("since", "Since"),
        ("why", "What keeps it"),
    ),
}  # fmt: skip
"""By list: keys and headings of the columns that may be left out, in their order."""
NONE = "none"
"""Stands for "none of them": an empty choice means the usual ones."""


def hidden(wanted: Mapping[str, Sequence[str]], name: str) -> list[str]:
    """Keys of the columns of a list that a user does not want."""
    chosen = wanted.get(name)
    return [key for key, _ in LISTS[name] if key not in chosen] if chosen else []


def chosen(name: str, ticked: Sequence[str]) -> tuple[str, ...]:
    """What to keep of what was ticked; nothing if it is the usual. Raises KeyError for an unknown list."""
    keys = [key for key, _ in LISTS[name]]
    kept = tuple(key for key in keys if key in ticked)
    return () if len(kept) == len(keys) else kept or (NONE,)
