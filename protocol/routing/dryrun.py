"""A draft beside the active rules on live traffic: what it would have done with each arrival that was decided just now.
Pure but for its memory of quotas; it must not deliver, count or write anything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from protocol.routing.decide import decide
from protocol.routing.judging import Case
from protocol.routing.model import RoutingConfiguration
from protocol.routing.terms import period_of
from protocol.routing.trying import untold
from protocol.routing.versions import Version


@dataclass(frozen=True, slots=True)
class Beside:
    """What the active rules did with an arrival, and what the draft would do: outcome and targets.

    `cannot_tell`: active rules of the draft that ask for what nobody read of these images.
    """

    arrival: int
    active: tuple[str, ...]
    draft: tuple[str, ...]
    rules: tuple[str, ...]
    reason: str
    errors: tuple[str, ...]
    cannot_tell: tuple[str, ...] = ()

    @property
    def differs(self) -> bool:
        """Whether something else would have happened."""
        return self.active != self.draft

    def to_data(self) -> dict[str, Any]:
        """As JSON data, without any value of the images."""
        return {
            "arrival": self.arrival, "differs": self.differs, "active": list(self.active), "draft": list(self.draft),
            "rules": list(self.rules), "reason": self.reason, "errors": list(self.errors),
            "cannot_tell": list(self.cannot_tell),
        }  # fmt: skip


class DryRun:
    """One draft over some time; quotas are counted from its beginning."""

    def __init__(self, draft: RoutingConfiguration) -> None:
        self._draft = draft
        self._used: Counter[tuple[str, str]] = Counter()
        self._seen: set[int] = set()
        self.counts: Counter[str] = Counter()

    def judge(self, arrival: int, case: Case, outcome: str, targets: Sequence[str], in_force: Version) -> Beside:
        """Hold the draft against what was decided. A draft that waits for the study is not held against it.

        `in_force` says what was read of the images.
        """
        used = {
            rule.name: self._used[rule.name, period_of(rule.quota, case.received)]
            for rule in self._draft.rules if rule.quota is not None
        }  # fmt: skip
        decision = decide(self._draft, 0, replace(case, used=used), explained=False)
        if arrival not in self._seen:  # an arrival that waited is decided twice, and counts once
            self._seen.add(arrival)
            self._used.update((one.rule, one.period) for one in decision.results if one.acts and one.period)
        would = _side(decision.outcome, [one.name for one in decision.deliveries])
        applied = tuple(one.rule for one in decision.results if one.acts)
        found = Beside(arrival, _side(outcome, targets), would, applied, decision.reason, decision.flagged,
                       self._untold(case, in_force))  # fmt: skip
        self.counts.update(["arrivals", f"draft_{would[0]}", f"active_{outcome}"])
        self.counts["different" if found.differs else "same"] += 1
        self.counts["errors"] += bool(found.errors)
        self.counts["cannot_tell"] += bool(found.cannot_tell)
        return found

    def _untold(self, case: Case, in_force: Version) -> tuple[str, ...]:
        active = {rule.name for rule in self._draft.rules if rule.mode == "active"}
        read = in_force.configuration.keywords if in_force.time <= case.received.timestamp() else frozenset()
        return tuple(name for name in untold(self._draft, case, lambda name, _: name in read) if name in active)

    def summary(self) -> Mapping[str, int]:
        """How many arrivals, how many of them differ, and the outcomes on both sides."""
        return dict(sorted(self.counts.items()))


def _side(outcome: str, targets: Sequence[str]) -> tuple[str, ...]:
    return (outcome, *sorted(set(targets))) if outcome == "route" else (outcome,)
