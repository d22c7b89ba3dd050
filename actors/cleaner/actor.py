"""The cleaner: lets go of what is delivered or discarded and older than its retention, in its window, in small steps.
It must never remove a file before the spool has durably marked its arrival, and no pressure shortens a retention.

Rules about time are pure (`times`), and which arrival may go is the spool's own condition.
"""

from __future__ import annotations

from datetime import tzinfo
from typing import ClassVar

from actors.base import Actor, Context
from actors.cleaner.ahead import HOUR_S, Ahead
from actors.cleaner.chores import CONSUMERS, Chores
from actors.cleaner.desk import Desk
from actors.cleaner.disk import Ballast, Disk
from actors.cleaner.pace import Pace
from actors.clocks import clock_trouble
from actors.window import in_window
from protocol.errors import OutOfSpace
from protocol.spool.cleaning import BEGINNING
from protocol.spool.retention import Retention, retention_at
from protocol.wire.bus import Nudge

CHUNK = 20  # arrivals, between two of which other writers get their turn
AGAIN_S = 1.0  # until the next sweep where rows were left: of a busy node more come than a round each `sweep_s` lets go
FILES_AT_ONCE = 5000  # between two signs of life: a slow disk removes a hundred a second
CLOCK_ALERT, DISK_ALERT, STUCK_ALERT, OUTBOX_ALERT = "clock", "disk", "cleaning.stuck", "outbox.long"
ROUTING_ALERT = "cleaning.routing"
OUTBOX_CAP = 2_000_000  # events, about 1 GB: nobody books them, and the disk is the images'


