"""What is wrong, out of what was seen: readings in, symptoms out. Pure; it must not look at anything itself.

A text says what is wrong since when and what to do first. It holds no patient data and no words of a peer, and no length
of time that grows: what stands is not to change with every look.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import field
from types import MappingProxyType

from actors.bookkeeper.alerts.silent import Silent
from protocol.causes import Cause, hint
from protocol.certificates import Ending
from protocol.records import record
from protocol.settings.alerts import Alerts
from protocol.spool.alerting import CRITICAL, INFO, WARNING, Symptom
from protocol.spool.database import WAL_ALERT_BYTES
from protocol.spool.looking import Trouble
from protocol.spool.watching import Some

HOUR_S, DAY_S = 3600.0, 86_400.0
DEGRADED_AFTER = 3
RESTARTS = 3
WAL_LARGE_S = 900.0
"""A backup of a large spool reads for minutes, and what is received meanwhile stays in the log."""
STILL_LEAST_S = 35.0
"""Heartbeats come every fifteen seconds at the latest, and a pass may take a while."""
TOLD_OTHERWISE = frozenset({Cause.HELD_BY_PERSON, Cause.HELD_BY_RULE, Cause.TARGET_REMOVED})
"""Causes of held deliveries of which a person knows, or of which another alert tells."""
NOBODY_THERE = frozenset({Cause.NAME_UNKNOWN, Cause.UNREACHABLE, Cause.CONNECTION_REFUSED, Cause.TIMEOUT})
"""Causes that do not show that anybody is at the target."""
ALL_SILENT = 3
MOST_SOURCES, OTHERS = 20, "others"


@record
class TargetReading:
    """One target. Times are seconds UTC. `late`: since when a delivery waits that has waited too long."""

    down_since: float | None = None
    fails: int = 0
    failed_lately: bool = False
    waiting: int = 0
    late: float | None = None


@record
class ActorReading:
    """One program. `gone_s`, `failing_s`, `still_s`: for how long (seconds) it has not been there, has failed, or is there and
    gives no sign of life; 0: it is, it does not, it does. `beat`: its last sign of life (seconds UTC).
    """

    gone_s: float = 0.0
    failing_s: float = 0.0
    still_s: float = 0.0
    beat: float = 0.0
    starts: int = 0
    """Within the last quarter of an hour."""


@record
class Readings:
    """What was seen at `now` (seconds UTC). `disk_full_at`: when images will be refused, None: not foreseeable."""

    now: float
    targets: Mapping[str, TargetReading] = field(default_factory=dict)
    troubles: Sequence[Trouble] = ()
    held: Mapping[str, Some] = field(default_factory=dict)
    aside: Mapping[str, Some] = field(default_factory=dict)
    """Held because a person wanted it so."""
    quarantined: Mapping[str, Some] = field(default_factory=dict)
    actors: Mapping[str, ActorReading] = field(default_factory=dict)
    silent: Mapping[str, Silent] = field(default_factory=dict)
    sources_known: int = 0
    disk_full_at: float | None = None
    disk_known: bool = True
    """False: too little was seen of the disk yet to say how fast it fills up."""
    wal_large_s: float = 0.0
    """For how long (seconds) the spool's write-ahead log has been larger than it should be."""
    certificates: Sequence[Ending] = ()
    unsent: Mapping[str, float] = field(default_factory=dict)
    """Channels whose letters nobody takes, and since when."""
    unset: frozenset[str] = frozenset()
    """Channels that rules name and the settings do not have."""


When = Callable[[float], str]


def symptoms(
    seen: Readings, limits: Alerts, when: When, standing: Mapping[str, str] = MappingProxyType({})
) -> dict[str, Symptom]:
    """Everything that is wrong, by key. `when` writes a time (seconds UTC) for people, `standing` are the alerts that stand
    already, key and text: what a former process found out over hours is not over because this one cannot tell yet.
    """
    found: list[Symptom] = []
    found += _targets(seen, limits, when, standing)
    found += _deliveries(seen)
    found += _arrivals(seen)
    found += _actors(seen, limits, when)
    found += _silent(seen, when)
    found += _certificates(seen, when)
    found += _channels(seen, when)
    if seen.disk_full_at is not None:
        text = f"the disk fills up: images will be refused at about {when(seen.disk_full_at)}; see `scanpost clean`"
        found.append(Symptom("disk.soon", text))
    elif not seen.disk_known and "disk.soon" in standing:
        found.append(Symptom("disk.soon", standing["disk.soon"]))
    if seen.wal_large_s >= WAL_LARGE_S or (seen.wal_large_s and "spool.wal" in standing):
        text = (
            f"the spool's write-ahead log is larger than {WAL_ALERT_BYTES >> 20} MB and does not become smaller: some program reads"
            " from the spool and does not let go; end commands of scanpost that hang, then restart its programs one by one"
        )
        found.append(Symptom("spool.wal", text))
    return {one.key: one for one in found}


