"""Asks a target that failed whether it is there again, before a delivery is claimed for it: a probe uses up no attempt.
It must not send an image, and only one slot of all dispatchers asks at a time: the spool says who.

A slot that dies while it asks costs nothing: after the time it had for that another one asks.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from actors.dispatcher.limits import Limits
from actors.dispatcher.reports import Reports
from actors.retry import leave_alone_s
from actors.targets.interface import Probing, Target
from protocol.clock import Clock
from protocol.errors import ConfigurationError, NetworkError
from protocol.routing.targets import Target as TargetSettings
from protocol.spool import Spool

MARGIN_S = 5.0  # beyond what the probe may take, before another slot tries


class Prober:
    """Of one slot. `limits` has been asked (`now`) right before each call."""

    def __init__(
        self, spool: Spool, limits: Limits, clock: Clock, random: Random, log: Any, reports: Reports,
        make: Callable[[TargetSettings], Target],
    ) -> None:  # fmt: skip
        self._spool, self._limits, self._clock, self._random = spool, limits, clock, random
        self._log, self._reports, self._make = log, reports, make

    def run(self) -> bool:
        """Probe one target whose time has come and that something waits for; False if there is none."""
        for name, seen in self._limits.awaited_probes().items():
            settings = self._limits.configuration.targets[name]
            try:
                target = self._make(settings)
            except ConfigurationError:
                target = None  # the delivery says so, and is held for it
            patience_s = target.patience_s if target is not None else 0.0
            mine = self._clock.now() + patience_s + MARGIN_S
            if self._spool.targets.begin_probe(name, seen, mine):
                self._probe(name, settings, target, mine)
                return True
        return False

    def _probe(self, name: str, settings: TargetSettings, target: Target | None, mine: float) -> None:
        words, error, cause = "not asked", "", ""
        if isinstance(target, Probing):
            self._reports.probing(name, target.patience_s)
            try:
                words = target.probe()
            except NetworkError as exc:
                error, cause = str(exc), exc.cause
            except Exception as exc:  # a fault of ours must not keep a target shut for ever
                self._log.error("probe_broke", target=name, exc_info=True)
                words = f"internal error ({type(exc).__name__}), see the log"
        if not error:
            if self._spool.targets.half_open(name, mine):
                self._log.info("probe_answered", target=name, words=words)
            return
        state, now = self._spool.targets.all().get(name), self._clock.now()
        until = now + leave_alone_s(settings.retry, state.fails if state else 0, self._random)
        if self._spool.targets.stay_open(name, mine, until, error):
            self._log.info("probe_failed", target=name, reason=error, retry_in_s=round(until - now, 1))
            if settings.retry.give_up_after_s is not None:
                self._spool.deliveries.give_up(name, now - settings.retry.give_up_after_s, error, cause)
