"""Small helpers that make metric families with our prefix. It must not know what is measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

PREFIX = "scanpost_"
Labels = tuple[str, ...]


def gauge(name: str, text: str, labels: Labels, pairs: Iterable[tuple[Labels, float]]) -> GaugeMetricFamily:
    """A gauge with a value for each combination of labels."""
    family = GaugeMetricFamily(PREFIX + name, text, labels=labels)
    for values, value in pairs:
        family.add_metric(list(values), value)
    return family


def counter(name: str, text: str, labels: Labels, values: Mapping[Labels, float]) -> CounterMetricFamily:
    """A counter (its name gets the ending _total)."""
    family = CounterMetricFamily(PREFIX + name, text, labels=labels)
    for key, value in values.items():
        family.add_metric(list(key), value)
    return family
