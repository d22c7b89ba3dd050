"""What would these rules have done? A draft and the active configuration, held against recorded arrivals: pure, in one pass.
It must not read the ledger (protocol/ledger/trial does, in several processes) nor know today's time.

Arrivals come in chunks, in the order of their receipt. A study is over when nothing came for as long as any rule waits at
most; then the rules that judge studies are asked about all of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import tzinfo
from typing import Any

from protocol.errors import DecodeError, ScanpostError
from protocol.routing.backtest.asked import Asked
from protocol.routing.backtest.cases import SHOWN, Past, Reads, RecordedArrival
from protocol.routing.backtest.judge import Judge, Judgement
from protocol.routing.backtest.report import Difference, SetCounts, Shown
from protocol.routing.backtest.truths import Truths
from protocol.routing.model import RoutingConfiguration
from protocol.routing.origin import moment

STUDY_RULES_WAIT_S = 60.0
"""At least so long is waited for the rest of a study, whatever its rules say."""
_QUARTER_S = 900  # every zone's offset is a multiple of it


class Cancelled(ScanpostError):
    """The backtest was cancelled."""


class Backtest:
    """The counts of a backtest. Feed it chunks, then `finish`; `state` and `merge` join several of them.

    `asked`: which unusual elements were read when.
    """

    def __init__(
        self,
        draft: RoutingConfiguration,
        active: RoutingConfiguration | None,
        zone: tzinfo | None,
        *,
        remember: bool = True,
        asked: Asked | None = None,
    ) -> None:
        both = (draft, active) if active is not None else (draft,)
        self._reads, self._zone = Reads(*both, asked=asked or Asked()), zone
        self._truths = Truths(self._reads, remember=remember)
        self._judges = [Judge(one, self._truths, remember=remember) for one in both]
        self._gap_s = max(judge.longest_wait_s for judge in self._judges)
        self._studies: dict[tuple[str, str], list[Past]] = {}  # those that came last stand last
        self._open: dict[int, list[Judgement | None]] = {}  # arrivals of which a judgement is still to come
        self._hours: dict[int, str] = {}
        self.sets = [SetCounts() for _ in both]
        self.difference = Difference()
        self._count = self._images = self._bytes = self._damaged = 0
        self._merged: Counter[str] = Counter()

    def add(self, chunk: Iterable[RecordedArrival]) -> None:
        """The next arrivals, in the order of their receipt."""
        for record in chunk:
            try:
                self._one(Past(record, self._reads, self._zone))
            except DecodeError:
                self._damaged += 1

    def finish(self) -> None:
        """No more arrivals come: the studies under way are over."""
        self._over(None)

    def _one(self, past: Past) -> None:
        if self._gap_s:
            self._over(past.record.received - max(self._gap_s, STUDY_RULES_WAIT_S))
            members = self._studies.pop(past.record.study, [])
            members.append(past)
            self._studies[past.record.study] = members
        truths = self._truths.ask(past)
        judgements = [judge.arrival(past, truths) for judge in self._judges]
        self._given(past, judgements)

    def _over(self, before: float | None) -> None:
        """End the studies whose last arrival came before that; all of them if None."""
        while self._studies:
            study, members = next(iter(self._studies.items()))
            if before is not None and members[-1].record.received >= before:
                return
            del self._studies[study]
            for at, judge in enumerate(self._judges):
                for past, judgement in judge.study(study, members):
                    judgements = self._open[past.record.arrival]
                    judgements[at] = judgement
                    self._given(past, judgements)

    def _given(self, past: Past, judgements: list[Judgement | None]) -> None:
        """Count an arrival as soon as both sides are known."""
        record = past.record
        if None in judgements:
            self._open[record.arrival] = judgements
            return
        self._open.pop(record.arrival, None)
        self._count += 1
        self._images += record.images
        self._bytes += record.size
        hour = self._hour(record.received)
        draft, *actives = judgements
        assert draft is not None
        self.sets[0].add(record, draft, shown_of(past), hour)
        for active in actives:
            assert active is not None
            self.sets[1].add(record, active, None, hour)
            self.difference.add(record, active, draft)

    def _hour(self, received: float) -> str:
        quarter = int(received // _QUARTER_S)
        found = self._hours.get(quarter)
        if found is None:
            local = moment(float(quarter * _QUARTER_S), self._zone)
            found = self._hours[quarter] = local.strftime("%Y-%m-%dT%H")
        return found

    @property
    def totals(self) -> Counter[str]:
        """Arrivals, images and bytes that were judged, and arrivals whose kept values are damaged."""
        own = {"arrivals": self._count, "images": self._images, "bytes": self._bytes, "damaged": self._damaged}
        return self._merged + Counter(own)

    # ---- joining --------------------------------------------------------------------------------------------------
    def state(self) -> dict[str, Any]:
        """All counts as plain values, for another process."""
        return {
            "totals": dict(self.totals),
            "sets": [counts.state() for counts in self.sets],
            "difference": self.difference.state(),
        }

    def merge(self, state: Mapping[str, Any]) -> None:
        """Add what another process counted of other studies."""
        self._merged.update(state["totals"])
        for counts, told in zip(self.sets, state["sets"], strict=True):
            counts.merge(told)
        self.difference.merge(state["difference"])


def shown_of(past: Past) -> Shown:
    """The values that an arrival is grouped by."""
    modality, study, series = past.row[: len(SHOWN)]
    record = past.record
    return record.source or record.calling_ae, _text(modality), _text(study), _text(series)


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if type(value) is str else "\\".join(map(str, value)) if isinstance(value, tuple) else str(value)


def needs_order(*configurations: RoutingConfiguration) -> bool:
    """Whether quotas make the decision about one study depend on the others, so that the work cannot be divided."""
    return any(rule.quota is not None and rule.mode != "off" for one in configurations for rule in one.rules)


def backtest(
    arrivals: Iterable[Sequence[RecordedArrival]],
    draft: RoutingConfiguration,
    active: RoutingConfiguration | None = None,
    zone: tzinfo | None = None,
    *,
    progress: Callable[[int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
    asked: Asked | None = None,
) -> Backtest:
    """Hold a draft against recorded arrivals, and against the active configuration if one is given.

    `arrivals` are chunks in the order of receipt; `zone` is the node's. `progress` is told after each chunk how many
    arrivals are done; `cancelled` is asked then. `asked`: see Backtest. Raises Cancelled.
    """
    made = Backtest(draft, active, zone, asked=asked)
    done = 0
    for chunk in _until(arrivals, cancelled):
        made.add(chunk)
        done += len(chunk)
        if progress is not None:
            progress(done)
    made.finish()
    return made


def _until(
    chunks: Iterable[Sequence[RecordedArrival]], cancelled: Callable[[], bool] | None
) -> Iterator[Sequence[RecordedArrival]]:
    for chunk in chunks:
        if cancelled is not None and cancelled():
            raise Cancelled
        yield chunk
