"""What a backtest counted: per rule and per target, and how two configurations differ. Plain counts that can be added up
from several processes. It must not decide, and holds no patient data but the descriptions, which are told only if asked for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from protocol.routing.backtest.cases import RecordedArrival
from protocol.routing.backtest.judge import CANNOT_TELL, Judgement

EXAMPLES = 10  # arrivals named for each oddity of a rule
LISTED = 1000  # arrivals named for each kind of difference
TOP = 10  # values shown for each question
DISTINCT = 20_000  # values counted for each question; more are counted together
OTHERS = "(others)"
GROUPS = ("source", "modality", "study_description", "series_description")
PRIVATE = frozenset({"study_description", "series_description"})
"""Groups by free text of the images."""
KINDS = ("newly_routed", "newly_held", "newly_discarded", "other_targets", "cannot_tell")
_PLACES = ("unknown", "error", "untold", "blocked")
Shown = tuple[str, str, str, str]
"""What groups an arrival: a value for each of GROUPS."""
Changes = tuple[tuple[str, str], ...]
"""(rule, newly_matched or no_longer_matched)"""


@dataclass(slots=True)
class RuleCounts:
    """One rule: arrivals that it was true of, in all and by group; and those that need a look, with examples."""

    matched: int = 0
    odd: Counter[str] = field(default_factory=Counter)
    by: dict[str, Counter[str]] = field(default_factory=lambda: {name: Counter() for name in GROUPS})
    examples: dict[str, list[int]] = field(default_factory=lambda: {name: [] for name in _PLACES})


class _Alike:
    """Arrivals of which the same was judged: [series, bytes] by hour, and how many by group."""

    __slots__ = ("judgement", "hours", "groups", "examples")

    def __init__(self, judgement: Judgement) -> None:
        self.judgement = judgement
        self.hours: dict[str, list[int]] = {}
        self.groups: tuple[dict[str, int], ...] = tuple({} for _ in GROUPS)
        self.examples: list[int] = []


class SetCounts:
    """What one configuration made of the arrivals. While they come, only what each judgement says is counted; what that
    means for rules and targets is worked out at the end.
    """

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.rules: dict[str, RuleCounts] = {}
        self.targets: dict[str, dict[str, list[int]]] = {}
        """[series, bytes] of each target by hour of the node's clock, `2026-11-26T14`."""
        self._alike: dict[int, _Alike] = {}

    def add(self, record: RecordedArrival, judgement: Judgement, shown: Shown | None, hour: str) -> None:
        """Count one arrival, by group if `shown` is given. Equal judgements must be one object."""
        alike = self._alike.get(id(judgement))
        if alike is None:
            alike = self._alike[id(judgement)] = _Alike(judgement)
        try:
            sums = alike.hours[hour]
            sums[0] += 1
            sums[1] += record.size
        except KeyError:
            alike.hours[hour] = [1, record.size]
        for group, value in zip(alike.groups, shown or (), strict=False):
            try:
                group[value] += 1
            except KeyError:
                value = value if len(group) < DISTINCT else OTHERS
                group[value] = group.get(value, 0) + 1
        if len(alike.examples) < EXAMPLES:
            alike.examples.append(record.arrival)

    def settle(self) -> None:
        """Turn what was counted into rules and targets."""
        for alike in self._alike.values():
            judgement, count = alike.judgement, sum(one[0] for one in alike.hours.values())
            self.outcomes[judgement.outcome] += count
            for name in judgement.true:
                rule = self._rule(name)
                rule.matched += count
                for group, values in zip(GROUPS, alike.groups, strict=True):
                    rule.by[group].update(values)
            for target in judgement.targets:
                _add_hours(self.targets.setdefault(target, {}), alike.hours)
            for place in _PLACES:
                for name in getattr(judgement, place):
                    self._odd(name, place, count, alike.examples)
        self._alike = {}

    def _odd(self, name: str, place: str, count: int, arrivals: Sequence[int]) -> None:
        rule = self._rule(name)
        rule.odd[place] += count
        rule.examples[place] = sorted([*rule.examples[place], *arrivals])[:EXAMPLES]

    def _rule(self, name: str) -> RuleCounts:
        return self.rules.setdefault(name, RuleCounts())

    def state(self) -> dict[str, Any]:
        """All of it as plain values."""
        self.settle()
        return {
            "outcomes": dict(self.outcomes),
            "rules": {
                name: {"matched": rule.matched, "odd": dict(rule.odd), "by": {k: dict(v) for k, v in rule.by.items()},
                       "examples": rule.examples}
                for name, rule in self.rules.items()
            },
            "targets": self.targets,
        }  # fmt: skip

    def merge(self, state: Mapping[str, Any]) -> None:
        """Add what another process counted."""
        self.settle()
        self.outcomes.update(state["outcomes"])
        for name, told in state["rules"].items():
            rule = self._rule(name)
            rule.matched += told["matched"]
            for group, counts in told["by"].items():
                rule.by[group].update(counts)
            for place, count in told["odd"].items():
                self._odd(name, place, count, told["examples"][place])
        for name, hours in state["targets"].items():
            _add_hours(self.targets.setdefault(name, {}), hours)


