"""What a rule is asked about: the origin of an arrival and the header values of its images.

It must not read files or the spool; the router and the testers hand the values in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import tzinfo
from typing import Protocol

from protocol.routing.rules.images import ImageTable
from protocol.routing.rules.moments import received
from protocol.routing.rules.names import ARRIVAL_NAMES, ORIGIN_NAMES
from protocol.routing.rules.values import MISSING, Kind, Value, typed

FIRST_IMAGE_NOTE = "differs between the images; this is the first image's"
_NOTHING: Mapping[str, object] = {}


class Scope(Protocol):
    """Where names get their values while an expression is evaluated. `values` are those looked up so far, by key."""

    subject: Subject
    values: dict[str, Value]

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

    __slots__ = ("images", "origin", "common", "zone", "scope", "_table")

    def __init__(
        self,
        images: Sequence[Mapping[str, object]],
        origin: Mapping[str, object] = _NOTHING,
        common: Mapping[str, object] = _NOTHING,
        zone: tzinfo | None = None,
    ) -> None:
        self.images, self.origin, self.common, self.zone = images, origin, common, zone
        self.scope: Scope = ArrivalScope(self)
        self._table: ImageTable | None = None

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

    def image_scope(self, index: int) -> Scope:
        """The scope in which header names mean this one image."""
        scopes = self.table.scopes
        scope = scopes.get(index)
        if scope is None:
            scope = scopes[index] = ImageScope(self, index)
        return scope


class ArrivalScope:
    """Outside the image functions: the value that all images share, or else the first image's, with a note."""

    __slots__ = ("subject", "values")

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.values: dict[str, Value] = {}

    def value(self, name: str, kind: Kind) -> Value:
        key = f"{name} {kind}"
        found = self.values.get(key)
        return self.look_up(key, name, kind) if found is None else found

    def look_up(self, key: str, name: str, kind: Kind) -> Value:
        subject = self.subject
        images = subject.images
        if name in ARRIVAL_NAMES:
            found = self._origin(name, kind)
        elif len(images) > 1 and name in subject.table.named:
            found = subject.table.column(name, kind)[subject.table.first]
        else:
            image = images[0] if images else _NOTHING
            found = typed(image[name] if name in image else subject.common.get(name), kind)
            if found is MISSING and name in ORIGIN_NAMES:
                found = self._origin(name, kind)
        self.values[key] = found
        return found

    def _origin(self, name: str, kind: Kind) -> Value:
        subject = self.subject
        raw = subject.origin.get(name)
        if name == "ReceivedAt" and isinstance(raw, str) and raw:
            return received(raw, subject.zone)
        if name == "ImageCount" and raw is None:
            return len(subject.images)
        return typed(raw, kind)

    def note(self, name: str, kind: Kind) -> str:
        if name in ARRIVAL_NAMES or len(self.subject.images) < 2:
            return ""
        return FIRST_IMAGE_NOTE if len(self.subject.table.groups(((name, kind),))) > 1 else ""


class ImageScope:
    """Inside an image function: header names mean this one image, origin names still the arrival."""

    __slots__ = ("subject", "index", "values")

    def __init__(self, subject: Subject, index: int) -> None:
        self.subject, self.index = subject, index
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
            found = subject.scope.value(name, kind)
        self.values[key] = found
        return found

    def note(self, name: str, kind: Kind) -> str:
        return ""