def count(number: int, one: str, many: str) -> str:
    """A number with its noun."""
    return f"{number} {one if number == 1 else many}"


def _targets(seen: Readings, limits: Alerts, when: When, standing: Collection[str]) -> list[Symptom]:
    found = []
    parked = {one.target for one in seen.troubles if one.state == "parked"}  # says more than how many attempts failed
    for name, target in seen.targets.items():
        about = f"target/{name}"
        waits = count(target.waiting, "delivery waits", "deliveries wait")
        why = _why(seen, name)
        if target.down_since is not None:
            if seen.now - target.down_since >= limits.target_down_s:
                severity = CRITICAL if target.waiting else WARNING
                text = f"target {name} is down since {when(target.down_since)}{why}; {waits}"
                found.append(Symptom(f"target.down.{name}", text, severity, about, target.waiting))
        elif target.fails >= DEGRADED_AFTER and target.failed_lately and name not in parked:
            # A person who resumes a target that is down closes its breaker, and its failures go on: that shows nobody there.
            there = f"target.down.{name}" not in standing and _answers(seen, name)
            failed = f"{target.fails} attempts in a row"
            what = f"target {name} is there, but {failed} failed" if there else f"{failed} at {name} failed"
            text = f"{what}{why}; {waits}"
            found.append(Symptom(f"target.degraded.{name}", text, WARNING, about, target.waiting))
        if target.late is not None:
            text = f"the oldest delivery to {name} has waited since {when(target.late)}; {waits}"
            found.append(Symptom(f"delivery.late.{name}", text, WARNING, about, target.waiting))
    return found


def _answers(seen: Readings, target: str) -> bool:
    """Whether all that we know of why deliveries are tried again says that somebody is there."""
    causes = {one.cause for one in seen.troubles if one.target == target and one.state == "retrying"}
    return bool(causes) and not causes & NOBODY_THERE


def _why(seen: Readings, target: str) -> str:
    """What most of its deliveries wait for, in our own words."""
    for trouble in seen.troubles:  # the most first
        if trouble.target == target and trouble.state == "retrying":
            return f" ({hint(trouble.cause).means.rstrip('.')})"
    return ""


def _deliveries(seen: Readings) -> list[Symptom]:
    """One alert for each target and cause, however many they are."""
    found = []
    for one in seen.troubles:
        means = hint(one.cause)
        if one.state == "parked":
            what, severity = count(one.count, "delivery has", "deliveries have"), CRITICAL
            text = f"{what} used up all attempts to {one.target}: {means.means} {means.first}"
        elif one.state == "held" and one.cause not in TOLD_OTHERWISE:
            what, severity = count(one.count, "delivery is", "deliveries are"), WARNING
            text = f"{what} held for {one.target}: {means.means} {means.first}"
        else:
            continue
        key = f"delivery.{one.state}.{one.target}.{one.cause}"
        found.append(Symptom(key, text, severity, f"target/{one.target}", one.count))
    return found


def _arrivals(seen: Readings) -> list[Symptom]:
    found = []
    for calling_ae, held in _most(seen.held):
        are = "is" if held.size == 1 else "are"
        text = (
            f"{held.size} series of {calling_ae} {are} held until a person decides, the newest is {held.example}:"
            " `scanpost series list --state held`"
        )
        found.append(Symptom(f"arrival.held.{calling_ae}", text, WARNING, f"source/{calling_ae}", held.size))
    for calling_ae, aside in _most(seen.aside):
        what = "series" if aside.size == 1 else f"{aside.size} series"
        text = f"a person set aside {what} of {calling_ae}, the newest is {aside.example}; to let go: `scanpost series release ID`"
        found.append(Symptom(f"arrival.aside.{calling_ae}", text, INFO, f"source/{calling_ae}", aside.size))
    for calling_ae, bad in _most(seen.quarantined):
        what = count(bad.size, "object", "objects")
        text = f"{what} of {calling_ae} could not be read or placed and went to quarantine: `scanpost quarantine list`"
        found.append(Symptom(f"quarantine.{calling_ae}", text, WARNING, f"source/{calling_ae}", bad.size))
    return found


