"""An arrival of the past as rules can be asked about it again: what was kept of it, and the case that is made of that.
It must not know where arrivals are kept, nor decide anything; what was not kept it says, and never guesses.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, tzinfo
from operator import attrgetter
from typing import Any, NamedTuple

from protocol.header.numbered import key_of
from protocol.header.packed import Columns, unpack_columns, unpack_numbered
from protocol.header.wanted import DEFAULT_KEYWORDS
from protocol.routing.judging import Case
from protocol.routing.model import RoutingConfiguration, Rule
from protocol.routing.origin import moment, origin_of
from protocol.routing.rules.compiler import CompiledRule
from protocol.routing.rules.names import ORIGIN_NAMES
from protocol.routing.rules.subject import Subject

SHOWN = ("Modality", "StudyDescription", "SeriesDescription")
"""What a report groups by, whatever the rules read."""
_ORDERED_BY = ("InstanceNumber", "SOPInstanceUID")
_FIELDS = {"SenderAET": "calling_ae", "SenderAddress": "address", "ReceiverAET": "called_ae", "Source": "source",
           "ImageCount": "images", "ReceivedAt": "received"}  # fmt: skip
_origin_row = attrgetter(*_FIELDS.values())
_ALWAYS_SCANNED = frozenset((*DEFAULT_KEYWORDS, "TransferSyntaxUID"))


class RecordedArrival(NamedTuple):
    """What is kept of an arrival. Times are seconds UTC, `size` bytes; `first` and `columns` are of protocol/header/packed.

    `columns` is None where nothing differs, or where nobody asked for it; `earlier` are the other arrivals of the
    series that came before, for one that is an addendum.
    """

    arrival: int
    received: float
    calling_ae: str
    called_ae: str
    address: str
    source: str | None
    study_uid: str
    series_uid: str
    addendum_of: int
    images: int
    size: int
    dropped: list[str] | None
    first: bytes
    columns: bytes | None = None
    earlier: tuple[RecordedArrival, ...] = ()

    @property
    def study(self) -> tuple[str, str]:
        """Its study, as one sender sent it."""
        return self.study_uid, self.calling_ae


def _never(name: str, received: float) -> bool:
    return False


class Reads:
    """What some routing configurations read: which names, and whether of each image.

    `words` are the keywords and `fields` the parts of a record that the origin names stand for; the values of an arrival
    are one row in that order (`Past.row`). `asked` knows whether an unusual name was read from what came at a time (`asked`).
    """

    def __init__(self, *configurations: RoutingConfiguration, asked: Callable[[str, float], bool] = _never) -> None:
        self.asked = asked
        rules = [rule for one in configurations for rule in one.rules if rule.mode != "off"]
        conditions = [condition for rule in rules for condition in conditions_of(rule)]
        names = {name for condition in conditions for name in condition.names}
        keywords = {name for name in names if is_keyword(name)} | {*_ORDERED_BY}
        self.words = (*SHOWN, *sorted(keywords - {*SHOWN}))
        self.keys = tuple(key_of(word) for word in self.words)
        self.each_image = any(sees_each_image(rule) for rule in rules)
        self.place = {name: at for at, name in enumerate((*self.words, *_FIELDS))}
        self.of_images = frozenset(
            name for rule in rules if sees_each_image(rule) for one in conditions_of(rule) for name in one.names
        ) | {"InstanceNumber"}  # which is the first image goes by it, before any UID that a rule reads
        self.of_families = frozenset(self.words)


def conditions_of(rule: Rule) -> Iterator[CompiledRule]:
    """The condition of a rule, and that which completes a study for it."""
    yield rule.compiled
    if rule.trigger == "study" and rule.study_complete is not None:
        yield rule.study_complete


def is_keyword(name: str) -> bool:
    """Whether a name's value stands in headers, not in the origin."""
    return name not in ORIGIN_NAMES or name == "TransferSyntaxUID"


def is_unusual(name: str) -> bool:
    """Whether it was read from images only while some rule asked for it: where it is absent, nobody knows why."""
    return name not in _ALWAYS_SCANNED and is_keyword(name)


def unread(name: str) -> str:
    """What is said of an unusual keyword that is absent."""
    return f"{name} may not have been read from images at that time"


def sees_each_image(rule: Rule) -> bool:
    """Whether a rule is about single images."""
    return rule.trigger == "image" or any(condition.over_images for condition in conditions_of(rule))


