"""Answers what scanners asked to be committed, and settles deliveries whose target was asked to commit.
It must not judge an image (`commitment` does) or speak to anybody: the receiver sends reports, slots ask targets.

Everything is read from the spool in each round; what is remembered here only saves looking, or ends what a wrong clock would
prolong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import tzinfo
from random import Random
from typing import Any

from actors.dicom.commitment import SAME_ASSOCIATION_S
from actors.dicom.negotiation import is_storage
from actors.groups import others, usable
from actors.retry import next_try
from actors.router.commitment import COMMITTED, judge, next_look_s
from actors.router.patience import for_everybody, where
from actors.router.routing import Routing
from actors.standing_in import tries_in
from protocol.clock import Clock
from protocol.routing.commitment import SourceCommitment, TargetCommitment
from protocol.routing.sources import commitment_for
from protocol.routing.targets import DicomTarget, Retry
from protocol.spool import Spool
from protocol.spool.commitments import Request
from protocol.spool.confirmations import AT_ONCE, Confirming
from protocol.spool.due_times import CLOCKS_DIFFER_S

PART = 400  # images judged at a time: one that is not known yet makes the rest of its request uninteresting
WORK_AT_ONCE = 20_000  # images looked at in one round ...
WORK_OF_REQUEST = 50  # ... where a request costs as much as so many
FINAL_REASONS = frozenset((0x0119, 0x0122))  # a target that says so says it again, however often it gets the image
SILENT = "the target did not answer the request for storage commitment in time"
UNANSWERED_ALERT = "confirmation.unanswered."
UNROUTED_ALERT = "commitment.unrouted"
RELAXED_ALERT = "commitment.relaxed"


class Answering:
    """Requests of scanners."""

    def __init__(self, spool: Spool, routing: Routing, clock: Clock, log: Any) -> None:
        self._spool, self._routing, self._clock, self._log = spool, routing, clock, log
        self._look_at: dict[int, float] = {}  # request -> when to look again (monotonic)
        self._seen: dict[int, float] = {}  # request -> when it was first seen (monotonic)
        self._stuck: dict[int, int] = {}  # request -> where the part begins that was not known at the last look

    def round(self, now: float) -> int:
        """Answer what can be answered; how many were. `now` is monotonic."""
        waiting = self._spool.commitments.waiting()
        self._look_at = {one.id: self._look_at.get(one.id, now) for one in waiting}
        self._seen = {one.id: self._seen.get(one.id, now) for one in waiting}
        self._stuck = {id: at for id, at in self._stuck.items() if id in self._look_at}
        answered, left = 0, WORK_AT_ONCE
        for request in sorted(waiting, key=lambda one: self._look_at[one.id]):
            if self._look_at[request.id] > now or left <= 0:
                break
            left -= WORK_OF_REQUEST + min(request.count, PART)
            age_s = self._age_s(request, now)
            try:
                answered += self._one(request, age_s)
            except Exception as exc:
                if for_everybody(exc):
                    raise
                self._log.error("commitment_failed", commitment=request.id, error=where(exc))
            self._look_at[request.id] = now + next_look_s(age_s)
        self._tell()
        return answered

    def _age_s(self, request: Request, now: float) -> float:
        """Seconds since it was asked; not less than we know it, or one asked while the clock was ahead would stay young."""
        return max(self._clock.now() - request.asked, now - self._seen[request.id])

    def _one(self, request: Request, age_s: float) -> bool:
        settings = self.settings_for(request)
        reasons, promised = self._judge(request, settings, age_s)
        if reasons is None:
            return False
        hold_s = max(0.0, SAME_ASSOCIATION_S - age_s) if request.association_open else 0.0
        due = self._clock.now() + hold_s
        if not self._spool.commitments.answer(request.id, reasons, promised, due):
            return False
        failed = sum(reason != COMMITTED for reason in reasons)
        self._log.info("commitment_answered", commitment=request.id, calling_ae=request.calling_ae,
                       images=len(reasons), failed=failed, policy=settings.policy)  # fmt: skip
        return True

    def settings_for(self, request: Request) -> SourceCommitment:
        """The policy of its source as it is now; in relaxed mode nothing is durable here, so a target has to have it."""
        sources = self._routing.configuration.sources
        settings = commitment_for(sources, request.source, request.calling_ae, request.address)
        if settings.policy == "spool" and not self._spool.database.full:
            return settings.model_copy(update={"policy": "target"})
        return settings

    def _judge(self, request: Request, settings: SourceCommitment, age_s: float) -> tuple[list[int] | None, set[int]]:
        """The reason of each image (None: not all are known yet), and arrivals that we have to keep for it."""
        images = self._spool.commitments.images(request.id)
        stuck = self._stuck.get(request.id)
        if stuck is not None and None in self._part(request, images[stuck : stuck + PART], settings, age_s)[0]:
            return None, set()
        reasons: list[int] = []
        kept: set[int] = set()
        for start in range(0, len(images), PART):
            found, arrivals = self._part(request, images[start : start + PART], settings, age_s)
            known = [reason for reason in found if reason is not None]
            if len(known) < len(found):
                self._stuck[request.id] = start
                return None, set()
            reasons += known
            kept |= arrivals
        return reasons, kept if settings.policy == "spool" else set()

    def _part(
        self, request: Request, images: Sequence[tuple[str, str]], settings: SourceCommitment, age_s: float
    ) -> tuple[list[int | None], set[int]]:
        """The reason of each of these images, and the arrivals of those that are committed."""
        found, apart = self._spool.commitments.standing(request.calling_ae, [uid for _, uid in images])
        confirming = {
            name for name, target in self._routing.configuration.targets.items()
            if isinstance(target, DicomTarget) and target.commitment is not None
        }  # fmt: skip
        reasons = [
            judge(sop_class, is_storage(sop_class), found.get(uid), uid in apart, settings, confirming, age_s)
            for sop_class, uid in images
        ]
        committed = zip(images, reasons, strict=True)
        return reasons, {found[uid].arrival for (_, uid), reason in committed if reason == COMMITTED}

    def _tell(self) -> None:
        """Alerts that stand as long as what they tell."""
        notices, unrouted = self._spool.notices, self._spool.commitments.unrouted()
        if unrouted:
            text = (
                f"arrival {unrouted[0]}" + (f" and {len(unrouted) - 1} more" if len(unrouted) > 1 else "")
                + " promised by storage commitment, but no rule sends it to a target: route it"
            )  # fmt: skip
            notices.raise_alert(UNROUTED_ALERT, text)
        else:
            notices.clear_alert(UNROUTED_ALERT)
        spool_policy = [name for name, source in self._routing.configuration.sources.items()
                        if source.commitment.policy == "spool"]  # fmt: skip
        if spool_policy and not self._spool.database.full:
            text = f"source {spool_policy[0]}: commitment policy spool needs receiver.durability fsync; target is used"
            notices.raise_alert(RELAXED_ALERT, text)
        else:
            notices.clear_alert(RELAXED_ALERT)


class Settling:
    """Deliveries in the state `confirming`."""

    def __init__(
        self, spool: Spool, routing: Routing, clock: Clock, random: Random, log: Any, zone: tzinfo | None = None
    ) -> None:  # fmt: skip
        """`zone` is that of the node, in which schedules of targets are meant."""
        self._spool, self._routing, self._clock, self._random, self._log = spool, routing, clock, random, log
        self._zone = zone
        self._far: dict[tuple[int, float], float] = {}  # (delivery, due) -> since when that is too far off (monotonic)
        self._after = 0  # the delivery behind which the next round looks

    def round(self, monotonic: float) -> int:
        """Settle what its target answered or let pass; how many deliveries moved.

        Of many that wait each round looks at the next ones: the oldest, whose targets are silent, must not hide the others.
        """
        now = self._clock.now()
        after, waiting = self._after, self._spool.confirmations.waiting(self._after)
        self._after = waiting[-1].delivery if len(waiting) == AT_ONCE else 0
        elsewhere = {key: since for key, since in self._far.items() if not after < key[0] <= (self._after or key[0])}
        self._far = elsewhere | self._too_far(waiting, now, monotonic)
        heard = [one for one in waiting if one.failed is not None]
        silent = [one for one in waiting if one.failed is None and (now >= one.due or self._over(one, monotonic))]
        # Alerts first: once these deliveries have moved, nothing would bring back one that a death left out, or left standing.
        self._tell({one.target for one in heard}, {one.target for one in silent})
        moved = sum(self._answered(one, one.failed or {}, now) for one in heard)
        for one in silent:
            if other := self._other_member(one, now):
                moved += self._hand_on(one, other)
            else:
                moved += self._unanswered(one)
        return moved

    def _too_far(self, waiting: Sequence[Confirming], now: float, monotonic: float) -> dict[tuple[int, float], float]:
        """Those that are to wait longer than a target may take: the clock was ahead when they began, or is behind now. As
        that cannot be told, their time runs here and stays as it is in the spool: a node whose clock is right only a
        while after its start must not park them all then.
        """
        far = [one for one in waiting if one.due > now + self._wait_s(one.target) + CLOCKS_DIFFER_S]
        return {(one.delivery, one.due): self._far.get((one.delivery, one.due), monotonic) for one in far}

    def _over(self, one: Confirming, monotonic: float) -> bool:
        since = self._far.get((one.delivery, one.due))
        return since is not None and monotonic >= since + self._wait_s(one.target)

    def _wait_s(self, name: str) -> float:
        target = self._routing.configuration.targets.get(name)
        settings = target.commitment if isinstance(target, DicomTarget) else None
        return (settings or TargetCommitment()).wait_s

    def _answered(self, one: Confirming, failed: Mapping[str, int], now: float) -> bool:
        if not failed:
            self._say("delivery_confirmed", one)
            return self._spool.confirmations.complete(one.delivery)
        target = self._routing.configuration.targets.get(one.target)
        retry = target.retry if target is not None else Retry()
        due, tries = None, tries_in(self._routing.configuration, one.group, one.target, ())
        if not FINAL_REASONS & set(failed.values()):
            due = next_try(retry, tries.before(one.attempts - 1), one.first_tried, now, self._random)
        counts = sorted({f"{reason:04X}" for reason in failed.values()})
        error = f"the target did not commit to {len(failed)} images ({', '.join(counts)})"
        self._say("delivery_not_confirmed", one, reason=error)
        return self._spool.confirmations.failed(one.delivery, failed, error, due)

    def _other_member(self, one: Confirming, now: float) -> str:
        """A member of the delivery's group that can be used now and was not asked for it yet, or ""."""
        configuration = self._routing.configuration
        there = usable(configuration, self._spool.targets.all(), now, self._zone) - {*one.asked}
        return next(iter(others(self._spool, configuration, one.group, one.target, one.arrival, there)), "")

    def _hand_on(self, one: Confirming, other: str) -> bool:
        self._say("delivery_handed_on", one, reason=SILENT, group=one.group, to=other)
        return self._spool.confirmations.hand_on(one.delivery, other, SILENT)

    def _unanswered(self, one: Confirming) -> bool:
        self._say("delivery_unconfirmed", one, reason=SILENT)
        return self._spool.confirmations.failed(one.delivery, {}, SILENT, None)

    def _tell(self, heard: set[str], silent: set[str]) -> None:
        """Raise the alerts of targets that are silent, end those of targets that were and are not any more. While others take
        what a member of a group does not commit to nothing of it is parked: then only an answer says that it is over.
        """
        for name in silent:
            what = "go to another member of their group, or are parked" if self._stood_in_for(name) else "are parked"
            text = f"target {name} does not answer requests for storage commitment; deliveries to it {what}"
            self._spool.notices.raise_alert(UNANSWERED_ALERT + name, text)
        standing = self._spool.notices.alerts(UNANSWERED_ALERT)
        if standing:
            parked = self._spool.targets.queue()
            for alert in standing:
                name = alert.removeprefix(UNANSWERED_ALERT)
                over = name in heard if self._stood_in_for(name) else not parked.get(name, {}).get("parked")
                if over and name not in silent:
                    self._spool.notices.clear_alert(alert)

    def _stood_in_for(self, name: str) -> bool:
        """Whether it is asked to commit, and others of a group get what it does not answer for."""
        configuration = self._routing.configuration
        target = configuration.targets.get(name)
        asked = isinstance(target, DicomTarget) and target.commitment is not None
        return asked and any(
            name in group.members and len(group.members) > 1 for group in configuration.groups.values()
        )

    def _say(self, action: str, one: Confirming, **more: Any) -> None:
        self._log.info(action, delivery=one.delivery, arrival=one.arrival, target=one.target, **more)
