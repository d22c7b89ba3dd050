"""What is counted: every metric with its labels and its sentence, the widths of buckets, the bounds of histograms.
It must not count or store anything, and no label may hold a UID or patient data.
"""

from __future__ import annotations

from bisect import bisect_left

from protocol.records import record

DAY_S = 86_400
WIDTHS_S = {10: 2 * 3600, 60: 3 * DAY_S, 3600: 3 * 365 * DAY_S}
"""Width of a bucket -> how long it is kept, both in seconds."""

BOUNDS_S = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 43200, 86400,
            259200)  # fmt: skip
"""Upper bounds of the buckets of histograms in seconds; behind the last one stands one without a bound."""

SUM = ".sum"
"""What is added to the name of a histogram for the metric that keeps the sum of its values."""

OTHER = "(other)"
NAMES_KEPT = 300
"""So many different names of a kind (sources, targets, rules) have lines of their own; those beyond are OTHER: a flood of
invented AE titles must not become a flood of lines.
"""


@record
class Metric:
    """One metric; a histogram has a last label more, the index of its bucket in BOUNDS_S."""

    labels: tuple[str, ...]
    text: str
    histogram: bool = False


METRICS: dict[str, Metric] = {
    "received_images": Metric(("source",), "images received and kept, duplicates and refused ones not counted"),
    "received_bytes": Metric(("source",), "their bytes"),
    "duplicate_images": Metric(("source",), "images that came again bit for bit"),
    "refused_images": Metric(("source",), "images refused with a failure status"),
    "quarantined_images": Metric(("source",), "objects that could not be read or placed"),
    "associations": Metric(("source", "result"), "associations that ended: released, aborted or rejected"),
    "opened_arrivals": Metric(("source",), "series (arrivals) of which the first image came"),
    "completed_arrivals": Metric(("source",), "series (arrivals) that are complete"),
    "decided_arrivals": Metric(("outcome",), "decisions: route, hold, discard, wait"),
    "discarded_arrivals": Metric(("source",), "series that no rule wanted, or that were given up"),
    "held_arrivals": Metric(("source",), "series set aside whole"),
    "deleted_images": Metric((), "images whose retention was over"),
    "deleted_bytes": Metric((), "their bytes"),
    "rule_results": Metric(
        ("rule", "result"), "what rules came to: of active ones true and error, of shadow rules all"
    ),
    "evaluations": Metric((), "decisions on series for which the rules were timed"),
    "evaluation_s": Metric((), "seconds that the rules took for them"),
    "flow": Metric(("source", "rule", "target"), "series that a rule sent from a source to a target or group"),
    "sent_images": Metric(("target",), "images that the target took"),
    "sent_bytes": Metric(("target",), "their bytes"),
    "refused_by_target_images": Metric(("target",), "images that the target answered with a failure status"),
    "sends": Metric(("target", "result"), "attempts that ended: delivered, failed, interrupted or parked"),
    "failures": Metric(("target", "cause"), "attempts that failed and deliveries that were parked, by cause"),
    "created_deliveries": Metric(("target",), "deliveries made"),
    "completion_s": Metric(("source",), "from the last image to complete", histogram=True),
    "end_to_end_s": Metric(("target",), "from the last image received to delivered", histogram=True),
    "sending_s": Metric(("target",), "how long the successful attempt of a delivery took", histogram=True),
}
"""Every metric. A source is a calling AE title, a target the name of a target or group."""


def labels_of(metric: str) -> tuple[str, ...]:
    """The names of its labels. Raises KeyError for a metric that does not exist."""
    return METRICS[metric.removesuffix(SUM)].labels


def bucket_of(seconds: float) -> str:
    """The label of the bucket of a histogram that this value falls in; its index as text."""
    return str(bisect_left(BOUNDS_S, seconds))


def start_of(time: float, width_s: int) -> int:
    """The start (seconds UTC) of the bucket that a time falls in."""
    return int(time // width_s) * width_s
