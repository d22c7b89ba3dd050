"""The header values of an arrival packed for keeping: the first image's whole, and a column for each keyword in which
images differ. It must not know where they are kept; what does not fit is left out by name, never quietly.

A column holds one value per image, None where an image has none. It is written in the shortest of a few plain forms
(runs, steps, a dictionary, a common beginning, parts of lists), then all columns are deflated together (RFC 1951).
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from os.path import commonprefix
from typing import Any

from protocol.errors import DecodeError
from protocol.header.diff import overlay
from protocol.header.numbered import key_of, name_keys, number_keys
from protocol.wire.codec import pack, unpack

FORM = 1
MAX_PACKED = 256 << 10
"""Bytes of the columns of one arrival; about 8,000 images of CT."""
MOST_UNPACKED = 64 << 20
RARELY_READ = (
    "ImagePositionPatient", "SOPInstanceUID", "SliceLocation", "ContentTime", "AcquisitionTime", "AcquisitionDateTime",
    "TriggerTime", "WindowCenter", "WindowWidth", "RescaleSlope", "RescaleIntercept", "XRayTubeCurrent", "Exposure",
)  # fmt: skip
"""Left out first, in this order: what differs from image to image and hardly a rule asks for."""

_PLAIN, _RUNS, _STEPS, _CHOICE, _PREFIX, _PARTS, _DECIMAL = range(7)
_MISSING: Mapping[str, Any] = {}
Column = list[Any]


@dataclass(frozen=True, slots=True)
class Packed:
    """`shared` are the values that all images have alike, `first` those of the first image that differ; `columns` are the
    packed ones, b"" if nothing differs; `dropped` names the keywords of which only the first image's value is kept.
    """

    count: int
    shared: Mapping[str, Any]
    first: Mapping[str, Any]
    columns: bytes
    dropped: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Columns:
    """The unpacked columns of an arrival of `count` images."""

    count: int
    values: Mapping[str, Column]
    dropped: tuple[str, ...]
    first: int = 0
    """Which image is the first one, whatever was left out."""

    def images(self) -> list[dict[str, Any]]:
        """What differs, image by image, in the order in which they came; a missing value is absent."""
        made: list[dict[str, Any]] = [{} for _ in range(self.count)]
        for keyword, column in self.values.items():
            for image, value in zip(made, column, strict=True):
                if value is not None:
                    image[keyword] = value
        return made


def pack_headers(
    common: Mapping[str, Any], differences: Sequence[Mapping[str, Any]], limit: int = MAX_PACKED
) -> Packed:
    """Pack the images that `overlay(common, difference)` makes of each difference, in their order.

    If the columns have more than `limit` bytes, those of RARELY_READ go first, then the largest, until they fit.
    """
    keywords = {keyword: None for one in differences for keyword in one}
    columns = {word: [one.get(word, common.get(word)) for one in differences] for word in keywords}
    differing = {word: column for word, column in columns.items() if not _all_alike(column)}
    shared = overlay(common, differences[0]) if differences else dict(common)
    at = first_of(_of_image(common, one) for one in differences)
    first = {word: column[at] for word, column in differing.items() if column[at] is not None}
    shared = {word: value for word, value in shared.items() if word not in differing}
    packed, dropped = _fitting((len(differences), at), differing, limit)
    return Packed(len(differences), shared, first, packed, dropped)


def unpack_columns(raw: bytes, count: int, wanted: Collection[str] | None = None) -> Columns:
    """The columns, all or only the `wanted` ones. Raises DecodeError for what `pack_headers` did not make."""
    if not raw:
        return Columns(count, _MISSING, ())
    try:
        form, said, first, numbered, dropped = unpack(_inflated(raw), MOST_UNPACKED)
        if form != FORM or said != count or not 0 <= first < count:
            raise DecodeError(f"packed headers of form {form} for {said} images, not {count}")
        keys = None if wanted is None else {key_of(word) for word in wanted}
        chosen = {key: form for key, form in numbered.items() if keys is None or key in keys}
        columns = {word: _read(form, count) for word, form in name_keys(chosen).items()}
        return Columns(count, columns, tuple(str(word) for word in dropped), first)
    except (TypeError, ValueError, KeyError, IndexError, AttributeError, OverflowError, zlib.error) as exc:
        raise DecodeError(f"not packed headers: {exc}", raw[:64]) from exc


def pack_header(values: Mapping[str, Any]) -> bytes:
    """One header as bytes."""
    return pack(number_keys(values))


def unpack_header(raw: bytes) -> dict[str, Any]:
    """The inverse of `pack_header`. Raises DecodeError."""
    return name_keys(unpack_numbered(raw))


def unpack_numbered(raw: bytes) -> dict[str | int, Any]:
    """The header with its keys as `key_of` writes them; twice as fast. Raises DecodeError."""
    found = unpack(raw, len(raw))
    if not isinstance(found, dict):
        raise DecodeError("not a header", raw[:64])
    return found


def first_of(images: Iterable[Mapping[str, Any]]) -> int:
    """Index of the first image by InstanceNumber, then SOPInstanceUID, as rules count (rules.md); 0 without images."""
    return min(enumerate(images), key=lambda one: first_place(one[1]), default=(0, _MISSING))[0]


_PADDING = " \0\t\r\n"


def first_place(image: Mapping[str, Any]) -> tuple[float, str]:
    """Where an image stands among others; one without a number comes last."""
    number = image.get("InstanceNumber")
    try:
        place = float(number) if isinstance(number, str | int | float) else math.inf
    except (ValueError, OverflowError):
        place = math.inf
    uid = image.get("SOPInstanceUID")
    return (math.inf if math.isnan(place) else place), "" if uid is None else str(uid).strip(_PADDING)


def _of_image(common: Mapping[str, Any], difference: Mapping[str, Any]) -> dict[str, Any]:
    return {word: difference.get(word, common.get(word)) for word in ("InstanceNumber", "SOPInstanceUID")}


def _all_alike(column: Column) -> bool:
    first = column[0]
    return all(value == first for value in column)


# ---- fitting ----------------------------------------------------------------------------------------------------
def _fitting(images: tuple[int, int], columns: dict[str, Column], limit: int) -> tuple[bytes, tuple[str, ...]]:
    """The bytes of as many columns as fit, and the names of the others."""
    if not columns:
        return b"", ()
    forms = {word: _written(column) for word, column in columns.items()}
    raw = _deflated(images, forms, ())
    if len(raw) <= limit:
        return raw, ()
    # Deflated alone: together they may be a little smaller, never much larger.
    sizes = {word: len(zlib.compress(pack(form), 1)) for word, form in forms.items()}
    rare = [word for word in RARELY_READ if word in forms]
    # Without InstanceNumber nobody could tell the order of those that are left.
    others = sorted(forms.keys() - set(rare), key=lambda word: (word == "InstanceNumber", -sizes[word], word))
    left, dropped = sum(sizes.values()), list[str]()
    for word in (*rare, *others):
        if left <= limit and len(raw := _deflated(images, forms, dropped)) <= limit:
            break
        left -= sizes[word]
        dropped.append(word)
        del forms[word]
    else:
        raw = _deflated(images, forms, dropped)
    return raw, tuple(sorted(dropped))


def _deflated(images: tuple[int, int], forms: Mapping[str, Any], dropped: Collection[str]) -> bytes:
    return zlib.compress(pack([FORM, *images, number_keys(forms), sorted(dropped)]), 6)


def _inflated(raw: bytes) -> bytes:
    """At most MOST_UNPACKED bytes: a damaged row must not fill the memory."""
    inflater = zlib.decompressobj()
    data = inflater.decompress(raw, MOST_UNPACKED)
    if inflater.unconsumed_tail or not inflater.eof:
        raise ValueError("larger than any that we write, or cut")
    return data


# ---- columns ----------------------------------------------------------------------------------------------------
def _written(column: Column) -> list[Any]:
    """[form, ...] of a column, chosen by looking once."""
    keys = [repr(value) for value in column]  # 1 and 1.0 are equal, but not the same
    runs = [(next(group), length) for length, group in _runs(keys, column)]
    if 2 * len(runs) < len(column):
        return [_RUNS, [value for value, _ in runs], [length for _, length in runs]]
    kinds = {type(value) for value in column}
    if kinds == {int} and len({b - a for a, b in zip(column, column[1:], strict=False)}) == 1:
        return [_STEPS, column[0], column[1] - column[0]]
    distinct = dict(zip(keys, column, strict=True))
    if len(distinct) <= 256 and 2 * len(distinct) <= len(column):
        places = {key: at for at, key in enumerate(distinct)}
        return [_CHOICE, list(distinct.values()), bytes(places[key] for key in keys)]
    if kinds == {str} and len(prefix := commonprefix(column)) > 3:
        return [_PREFIX, prefix, [value[len(prefix) :] for value in column]]
    if kinds == {list} and len({len(value) for value in column}) == 1 and column[0]:
        return [_PARTS, [_written(list(part)) for part in zip(*column, strict=True)]]
    if kinds == {float}:
        return [_DECIMAL, " ".join(keys)]
    return [_PLAIN, column]


def _runs(keys: Sequence[str], column: Column) -> Iterable[tuple[int, Any]]:
    for _, group in groupby(range(len(keys)), keys.__getitem__):
        places = list(group)
        yield len(places), iter([column[places[0]]])


_READERS: dict[int, Callable[..., Column]] = {
    _PLAIN: lambda values: list(values),
    _RUNS: lambda values, lengths: [
        value for value, length in zip(values, lengths, strict=True) for value in (value,) * length
    ],
    _CHOICE: lambda values, places: [values[at] for at in places],
    _PREFIX: lambda prefix, rest: [prefix + end for end in rest],
    _DECIMAL: lambda text: [float(part) for part in text.split(" ")],
}


def _read(form: Any, count: int) -> Column:
    """The inverse of `_written`; always `count` values. Raises ValueError and its kin."""
    kind, *given = form
    if kind == _STEPS:
        start, step = given
        return [start + step * at for at in range(count)]
    if kind == _RUNS and sum(given[1]) != count:  # before anything is made of it
        raise ValueError("runs of another length")
    if kind == _PARTS:
        return [list(parts) for parts in zip(*(_read(part, count) for part in given[0]), strict=True)]
    column = _READERS[kind](*given)
    if len(column) != count:
        raise ValueError("a column of another length")
    return column
