"""Recorded arrivals for tests, made of images as the spool makes them."""

from protocol.header.diff import difference
from protocol.header.packed import MAX_PACKED, pack_header, pack_headers
from protocol.routing.backtest.cases import RecordedArrival
from protocol.routing.parse import build

NOON = 1_795_694_400.0  # 2026-11-26T12:00:00Z, a Thursday
HOUR = 3600.0
TARGETS = {name: {"type": "dicom", "host": "h", "port": 104, "called_ae": "A"} for name in ("pacs", "ai", "archive")}


def rule(name, when, *targets, **more):
    action = more.pop("action", "route" if targets else "hold")
    return {"name": name, "when": when, "action": action, "targets": list(targets), **more}


def rules(*made):
    return build({"targets": TARGETS, "rules": list(made)}, "test")


def arrival(
    number, images, *, received=None, study="1.2", series=None, earlier=(), limit=MAX_PACKED, size=1_000_000, **more
):
    """`images` are headers, or one header."""
    images = [images] if isinstance(images, dict) else images
    common = images[0]
    packed = pack_headers(common, [difference(common, one) for one in images], limit)
    values = {
        "calling_ae": "CT1", "called_ae": "SCANPOST", "address": "10.0.0.1", "source": None,
        "addendum_of": earlier[-1].arrival if earlier else 0,
    } | more  # fmt: skip
    return RecordedArrival(
        number, NOON + number * 60.0 if received is None else received, values["calling_ae"], values["called_ae"],
        values["address"], values["source"], study, series or f"{study}.{number}", values["addendum_of"], len(images), size,
        list(packed.dropped) or None, pack_header({**packed.shared, **packed.first}), packed.columns or None, tuple(earlier),
    )  # fmt: skip


def header(modality="CT", number=1, **more):
    return {"Modality": modality, "InstanceNumber": number, "SOPInstanceUID": f"1.9.{number}", **more}