def _add_hours(mine: dict[str, list[int]], hours: Mapping[str, Sequence[int]]) -> None:
    for hour, (series, size) in hours.items():
        sums = mine.setdefault(hour, [0, 0])
        sums[0] += series
        sums[1] += size


class Listed:
    """How many, and the first of them by name."""

    def __init__(self, limit: int = LISTED) -> None:
        self._limit = limit
        self.count = 0
        self.arrivals: list[Any] = []

    def add(self, one: Any) -> None:
        self.count += 1
        if len(self.arrivals) < self._limit:
            self.arrivals.append(one)

    def merge(self, state: Mapping[str, Any]) -> None:
        self.count += state["count"]
        self.arrivals = [*self.arrivals, *state["arrivals"]][: self._limit]

    def state(self) -> dict[str, Any]:
        return {"count": self.count, "arrivals": self.arrivals}


class Difference:
    """Where a draft and the active configuration part."""

    def __init__(self) -> None:
        self.kinds = {name: Listed() for name in KINDS}
        self.rules: dict[str, dict[str, Listed]] = {}
        self._pairs: dict[tuple[int, int], tuple[str, Changes]] = {}
        self._kept: list[Judgement] = []  # their ids must not be given to others

    def add(self, record: RecordedArrival, active: Judgement, draft: Judgement) -> None:
        """Hold the judgements of one arrival against each other."""
        if active is draft:
            return
        found = self._pairs.get((id(active), id(draft)))
        if found is None:
            found = self._pairs[id(active), id(draft)] = _parted(active, draft)
            self._kept += (active, draft)
        kind, changes = found
        if kind:
            self.kinds[kind].add({
                "arrival": record.arrival, "active": [active.outcome, *active.targets], "draft": [draft.outcome, *draft.targets],
            })  # fmt: skip
        for rule, change in changes:
            self._rule(rule)[change].add(record.arrival)

    def _rule(self, name: str) -> dict[str, Listed]:
        return self.rules.setdefault(name, {"newly_matched": Listed(), "no_longer_matched": Listed()})

    def state(self) -> dict[str, Any]:
        """All of it as plain values."""
        return {
            "arrivals": {kind: listed.state() for kind, listed in self.kinds.items()},
            "rules": {
                name: {change: one.state() for change, one in found.items()} for name, found in self.rules.items()
            },
        }

    def merge(self, state: Mapping[str, Any]) -> None:
        """Add what another process counted."""
        for kind, told in state["arrivals"].items():
            self.kinds[kind].merge(told)
        for name, found in state["rules"].items():
            for change, told in found.items():
                self._rule(name)[change].merge(told)


def _parted(active: Judgement, draft: Judgement) -> tuple[str, Changes]:
    """What kind of difference it is, "" if there is none, and the rules that are true of one side only."""
    untold = {*active.untold, *draft.untold}
    before, after = set(active.true) - untold, set(draft.true) - untold
    changes = [(name, "newly_matched") for name in sorted(after - before)]
    changes += [(name, "no_longer_matched") for name in sorted(before - after)]
    kind = ""
    if CANNOT_TELL in (active.outcome, draft.outcome):
        kind = "cannot_tell"
    elif active.outcome != draft.outcome:
        kind = {"route": "newly_routed", "hold": "newly_held", "discard": "newly_discarded"}[draft.outcome]
    elif active.targets != draft.targets:
        kind = "other_targets"
    return kind, tuple(changes)
