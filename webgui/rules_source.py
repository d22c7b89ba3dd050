"""What the API about rules needs of the node: the rules in force, arrivals to try them on, the past. It must not know HTTP.

Everything here may block; handlers call it in a thread.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

from protocol.clock import Clock
from protocol.errors import NotFound, SpoolMissing
from protocol.fsops import RealFs
from protocol.ledger.asking import recorded_case
from protocol.ledger.trial import Trial
from protocol.routing.backtest.asked import asked_since
from protocol.routing.judging import Case
from protocol.routing.model import RoutingConfiguration
from protocol.routing.rules.english import english
from protocol.routing.trying import case_of_arrival, case_of_images, untold_lines
from protocol.routing.versions import RoutingVersions, Version
from protocol.settings import Settings
from protocol.spool import open_spool
from protocol.spool.places import Places

DAY_S = 86_400.0


class RulesSource:
    """The node as far as its rules are concerned. Opens the spool for each question, so that it may come later."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings, self._clock, self._fs = settings, clock, RealFs()
        self._folder = Places(settings.home).routing

    def current(self) -> Version:
        """The version in force."""
        return self._versions().current()

    def _versions(self) -> RoutingVersions:
        return RoutingVersions(self._folder, self._fs, self._clock)

    def rules(self, days: int) -> dict[str, Any]:
        """The rules in force, in their order, with how often they came to what in the last days."""
        version = self.current()
        since = (datetime.fromtimestamp(self._clock.now(), UTC) - timedelta(days=days)).date().isoformat()
        counts = self._counts(since)
        return {
            "revision": version.number,
            "days": days,
            "rules": [
                rule.model_dump(mode="json", exclude={"tests"})
                | {
                    "english": english(rule.compiled.tree),
                    "tests": len(rule.tests),
                    "counts": counts.get(rule.name, {}),
                }
                for rule in version.configuration.rules
            ],
        }

    def case_of_header(self, images: Sequence[Mapping[str, Any]], origin: Mapping[str, str]) -> Case:
        """A pasted header as if it came in now."""
        return case_of_images(
            images, time.time(), self._settings.node.zone, calling_ae=origin.get("calling_ae", ""),
            address=origin.get("address", ""), called_ae=origin.get("called_ae", ""), source=origin.get("source"),
        )  # fmt: skip

    def case_of_arrival(self, number: int, configuration: RoutingConfiguration) -> tuple[Case, list[str]]:
        """An arrival, from the spool or from the ledger, with notes. Raises NotFound, LedgerUnavailable."""
        settings = self._settings
        try:
            with self._spool() as spool:
                headers = spool.arrivals.subject(number)
            if headers.differing:
                case = case_of_arrival(
                    headers.arrival, headers.common, headers.differing, settings.node.zone, headers.own
                )
                return case, untold_lines(configuration, case, self._versions())
        except (NotFound, SpoolMissing):
            pass
        return recorded_case(
            settings.ledger.url, settings.node.name, number, configuration, settings.node.zone, self._versions()
        )

    def trial(self, days: float, draft: RoutingConfiguration | None) -> Trial:
        """A backtest of a draft against the rules in force; without a draft of these alone."""
        settings, now, versions = self._settings, self._clock.now(), self._versions()
        active, window = versions.current().configuration, (now - days * DAY_S, now)
        asked = asked_since(versions, window[0], draft or active, active)
        return Trial(
            settings.ledger.url, settings.node.name, window, draft or active, active if draft else None,
            settings.node.time_zone, asked.spans,
        )  # fmt: skip

    def _counts(self, since_day: str) -> Mapping[str, Mapping[str, int]]:
        try:
            with self._spool() as spool:
                counts: dict[str, dict[str, int]] = spool.rules.counts(since_day)
                return counts
        except SpoolMissing:
            return {}

    def _spool(self) -> Any:
        if not Places(self._settings.home).database.exists():
            raise SpoolMissing("there is no spool here yet")
        source = f"/{self._settings.node.name}/webgui/0"
        return closing(open_spool(self._settings.home, source=source, fs=self._fs, clock=self._clock,
                                  durability=self._settings.receiver.durability))  # fmt: skip
