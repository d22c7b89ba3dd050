"""Looks at the node for the watch: targets, queues, sources, programs, disk, certificates. What it sees are plain readings.
It must not judge (`conditions` does); it reads the spool, the lock files and a few files, and connects to nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from actors.bookkeeper.alerts.conditions import HOUR_S, ActorReading, Readings, TargetReading
from actors.bookkeeper.alerts.filling import Filling
from actors.bookkeeper.alerts.silent import Silent, silence, slots
from protocol import certificates
from protocol.dispatchers import dispatchers
from protocol.selftest import CALLING_AE
from protocol.spool.database import WAL_ALERT_BYTES
from protocol.spool.forecast import forecast
from protocol.spool.retention import retention_at
from protocol.spool.status import HUNG, actors

if TYPE_CHECKING:
    from actors.base import Context
    from protocol.routing.model import RoutingConfiguration
    from protocol.spool.targets import TargetState

CERTIFICATES_EVERY_S, SILENT_EVERY_S = 3600.0, 600.0
SEEN_S = 8 * 7 * 86_400.0
"""How far back the hours of sources are kept."""
LATELY_S = 3600.0
STARTS_S = 900.0
UNSENT_S = 900.0
GAP_S = 15.0
"""More than this between two looks was our own sleep, or the machine's."""
SCHEDULE_S = 86_400.0
"""So much longer may a delivery wait for a target that has a schedule."""


class Reader:
    """One for the life of a process; what it remembers are times by the monotonic clock."""

    def __init__(self, context: Context) -> None:
        self._context, self._spool, self._clock = context, context.spool, context.clock
        self._limits = context.settings.alerts
        self._filling = Filling()
        self._programs = Programs()
        self._slot = slots(context.settings.node.zone)
        self._certificates: list[certificates.Ending] = []
        self._silent: dict[str, Silent] = {}
        self._sources_known = 0
        self._wal_large: float | None = None  # since when
        self._read_certificates = self._learned = float("-inf")

    def look(self, unset: frozenset[str] = frozenset()) -> Readings:
        """Everything, now. `unset`: channels that rules name and the settings do not have."""
        now, monotonic = self._clock.now(), self._clock.monotonic()
        configuration = self._context.routing.current().configuration
        self._slow(configuration, now, monotonic)
        spool = self._spool
        return Readings(
            now,
            targets=self._targets(configuration, now),
            troubles=spool.deliveries.causes(),
            held=spool.watching.held(by_person=False),
            aside=spool.watching.held(by_person=True),
            quarantined=spool.watching.quarantined(now - self._limits.quarantine_h * HOUR_S),
            actors=self._programs.look(self._expected(), self._states(now), monotonic),
            silent={} if spool.draining.state() is not None else self._silent,
            sources_known=self._sources_known,
            disk_full_at=self._disk_full_at(configuration, now, monotonic),
            disk_known=self._filling.known,
            wal_large_s=self._wal_large_s(monotonic),
            certificates=self._certificates,
            unsent=self._unsent(now),
            unset=unset,
        )

    def _slow(self, configuration: RoutingConfiguration, now: float, monotonic: float) -> None:
        if monotonic >= self._read_certificates + CERTIFICATES_EVERY_S:
            self._read_certificates = monotonic
            named = certificates.files(self._context.settings, configuration)
            self._certificates = [certificates.ending(one) for one in named]
        self._spool.watching.note_hours()
        if not self._limits.silent_sources:
            return
        if monotonic >= self._learned + SILENT_EVERY_S:
            self._learned = monotonic
            self._spool.watching.forget_hours(now - SEEN_S)
            self._learn(now)

    def _learn(self, now: float) -> None:
        seen = self._spool.watching.hours(now - SEEN_S)
        found = {name: silence(hours, now, self._slot) for name, hours in seen.items() if name != CALLING_AE}
        self._silent = {name: one for name, one in found.items() if one is not None}
        self._sources_known = len(seen)

    # ---- targets --------------------------------------------------------------------------------------------------
    def _targets(self, configuration: RoutingConfiguration, now: float) -> dict[str, TargetReading]:
        states, queues = self._spool.targets.all(), self._spool.targets.queue()
        found = {}
        for name, settings in configuration.targets.items():
            queue = queues.get(name, {})
            waiting = queue.get("waiting", 0) + queue.get("retrying", 0)
            longer = SCHEDULE_S if settings.schedule is not None else 0.0
            late = self._late(name, now, longer) if waiting and self._old(queue["oldest"], now) else None
            found[name] = _target(states.get(name), waiting, late, now)
        return found

    def _old(self, oldest: float, now: float) -> bool:
        return now - oldest >= self._limits.oldest_h * HOUR_S

    def _late(self, name: str, now: float, longer_s: float) -> float | None:
        """Since when a delivery waits that has waited too long by its priority; None: none has."""
        offpeak_s = self._context.settings.dispatcher.offpeak_after_h * HOUR_S
        found = []
        for offpeak in (False, True):
            oldest = self._spool.watching.oldest(name, offpeak=offpeak)
            most_s = self._limits.oldest_h * HOUR_S + longer_s + (offpeak_s if offpeak else 0.0)
            if oldest is not None and now - oldest >= most_s:
                found.append(oldest)
        return min(found, default=None)

    # ---- the node -------------------------------------------------------------------------------------------------
    def _expected(self) -> list[str]:
        """Programs that must run; of the web page it counts whether it ever did."""
        settings = self._context.settings
        names = ["receiver", "router", "cleaner", *(f"dispatcher-{one}" for one in range(dispatchers(settings)))]
        names += ["bus"] if settings.bus.enabled else []
        names += ["webgui"] if "webgui.lock" in self._spool.fs.listdir(self._spool.places.run) else []
        return names

    def _states(self, now: float) -> Mapping[str, Said]:
        states = actors(self._spool, now)
        for one in states.values():
            if one["state"] == HUNG:  # by the wall clock; here it is asked of the monotonic one
                one["state"] = "ready"
        return {name: Said(one["state"], one["pid"], one["beat"] or 0.0) for name, one in states.items()}

    def _disk_full_at(self, configuration: RoutingConfiguration, now: float, monotonic: float) -> float | None:
        settings = self._context.settings
        try:
            free = self._spool.fs.room(self._spool.places.images).bytes
        except OSError:  # the disk is gone: programs fail over that, and they must be told of
            return None
        reserve = settings.spool.reserve_gb * 1e9
        self._filling.look(monotonic, free)
        left_h = self._filling.hours_left(free, reserve)
        if left_h is None or left_h > self._limits.disk_h or free <= reserve:  # then another alert tells it
            return None
        at = now + left_h * HOUR_S
        goes = forecast(self._spool.database, retention_at(at, settings.cleaner, configuration.targets), at)
        freed = goes.total.bytes + goes.quarantined_goes.bytes
        rate = self._filling.bytes_per_h or 0.0
        return None if freed > rate * self._limits.disk_h else at

    def _wal_large_s(self, monotonic: float) -> float:
        if self._spool.database.wal_bytes() <= WAL_ALERT_BYTES:
            self._wal_large = None
        elif self._wal_large is None:
            self._wal_large = monotonic
        return 0.0 if self._wal_large is None else max(monotonic - self._wal_large, 1e-9)

    def _unsent(self, now: float) -> dict[str, float]:
        """Channels whose letters nobody has taken for a while, and since when the oldest waits."""
        found: dict[str, float] = {}
        for letter in self._spool.letters.waiting():
            if now - letter.created >= UNSENT_S:
                found[letter.channel] = min(found.get(letter.channel, letter.created), letter.created)
        return found


