"""Keeps what the images of an arrival share apart from what differs, so that shared values are stored once.

Pure functions on plain mappings of values; this module must not know the spool's tables or read DICOM.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def difference(common: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """What has to be put over `common` to get `values`: the keys that differ; None means the key is missing.

    None is free for that, because a header has no None: an empty element is absent.
    """
    changed = {key: value for key, value in values.items() if key not in common or common[key] != value}
    changed.update((key, None) for key in common if key not in values)
    return changed


def differing(
    common: Mapping[str, Any], values: Mapping[str, Any], base: Mapping[str, Any], keys: Iterable[str]
) -> dict[str, Any]:
    """`difference(common, values)`, where `base` is `difference(common, other)` and `values` differ from `other` in these keys
    at most.
    """
    changed = dict(base)
    for key in keys:
        value = values.get(key)
        if value == common.get(key):
            changed.pop(key, None)
        else:
            changed[key] = value
    return changed


def overlay(common: Mapping[str, Any], difference: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `difference`: `overlay(common, difference(common, values)) == values`."""
    merged = {**common, **difference}
    return {key: value for key, value in merged.items() if value is not None}


def shared(common: Mapping[str, Any], differences: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The values that all images have alike, given their differences from `common`.

    A value that every image overrides in the same way counts. Without any image the result is `common`.
    """
    rest = iter(differences)
    first = next(rest, None)
    if first is None:
        return dict(common)
    alike = overlay(common, first)
    for changed in rest:
        gone = [key for key, value in alike.items() if changed.get(key, common.get(key)) != value]
        for key in gone:
            del alike[key]
    return alike
