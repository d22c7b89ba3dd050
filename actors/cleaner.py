"""The cleaner: lets go of what is delivered or discarded and older than its retention, in its window, in small steps.
It must never remove a file before the spool has durably marked its arrival, and no pressure shortens a retention.

The rules about time are pure functions above the actor; which arrival may go is the spool's own condition.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import tzinfo
from typing import ClassVar

from actors.base import Actor, Context
from actors.window import in_window
from protocol.errors import OutOfSpace
from protocol.fsops import FsOps, Room
from protocol.settings.model import Cleaner as CleanerSettings
from protocol.spool.cleaning import Retention
from protocol.spool.places import Places
from protocol.spool.rulebook import KEPT_DAYS
from protocol.wire.bus import Nudge

HOUR_S, DAY_S = 3600.0, 86_400.0
CLOCK_PART_S = HOUR_S  # wall and monotonic clock may part this far: leap seconds and slewing are far below
CLOCK_BEHIND_S = 5.0  # the newest event may be this far ahead: other processes stamp theirs a moment later
PRESSURE = 1.5  # the window is lifted at this many times the reserve, before the receiver has to refuse
INODES = 20_000  # and when so few inodes are left
CHUNK = 20  # arrivals, between two of which other writers get their turn
BALLAST_CHUNK = 1 << 20
CLOCK_ALERT, DISK_ALERT, STUCK_ALERT, OUTBOX_ALERT = "clock", "disk", "cleaning.stuck", "outbox.long"
CONSUMERS = ("bookkeeper",)
OUTBOX_CAP = 2_000_000  # events, about 1 GB: nobody books them, and the disk is the images'


# ---- pure -------------------------------------------------------------------------------------------------------------
def retention_at(now: float, settings: CleanerSettings) -> Retention:
    """Who may go at `now`: finished before these times."""
    quarantined_h = settings.retention_quarantined_h
    return Retention(
        now - settings.retention_delivered_h * HOUR_S,
        now - settings.retention_discarded_h * HOUR_S,
        None if quarantined_h is None else now - quarantined_h * HOUR_S,
    )


def clock_trouble(parted_s: float, now: float, newest_event: float) -> str:
    """Why the wall clock cannot be trusted with deleting, or "". `parted_s`: how far it moved against the monotonic one."""
    if abs(parted_s) > CLOCK_PART_S:
        return (
            f"the clock jumped by {parted_s / HOUR_S:+.1f} hours; nothing is deleted until it is back,"
            " or until the cleaner is restarted because the new time is right"
        )
    if now < newest_event - CLOCK_BEHIND_S:
        return f"the clock is {newest_event - now:.0f} s behind the newest event; nothing is deleted until it is right"
    return ""


@dataclass(frozen=True)
class Disk:
    """How the disk stands against the two reserves (bytes)."""

    room: Room
    reserve: float
    reserve2: float

    @property
    def pressure(self) -> bool:
        """Clean now, whatever the window."""
        return self.room.bytes < PRESSURE * self.reserve or self._few_inodes

    @property
    def below(self) -> bool:
        """The receiver refuses."""
        return self.room.bytes < self.reserve

    @property
    def below_second(self) -> bool:
        """Not even the database can be sure of its room any more."""
        return self.room.bytes < self.reserve2

    @property
    def _few_inodes(self) -> bool:
        return self.room.inodes is not None and self.room.inodes < INODES


# ---- the ballast ------------------------------------------------------------------------------------------------------
class Ballast:
    """Space set aside in good times, so that the database can work when somebody else filled the disk."""

    def __init__(self, fs: FsOps, places: Places, size: int) -> None:
        self._fs, self._path, self._size = fs, places.ballast, size

    def attend(self, disk: Disk) -> None:
        """Free it below the second reserve; make it where there is plenty of room."""
        there = self._fs.exists(self._path)
        if disk.below_second:
            for path in (self._path, self._path.with_suffix(".tmp")):
                if self._fs.exists(path):
                    self._fs.unlink(path)
        elif not there and self._size and disk.room.bytes > PRESSURE * disk.reserve + self._size:
            self._make()

    def _make(self) -> None:
        tmp = self._path.with_suffix(".tmp")
        if self._fs.exists(tmp):
            self._fs.unlink(tmp)
        file = self._fs.create(tmp)
        try:
            for start in range(0, self._size, BALLAST_CHUNK):
                file.write(bytes(min(BALLAST_CHUNK, self._size - start)))
            file.sync()
        finally:
            file.close()
        self._fs.rename(tmp, self._path)


# ---- the actor --------------------------------------------------------------------------------------------------------
class CleanerActor(Actor):
    """Looks at the disk each second, and every `sweep_s` at what may go."""

    NAME: ClassVar[str] = "cleaner"

    def __init__(self, context: Context, zone: tzinfo | None = None) -> None:
        super().__init__(context)
        self._settings, self._zone = context.settings.cleaner, zone or context.settings.node.zone
        clock, size_mb = context.clock, context.settings.spool.ballast_mb
        self._ballast = Ballast(context.fs, context.spool.places, int(size_mb * 1e6))
        self._offset = clock.now() - clock.monotonic()
        self._due = float("-inf")  # next sweep (monotonic)
        self._newest = 0.0  # time of the newest event seen
        self._deleted = self._removed = 0
        self._stuck = ""  # what could not be removed in this sweep
        self._behind = 0  # arrivals up to this one are not tried again in this sweep

    def recover(self) -> dict[str, int]:
        """Finish what was marked before a crash: the marks are durable, the files may be left."""
        finished = 0
        while marked := self.context.spool.cleaning.marked(CHUNK, self._behind):
            finished += len(marked)
            self._remove(marked)
        return {"deletions_finished": finished, "quarantine_finished": self.context.spool.cleaning.finish_quarantine()}

    def figures(self) -> dict[str, float]:
        """What went since the start."""
        return {"arrivals_deleted": self._deleted, "files_removed": self._removed}

    def one_pass(self, nudges: list[Nudge]) -> float:
        """Disk first, because everything else needs room; then a small step, and again at once while there is more."""
        now = self.context.clock.monotonic()
        disk = self._disk()
        self._attend_ballast(disk)
        if not disk.pressure and now < self._due:
            return self._due - now
        self._tell_disk(disk)
        if self._trusted() and (
            disk.pressure or in_window(self._settings.window, self.context.clock.now(), self._zone)
        ):
            if self._step():
                return 0.0
            self._purge()
        self._tell_stuck()
        self._tell_outbox()
        self._due = now + self._settings.sweep_s
        return min(1.0, self._settings.sweep_s)

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

    def _trusted(self) -> bool:
        """May deleting go by the wall clock now? Tells it once if not, and once when it may again."""
        clock = self.context.clock
        # Before the clock, so that an event recorded in between is no trouble; kept, so that newer events stamped by
        # a wrong clock do not hide it.
        self._newest = max(self._newest, self.context.spool.outbox.newest() or 0.0)
        now = clock.now()
        trouble = clock_trouble(now - clock.monotonic() - self._offset, now, self._newest)
        if trouble:
            self._alert(CLOCK_ALERT, f"cleaning pauses: {trouble}")
        else:
            self._clear(CLOCK_ALERT)
        return not trouble

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
    def _step(self) -> bool:
        """A chunk of what may go; True if there may be more."""
        spool, retention = self.context.spool, retention_at(self.context.clock.now(), self._settings)
        unfinished = spool.cleaning.marked(CHUNK, self._behind)
        may_go = [id for id in spool.cleaning.deletable(retention, CHUNK) if spool.cleaning.mark(id, retention)]
        self._remove([*unfinished, *may_go])
        self._deleted += len(may_go)
        quarantined = spool.cleaning.expired_quarantine(retention)
        if may_go or quarantined:
            self.context.log.info("cleaned", arrivals=len(may_go), quarantined=quarantined)
        return bool(unfinished or may_go or quarantined)

    def _remove(self, marked: list[int]) -> None:
        if marked and not self.context.spool.database.full:
            self.context.spool.outbox.barrier()  # relaxed: the mark must survive what the unlinked file does not
        for id in marked:
            try:
                self._removed += self.context.spool.cleaning.remove_files(id)
            except OSError as exc:  # not the disk (that is DiskFailed) but these files: they must not keep the others
                self._behind, self._stuck = max(self._behind, id), f"arrival {id}: {exc.strerror}"
                self.context.log.error("files_not_removed", arrival=id, error=exc.strerror)

    def _tell_stuck(self) -> None:
        """At the end of a sweep; the next one tries again."""
        if self._stuck:
            self._alert(STUCK_ALERT, f"files of deleted arrivals cannot be removed, the last: {self._stuck}")
        else:
            self._clear(STUCK_ALERT)
        self._behind, self._stuck = 0, ""

    def _purge(self) -> None:
        """Rows of what was deleted long ago, and old events that the bookkeeper has: a few chunks per sweep."""
        spool, now = self.context.spool, self.context.clock.now()
        for _ in range(CHUNK):
            rows = spool.cleaning.purge(now - self._settings.rows_days * DAY_S)
            events = spool.outbox.trim(now - self._settings.outbox_days * DAY_S, CONSUMERS)
            rows += spool.cleaning.purge_records(now - self._settings.rows_days * DAY_S)
            rows += spool.rules.forget(now - KEPT_DAYS * DAY_S)
            if not rows and not events:
                return
