"""The router: sends single images on, closes complete arrivals, decides them and their studies, carries out commands, offers
deliveries, reaps the dead, and answers requests for storage commitment.
It must not speak DICOM or carry image bytes. Everything it knows comes from the spool; nudges only wake it.
"""

from __future__ import annotations

import contextlib
from typing import ClassVar

from actors.base import Actor, Context
from actors.groups import bindings, usable
from actors.rhythm import REST_S
from actors.router.answering import Answering, Settling
from actors.router.arrivals import Closing, Deciding, Round
from actors.router.commands import Commands
from actors.router.reaping import Reaper
from actors.router.routing import Routing
from actors.router.singles import Singles
from actors.router.studies import Studies
from actors.router.underway import UnderWay
from actors.router.watchdog import LockWatchdog
from protocol.errors import OutOfSpace
from protocol.spool.due_times import CLOCKS_DIFFER_S
from protocol.spool.mined import MinedTerms
from protocol.wire.bus import Nudge
from protocol.zones import zone_name

LONGEST_WAIT_S = 1.0  # while anything goes on
SHORTEST_WAIT_S = 0.05  # between two looks for which there are only nudges of images: a fast scanner sends thousands
CALM_WAIT_S = 0.25  # the same where no rule asks about single images
MEND_EVERY_S = 10.0
LONGEST_BREAK_S = 120.0  # more than a dispatcher ever leaves a target alone
LOCK_ALERT_S = 60.0  # the alert stands this long after the lock was last held for too long
LOCK_ALERT = "spool.lock"
ORPHAN_ALERT = "target.missing."
RULE_ALERT = "rule.failed."


