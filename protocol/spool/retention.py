"""How long what is finished is kept: cut-off times by state and by the targets that an arrival reached. Pure.
It must not read a clock or a setting: whoever cleans, or asks what would go, hands in the times.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import field
from typing import TYPE_CHECKING

from protocol.records import record
from protocol.states import ArrivalState

if TYPE_CHECKING:  # every process opens the spool, and only some read settings and routing
    from protocol.routing.targets import Target
    from protocol.settings.model import Cleaner

HOUR_S = 3600.0


@record
class Retention:
    """An arrival may go if it is in its final state since before these times (seconds UTC); None keeps for ever.

    `targets` has those that want what they were sent kept longer than others: of all times that hold for an arrival the
    earliest counts, so it is kept as long as anybody wants. What a person wants kept longer than `at` (seconds UTC) stays,
    whatever its age.
    """

    delivered_before: float | None
    discarded_before: float | None
    quarantined_before: float | None = None
    targets: Mapping[str, float] = field(default_factory=dict)
    at: float = -math.inf

    def before(self, state: str, reached: Collection[str]) -> float | None:
        """What is in this state, and was delivered to these targets, may go if it is so since before then.

        None: it is kept, whatever its age.
        """
        own = {ArrivalState.DELIVERED: self.delivered_before, ArrivalState.DISCARDED: self.discarded_before}.get(
            ArrivalState(state)
        )
        if own is None:
            return None
        return min([own, *(self.targets[name] for name in reached if name in self.targets)])


def retention_at(now: float, settings: Cleaner, targets: Mapping[str, Target]) -> Retention:
    """Who may go at `now` (seconds UTC): finished before these times. `targets` are those of the configuration."""

    def before(hours: float | None) -> float | None:
        return None if hours is None else now - hours * HOUR_S

    return Retention(
        before(settings.retention_delivered_h),
        before(settings.retention_discarded_h),
        before(settings.retention_quarantined_h),
        {name: now - one.retention_h * HOUR_S for name, one in targets.items() if one.retention_h is not None},
        now,
    )
