"""Events as a hospital's days make them, for benches of the ledger: series of images with one delivery each.
It measures nothing, and nothing in it is random: every run gets the same events.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bench.past import series_header
from protocol.header.diff import difference
from protocol.header.packed import pack_headers
from protocol.wire import events as e
from protocol.wire.messages import Event

SERIES_IMAGES = 100
EVENTS = SERIES_IMAGES + 11  # of one series
_GROUP = 50  # images in one answer of a dispatcher
_BYTES = 525_000
_ID = uuid.UUID("0198b7c0-0000-7000-8000-000000000000").int


@dataclass(frozen=True)
class Told:
    """An event and its patient data."""

    event: Event
    phi: dict[str, Any] | None = None


def series(number: int) -> Iterator[Told]:
    """The events of one series, from the first image to the last answer."""
    study, one = f"1.2.826.0.1.3680043.10.{number // 4}", f"1.2.826.0.1.3680043.10.{number // 4}.{number}"
    calling, target = f"CT{number % 40}", ("pacs", "archive", "research")[number % 3]
    association = f"{_ID + number * 1000 + 999:032x}"
    receipts = [f"{_ID + number * 1000 + at:032x}" for at in range(SERIES_IMAGES)]
    yield Told(e.AssociationOpened(association, calling, "SCANPOST", "10.0.0.7"))
    yield Told(e.ArrivalOpened(number, calling, "SCANPOST", study, one, 0))
    for at, receipt in enumerate(receipts):
        yield Told(e.ImageReceived(receipt, association, number, calling, study, one, f"{one}.{at}", "1.2.840.10008.5.1.4.1.1.2",
                                   "1.2.840.10008.1.2.1", _BYTES, receipt))  # fmt: skip
    size = SERIES_IMAGES * _BYTES
    yield Told(e.AssociationClosed(association, calling, "released", SERIES_IMAGES, size))
    completed = e.ArrivalCompleted(number, calling, study, one, SERIES_IMAGES, size, "released", "CT")
    yield Told(completed, _phi(number, one, calling))
    yield Told(e.ArrivalDecided(number, calling, number, 3, "route", [target], ["everything"]))
    about = (number, number, target)
    yield Told(e.DeliveryCreated(*about, "normal", SERIES_IMAGES, size))
    yield Told(e.DeliveryClaimed(*about, "dispatcher-0/1", 1))
    for first in range(0, SERIES_IMAGES, _GROUP):
        yield Told(e.ImagesSent(*about, [[receipt, 0] for receipt in receipts[first : first + _GROUP]]))
    yield Told(e.DeliveryCompleted(*about, SERIES_IMAGES, size, 4.2, 0))
    yield Told(e.ArrivalDelivered(number, calling))


def _phi(number: int, one: str, calling: str) -> dict[str, Any]:
    """As the spool packs it: the first header, what differs, who sent it."""
    first = series_header(number) | {"SeriesInstanceUID": one, "SOPInstanceUID": f"{one}.0", "InstanceNumber": 1}
    headers = [first | {"SOPInstanceUID": f"{one}.{at}", "InstanceNumber": at + 1, "SliceLocation": at * 1.25}
               for at in range(SERIES_IMAGES)]  # fmt: skip
    packed = pack_headers(first, [difference(first, header) for header in headers])
    origin = {"opened": 1_790_000_000.0 + number, "called_ae": "SCANPOST", "address": "10.0.0.7", "source": calling,
              "addendum_of": 0}  # fmt: skip
    return {"header": first, "first": {}, "columns": packed.columns, "dropped": list(packed.dropped),
            "count": SERIES_IMAGES, "origin": origin}  # fmt: skip
