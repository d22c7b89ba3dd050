"""The images of an arrival as a table: columns of typed values, and groups of images that are alike for a question.

It must not look at an image more often than once for each column: an arrival may have tens of thousands. What all
images share is looked at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from protocol.routing.rules.names import ARRIVAL_NAMES
from protocol.routing.rules.values import MISSING, Kind, Value, typed

Reads = tuple[tuple[str, Kind], ...]
"""The names that a question reads, and as what."""
Groups = Sequence[tuple[int, int]]
"""For each group of images with equal values: the index of its first image, and how many they are."""
_ABSENT = object()


class ImageTable:
    """The images by columns. `named` are the keys that any image tells for itself, whether they differ or not."""

    def __init__(
        self, images: Sequence[Mapping[str, object]], common: Mapping[str, object], origin: Mapping[str, object]
    ) -> None:
        self._images, self._common, self._origin = images, common, origin
        self.named: set[str] = set().union(*images).difference(ARRIVAL_NAMES)
        self._columns: dict[tuple[str, Kind], list[Value]] = {}
        self._groups: dict[Reads, Groups] = {}
        self._first: int | None = None

    @property
    def varying(self) -> frozenset[str]:
        """The keys whose values differ between the images."""
        return frozenset(name for name in self.named if len(self.groups(((name, "any"),))) > 1)

    @property
    def first(self) -> int:
        """Index of the first image by InstanceNumber, then SOPInstanceUID; images without a number come last."""
        if self._first is None:
            self._first = self._find_first()
        return self._first

    def _find_first(self) -> int:
        if not self._images:
            return 0
        places = [
            number if isinstance(number, (int, float)) else float("inf")
            for number in self.column("InstanceNumber", "number")
        ]
        least = min(places)
        if places.count(least) == 1:
            return places.index(least)
        uids = self.column("SOPInstanceUID", "text")
        candidates = [index for index, place in enumerate(places) if place == least]
        return min(candidates, key=lambda index: str(uids[index]) if uids[index] is not MISSING else "")

    def column(self, name: str, kind: Kind) -> list[Value]:
        """The values of one name, image by image."""
        found = self._columns.get((name, kind))
        if found is None:
            shared = self._typed(self._common.get(name), name, kind)
            raws = [image.get(name, _ABSENT) for image in self._images]
            found = [shared if raw is _ABSENT else self._typed(raw, name, kind) for raw in raws]
            self._columns[name, kind] = found
        return found

    def _typed(self, raw: object, name: str, kind: Kind) -> Value:
        value = typed(raw, kind)
        if value is MISSING and name == "TransferSyntaxUID":
            return typed(self._origin.get(name), kind)
        return value

    def groups(self, reads: Reads) -> Groups:
        """The images by what a question reads of them, in the order of their first images; there must be an image."""
        telling = tuple(one for one in reads if one[0] in self.named)
        if not telling:
            return ((0, len(self._images)),)
        found = self._groups.get(telling)
        if found is None:
            columns = [self.column(name, kind) for name, kind in telling]
            found = self._groups[telling] = _grouped(columns[0] if len(columns) == 1 else zip(*columns, strict=True))
        return found


def _grouped(rows: Any) -> Groups:
    counts: dict[object, int] = {}
    firsts: list[int] = []
    for index, row in enumerate(rows):
        if row in counts:
            counts[row] += 1
        else:
            counts[row] = 1
            firsts.append(index)
    return tuple(zip(firsts, counts.values(), strict=True))
