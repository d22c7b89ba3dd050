"""Sends single images of open arrivals at once, where rules with the trigger `image` say so.
It must not look at an image twice: how far it got stands in the spool, in the same transaction as what follows.
"""

from __future__ import annotations

from typing import Any

from actors.router import selftests
from actors.router.patience import Patience, for_everybody, where
from actors.router.routing import Routing
from actors.router.underway import UnderWay
from actors.router.verdicts import choices, error_of, image_case, periods
from protocol.records import record
from protocol.routing.decide import Case, decide_image
from protocol.routing.rules.values import Truth
from protocol.spool import Spool
from protocol.spool.headers import NewImage
from protocol.spool.settling import TargetChoice
from protocol.spool.singles import STATES, Batch

AT_ONCE = 200  # images in one transaction


@record
class Looked:
    """What came of a look at an arrival's images. `made`: so many deliveries. Not all were judged if it failed, and the
    next pass is to try `again`, or if it was `given_up` after a few tries.
    """

    made: int = 0
    again: bool = False
    given_up: bool = False


class Singles:
    """See the module."""

    def __init__(self, spool: Spool, routing: Routing, under_way: UnderWay, log: Any) -> None:
        self._spool, self._routing, self._under_way, self._log = spool, routing, under_way, log
        self._patience = Patience()
        self._given_up: set[int] = set()
        self._failed: set[int] = set()  # since the last round: what was busy then is not asked twice in one pass
        self.failed_rules: dict[str, str] = {}  # of the last round

    def round(self) -> int:
        """Judge images that nobody has judged; how many deliveries that made."""
        self.failed_rules = {}
        self._failed.clear()
        if not self._routing.configuration.image_rules:
            return 0
        return sum(self.catch_up(arrival).made for arrival in self._spool.singles.behind())

    def catch_up(self, arrival: int) -> Looked:
        """Judge all images of an arrival that nobody has judged."""
        if not self._routing.configuration.image_rules:
            return Looked()
        if arrival in self._given_up:
            return Looked(given_up=True)
        if arrival in self._failed:
            return Looked(again=True)
        if self._under_way.killed_too_often(arrival):
            return Looked()  # it is held once it is complete
        made = 0
        try:
            with self._under_way.work(arrival):
                while (batch := self._next(arrival)) is not None:
                    made += self._spool.singles.route(batch)
        except Exception as exc:
            if for_everybody(exc):
                raise
            self._log.error("image_rules_failed", arrival=arrival, error=where(exc))
            self._failed.add(arrival)
            if not self._patience.failed(arrival):
                return Looked(made, again=True)
            self._given_up.add(arrival)
            return Looked(made, given_up=True)
        self._patience.forget(arrival)
        return Looked(made)

    def let_go(self, arrival: int) -> None:
        """A person lets it go: of images that were judged and went nowhere the rules are asked again, without quotas and
        schedules.
        """
        if not self._routing.configuration.image_rules:
            return
        row, common, images = self._spool.singles.left(arrival)
        if images and row["state"] in STATES:
            with self._under_way.work(arrival):
                self._spool.singles.route(self._batch(row, common, images, lifted=True), again=True)

    def forget(self, arrival: int) -> None:
        """A person sees to it: the next look tries anew."""
        self._given_up.discard(arrival)
        self._failed.discard(arrival)
        self._patience.forget(arrival)

    def _next(self, id: int) -> Batch | None:
        arrival, common, images = self._spool.singles.unseen(id, AT_ONCE)
        if not images or arrival["state"] not in STATES or selftests.announced(self._spool, arrival):
            return None
        return self._batch(arrival, common, images)

    def _batch(self, arrival: Any, common: Any, images: list[NewImage], *, lifted: bool = False) -> Batch:
        batch = Batch(arrival["id"], images[-1].position, self._routing.revision)
        named = periods(self._routing.configuration, arrival["opened"], self._routing.zone)
        used = self._spool.rules.used(named)
        explanations: dict[str, Any] = {}
        for image in images:
            case = image_case(arrival, common, image.differing, self._routing.zone, used, lifted=lifted)
            self._one(batch, case, image, used, explanations)
        batch.rules = list(explanations)
        batch.explanation = {"revision": batch.revision, "outcome": "images", "rules": list(explanations.values())}
        self.failed_rules.update(batch.failed_rules)
        return batch

    def _one(
        self, batch: Batch, case: Case, image: NewImage, used: dict[str, int], explanations: dict[str, Any]
    ) -> None:  # fmt: skip
        planned, results = decide_image(self._routing.configuration, case)
        for result in results:
            if result.result is Truth.ERROR and result.counts:
                rule = next(one for one in self._routing.configuration.rules if one.name == result.rule)
                evaluation = rule.compiled.evaluate(case.subject)
                batch.failed_rules.setdefault(result.rule, error_of(evaluation.explanation))
            if result.result is not None and (result.acts or result.failed or not result.counts):
                key = (result.rule, str(result.result))
                batch.counted[key] = batch.counted.get(key, 0) + 1
            if not result.acts:
                continue
            if result.rule not in explanations:
                rule = next(one for one in self._routing.configuration.rules if one.name == result.rule)
                explanations[result.rule] = {
                    "rule": result.rule, "action": "route", "result": "true", "counts": True,
                    "why": f"of image {image.position}", "explanation": rule.compiled.evaluate(case.subject).explanation,
                }  # fmt: skip
            if result.period:
                batch.quotas.append((result.rule, result.period))
                used[result.rule] = used.get(result.rule, 0) + 1
        for choice in choices(planned):
            _add(batch.wanted, choice, image)


def _add(wanted: dict[TargetChoice, list[NewImage]], choice: TargetChoice, image: NewImage) -> None:
    """To the same target whatever its priority; the highest counts."""
    for there in list(wanted):
        if there.name == choice.name:
            best = there if there.priority.rank <= choice.priority.rank else choice
            images = wanted.pop(there)
            wanted[best] = [*images, image]
            return
    wanted[choice] = [image]
