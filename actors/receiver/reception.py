"""Everything that one process needs to serve associations: policy, room on the disk, rows, and their orderly end.
It must not listen or know how connections come to it: a crew hands them over.
"""

from __future__ import annotations

import gc
import socket
from collections.abc import Callable
from typing import Any, Protocol

from actors.dicom.scp import Address, Hall
from actors.receiver.admission import Notices, Policy, Reserve
from actors.receiver.associations import Associations, Served
from actors.receiver.commitments import Commitments
from actors.receiver.committer import Committer
from actors.receiver.counting import OpenNow
from actors.receiver.following import Chosen
from actors.receiver.handler import Handler
from actors.receiver.mending import WORKER
from actors.receiver.outcomes import Failure, Outcomes
from actors.receiver.ports import ports_of, server_tls
from actors.receiver.sweeper import Sweeper
from protocol.clock import Clock
from protocol.errors import ConfigurationError, OutOfSpace
from protocol.following import place
from protocol.fsops import FsOps
from protocol.records import record
from protocol.routing.versions import RoutingVersions
from protocol.settings import Settings
from protocol.spool import Spool

GB = 10**9
COUNTS = ("stored", "duplicates", "quarantined", "refused", "images", "commits", "notices_suppressed")
"""Figures that count what happened; the others tell how it is now."""


class News(Protocol):
    """Whoever is told what happens here; called from any thread, must be quick."""

    def committed(self) -> None:
        """The outbox has new events."""

    def arrived(self, arrivals: set[int]) -> None:
        """These arrivals have new images."""

    def closed(self, served: Served) -> None:
        """An association is over, and its end is recorded."""

    def wake(self) -> None:
        """`one_pass` has something to do."""


@record
class Means:
    """What a reception works with."""

    settings: Settings
    spool: Spool
    routing: RoutingVersions
    clock: Clock
    fs: FsOps
    log: Any


def _spare_collections() -> None:
    """Objects come and go with each image, hardly any in circles: what was loaded at the start need not be searched for
    garbage again and again, which took a third of the time of small images.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


class Reception:
    """Serves associations from `start` to `stop`. All but `take` from one thread."""

    def __init__(
        self,
        means: Means,
        instance: str,
        news: News,
        open_now: OpenNow,
        changed: Callable[[int, int], None] = lambda waiting, opened: None,
    ) -> None:
        """`instance` tells this process apart among the receivers; `changed` is that of `Hall`; `open_now` counts for all."""
        self._means, self._news = means, news
        settings, images, log = means.settings, means.spool.images, means.log
        means.spool.on_events(news.committed)
        self.worker = means.spool.workers.enter(WORKER, instance)
        halt = bytearray(2)  # see Failure and Committer
        self.failure = Failure(news.wake, halt)
        self._sweeper = Sweeper(self._commit_rest, self.failure.set, log)
        self.committer = Committer(images.commit, news.arrived, self.failure.set, log, self._sweeper.ask, halt)
        self._associations = Associations(images, self.worker.owner, news.closed, self._settle, log)
        reserve = int(settings.spool.reserve_gb * GB)
        self._reserve = Reserve(means.fs, means.spool.places.images, reserve, means.clock)
        self._notices = Notices(means.clock)
        self.outcomes = Outcomes(
            images, self.committer, self._reserve, self._notices, self.failure, self._policy(), log,
            open_now=open_now, max_bytes=int(settings.receiver.max_object_gb * GB),
        )  # fmt: skip
        chosen = Chosen(place(settings), means.clock.now, means.clock.monotonic)
        self.handler = Handler(self.outcomes, self._associations, chosen)
        self.handler.commitment = Commitments(means.spool, lambda: self._configuration, means.clock, news.arrived, log)
        self.hall = Hall(self.handler, changed)
        self._ports, self._tls = ports_of(settings.receiver), server_tls(settings.receiver)
        self._short = ""

    def start(self) -> None:
        """Begin with what happens beside the associations."""
        self._sweeper.start()
        _spare_collections()

    def _policy(self) -> Policy:
        own, version = self._means.settings.receiver, self._means.routing.current()
        self._configuration = version.configuration
        policy = Policy(version, own.unknown_sources, refuse_unreadable=own.unreadable == "refuse")
        if policy.unusable:
            self._means.log.error("keywords_not_scanned", revision=policy.revision, reason=policy.unusable)
        return policy

    def _commit_rest(self, quiet_s: float, longest_s: float) -> bool:
        return self.committer.lead_on(quiet_s, longest_s)

    def _settle(self, served: Served) -> None:
        self.outcomes.settle(served)

    # -- working -----------------------------------------------------------------------------------------------

    def take(self, sock: socket.socket, address: Address, port: int) -> None:
        """Serve a connection that came in at `port` (its number among the ports)."""
        config, tls = self._ports[port]
        self.hall.take(sock, address, config, self._tls if tls else None)

    def new_policy(self) -> None:
        """There is a new routing configuration."""
        self.outcomes.policy = self._policy()

    def new_certificate(self) -> None:
        """The files of the certificate may have changed."""
        try:
            if self._tls is not None:
                self._tls.reload()
        except ConfigurationError:
            return  # the parent says so, once

    def one_pass(self) -> bool:
        """Periodic work; whether anything is left to do later. Raises DiskFailed if an association met it."""
        self.failure.check()
        left = self._associations.finish()
        short = self._reserve.short()
        if short and not self._short:
            self._means.log.error("refusing_images", reason=short)
        elif self._short and not short:
            self._means.log.info("accepting_images_again")
        self._short = short
        return bool(left or short)

    def figures(self) -> dict[str, float]:
        """Counts since the start."""
        counts = self.outcomes.counts
        return {
            "stored": counts["stored"], "duplicates": counts["duplicate"], "quarantined": counts["quarantined"],
            "refused": counts["refused"], "images": self.committer.images, "commits": self.committer.commits,
            "associations": len(self._associations), "notices_suppressed": self._notices.suppressed,
            "refusing": bool(self._short),
        }  # fmt: skip

    # -- ending ------------------------------------------------------------------------------------------------

    def stop(self, limit_s: float) -> None:
        """Let open associations finish for `limit_s` seconds, abort the rest, leave in order. Raises DiskFailed."""
        self.outcomes.stopping.set()
        self.hall.stop(limit_s)
        try:
            self._associations.finish()  # as long as what they acknowledged can still be given its rows
        finally:
            self.committer.stop()
            self._sweeper.stop()
        self.failure.check()  # then nothing is in order: the next start mends
        images = self._means.spool.images
        try:
            # A thread that did not end in time cannot commit any more; its association must not stay open for ever.
            images.abort_dead(self.worker.owner)
            self.worker.leave()
        except OutOfSpace as exc:
            self._means.log.warning("left_unrecorded", reason=str(exc))