def _most(by_source: Mapping[str, Some]) -> list[tuple[str, Some]]:
    """Those with the most; all beyond MOST_SOURCES as one: AE titles are the peer's to invent."""
    ordered = sorted(by_source.items(), key=lambda one: (-one[1].size, one[0]))
    rest = ordered[MOST_SOURCES:]
    others = [(OTHERS, Some(sum(one.size for _, one in rest), rest[0][1].example))] if rest else []
    return [*ordered[:MOST_SOURCES], *others]


def _actors(seen: Readings, limits: Alerts, when: When) -> list[Symptom]:
    found = []
    for name, actor in seen.actors.items():
        about, log = f"actor/{name}", f"its log: log/{name}.log"
        if actor.gone_s and actor.gone_s >= limits.actor_down_s:
            text = f"{name} is not running; start it: `scanpost restart {name.partition('-')[0]}`; {log}"
            found.append(Symptom(f"actor.down.{name}", text, CRITICAL, about))
        elif actor.still_s >= max(limits.actor_down_s, STILL_LEAST_S):
            text = (
                f"{name} runs and has given no sign of life since {when(actor.beat)}: it hangs, or its process is suspended;"
                f" `scanpost restart {name.partition('-')[0]}`; {log}"
            )
            found.append(Symptom(f"actor.hung.{name}", text, CRITICAL, about))
        elif actor.failing_s and actor.failing_s >= limits.actor_down_s:
            found.append(
                Symptom(f"actor.failing.{name}", f"{name} fails at its work and tries again; {log}", CRITICAL, about)
            )
        if actor.starts >= RESTARTS:
            text = f"{name} was started {RESTARTS} times or more within a quarter of an hour; {log}"
            found.append(Symptom(f"actor.restarting.{name}", text, WARNING, about))
    return found


def _silent(seen: Readings, when: When) -> list[Symptom]:
    """If most are silent together it is a holiday, or the network: one alert."""
    if len(seen.silent) >= ALL_SILENT and 2 * len(seen.silent) > seen.sources_known:
        what = f"{len(seen.silent)} of {seen.sources_known} sources are silent for longer than is usual at this time"
        text = f"{what}: a holiday, or the network between them and this node"
        return [Symptom("source.silent.most", text, WARNING, "", len(seen.silent))]
    return [
        Symptom(
            f"source.silent.{name}",
            f"nothing came from {name} since {when(one.since)}, longer than is usual for it at this time of the week",
            WARNING,
            f"source/{name}",
        )
        for name, one in seen.silent.items()
    ]


def _certificates(seen: Readings, when: When) -> list[Symptom]:
    found = []
    for one in seen.certificates:
        key, about = f"certificate.{one.file.name}", one.file.about
        what = f"the certificate {one.file.path.name} ({one.file.name})"
        if one.ends is None:
            found.append(Symptom(key, f"{what} cannot be read: {one.error}", WARNING, about))
        elif one.ends - seen.now <= 30 * DAY_S:
            left = one.ends - seen.now
            severity = CRITICAL if left <= DAY_S else WARNING if left <= 7 * DAY_S else INFO
            words = "has ended on" if left <= 0 else "ends on"
            found.append(Symptom(key, f"{what} {words} {when(one.ends)}; renew it", severity, about))
    return found


def _channels(seen: Readings, when: When) -> list[Symptom]:
    words = {"mail": "mails", "webhook": "webhooks"}
    found = [
        Symptom(f"channel.{name}", f"{words[name]} with alerts are not taken since {when(since)}: `scanpost alerts letters` says whose,"
                f" `scanpost alerts test {name}` why", WARNING, f"channel/{name}")
        for name, since in seen.unsent.items()
    ]  # fmt: skip
    for name in sorted(seen.unset):
        text = f"rules want {words[name]} sent, and alerts.{'smtp.host' if name == 'mail' else 'webhook'} is not set; nobody is told"
        found.append(Symptom(f"channel.unset.{name}", text, WARNING, f"channel/{name}"))
    return found
