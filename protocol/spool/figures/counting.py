"""What one event adds to the figures: a pure function of the event alone, `count`.
It must not know files, cursors or the clock; events of types that count nothing are not even decoded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from protocol.spool.figures.metrics import SUM, bucket_of


class Added(NamedTuple):
    """So much more of a metric under these labels."""

    metric: str
    labels: tuple[str, ...]
    amount: float


Data = Mapping[str, Any]
_Rule = Callable[[float, Data], list[Added]]


def count(type: str, time: float, data: Data) -> list[Added]:
    """What an event recorded at `time` (seconds UTC) adds. Raises KeyError, TypeError or ValueError for odd forms."""
    rule = RULES.get(type)
    return rule(time, data) if rule else []


def _one(metric: str, *names: str) -> _Rule:
    """One more, labelled by these fields of the event."""
    return lambda _, data: [Added(metric, tuple(str(data[name]) for name in names), 1)]


def _measured(metric: str, label: str, seconds: float) -> list[Added]:
    """One value of a histogram; a clock that was set back makes no negative ones."""
    seconds = max(0.0, seconds)
    return [Added(metric, (label, bucket_of(seconds)), 1), Added(metric + SUM, (label,), round(seconds, 3))]


def _image_received(_: float, data: Data) -> list[Added]:
    source = (data["calling_ae"],)
    return [Added("received_images", source, 1), Added("received_bytes", source, int(data["bytes"]))]


def _association_closed(_: float, data: Data) -> list[Added]:
    return [Added("associations", (data["calling_ae"], data["how"]), 1)]


def _association_rejected(_: float, data: Data) -> list[Added]:
    return [Added("associations", (data["calling_ae"], "rejected"), 1)]


def _arrival_completed(time: float, data: Data) -> list[Added]:
    added = [Added("completed_arrivals", (data["calling_ae"],), 1)]
    if last := data.get("last_image"):
        added += _measured("completion_s", data["calling_ae"], time - last)
    return added


def _arrival_decided(_: float, data: Data) -> list[Added]:
    added = [Added("decided_arrivals", (data["outcome"],), 1)]
    if seconds := float(
        data.get("evaluation_s", 0.0)
    ):  # a person's decision asks no rules, earlier versions did not measure
        added += [Added("evaluations", (), 1), Added("evaluation_s", (), seconds)]
    added += [Added("rule_results", (rule, result), 1) for rule, result in data.get("counted", {}).items()]
    return added + [Added("flow", (data["calling_ae"], rule, target), 1) for rule, target in data.get("flows", ())]


def _images_routed(_: float, data: Data) -> list[Added]:
    return [Added("rule_results", (rule, result), int(times)) for rule, result, times in data.get("counted", ())]


def _arrival_deleted(_: float, data: Data) -> list[Added]:
    return [Added("deleted_images", (), int(data["images"])), Added("deleted_bytes", (), int(data["bytes"]))]


def _images_sent(_: float, data: Data) -> list[Added]:
    """Events of earlier versions do not say how many were taken: status 0 and the warnings (B000 and the like) were."""
    target, images = (data["target"],), data["images"]
    known = "taken" in data
    taken = int(data["taken"]) if known else sum(status == 0 or status >> 12 == 0xB for _, status in images)
    added = [Added("sent_images", target, taken), Added("sent_bytes", target, int(data.get("bytes", 0)))]
    return [*added, Added("refused_by_target_images", target, len(images) - taken)]


def _attempt_failed(_: float, data: Data) -> list[Added]:
    """The last attempt of a delivery that is parked says so itself (`retry_at` 0), the event behind it is no second one."""
    target = data["target"]
    result = "failed" if data.get("retry_at") else "parked"
    return [Added("sends", (target, result), 1), Added("failures", (target, data.get("cause") or "other"), 1)]


def _delivery_completed(time: float, data: Data) -> list[Added]:
    target = data["target"]
    added = [Added("sends", (target, "delivered"), 1)]
    if "sending_s" in data:
        added += _measured("sending_s", target, data["sending_s"])
    if last := data.get("last_image"):
        added += _measured("end_to_end_s", target, time - last)
    return added


def _interrupted(_: float, data: Data) -> list[Added]:
    return [Added("sends", (data["target"], "interrupted"), 1)]


RULES: dict[str, _Rule] = {
    "image.received": _image_received,
    "image.duplicate": _one("duplicate_images", "calling_ae"),
    "image.rejected": _one("refused_images", "calling_ae"),
    "image.quarantined": _one("quarantined_images", "calling_ae"),
    "association.closed": _association_closed,
    "association.rejected": _association_rejected,
    "arrival.opened": _one("opened_arrivals", "calling_ae"),
    "arrival.completed": _arrival_completed,
    "arrival.decided": _arrival_decided,
    "arrival.images.routed": _images_routed,
    "arrival.discarded": _one("discarded_arrivals", "calling_ae"),
    "arrival.held": _one("held_arrivals", "calling_ae"),
    "arrival.deleted": _arrival_deleted,
    "study.decided": _one("rule_results", "rule", "result"),
    "delivery.created": _one("created_deliveries", "target"),
    "delivery.images.sent": _images_sent,
    "delivery.attempt.failed": _attempt_failed,
    "delivery.attempt.interrupted": _interrupted,
    "delivery.completed": _delivery_completed,
}
