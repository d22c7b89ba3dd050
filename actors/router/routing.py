"""The routing configuration as the router sees it: always the newest usable version, every change and damage told once.
It must not change or judge a version; protocol/routing does.
"""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

from actors.router.completion import Times
from protocol.routing.model import RoutingConfiguration
from protocol.routing.sources import source_for
from protocol.routing.versions import RoutingVersions, Version
from protocol.selftest import SINK
from protocol.settings import Settings
from protocol.spool import Spool
from protocol.spool.arrivals import OpenArrival
from protocol.wire.events import ConfigChanged, ConfigDamaged

_REVISION, _DAMAGED = "routing.revision", "routing.damaged:"
ALERT = "routing.damaged"
_MOST_TEXT = 300  # characters of what is wrong with a version


class Routing:
    """One object for the life of the router; `refresh` once per pass."""

    def __init__(self, versions: RoutingVersions, spool: Spool, settings: Settings, log: Any) -> None:
        self._versions, self._spool, self._settings, self._log = versions, spool, settings, log
        self._version: Version | None = None
        self._fresh = self._untold = False

    @property
    def revision(self) -> int:
        """Number of the version in force; 0 if there is none."""
        return self._version.number if self._version else 0

    @property
    def configuration(self) -> RoutingConfiguration:
        """What is in force."""
        assert self._version is not None, "refresh comes first"
        return self._version.configuration

    @property
    def zone(self) -> ZoneInfo | None:
        """The zone in which rules tell time; None: the machine's."""
        return self._settings.node.zone

    @property
    def study_quiet_s(self) -> float:
        """How long a study has to be quiet where its rule does not say."""
        return self._settings.router.study_quiet_s

    @property
    def usable(self) -> bool:
        """False if versions exist and none can be read: then nobody knows which targets there are."""
        return self.revision > 0 or not self._versions.problems()

    @property
    def names(self) -> set[str]:
        """Everything a delivery can be for: targets, groups, the sink of self-tests."""
        return {*self.configuration.targets, *self.configuration.groups, SINK}

    def refresh(self) -> bool:
        """Take the newest usable version; True from another one (also the first) until `done` says that it was acted upon."""
        if self._version is None or self._versions.changed():
            before, self._version = self._version, self._versions.current()
            self._fresh = self._fresh or before is None or before.number != self._version.number
            self._untold = True
        if self._untold:  # also when it failed the first time, say because the disk was full
            self._tell_damage()
            self._tell_version(self._version)
            self._untold = False
        return self._fresh

    def done(self) -> None:
        """Everything that follows from the version in force was done."""
        self._fresh = False

    def _tell_version(self, version: Version) -> None:
        if version.number and self._spool.notices.tell(
            _REVISION, str(version.number), ConfigChanged(version.number, version.author, version.reason)
        ):
            self._log.info("config_changed", revision=version.number)

    def _tell_damage(self) -> None:
        notices = self._spool.notices
        problems = {f"{_DAMAGED}{problem.number:06d}": problem.message for problem in self._versions.problems()}
        for topic, message in problems.items():
            place = f"routing/{topic.removeprefix(_DAMAGED)}"
            if notices.tell(topic, message, ConfigDamaged(place, message)):
                self._log.error("config_damaged", place=place, error=message)
        for topic in notices.standing(_DAMAGED).keys() - problems.keys():
            notices.withdraw(topic)
        self._alert()

    def _alert(self) -> None:
        """Somebody published a version and the node does not go by it: that must not stay a line in a log."""
        ahead = [one for one in self._versions.problems() if not one.number or one.number > self.revision]
        if not ahead:
            self._spool.notices.clear_alert(ALERT)
            return
        goes_on = f"version {self.revision} stays in force" if self.revision else "everything is held"
        text = f"the newest version of the routing cannot be used, {goes_on}: {ahead[0].message[:_MOST_TEXT]}"
        if self._spool.notices.raise_alert(ALERT, f"{text}; mend its file, or publish again"):
            self._log.error("alert_raised", alert=ALERT, text=text)

    def times(self, arrival: OpenArrival) -> Times:
        """Completion times for an arrival: its source's own, else those of the settings."""
        sources, usual = self.configuration.sources, self._settings.router
        named = sources.get(arrival.source) if arrival.source else None
        own = named or source_for(sources, arrival.calling_ae, arrival.address)
        quiet_s = usual.quiet_s if own.quiet_s is None else own.quiet_s
        idle_s = usual.idle_s if own.idle_s is None else own.idle_s
        return Times(quiet_s, idle_s)
