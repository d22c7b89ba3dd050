"""What /metrics tells beyond the status document: the counters and histograms of the statistics, alerts, lags, certificates.
It only reads and must not know the format of metrics.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import TYPE_CHECKING

from protocol.certificates import endings
from protocol.errors import SpoolError
from protocol.records import record
from protocol.routing.model import RoutingConfiguration
from protocol.spool.figures.metrics import METRICS, OTHER
from protocol.spool.figures.reading import Histogram, Labels
from protocol.spool.spool import Spool

if TYPE_CHECKING:
    from protocol.settings import Settings

ALERTS_SHOWN = 200
BOOKKEEPER = "bookkeeper"


@record
class Measures:
    """One look. `error`: the statistics cannot be read, they are left out."""

    error: str = ""
    counters: Mapping[str, Mapping[Labels, float]] = field(default_factory=dict)
    histograms: Mapping[str, Mapping[Labels, Histogram]] = field(default_factory=dict)
    alerts: Mapping[str, int] = field(default_factory=dict)
    certificates: Mapping[str, float] = field(default_factory=dict)
    ledger_lag_s: float = 0.0
    statistics_behind: int = 0
    priorities: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """Deliveries that wait, by target and priority."""


def measure(spool: Spool, settings: Settings, configuration: RoutingConfiguration) -> Measures:
    """All of it. Raises SpoolError if the spool itself cannot be read."""
    error, counters, histograms, behind = "", {}, {}, 0
    try:
        for name, metric in METRICS.items():
            if metric.histogram:
                histograms[name] = spool.statistics.histograms(name)
            else:
                counters[name] = spool.statistics.lifetime(name)
        behind = _behind(spool)
    except SpoolError as exc:
        error, counters, histograms = str(exc), {}, {}
    return Measures(
        error, counters, histograms, _alerts(spool), endings(settings, configuration),
        spool.outbox.lag_s(BOOKKEEPER), behind, spool.targets.by_priority(),
    )  # fmt: skip


def _behind(spool: Spool) -> int:
    """How many numbers of the outbox the statistics are behind."""
    head, (epoch, seq, _) = spool.outbox.head(), spool.statistics.counted_until()
    return max(0, head.seq - (seq if epoch == head.epoch else spool.outbox.oldest().seq - 1))


def _alerts(spool: Spool) -> dict[str, int]:
    """Alerts that stand, 1 each; beyond a number they are counted together."""
    names = sorted(spool.notices.alerts())
    shown = dict.fromkeys(names[:ALERTS_SHOWN], 1)
    return shown | ({OTHER: len(names) - ALERTS_SHOWN} if len(names) > ALERTS_SHOWN else {})