class RouterActor(Actor):
    """See the module; one pass is a sweep over all of it, each part a transaction per arrival or command."""

    NAME: ClassVar[str] = "router"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        spool, log = context.spool, context.log
        self._routing = Routing(context.routing, spool, context.settings, log)
        self._under_way = UnderWay(context.fs, spool.places.run)
        mined = MinedTerms(context.settings.mining.extra_tags, zone_name(context.settings.node.zone))
        self._closing = Closing(spool, self._routing, self._under_way, log, mined)
        self._singles = Singles(spool, self._routing, self._under_way, log)
        self._commands = Commands(spool, self._routing, self._singles, context.clock, log)
        self._deciding = Deciding(spool, self._routing, self._under_way, self._singles, log)
        self._studies = Studies(spool, self._routing, self._under_way, context.clock, log)
        self._reaper = Reaper(spool, context.fs, log)
        self._answering = Answering(spool, self._routing, context.clock, log)
        self._settling = Settling(spool, self._routing, context.clock, context.random, log, context.settings.node.zone)
        self._watchdog = LockWatchdog(spool.places.write_lock, log, context.wire.wake)
        self._ahead = float("-inf")  # of the wall clock, before the monotonic one
        self._looked = self._swept = self._mended = self._lock_trouble = float("-inf")
        self._due = float("inf")  # when the next arrival could be complete (monotonic)
        self._look_for_orphans = True
        self._decided = self._offered = 0
        self._rest_s = SHORTEST_WAIT_S

    def start(self) -> None:
        """The watchdog looks from now on, also while we wait for the lock ourselves."""
        self._watchdog.start()

    def recover(self) -> dict[str, int]:
        """Give back what died with an earlier life, and read the configuration: who is ready has said what is in force."""
        if died_with := self._under_way.recover():
            self.context.log.warning("router_died_with", arrival=died_with)
        found = self._reaper.round(self.context.clock.monotonic())
        with contextlib.suppress(OutOfSpace):  # nothing to die of: the first pass meets it, too, and repeats
            self._look_at_routing()
        return found

    def stop(self) -> None:
        """There is nothing under way between two passes."""
        self._watchdog.stop()
        self._under_way.stop()

    def figures(self) -> dict[str, float]:
        """Open arrivals, and what was done since the start."""
        return {
            "open": self._closing.open,
            "studies": self._studies.waiting,
            "decided": self._decided,
            "offered": self._offered,
            "revision": self._routing.revision,
        }

    def one_pass(self, nudges: list[Nudge]) -> float:
        """Everything that is due."""
        now = self.context.clock.monotonic()
        if (too_soon_s := self._too_soon(nudges, now)) > 0:
            return too_soon_s
        self._looked = now
        self._look_at_routing()
        asked, more_commands = self._commands.round()
        singles = self._singles.round()
        due = [self._closing.round(now)]
        done = self._deciding.closed()
        due.append(now if self._deciding.outdated(done) else self._studies.round(now))
        self._deciding.answered(done)
        self._due = min((one for one in due if one is not None), default=float("inf"))
        self._on_decided(done)
        sent = singles + done.deliveries
        if asked or sent:
            self._look_for_orphans = True
        more_orphans = self._look_for_orphans and self._orphans()
        if now >= self._swept + self.context.settings.router.sweep_s:
            self._swept = now
            self._sweep(now)
        elif asked or sent:
            self._offer()
        return 0.0 if more_commands or done.more or more_orphans else self._wait(now)

    def _too_soon(self, nudges: list[Nudge], now: float) -> float:
        """For so many seconds the nudges are no reason to look: of images alone, or of associations that ended."""
        if not nudges or any(nudge.lane != "arrivals" for nudge in nudges):
            return 0.0
        ended = any("how" in nudge.data for nudge in nudges)
        return min(self._looked + (SHORTEST_WAIT_S if ended else self._rest_s), self._due) - now

    def _wait(self, now: float) -> float:
        """Seconds until something is due: a completion, a retry. Where nothing goes on, only the dead are to be reaped."""
        if self.context.spool.stillness.still():
            return REST_S
        wait_s = min(LONGEST_WAIT_S, self._due - now)
        retry = self.context.spool.deliveries.next_due()
        if retry is not None:
            until_retry_s = retry - self.context.clock.now()
            if until_retry_s > 0:
                wait_s = min(wait_s, until_retry_s)
        return max(SHORTEST_WAIT_S, wait_s)

    # ---- what follows ---------------------------------------------------------------------------------------------
    def _look_at_routing(self) -> None:
        """Where there is another configuration, targets may be gone, failed rules may be mended."""
        if not self._routing.refresh():
            return
        by_image = any(rule.trigger == "image" for rule in self._routing.configuration.rules)
        self._rest_s = SHORTEST_WAIT_S if by_image else CALM_WAIT_S
        self._leave_members()  # before what has no target is held
        self._look_for_orphans = True
        for alert in self.context.spool.notices.alerts(RULE_ALERT):
            self.context.spool.notices.clear_alert(alert)
        self._routing.done()

    def _on_decided(self, done: Round) -> None:
        self._decided += done.decided
        failed = {**self._singles.failed_rules, **self._studies.failed_rules, **done.failed_rules}
        for rule, error in failed.items():
            text = f"rule {rule} cannot be evaluated ({error}); what no other rule routes is held"
            self.context.spool.notices.raise_alert(RULE_ALERT + rule, text)

    def _orphans(self) -> bool:
        """Hold deliveries whose target is not in the configuration, with an alert while there are any; True if more are left."""
        if not self._routing.usable:
            return False  # nobody knows which targets there are: that is no reason to hold everything
        spool, known = self.context.spool, self._routing.names
        held = spool.deliveries.hold_orphans(known)
        if held:
            self.context.log.error("deliveries_orphaned", targets=held)
        unfinished = spool.deliveries.targets_in_use()
        for target in unfinished.keys() - known:
            text = f"target {target} is not in the configuration any more, {unfinished[target]} are held"
            spool.notices.raise_alert(ORPHAN_ALERT + target, text)
        for alert in spool.notices.alerts(ORPHAN_ALERT):
            if alert.removeprefix(ORPHAN_ALERT) not in unfinished.keys() - known:
                spool.notices.clear_alert(alert)
        self._look_for_orphans = bool(held)
        return bool(held)

    # ---- once a second --------------------------------------------------------------------------------------------
    def _sweep(self, now: float) -> None:
        self._reaper.round(now)
        self._settling.round(now)
        self._answering.round(now)
        self._leave_members()
        self._mend_times(now)
        self._tell_lock_trouble(now)
        self._offer()

    def _offer(self) -> None:
        """Tell as many dispatchers as there is work for; also when retries became due and when an offer was lost."""
        spool = self.context.spool
        ready = spool.deliveries.count_ready(self.context.clock.now())
        if ready:
            # One each: the lane deals them out in turn, and a dispatcher employs as many slots as there is work for.
            count = min(ready, max(1, self._reaper.living_dispatchers()))
            self._offered += count
            self.context.wire.offer(count)

    def _leave_members(self) -> None:
        """Give deliveries back to their group whose member fails, is paused or closed, while another one is there."""
        configuration, context = self._routing.configuration, self.context
        if not configuration.groups:
            return
        there = usable(configuration, context.spool.targets.all(), context.clock.now(), context.settings.node.zone)
        patience_s = {name: group.patience_s for name, group in configuration.groups.items()}
        if count := context.spool.deliveries.unbind(bindings(configuration), there, patience_s):
            context.log.warning("deliveries_unbound", deliveries=count)

    def _mend_times(self, now: float) -> None:
        """A clock that was set back must not stop what a wrong one put off."""
        wall = self.context.clock.now()
        ahead, self._ahead = self._ahead, wall - now
        if ahead - self._ahead > CLOCKS_DIFFER_S:
            count = self.context.spool.deliveries.clock_set_back(ahead - self._ahead, wall)
            self.context.log.warning("clock_set_back", by_s=round(ahead - self._ahead), deliveries=count)
        if now < self._mended + MEND_EVERY_S:
            return
        self._mended = now
        longest_s = max((target.retry.max_s for target in self._routing.configuration.targets.values()), default=0.0)
        spool = self.context.spool
        if mended := spool.deliveries.mend_times(self.context.clock.now(), LONGEST_BREAK_S + 1.2 * longest_s):
            self.context.log.warning("due_times_mended", deliveries=mended)

    def _tell_lock_trouble(self, now: float) -> None:
        holder = self._watchdog.found()
        notices = self.context.spool.notices
        if holder is not None:
            self._lock_trouble = now
            did = "it was suspended and was killed" if holder.stopped else "it is running"
            text = f"process {holder.pid} held the spool's write lock for {holder.held_s:.0f} s; {did}"
            notices.raise_alert(LOCK_ALERT, text)
        elif now - self._lock_trouble > LOCK_ALERT_S:
            notices.clear_alert(LOCK_ALERT)
