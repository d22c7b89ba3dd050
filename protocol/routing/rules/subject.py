"""What a rule is asked about: the origin of an arrival and the header values of its images.

It must not read files or the spool; the router and the testers hand the values in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from protocol.routing.rules.names import ORIGIN_NAMES
from protocol.routing.rules.values import MISSING, Value, typed

FIRST_IMAGE_NOTE = "differs between the images; this is the first image's"
_NOTHING: Mapping[str, object] = {}


class Scope(Protocol):
    """Where names get their values while an expression is evaluated."""

    subject: Subject

    def value(self, name: str, is_number: bool) -> Value:
        """The value of a name, or MISSING."""

    def note(self, name: str) -> str:
        """What a reader should know about the value of this name, or ``""``."""


class Subject:
    """An arrival as rules see it.

    `images` holds each image's header values by DICOM keyword (text, numbers, lists of them); `common` holds
    values that all images share and that `images` then need not repeat; `origin` holds the
    origin names (`ReceivedAt` as ISO 8601 text in UTC). Nothing is
    copied: the caller must not change the values afterwards.
    """

    def __init__(
        self,
        images: Sequence[Mapping[str, object]],
        origin: Mapping[str, object] = _NOTHING,
        common: Mapping[str, object] = _NOTHING,
    ) -> None:
        self.images, self.origin, self.common = images, origin, common
        self.scope: Scope = ArrivalScope(self)
        self._first: int | None = None
        self._image_scopes: dict[int, ImageScope] = {}

    @property
    def first(self) -> int:
        """Index of the first image by InstanceNumber, then SOPInstanceUID; images without a number come last."""
        if self._first is None:
            self._first = min(range(len(self.images)), key=self._place, default=0)
        return self._first

    def _place(self, index: int) -> tuple[float, str]:
        number = typed(self.raw(index, "InstanceNumber"), True)
        place = float(number) if isinstance(number, (int, float)) else float("inf")
        return place, str(self.raw(index, "SOPInstanceUID") or "")

    def raw(self, index: int, name: str) -> object:
        """The header value of one image, as handed in."""
        image = self.images[index]
        return image[name] if name in image else self.common.get(name)

    def single(self, index: int) -> Subject:
        """The subject of one image alone, as a rule with the trigger `image` sees it."""
        return Subject((self.images[index],), self.origin, self.common)

    def image_scope(self, index: int) -> Scope:
        """The scope in which header names mean this one image."""
        scope = self._image_scopes.get(index)
        if scope is None:
            scope = self._image_scopes[index] = ImageScope(self, index)
        return scope


def _origin_value(subject: Subject, name: str, is_number: bool) -> Value:
    if name == "ImageCount" and name not in subject.origin:
        return len(subject.images)
    return typed(subject.origin.get(name), is_number)


class ArrivalScope:
    """Outside the image functions: the value that all images share, or else the first image's, with a note."""

    __slots__ = ("subject", "_values", "_notes")

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self._values: dict[str, Value] = {}
        self._notes: dict[str, str] = {}

    def value(self, name: str, is_number: bool) -> Value:
        found = self._values.get(name)
        if found is None:
            found = self._values[name] = self._look_up(name, is_number)
        return found

    def note(self, name: str) -> str:
        return self._notes.get(name, "")

    def _look_up(self, name: str, is_number: bool) -> Value:
        subject = self.subject
        if name in ORIGIN_NAMES and name != "TransferSyntaxUID":  # nothing inside an object may pose as its sender
            return _origin_value(subject, name, is_number)
        if not subject.images:
            found = typed(subject.common.get(name), is_number)
        else:
            raw = subject.raw(subject.first, name)
            found = typed(raw, is_number)
            others = (subject.raw(index, name) for index in range(len(subject.images)))
            if any(other != raw and typed(other, is_number) != found for other in others):
                self._notes[name] = FIRST_IMAGE_NOTE
        if found is MISSING and name in ORIGIN_NAMES:
            return _origin_value(subject, name, is_number)
        return found


class ImageScope:
    """Inside an image function: header names mean this one image, origin names still the arrival."""

    __slots__ = ("subject", "index", "_values")

    def __init__(self, subject: Subject, index: int) -> None:
        self.subject, self.index = subject, index
        self._values: dict[str, Value] = {}

    def value(self, name: str, is_number: bool) -> Value:
        found = self._values.get(name)
        if found is None:
            found = self._values[name] = self._look_up(name, is_number)
        return found

    def note(self, name: str) -> str:
        return ""

    def _look_up(self, name: str, is_number: bool) -> Value:
        if name in ORIGIN_NAMES and name != "TransferSyntaxUID":
            return _origin_value(self.subject, name, is_number)
        found = typed(self.subject.raw(self.index, name), is_number)
        if found is MISSING and name in ORIGIN_NAMES:
            return _origin_value(self.subject, name, is_number)
        return found
