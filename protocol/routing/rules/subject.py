"""What a rule is asked about: the origin of an arrival and the header values of its images.

It must not read files or the spool; the router and the testers hand the values in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import tzinfo
from typing import Protocol

from protocol.routing.rules.images import ImageTable, Reads
from protocol.routing.rules.moments import received
from protocol.routing.rules.names import ARRIVAL_NAMES
from protocol.routing.rules.values import MISSING, Kind, Value, typed

FIRST_IMAGE_NOTE = "differs between the images; this is the first image's"
_NOTHING: Mapping[str, object] = {}


class Scope(Protocol):
    """Where names get their values while an expression is evaluated. `values` are those looked up so far, by key."""

    values: dict[str, Value]

    @property
    def subject(self) -> Subject:
        """The arrival."""

    def look_up(self, key: str, name: str, kind: Kind) -> Value:
        """The value of a name read as a kind, or MISSING; it is in `values` from now on."""

    def value(self, name: str, kind: Kind) -> Value:
        """The same, looked up once."""

    def note(self, name: str, kind: Kind) -> str:
        """What a reader should know about the value of this name, or ``""``."""


class Subject:
    """An arrival as rules see it.

    `common` holds header values by key (text, numbers, lists of them), `images` one mapping for each image of what
    differs from it: a value, or None if the image has not got the key. `origin` holds the origin names (`ReceivedAt` as
    ISO 8601 text in UTC). `zone` is that of the node, None that of this machine: hour(), weekday() and ReceivedAt are
    told by its clock. Nothing is copied: the caller must not change the values afterwards.
    """

    __slots__ = ("images", "origin", "common", "zone", "values", "_table", "_scopes", "_grouped")

    def __init__(
        self,
        images: Sequence[Mapping[str, object]],
        origin: Mapping[str, object] = _NOTHING,
        common: Mapping[str, object] = _NOTHING,
        zone: tzinfo | None = None,
    ) -> None:
        self.images, self.origin, self.common, self.zone = images, origin, common, zone
        self.values: dict[str, Value] = {}
        self._table: ImageTable | None = None
        self._scopes: dict[int, ImageScope] = {}
        self._grouped: dict[Reads, list[tuple[ImageScope, int]]] = {}

    @property
    def subject(self) -> Subject:
        """Itself: outside the image functions it is the scope."""
        return self

    @property
    def table(self) -> ImageTable:
        """The images by columns and groups; made when first asked for."""
        if self._table is None:
            self._table = ImageTable(self.images, self.common, self.origin)
        return self._table

    @property
    def varying(self) -> frozenset[str]:
        """The keys whose values differ between the images."""
        return self.table.varying

    @property
    def first(self) -> int:
        """Index of the first image by InstanceNumber, then SOPInstanceUID; images without a number come last."""
        return self.table.first

    def single(self, index: int) -> Subject:
        """One image alone, as rules with the trigger "image" see it. Raises IndexError."""
        origin = {name: value for name, value in self.origin.items() if name != "ImageCount"}
        return Subject((self.images[index],), origin, self.common, self.zone)

    def image_scope(self, index: int) -> ImageScope:
        """The scope in which header names mean this one image."""
        scope = self._scopes.get(index)
        if scope is None:
            scope = self._scopes[index] = ImageScope(self, index)
        return scope

    def grouped(self, reads: Reads) -> Sequence[tuple[ImageScope, int]]:
        """The images by what a question reads of them: for each group the scope of its first image, and how many they
        are. In the order of the first images; empty without any image.
        """
        found = self._grouped.get(reads)
        if found is None:
            groups = self.table.groups(reads) if self.images else ()
            found = self._grouped[reads] = [(self.image_scope(index), alike) for index, alike in groups]
        return found

    # --- as a scope: the value that all images share, or else the first image's, with a note

    def value(self, name: str, kind: Kind) -> Value:
        """The value of a name."""
        key = f"{name} {kind}"
        found = self.values.get(key)
        return self.look_up(key, name, kind) if found is None else found

    def look_up(self, key: str, name: str, kind: Kind) -> Value:
        """The value of a name that is not among `values` yet."""
        images = self.images
        if name in ARRIVAL_NAMES:
            found = self._of_origin(name, kind)
        elif len(images) == 1:
            image = images[0]
            found = typed(image[name] if name in image else self.common.get(name), kind)
        elif images and name in self.table.named:
            found = self.table.column(name, kind)[self.table.first]
        else:
            found = typed(self.common.get(name), kind)
        if found is MISSING and name == "TransferSyntaxUID":  # each image's own where it is known, or the arrival's
            found = self._of_origin(name, kind)
        self.values[key] = found
        return found

    def _of_origin(self, name: str, kind: Kind) -> Value:
        raw = self.origin.get(name)
        if name == "ReceivedAt" and isinstance(raw, str) and raw:
            return received(raw, self.zone)
        if name == "ImageCount" and raw is None:
            return len(self.images)
        return typed(raw, kind)

    def note(self, name: str, kind: Kind) -> str:
        """FIRST_IMAGE_NOTE if the images differ in it."""
        if name in ARRIVAL_NAMES or len(self.images) < 2:
            return ""
        return FIRST_IMAGE_NOTE if len(self.table.groups(((name, kind),))) > 1 else ""


class ImageScope:
    """Inside an image function: header names mean this one image, origin names still the arrival."""

    __slots__ = ("subject", "index", "values")

    def __init__(self, subject: Subject, index: int) -> None:
        self.subject: Subject = subject
        self.index = index
        self.values: dict[str, Value] = {}

    def value(self, name: str, kind: Kind) -> Value:
        key = f"{name} {kind}"
        found = self.values.get(key)
        return self.look_up(key, name, kind) if found is None else found

    def look_up(self, key: str, name: str, kind: Kind) -> Value:
        subject = self.subject
        if name in subject.table.named:
            found = subject.table.column(name, kind)[self.index]
        else:  # all images have it alike
            found = subject.value(name, kind)
        self.values[key] = found
        return found

    def note(self, name: str, kind: Kind) -> str:
        return ""
