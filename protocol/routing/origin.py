"""Where an arrival came from and when, as rules read it. It must not know the spool's rows or the ledger's."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo

Origin = Mapping[str, object]


def origin_of(
    *, calling_ae: str, address: str, called_ae: str, source: str | None, images: int, received: float
) -> Origin:  # fmt: skip
    """The origin names of rules.md. `received` in seconds UTC: when the first image came in."""
    return {
        "SenderAET": calling_ae,
        "SenderAddress": address,
        "ReceiverAET": called_ae,
        "Source": source,
        "ImageCount": images,
        "ReceivedAt": datetime.fromtimestamp(received, UTC).isoformat(),
    }


def moment(received: float, zone: tzinfo | None) -> datetime:
    """A time of receipt (seconds UTC) in the node's zone; None: that of the machine."""
    return datetime.fromtimestamp(received, UTC).astimezone(zone)
