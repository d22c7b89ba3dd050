"""How long what is finished is kept: cut-off times by state and by the targets that an arrival reached. Pure.
It must not read a clock or a setting: whoever cleans, or asks what would go, hands in the times.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from protocol.states import ArrivalState


@dataclass(frozen=True)
class Retention:
    """An arrival may go if it is in its final state since before these times (seconds UTC); None keeps for ever.

    `targets` has those that want what they were sent kept longer than others: of all times that hold for an arrival the
    earliest counts, so it is kept as long as anybody wants.
    """

    delivered_before: float | None
    discarded_before: float | None
    quarantined_before: float | None = None
    targets: Mapping[str, float] = field(default_factory=dict)

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