class CleanerActor(Actor):
    """Looks at the disk and for commands each second while anything happens, and every `sweep_s` at what may go."""

    NAME: ClassVar[str] = "cleaner"

    def __init__(self, context: Context, zone: tzinfo | None = None) -> None:
        super().__init__(context)
        self._settings, self._zone = context.settings.cleaner, zone or context.settings.node.zone
        clock, size_mb = context.clock, context.settings.spool.ballast_mb
        self._ballast = Ballast(context.fs, context.spool.places, int(size_mb * 1e6))
        self._desk = Desk(context.spool, context.log)
        self._chores = Chores(context.spool, context.routing, self._settings, clock)
        self._pace = Pace(self._settings.files_per_s, clock.monotonic())
        self._offset = clock.now() - clock.monotonic()
        self._ahead = Ahead(context.spool.notices, clock, self._settings.clock_wait_h * HOUR_S)
        self._due = self._rest = float("-inf")  # next sweep, next step of this one (monotonic)
        self._newest = 0.0  # time of the newest event seen
        self._deleted = self._removed = 0
        self._begin_sweep()

    def _begin_sweep(self) -> None:
        self._stuck = ""  # what could not be removed in this sweep
        self._behind = 0  # arrivals up to this one are not tried again in this sweep
        self._seen = BEGINNING  # candidates up to this one were looked at
        self._upto: dict[int, int] = {}  # how far the files of marked arrivals are removed

    def recover(self) -> dict[str, int]:
        """Finish what was marked before a crash: the marks are durable, the files may be left."""
        finished = 0
        while marked := self.context.spool.cleaning.marked(CHUNK, self._behind):
            finished += len(marked)
            for id in marked:
                self._remove(id, None)
        return {"deletions_finished": finished, "quarantine_finished": self.context.spool.quarantine.finish()}

    def figures(self) -> dict[str, float]:
        """What went since the start."""
        return {"arrivals_deleted": self._deleted, "files_removed": self._removed}

    def one_pass(self, nudges: list[Nudge]) -> float:
        """Disk first, because everything else needs room; then a small step, and again at once while there is more."""
        now = self.context.clock.monotonic()
        disk = self._disk()
        self._attend_ballast(disk)
        self._desk.look()
        hurry = disk.pressure
        begin = now if hurry else self._rest if self._desk.asked else max(self._due, self._rest)
        if now < begin:
            return min(begin - now, disk.patience_s)
        self._tell_disk(disk)
        left = False  # rows that are old enough
        trouble = self._trouble()
        if trouble:
            self._desk.refuse(trouble)
        elif hurry or self._desk.asked or self._in_window():
            if self._step(hurry):
                wait = 0.0 if hurry else self._pace.wait_s()
                self._rest = now + wait
                return wait
            self._desk.swept()
            left = self._chores.round()
        elif self._settings.window == "never":
            left = self._chores.round()  # rows and events have no other time, and must not grow for ever
        self._end_sweep()
        rest = min(AGAIN_S, self._settings.sweep_s) if left else self._settings.sweep_s
        self._due = now + rest
        return min(disk.patience_s, rest)

    def _in_window(self) -> bool:
        return in_window(self._settings.window, self.context.clock.now(), self._zone)

    def _end_sweep(self) -> None:
        if self.context.spool.quarantine.left:
            self.context.spool.quarantine.finish()
        self._tell_stuck()
        self._tell_outbox()
        self._begin_sweep()

    def _disk(self) -> Disk:
        settings = self.context.settings.spool
        return Disk(
            self.context.fs.room(self.context.spool.places.images),
            settings.reserve_gb * 1e9,
            settings.reserve2_gb * 1e9,
        )

    def _attend_ballast(self, disk: Disk) -> None:
        try:
            self._ballast.attend(disk)
        except OutOfSpace as exc:
            self.context.log.warning("no_room_for_ballast", error=str(exc))

    # ---- what is told ---------------------------------------------------------------------------------------------
    def _tell_outbox(self) -> None:
        """Events wait for the bookkeeper as long as the ledger is away; that must not fill the disk unseen."""
        behind = self.context.spool.outbox.backlog(CONSUMERS[0])
        if behind > OUTBOX_CAP:
            self._alert(OUTBOX_ALERT, f"{behind} events wait for the ledger; see why the bookkeeper cannot write")
        else:
            self._clear(OUTBOX_ALERT)

    def _tell_disk(self, disk: Disk) -> None:
        if disk.below:
            free_gb = disk.room.bytes / 1e9
            self._alert(DISK_ALERT, f"{free_gb:.1f} GB are free, less than the reserve: images are refused")
        else:
            self._clear(DISK_ALERT)

    def _trouble(self) -> str:
        """Why deleting cannot go by clock and configuration now, or "". Tells it once, and once when it can again."""
        return self._clock_trouble() or self._routing_trouble()

    def _clock_trouble(self) -> str:
        clock = self.context.clock
        # Before the clock, so that an event recorded in between is no trouble; kept, so that newer events stamped by
        # a wrong clock do not hide it.
        self._newest = max(self._newest, self.context.spool.outbox.newest() or 0.0)
        now = clock.now()
        trouble = clock_trouble(now - clock.monotonic() - self._offset, now, self._newest) or self._ahead.trouble()
        if trouble:
            self._alert(CLOCK_ALERT, f"cleaning pauses: {trouble}")
        else:
            self._clear(CLOCK_ALERT)
        return trouble

    def _routing_trouble(self) -> str:
        """Where versions exist and none can be used nobody knows how long targets want images kept."""
        routing = self.context.routing
        trouble = "" if routing.current().number or not routing.problems() else "no version of the routing can be read"
        if trouble:
            self._alert(ROUTING_ALERT, f"cleaning pauses: {trouble}")
        else:
            self._clear(ROUTING_ALERT)
        return trouble

    def _tell_stuck(self) -> None:
        """At the end of a sweep; the next one tries again."""
        left = [f"quarantined object {name}: {why}" for name, why in self.context.spool.quarantine.left.items()]
        stuck = self._stuck or next(iter(left), "")
        if stuck:
            self._alert(STUCK_ALERT, f"files of what was deleted cannot be removed, the last: {stuck}")
        else:
            self._clear(STUCK_ALERT)

    def _alert(self, alert: str, text: str) -> None:
        try:
            if self.context.spool.notices.raise_alert(alert, text):
                self.context.log.error("alert_raised", alert=alert, text=text)
        except OutOfSpace as exc:  # what is wanted now is room, whether or not it can be told
            self.context.log.error("alert_not_recorded", alert=alert, text=text, error=str(exc))

    def _clear(self, alert: str) -> None:
        try:
            self.context.spool.notices.clear_alert(alert)
        except OutOfSpace as exc:
            self.context.log.warning("alert_not_cleared", alert=alert, error=str(exc))

    # ---- what goes ------------------------------------------------------------------------------------------------
    def _step(self, hurry: bool) -> bool:
        """A chunk of what may go; True if there may be more. `hurry`: at any rate."""
        spool = self.context.spool
        targets = self.context.routing.current().configuration.targets
        retention = retention_at(self.context.clock.now(), self._settings, targets)
        marked = spool.cleaning.marked(CHUNK, self._behind)
        looked, may_go = (0, 0) if marked else self._mark(retention)
        if may_go:
            marked = spool.cleaning.marked(CHUNK, self._behind)
        most = self._pace.allows(self.context.clock.monotonic())
        removed = self._remove_some(marked, FILES_AT_ONCE if hurry or most is None else min(most, FILES_AT_ONCE))
        quarantined = spool.quarantine.expire(retention.quarantined_before)
        self._pace.spend(removed + quarantined)
        self._desk.count(may_go, removed + quarantined)
        if may_go or quarantined:
            self.context.log.info("cleaned", arrivals=may_go, quarantined=quarantined)
        return bool(marked or looked or quarantined)

    def _mark(self, retention: Retention) -> tuple[int, int]:
        """Mark the next ones; how many were looked at, and marked."""
        cleaning = self.context.spool.cleaning
        found = cleaning.candidates(retention, CHUNK, self._seen)
        if found:
            self._seen = found[-1]
        may_go = sum(cleaning.mark(one.id, retention) for one in found)
        self._deleted += may_go
        return len(found), may_go

    def _remove_some(self, marked: list[int], most: int) -> int:
        """At most so many files of marked arrivals; how many."""
        if marked and not self.context.spool.database.full:
            self.context.spool.outbox.barrier()  # relaxed: the mark must survive what the unlinked file does not
        removed = 0
        for id in marked:
            if removed >= most:
                break
            removed += self._remove(id, most - removed)
        return removed

    def _remove(self, id: int, most: int | None) -> int:
        try:
            part = self.context.spool.cleaning.remove_part(id, self._upto.get(id, 0), -1 if most is None else most)
        except OSError as exc:  # not the disk (that is DiskFailed) but these files: they must not keep the others
            self._behind, self._stuck = max(self._behind, id), f"arrival {id}: {exc.strerror}"
            self.context.log.error("files_not_removed", arrival=id, error=exc.strerror)
            return 0
        if part.upto is None:
            self._upto.pop(id, None)
        else:
            self._upto[id] = part.upto
        self._removed += part.removed
        return part.removed
