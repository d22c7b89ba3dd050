"""What one slot does: claim the best delivery, make one attempt, record how it ended; again and again.
It must not know processes, pipes or signals (slot.py and supervision.py do), so that tests can let it die anywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from actors.dispatcher.attempt import DONE, FAILED, STOPPED, Attempt, Outcome
from actors.dispatcher.confirming import Ask, ask_target
from actors.dispatcher.limits import USUAL, Limits, Terms, Unwanted
from actors.dispatcher.probing import Prober
from actors.dispatcher.reports import NoReports, Reports
from actors.dispatcher.shelf import Shelf
from actors.groups import bindings, others, usable
from actors.pace import pace_of
from actors.retry import leave_alone_s, next_try
from actors.standing_in import NOBODY, Tries, tries_in
from actors.targets.interface import Finishing, Target
from actors.targets.registry import make_target
from protocol.causes import Cause
from protocol.clock import Clock
from protocol.errors import ConfigurationError, NetworkError, NotOwner, SpoolError, TargetUnreachable
from protocol.routing.commitment import TargetCommitment
from protocol.routing.syntaxes import name_of
from protocol.routing.targets import DicomTarget
from protocol.routing.targets import Target as TargetSettings
from protocol.routing.versions import RoutingVersions
from protocol.spool import Spool
from protocol.spool.deliveries import Claim

MakeTarget = Callable[[TargetSettings], Target]
OUTAGE_FAILS = 3
"""After so many failures in a row a target was away. Fewer may be the fault of one delivery, which has its own waits."""


class Slot:
    """One delivery at a time. `owner` is the name under which its process is registered (spool.workers)."""

    def __init__(
        self,
        *,
        spool: Spool,
        owner: str,
        routing: RoutingVersions,
        clock: Clock,
        random: Random,
        log: Any,
        slots: int,
        terms: Terms = USUAL,
        only_urgent: bool = False,
        make: MakeTarget = make_target,
        ask: Ask = ask_target,
        reports: Reports | None = None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        """`slots` is how many slots the whole node is set to have; `only_urgent`: it is the lane of urgent deliveries."""
        self._spool, self._owner, self._clock, self._random, self._log = spool, owner, clock, random, log
        self._limits = Limits(spool, routing, clock, slots, terms)
        self._only_urgent = only_urgent
        self._make, self._ask, self._stopping = make, ask, stopping
        self._reports = reports or NoReports()
        self._prober = Prober(spool, self._limits, clock, random, log, self._reports, make)
        self._shelf = Shelf(clock)
        self._last_target = ""
        self._waking = ("", 0)  # a target that is back, and how far its deliveries were told

    def rest(self) -> float | None:
        """Between two looks for work: end what was kept open long enough; seconds until it has to be called again."""
        return self._shelf.tidy()

    def close(self) -> None:
        """End what is kept open."""
        self._shelf.clear()

    def run_once(self) -> bool:
        """Claim one delivery and make one attempt; False if there is nothing to do now. A target that failed is asked first
        whether it is there again, when its time has come.

        Raises what the spool raises when it cannot record (OutOfSpace, DiskFailed): then what this owner holds has to
        be given back by others, after its process ended.
        """
        self._wake_more()
        allowed = self._limits.now()
        probed = not self._only_urgent and self._prober.run()
        if probed:
            allowed = self._limits.now()
        claim = self._spool.deliveries.claim(
            self._owner, allowed, self._clock.now(), self._last_target, bindings(self._limits.configuration),
            self._limits.order(allowed, only_urgent=self._only_urgent),
        )  # fmt: skip
        if claim is None:
            return probed
        self._last_target = claim.group or claim.target
        try:
            self._deliver(claim)
        except NotOwner:
            self._log.warning("delivery_lost", delivery=claim.delivery, arrival=claim.arrival, target=claim.target)
        return True

    def _deliver(self, claim: Claim) -> None:
        settings = self._limits.configuration.targets[claim.target]  # a claim takes only what has a limit there
        try:
            target = self._make(settings)
        except ConfigurationError as exc:  # a library, key or secret is missing: no repetition brings it
            self._hold(claim, str(exc), Cause.CONFIGURATION)
            return
        target.pace = pace_of(self._spool.places.run, claim.target, settings.bandwidth_mbit_s)
        claim = self._going_to(claim, settings)
        claim = self._spool.deliveries.with_values(claim, settings.layout_keywords)
        self._reports.working(claim, target.patience_s)
        if settings.duplicates == "skip":
            claim = self._begin(claim, settings)
        outcome = self._attempt(claim, settings, target)
        for syntax, images in outcome.transcoded:
            self._say("images_transcoded", claim, images=images, to=name_of(syntax))
        if outcome.how == FAILED:
            self._failed(claim, settings, outcome)
        elif outcome.how == STOPPED:
            self._spool.deliveries.give_back(claim)
            self._say("delivery_given_back", claim, images=outcome.answered)
        else:
            assert outcome.how == DONE
            self._finish(claim, settings, target, outcome)

    def _going_to(self, claim: Claim, settings: TargetSettings) -> Claim:
        """With all images, if those that it has sent went elsewhere: the target has other settings since."""
        going = self._spool.deliveries.going_to(claim, settings.location)
        if len(going.images) != len(claim.images):
            self._say("delivery_begins_anew", going, images=len(going.images))
        return going

    def _begin(self, claim: Claim, settings: TargetSettings) -> Claim:
        """Without the images that the target has already."""
        left = self._spool.repeats.begin(claim, f"{claim.target}\0{settings.place}")
        if len(left.images) < len(claim.images):
            self._say("images_skipped", claim, images=len(claim.images) - len(left.images))
        return left

    def _hold(self, claim: Claim, reason: str, cause: Cause) -> None:
        self._spool.deliveries.hold_claimed(claim, reason, cause)
        self._say("delivery_held", claim, reason=reason, cause=cause)

    def _attempt(self, claim: Claim, settings: TargetSettings, target: Target) -> Outcome:
        unwanted = Unwanted(self._limits, claim.target, self._clock)
        attempt = Attempt(
            self._spool.deliveries,
            claim,
            target,
            self._clock,
            stopping=lambda: self._stopping() or unwanted(),
            alive=self._reports.alive,
            moved=lambda sent: self._reports.progress(claim, sent),
            reached=lambda: self._reached(claim.target),
            idle=self._shelf.take(claim.target, settings),
            note=lambda action, values: self._log.debug(action, **_named(claim), **values),
        )
        keep_s = 0.0
        try:
            self._log.debug(
                "attempt_begun",
                **_named(claim),
                images=len(claim.images),
                of=claim.total,
                failed_before=claim.failed_before,
            )
            outcome = attempt.run()
            self._log.debug(
                "attempt_over", **_named(claim), how=outcome.how, answered=outcome.answered, cause=outcome.cause
            )
            keep_s = target.reuse_s if outcome.how == DONE else 0.0
            return outcome
        except (SpoolError, MemoryError):
            raise
        except Exception as exc:
            # A fault of ours must not stop the queue, and the text of a foreign exception may quote anything.
            self._log.error("attempt_broke", delivery=claim.delivery, target=claim.target, exc_info=True)
            return Outcome(FAILED, error=f"internal error ({type(exc).__name__}), see the log", cause=Cause.INTERNAL)
        finally:
            self._shelf.put(claim.target, settings, [*attempt.good, *attempt.left_idle], keep_s)

    def _reached(self, target: str) -> None:
        """The target answers: deliveries may go there in numbers again, and at once if it was away."""
        state = self._spool.targets.all().get(target)
        if state is not None and state.not_before > 0:
            self._spool.targets.answers(target)
            if state.fails >= OUTAGE_FAILS:
                self._waking = (target, self._spool.targets.wake(target))

    def _wake_more(self) -> None:
        """In chunks between deliveries, so that neither the peer nor other writers wait; whoever dies leaves the rest to
        come by their own times.
        """
        target, upto = self._waking
        if upto:
            self._waking = (target, self._spool.targets.wake(target, upto))

    def _finish(self, claim: Claim, settings: TargetSettings, target: Target, outcome: Outcome) -> None:
        row = self._spool.deliveries.get(claim.delivery)
        if row["refused"]:
            self._refused(claim, row["refused"], outcome)
        elif isinstance(settings, DicomTarget) and settings.commitment is not None:
            self._confirm(claim, settings, settings.commitment, outcome)
        elif row["singles"] or self._marked(claim, settings, target, outcome):  # single images complete no series
            self._complete(claim)

    def _complete(self, claim: Claim) -> None:
        self._spool.deliveries.complete(claim)
        self._say("delivery_completed", claim, images=claim.total)

    def _marked(self, claim: Claim, settings: TargetSettings, target: Target, outcome: Outcome) -> bool:
        """Whether the target did what it does at the end of a delivery, if anything."""
        if not isinstance(target, Finishing) or not target.finishes:
            return True
        images = self._spool.deliveries.all_images(claim, settings.layout_keywords)
        try:
            target.finish(images, self._reports.alive)
        except NetworkError as exc:
            self._failed(claim, settings, _after_all(claim, exc, outcome))
            return False
        return True

    def _confirm(self, claim: Claim, settings: DicomTarget, commitment: TargetCommitment, outcome: Outcome) -> None:
        """Ask the target to commit to what it was sent; its report is settled by the router, wherever it comes in."""
        if not self._spool.confirmations.concerns(claim):
            self._complete(claim)  # PS3.4 knows no request for nothing, and who is asked would never answer it
            return
        try:
            self._ask(self._spool, claim, settings, commitment, self._reports.alive)
        except NetworkError as exc:
            # Sent is sent: the next attempt has nothing to send and asks again.
            self._failed(claim, settings, _after_all(claim, exc, outcome))
            return
        due = self._clock.now() + commitment.wait_s
        self._spool.confirmations.confirming(claim, due)
        self._say("delivery_confirming", claim, images=claim.total, wait_s=commitment.wait_s)

    def _refused(self, claim: Claim, refused: int, outcome: Outcome) -> None:
        words = "; ".join(word if count == 1 else f"{word} ({count})" for word, count in outcome.refused)
        error = f"{refused} {'image' if refused == 1 else 'images'} refused" + (f": {words}" if words else "")
        cause = outcome.cause or Cause.IMAGES_REFUSED  # of an earlier attempt, if this one sent the rest
        self._spool.deliveries.park(claim, error[:500], cause)
        self._say("delivery_parked", claim, reason=error[:500], cause=cause)

    def _failed(self, claim: Claim, settings: TargetSettings, outcome: Outcome) -> None:
        now, due, got_on = self._clock.now(), None, outcome.through > 0
        tries = self._tries(claim, now)
        if outcome.retryable:
            # A target that takes some images in each attempt gets all of them in the end, and is not to be waited for ever longer.
            before, since = (0, now) if got_on else (tries.before(claim.failed_before), claim.first_tried)
            due = next_try(settings.retry, before, since, now, self._random)
        follows = self._follows(claim, settings, outcome, tries) if due is None else None
        used = tries.earlier(claim.failed_before) + 1 if got_on else None
        if due is not None:
            due = max(due, now + outcome.after_s)
        if not outcome.answered or outcome.after_s or follows is not None:
            until = self._leave_alone(claim, settings, outcome, now, due)
            if follows is not None and not tries.other:
                # Nobody else can take it now, and until somebody can (Deliveries.unbind) what this one has is not sent again.
                due, used = until, follows
        if due is None and follows is not None:
            self._spool.deliveries.hand_on(claim, outcome.error, outcome.cause, follows, tries.other)
            self._say(
                "delivery_handed_on",
                claim,
                reason=outcome.error,
                cause=outcome.cause,
                group=claim.group,
                to=tries.other,
            )
        elif due is None:
            self._spool.deliveries.park(claim, outcome.error, outcome.cause, last=outcome.last)
            self._say("delivery_parked", claim, reason=outcome.error, cause=outcome.cause)
        else:
            self._spool.deliveries.retry(
                claim, due, outcome.error, outcome.cause, got_on=got_on, last=outcome.last, used=used
            )
            self._say(
                "attempt_failed", claim, reason=outcome.error, cause=outcome.cause, retry_in_s=round(due - now, 1)
            )

    def _leave_alone(
        self, claim: Claim, settings: TargetSettings, outcome: Outcome, now: float, due: float | None
    ) -> float:
        """Nobody is there: one probe at a time from now on, or a thousand deliveries would each wait for a timeout. Until when."""
        state = self._spool.targets.all().get(claim.target)
        until = now + max(outcome.after_s, leave_alone_s(settings.retry, state.fails if state else 0, self._random))
        until = until if due is None else min(until, due)
        self._spool.targets.leave_alone(claim.target, until, outcome.error)
        return until

    def _tries(self, claim: Claim, now: float) -> Tries:
        if not claim.group:
            return NOBODY
        configuration, states = self._limits.configuration, self._spool.targets.all()
        there = usable(configuration, states, now, self._limits.zone)
        failed = {name for name, state in states.items() if (state.last_error_time or 0.0) >= claim.first_tried}
        rest = others(self._spool, configuration, claim.group, claim.target, claim.arrival, there)
        return tries_in(configuration, claim.group, claim.target, rest, failed)

    def _follows(self, claim: Claim, settings: TargetSettings, outcome: Outcome, tries: Tries) -> int | None:
        """How many tries are used up if another member of its group gets a delivery that would be parked; None: it is parked."""
        if not outcome.retryable:
            return None if outcome.answered else tries.next_round(claim.failed_before, for_good=True)
        before = 0 if outcome.through else tries.before(claim.failed_before)
        spent = settings.retry.max_attempts is not None and before + 1 >= settings.retry.max_attempts
        return tries.next_round(claim.failed_before, for_good=False) if spent else None

    def _say(self, action: str, claim: Claim, **more: Any) -> None:
        self._log.info(action, **_named(claim), **more)


def _named(claim: Claim) -> dict[str, Any]:
    return {"delivery": claim.delivery, "arrival": claim.arrival, "target": claim.target, "attempt": claim.attempt}


def _after_all(claim: Claim, exc: NetworkError, outcome: Outcome) -> Outcome:
    """Every image was sent, and what was to follow failed. Whether the target is there is known from this attempt alone, whose
    images may all have been sent before; one that does not take the request takes images all the same.
    """
    answered = outcome.answered if isinstance(exc, TargetUnreachable) else claim.total
    return Outcome(FAILED, answered, error=str(exc), retryable=exc.retryable, cause=exc.cause)