def _target(state: TargetState | None, waiting: int, late: float | None, now: float) -> TargetReading:
    if state is None:
        return TargetReading(waiting=waiting, late=late)
    paused = state.paused and (state.until is None or state.until > now)
    down_since = None if state.breaker == "closed" or paused else state.opened
    lately = state.last_error_time is not None and now - state.last_error_time < LATELY_S
    return TargetReading(down_since, 0 if paused else state.fails, lately, waiting, late)


class Said(NamedTuple):
    """What a program that runs last said of itself. `beat`: when (seconds UTC)."""

    state: str
    pid: object = None
    beat: float = 0.0


class Programs:
    """Remembers since when programs are missing, fail or are still, and how often each was started; monotonic seconds.

    Whether a heartbeat is old is no question to the wall clock: it may have been set.
    """

    def __init__(self) -> None:
        self._gone: dict[str, float] = {}
        self._failing: dict[str, float] = {}
        self._beats: dict[str, tuple[Said, float]] = {}  # what each said last, and for how long it says that
        self._looked: float | None = None
        self._pids: dict[str, object] = {}
        self._starts: dict[str, list[float]] = {}

    def look(self, expected: list[str], states: Mapping[str, Said], now: float) -> dict[str, ActorReading]:
        """`states`: what runs."""
        found = {}
        passed = 0.0 if self._looked is None else min(now - self._looked, GAP_S)
        self._looked = now
        for name in expected:
            said = states.get(name, Said(""))
            state, pid, beat = said
            self._keep(self._gone, name, not state, now)
            self._keep(self._failing, name, state == "failing", now)
            starts = self._starts.setdefault(name, [])
            if pid is not None and self._pids.get(name, pid) != pid:
                starts.append(now)
            if pid is not None:
                self._pids[name] = pid
            starts[:] = [one for one in starts if now - one < STARTS_S]
            gone, failing = self._gone.get(name), self._failing.get(name)
            found[name] = ActorReading(
                0.0 if gone is None else max(now - gone, 1e-9),
                0.0 if failing is None else max(now - failing, 1e-9),
                self._still(name, said, passed),
                beat,
                len(starts),
            )
        return found

    def _still(self, name: str, said: Said, passed: float) -> float:
        """For how long it has said nothing new; who starts or recovers may be busy for long."""
        known, still = self._beats.get(name, (None, 0.0))
        same = said == known and said.beat and said.state in ("ready", "failing")
        self._beats[name] = said, still + passed if same else 0.0
        return self._beats[name][1]

    @staticmethod
    def _keep(since: dict[str, float], name: str, wrong: bool, now: float) -> None:
        if wrong:
            since.setdefault(name, now)
        else:
            since.pop(name, None)
