"""Families out of the statistics: counters and histograms that survive every restart, because they are kept in a file.
It must not read anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate

from prometheus_client.core import HistogramMetricFamily, Metric, SummaryMetricFamily

from protocol.spool.figures.metrics import BOUNDS_S, METRICS
from webgui.measures import Measures
from webgui.metrics.families import PREFIX, counter, gauge

COUNTERS = {
    "received_images": ("instances_received", "Images received and kept"),
    "received_bytes": ("received_bytes", "Bytes of the images received and kept"),
    "duplicate_images": ("instances_duplicate", "Images that came again bit for bit"),
    "refused_images": ("instances_refused", "Images refused with a failure status"),
    "quarantined_images": ("instances_quarantined", "Objects that could not be read or placed"),
    "associations": ("associations", "Associations that ended: released, aborted or rejected"),
    "opened_arrivals": ("arrivals_opened", "Series of which the first image came"),
    "completed_arrivals": ("arrivals_completed", "Series that are complete"),
    "decided_arrivals": ("arrivals_decided", "Decisions on series: route, hold, discard, wait"),
    "discarded_arrivals": ("arrivals_discarded", "Series that no rule wanted, or that were given up"),
    "held_arrivals": ("arrivals_held", "Series set aside whole"),
    "deleted_images": ("instances_deleted", "Images deleted after their retention"),
    "deleted_bytes": ("deleted_bytes", "Bytes of the images deleted after their retention"),
    "rule_results": ("rule_evaluations", "What rules came to: of active ones true and error, of shadow rules all"),
    "created_deliveries": ("deliveries_created", "Deliveries made"),
    "sends": ("sends", "Attempts to deliver that ended: delivered, failed, interrupted or parked"),
    "failures": ("send_failures", "Attempts that failed or were parked, by cause"),
    "sent_images": ("images_sent", "Images that the target took"),
    "sent_bytes": ("sent_bytes", "Bytes of the images that the target took"),
    "refused_by_target_images": ("images_refused_by_target", "Images that the target answered with a failure status"),
}
"""Metric of the statistics -> name and sentence here. `flow` is left out: three names multiply."""

SUMMARIES = {
    ("evaluations", "evaluation_s"): ("rule_evaluation_seconds", "How long the rules took to decide on a series"),
}
"""Metrics of the statistics (how often, how many seconds) -> name and sentence."""

HISTOGRAMS = {
    "completion_s": ("arrival_completion_seconds", "From the last image of a series to its being complete"),
    "end_to_end_s": ("end_to_end_latency_seconds", "From the last image received to delivered"),
    "sending_s": ("send_duration_seconds", "How long the successful attempt of a delivery took"),
}


def counted(measures: Measures) -> Iterator[Metric]:
    """All of them; none if the statistics cannot be read."""
    yield gauge("statistics_readable", "1 if the statistics can be read", (), [((), 0 if measures.error else 1)])
    for metric, (name, text) in COUNTERS.items():
        yield counter(name, text, METRICS[metric].labels, measures.counters.get(metric, {}))
    for metric, (name, text) in HISTOGRAMS.items():
        family = HistogramMetricFamily(PREFIX + name, text, labels=METRICS[metric].labels)
        for key, histogram in measures.histograms.get(metric, {}).items():
            bounds = [*(str(float(bound)) for bound in BOUNDS_S), "+Inf"]
            family.add_metric(list(key), list(zip(bounds, accumulate(histogram.counts), strict=True)), histogram.sum)
        yield family
    for (times, seconds), (name, text) in SUMMARIES.items():
        summary = SummaryMetricFamily(PREFIX + name, text)
        counts, sums = measures.counters.get(times, {}), measures.counters.get(seconds, {})
        summary.add_metric([], int(counts.get((), 0)), sums.get((), 0.0))
        yield summary
    yield from _present(measures)


def _present(measures: Measures) -> Iterator[Metric]:
    alerts = [((name,), count) for name, count in measures.alerts.items()]
    yield gauge("alerts_firing", "Alerts that stand, by name", ("alert",), alerts)
    ends = [((name,), when) for name, when in measures.certificates.items()]
    text = "When the certificates end that this node shows: webgui, receiver, target.NAME"
    yield gauge("certificate_expiry_timestamp_seconds", text, ("certificate",), ends)
    yield gauge(
        "ledger_lag_seconds", "Age of the oldest event that is not in the ledger", (), [((), measures.ledger_lag_s)]
    )
    text = "Deliveries that wait or are tried again, by priority"
    yield gauge("waiting_deliveries", text, ("target", "priority"), measures.priorities.items())
    if not measures.error:
        kept = sum(measures.counters.get("received_bytes", {}).values()) - sum(
            measures.counters.get("deleted_bytes", {}).values()
        )
        text = "Bytes of images that are kept: received and not deleted, as far as the statistics go back"
        yield gauge("spool_bytes", text, (), [((), max(0, kept))])
    behind = [((), measures.statistics_behind)]
    yield gauge("statistics_backlog_events", "Events that the statistics have not counted yet", (), behind)
