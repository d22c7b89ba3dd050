"""The dispatcher: hears offers, looks for due deliveries, and has its slot processes send them.
It never speaks to a target itself and never blocks on one: its loop always drains its sockets.

Offers are only reasons to look. A look every second finds what any lost message meant.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from dataclasses import replace
from typing import Any, ClassVar

from actors.base import Actor, Context
from actors.dispatcher import reports
from actors.dispatcher.limits import Limits, terms_of
from actors.dispatcher.supervision import MARGIN_S, SLOT, WORKING, Child, Slots, frozen, orphans
from actors.rhythm import REST_S
from protocol.wire.bus import Nudge
from protocol.wire.events import DeliveryProgress

LOOK_EVERY_S = 1.0
EARLY_S = 0.1  # a look may come so much sooner: passes come at whole seconds, a little more or less
ORPHANS_EVERY_S = 5.0
FROZEN_S = 10.0  # a slot that is nobody's and was suspended for so long is killed


class DispatcherActor(Actor):
    """Any number of them may run; they meet only in the spool's claims."""

    NAME: ClassVar[str] = "dispatcher"
    SINGLE: ClassVar[bool] = False
    CHILDREN: ClassVar[str] = SLOT
    MARGIN_S: ClassVar[float] = MARGIN_S

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        settings = context.settings.dispatcher
        all_slots = settings.instances * settings.slots
        self._limits = Limits(context.spool, context.routing, context.clock, all_slots, terms_of(context.settings))
        self._slots = Slots(
            spool=context.spool,
            home=context.settings.home,
            instance=context.instance,
            count=settings.slots,
            lane=settings.urgent_lane,
            all_slots=all_slots,
            log=context.log,
            news=context.wire.wake,
            told=self._told,
            margin_s=self.MARGIN_S,
            nursery=context.nursery,
        )
        self._work = False  # there may be more than the slots were told of
        self._offered = False
        self._frozen: dict[str, float] = {}  # slots without a dispatcher -> since when they are suspended (monotonic)
        self._look_due = self._orphans_due = float("-inf")

    def recover(self) -> dict[str, int]:
        """Give back what dead slots held."""
        return {"deliveries_given_back": self._reap_orphans()}

    def one_pass(self, nudges: list[Nudge]) -> float:
        """Hear slots; look for work if somebody offered it, a slot moved while there was some, or a second passed."""
        now = self.context.clock.monotonic()
        self._offered |= any(nudge.lane == "offers" for nudge in nudges)
        moved = self._slots.attend(now)
        if now >= self._orphans_due:
            self._orphans_due = now + ORPHANS_EVERY_S
            self._reap_orphans()
        if self._offered or now >= self._look_due or (moved and self._work):
            self._look(now)
        if not self._work and self._slots.idle and self.context.spool.stillness.still():
            return REST_S
        return max(0.0, self._look_due + EARLY_S - self.context.clock.monotonic())

    def _look(self, now: float) -> None:
        self._look_due = now + LOOK_EVERY_S - EARLY_S
        offered, self._offered = self._offered, False
        deliveries, wall = self.context.spool.deliveries, self.context.clock.now()
        allowed = self._limits.now()
        names = {*allowed, *self._limits.configuration.groups}
        order = self._limits.order(allowed)
        self._work = deliveries.ready(names, wall, order) or bool(self._limits.awaited_probes())
        if self._work:
            # Without an offer one slot goes first; if it finds something it says so, and the next is told. Else every
            # slot would try each second what a target's limit does not allow.
            wanted = deliveries.count_ready(wall) if offered else 1
            if not self._slots.employ(wanted, now) and deliveries.ready(names, wall, replace(order, only_urgent=True)):
                self._slots.open_lane(now)

    def _told(self, child: Child, report: dict[str, Any]) -> None:
        kind, wire = report.get("is"), self.context.wire
        if kind == reports.EVENTS:
            wire.committed()
        elif kind == reports.PROGRESS and child.delivery:
            about = child.delivery
            wire.publish(
                DeliveryProgress(about["delivery"], about["arrival"], about["target"], report["sent"], about["total"])
            )

    def _reap_orphans(self) -> int:
        """How many deliveries were given back."""
        context = self.context
        self._end_frozen(context.clock.monotonic())
        given_back = 0
        for owner in orphans(context.spool, context.fs, context.instance, self._slots.owners):
            count = context.spool.deliveries.reap(owner)
            context.log.warning("slot_reaped", owner=owner, given_back=count)
            given_back += count
        if given_back:
            context.wire.committed()
        return given_back

    def _end_frozen(self, now: float) -> None:
        """Kill what would hold its delivery for ever; what it held is given back at the next look."""
        found = frozen(self.context.spool, self.context.fs, self.context.instance, self._slots.owners)
        self._frozen = {owner: self._frozen.get(owner, now) for owner in found}
        for owner, since in self._frozen.items():
            if now - since >= FROZEN_S:
                self.context.log.error(
                    "slot_killed", owner=owner, slot_pid=found[owner], suspended_s=round(now - since)
                )
                with suppress(ProcessLookupError):
                    os.kill(found[owner], signal.SIGKILL)

    def stop(self) -> None:
        """Slots finish their image and give back."""
        self._slots.stop()

    def figures(self) -> dict[str, float]:
        """Slots by what they do, and how many had to be killed."""
        states = self._slots.states()
        working = sum(state == WORKING for state in states)
        return {"slots": len(states), "working": working, "killed": self._slots.killed}