class Past:
    """One recorded arrival, opened as far as it is asked for."""

    __slots__ = ("record", "row", "_reads", "_zone", "_values", "_subject", "_received", "_columns")

    def __init__(self, record: RecordedArrival, reads: Reads, zone: tzinfo | None) -> None:
        self.record, self._reads, self._zone = record, reads, zone
        found = unpack_numbered(record.first).get
        self.row = (
            *[tuple(value) if type(value) is list else value for value in map(found, reads.keys)],
            *_origin_row(record),
        )
        """The values of the first image and of the origin, in the order of the names that are read; hashable."""
        self._values: Mapping[str, Any] | None = None
        self._subject: Subject | None = None
        self._received: datetime | None = None
        self._columns: Columns | None = None

    @property
    def values(self) -> Mapping[str, Any]:
        """The values of the first image by keyword; None where it has none."""
        if self._values is None:
            self._values = dict(zip(self._reads.words, self.row, strict=False))
        return self._values

    @property
    def received(self) -> datetime:
        """When it came in, in the node's zone."""
        if self._received is None:
            self._received = moment(self.record.received, self._zone)
        return self._received

    @property
    def subject(self) -> Subject:
        """As rules see it: with the earlier arrivals of its series, if it is an addendum."""
        if self._subject is None:
            self._subject = self.together([Past(one, self._reads, self._zone) for one in self.record.earlier])
        return self._subject

    def together(self, others: Iterable[Past]) -> Subject:
        """One subject of this arrival, whose origin counts, and others: its series' earlier ones, the rest of its study."""
        return _joined(self, [*others, self], self._reads.each_image, self._zone)

    def reopened(self, record: RecordedArrival | None) -> Past:
        """The same arrival by another record of it, that knows more."""
        return self if record is None else Past(record, self._reads, self._zone)

    def case(self, used: Mapping[str, int], *, went: bool) -> Case:
        """What is decided on. `went`: earlier arrivals of its series went somewhere, so that it is a part of a decision."""
        addendum = went and self.record.addendum_of != 0
        return Case(self.subject, self.received, used, addendum, own=self.record.images)

    def untold(self, rule: Rule) -> str:
        """Why the kept values cannot tell what this rule is; "" if they can."""
        each = sees_each_image(rule)
        for record in (self.record, *self.record.earlier):
            dropped = record.dropped or ()
            for condition in conditions_of(rule):
                for name in condition.names:
                    if each and name in dropped:
                        return f"{name} of each image was not kept: too many images"
                    if (
                        is_unusual(name)
                        and self.values.get(name) is None
                        and not self._reads.asked(name, record.received)
                    ):
                        return unread(name)
            if self.record.earlier and "SOPInstanceUID" in dropped and (each or _counts(rule)):
                return "SOPInstanceUID of each image was not kept: which ones were sent again is not known"
        return ""

    def was_asked(self, name: str) -> bool:
        """Whether this unusual name was read from all its images, so that it means something where it is absent."""
        return all(self._reads.asked(name, one.received) for one in (self.record, *self.record.earlier))

    def image_rows(self, names: tuple[str, ...]) -> Counter[Any]:
        """How many images have which values of these keywords: a value for one keyword, else tuples; hashable."""
        record, own = self.record, self.values
        columns = self._unpacked().values if record.columns else {}
        if not any(name in columns for name in names):
            row = tuple([own.get(name) for name in names])
            return Counter({row if len(names) > 1 else row[0]: record.images})
        given = [columns[name] if name in columns else (own.get(name),) * record.images for name in names]
        hashable = [[tuple(one) if type(one) is list else one for one in column] for column in given]
        return Counter(hashable[0] if len(names) == 1 else zip(*hashable, strict=True))

    def _unpacked(self) -> Columns:
        """The columns that rules read of each image."""
        if self._columns is None:
            record = self.record
            self._columns = unpack_columns(record.columns or b"", record.images, self._reads.of_images)
        return self._columns

    def images(self, whole: bool, family: bool = False) -> tuple[Mapping[str, Any], list[dict[str, Any]]]:
        """What all images share, and what differs, the first image at the head; not `whole`: the first image alone.

        `family`: also what tells which images came again.
        """
        record = self.record
        if not whole or not record.columns:
            return self.values, [{} for _ in range(record.images if whole else 1)]
        # Outside a family only what rules read of each image; which is the first stands beside the columns.
        families = self._reads.of_families
        columns = unpack_columns(record.columns, record.images, families) if family else self._unpacked()
        shared = {word: value for word, value in self.values.items() if word not in columns.values}
        return shared, _first_ahead(columns)


def _joined(origin: Past, members: list[Past], each_image: bool, zone: tzinfo | None) -> Subject:
    """The newest version of an image counts. Where nobody looks at single images the first of each arrival is enough,
    but for a series with an addendum, whose images may have come again.
    """
    if len(members) == 1:
        common, images = origin.images(each_image)
        return Subject(images, _origin(origin.record, origin.record.images), common, zone)
    renewed = {one.record.series_uid for one in members if one.record.addendum_of}
    found: dict[object, dict[str, Any]] = {}
    more = 0
    for member in sorted(members, key=lambda one: one.record.arrival):
        whole = each_image or member.record.series_uid in renewed
        common, images = member.images(whole, family=True)
        more += 0 if whole else member.record.images - 1
        for image in images:
            values = {**common, **image}
            uid = values.get("SOPInstanceUID")
            known = isinstance(uid, str) and "SOPInstanceUID" not in (member.record.dropped or ())
            image_of: object = (member.record.series_uid, uid) if known else object()
            found.pop(image_of, None)  # the newest stands among the images of its own arrival, as in the spool
            found[image_of] = values
    return Subject([*found.values()], _origin(origin.record, len(found) + more), zone=zone)


def _origin(record: RecordedArrival, images: int) -> Mapping[str, object]:
    return origin_of(
        calling_ae=record.calling_ae, address=record.address, called_ae=record.called_ae, source=record.source,
        images=images, received=record.received,
    )  # fmt: skip


def _first_ahead(columns: Columns) -> list[dict[str, Any]]:
    """Its order says which of several equal ones is the first image, even where their own order was not kept."""
    images = columns.images()
    return [images[columns.first], *images[: columns.first], *images[columns.first + 1 :]]


def _counts(rule: Rule) -> bool:
    return any("ImageCount" in condition.names for condition in conditions_of(rule))
