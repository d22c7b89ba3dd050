"""Reports storage commitment to scanners on associations that we open, again and again until they are taken or too old.
It must not judge anything or hold up the receiver: each scanner has a thread of its own, and every wait in it a limit.

It stands in the receiver because that one has the other half, the reports on associations that are still open; so only one
process sends any. What is under way is remembered here alone: after a death it is due and sent again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from random import Random
from typing import Any

from actors.dicom import commitment_scu
from actors.dicom.commitment import Report
from actors.dicom.scu import Node
from actors.receiver.commitments import TRANSIENT, error_of, report_of
from actors.retry import next_try
from protocol.clock import Clock
from protocol.errors import DiskFailed, NetworkError
from protocol.routing.commitment import SourceCommitment
from protocol.routing.model import RoutingConfiguration
from protocol.routing.sources import commitment_for
from protocol.routing.targets import Retry
from protocol.spool import Spool
from protocol.spool.commitments import Due

AT_ONCE = 8  # scanners that are reported to at the same time; each gets one report after the other
IN_ONE = 50  # reports in one association
TELL_EVERY_S = 10.0
STOP_S = 2.0  # for all of them
FIRST_S, LONGEST_S = 10.0, 3600.0
GIVEN_UP_ALERT = "commitment.given_up"
NOWHERE_ALERT = "commitment.nowhere."
NOWHERE = (
    "nobody knows where to report to: name port (and host) in the source's commitment, or receiver.commitment_port"
)

Reporting = Callable[[Node], AbstractContextManager[Callable[[Report], int]]]
"""See commitment_scu.reporting."""


class Reporter:
    """`round` from one thread; `fatal` hears of a failed disk out of the others."""

    def __init__(
        self,
        spool: Spool,
        configuration: Callable[[], RoutingConfiguration],
        port: int,
        clock: Clock,
        random: Random,
        log: Any,
        fatal: Callable[[BaseException], None],
    ) -> None:
        """`port` is where a scanner listens whose source names none; 0: nobody knows."""
        self._spool, self._configuration, self._port = spool, configuration, port
        self._clock, self._random, self._log, self._fatal = clock, random, log, fatal
        self._reporting: Reporting = commitment_scu.reporting
        self._threaded = True
        self._mutex = threading.Lock()
        self._under_way: dict[str, threading.Thread] = {}  # calling AE title -> its report
        self._told = float("-inf")

    def without_threads(self, reporting: Reporting) -> Reporter:
        """For tests: one scanner after the other, through `reporting`."""
        self._reporting, self._threaded = reporting, False
        return self

    def round(self, now: float) -> None:
        """Begin what is due, as far as there is room; tell what a person has to know. `now` is monotonic."""
        for calling_ae in self._spool.commitments.due_sources(self._clock.now(), self._busy()):
            self._begin(calling_ae)
        if now >= self._told + TELL_EVERY_S:
            self._told = now
            self._tell()

    def _busy(self) -> list[str]:
        with self._mutex:
            return list(self._under_way)

    def _begin(self, calling_ae: str) -> None:
        if not self._threaded:
            self._one(calling_ae)
            return
        with self._mutex:
            if calling_ae not in self._under_way and len(self._under_way) < AT_ONCE:
                thread = threading.Thread(target=self._one, args=(calling_ae,), name="report", daemon=True)
                thread.start()
                self._under_way[calling_ae] = thread

    def stop(self) -> None:
        """Let reports under way end for a moment; what does not is sent again after the next start."""
        with self._mutex:
            threads = list(self._under_way.values())
        end = self._clock.monotonic() + STOP_S
        for thread in threads:
            thread.join(max(0.0, end - self._clock.monotonic()))

    def _one(self, calling_ae: str) -> None:
        """As many associations as there are reports for; ends with the first one that fails."""
        try:
            while batch := self._spool.commitments.due(self._clock.now(), calling_ae, IN_ONE):
                if not self._batch(batch):
                    break
        except DiskFailed as exc:
            self._fatal(exc)
        except Exception as exc:
            self._log.error("report_broke", calling_ae=calling_ae, error=type(exc).__name__)
        finally:
            with self._mutex:
                self._under_way.pop(calling_ae, None)

    def _batch(self, batch: list[Due]) -> bool:
        """Report those that go to the same place; False if something failed. What was not sent is put off as well."""
        settings = self._settings(batch[0])
        node = self.node_for(batch[0], settings)
        left = [due for due in batch if self.node_for(due, self._settings(due)) == node]
        error = NOWHERE
        try:
            if node is not None:
                with self._reporting(node) as report:
                    while left:
                        status = report(report_of(left[0]))
                        if status in TRANSIENT:
                            error = error_of(status)
                            break
                        self._reported(left.pop(0), status)
        except NetworkError as exc:
            error = str(exc)
        for due in left:
            self._failed(due, settings, error)
        return not left

    def _settings(self, due: Due) -> SourceCommitment:
        return commitment_for(self._configuration().sources, due.source, due.calling_ae, due.address)

    def _reported(self, due: Due, status: int) -> None:
        self._spool.commitments.reported(due.id, "new", status, error_of(status))
        self._log.info("commitment_reported", commitment=due.id, how="new", status=f"{status:04X}")

    def node_for(self, due: Due, settings: SourceCommitment) -> Node | None:
        """Where the report goes. We call as the AE title that the scanner called; it knows that one."""
        port = settings.port or self._port
        if not port:
            return None
        return Node(settings.host or due.address, port, settings.ae_title or due.calling_ae, due.called_ae)

    def _failed(self, due: Due, settings: SourceCommitment, error: str) -> None:
        retry = Retry(first_s=FIRST_S, max_s=LONGEST_S, give_up_after_s=settings.report_s)
        again = next_try(retry, due.attempts, due.answered, self._clock.now(), self._random)
        self._spool.commitments.report_failed(due.id, error, again)
        self._log.warning("report_failed", commitment=due.id, calling_ae=due.calling_ae, reason=error, again=again)
        self._told = float("-inf")

    # -- what is told ----------------------------------------------------------------------------------------------

    def _tell(self) -> None:
        notices, commitments = self._spool.notices, self._spool.commitments
        given_up = commitments.list(states=("given_up",), limit=1)
        if given_up:
            text = (
                f"the report of commitment request {given_up[0]['id']} did not reach {given_up[0]['calling_ae']}"
                f" ({given_up[0]['error']}); see scanpost commitment list --state given_up"
            )
            notices.raise_alert(GIVEN_UP_ALERT, text)
        else:
            notices.clear_alert(GIVEN_UP_ALERT)
        nowhere = {
            row["calling_ae"] for row in commitments.list(states=("answered",), limit=500) if row["error"] == NOWHERE
        }
        for calling_ae in nowhere:
            text = f"reports of storage commitment for {calling_ae} wait: {NOWHERE}"
            notices.raise_alert(NOWHERE_ALERT + calling_ae, text)
        for alert in notices.alerts(NOWHERE_ALERT):
            if alert.removeprefix(NOWHERE_ALERT) not in nowhere:
                notices.clear_alert(alert)
