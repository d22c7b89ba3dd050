"""The receiver: opens the DICOM ports, takes images in and makes them durable, and mends what dead receivers left.
It must not look at rules or targets; once an image is acknowledged the rest is the router's.
"""

from __future__ import annotations

import threading
from typing import ClassVar

from actors.base import Actor, Context
from actors.dicom.scp import ScpConfig, StorageScp
from actors.dicom.tls import ServerTls
from actors.receiver.admission import Notices, Policy, Reserve
from actors.receiver.associations import Associations, Served
from actors.receiver.committer import Committer
from actors.receiver.handler import Failure, Handler
from actors.receiver.mending import WORKER, mend
from actors.receiver.sweeper import Sweeper
from protocol.errors import ConfigurationError, NetworkError, OutOfSpace
from protocol.settings.model import Listener
from protocol.spool import unsynced
from protocol.spool.workers import Worker
from protocol.wire.nudges import Nudge

PERIOD_S = 1.0
GB = 10**9


class ReceiverActor(Actor):
    """Storage SCP over the spool."""

    NAME = "receiver"
    STOP_LIMIT_S: ClassVar[float] = 15.0
    """How long open associations may go on after the order to stop; below what the actor's process allows."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.ports: list[int] = []
        self._scps: list[StorageScp] = []
        self._tls: ServerTls | None = None
        self._worker: Worker | None = None
        self._unmended = False
        self._short = ""
        self._shown = (context.clock.monotonic(), 0)

    # -- beginning ---------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Tell the bus of every commit from now on."""
        self.context.spool.on_events(self.context.wire.committed)

    def recover(self) -> dict[str, int]:
        """Mend what dead receivers left, then open the ports: a scanner's repetition finds its image adopted."""
        # Before this process counts as a receiver: files whose writer is unknown are mended only while there is none.
        found = self._mend()
        self._worker = self.context.spool.workers.enter(WORKER, self.context.instance)
        self._prepare(self._worker.owner)
        self._sweeper.start()
        self._listen()
        return found

    def _mend(self) -> dict[str, int]:
        try:
            found = mend(self.context.spool, self.context.routing.current().configuration.keywords)
        except OutOfSpace as exc:
            # Refusing every image is a better answer than no answer; `one_pass` tries again.
            self.context.log.error("not_mended", reason=str(exc))
            self._unmended = True
            return {}
        self._unmended = False
        return found

    def _prepare(self, owner: str) -> None:
        context, settings = self.context, self.context.settings
        images = context.spool.images
        images.unsynced.largest = unsynced.LARGEST
        self._failure = Failure(context.wire.wake)
        self._sweeper = Sweeper(
            self._commit_rest, images.unsynced.sync, images.unsynced.finish, self._failure.set, context.log
        )
        self._committer = Committer(images.commit, self._arrived, self._failure.set, context.log, self._sweeper.ask)
        self._associations = Associations(images, owner, self._association_closed, self._settle, context.log)
        folder = context.spool.places.images
        self._reserve = Reserve(context.fs, folder, int(settings.spool.reserve_gb * GB), context.clock)
        self._notices = Notices(context.clock)
        self._handler = Handler(
            images, self._committer, self._associations, self._reserve, self._notices, self._failure, self._policy(),
            context.log, refuse_unreadable=settings.receiver.unreadable == "refuse",
        )  # fmt: skip

    def _policy(self) -> Policy:
        policy = Policy(self.context.routing.current(), self.context.settings.receiver.unknown_sources)
        if policy.unusable:
            self.context.log.error("keywords_not_scanned", revision=policy.revision, reason=policy.unusable)
        return policy

    def _listen(self) -> None:
        settings = self.context.settings.receiver
        main = Listener(host=settings.host, port=settings.port, ae_title=settings.ae_title)
        if settings.tls.cert is not None and settings.tls.key is not None:
            tls = settings.tls
            self._tls = ServerTls(settings.tls.cert, settings.tls.key, tls.ca, tls.require_client_cert)
        for listener in (main, *settings.listeners):
            self._open(listener, None)
        if self._tls is not None:
            self._open(main.model_copy(update={"port": settings.tls.port}), self._tls)
            self._tell_certificate("certificate_loaded", self._tls)

    def _open(self, listener: Listener, tls: ServerTls | None) -> None:
        settings = self.context.settings.receiver
        config = ScpConfig(
            host=listener.host, port=listener.port, ae_title=listener.ae_title, max_pdu=settings.max_pdu,
            acse_timeout_s=settings.acse_timeout_s, idle_timeout_s=settings.idle_timeout_s,
            max_associations=settings.max_associations,
        )  # fmt: skip
        scp = StorageScp(config, self._handler, tls)
        try:
            port = scp.start()
        except OSError as exc:
            raise NetworkError(f"cannot listen on {listener.host}:{listener.port}: {exc.strerror}") from exc
        self._scps.append(scp)
        self.ports.append(port)
        self.context.log.info(
            "listening", host=listener.host, port=port, ae_title=listener.ae_title, tls=tls is not None
        )

    def _tell_certificate(self, action: str, tls: ServerTls) -> None:
        expires = tls.certificate.expires
        self.context.log.info(action, subject=tls.certificate.subject, expires=expires.isoformat())
        if expires.timestamp() < self.context.clock.now():
            self.context.log.warning("certificate_expired", expires=expires.isoformat())

    # -- nudges, out of other threads --------------------------------------------------------------------------

    def _arrived(self, arrivals: set[int]) -> None:
        for arrival in arrivals:
            self.context.wire.arrived(arrival)
        if len(self.context.spool.images.unsynced):
            self._sweeper.ask()

    def _commit_rest(self) -> None:
        self._committer.lead_on()

    def _settle(self, served: Served) -> None:
        self._handler.settle(served)

    def _association_closed(self, served: Served) -> None:
        for arrival in served.arrivals:
            self.context.wire.arrived(arrival, {"association": served.id.hex(), "how": served.how})

    # -- working -----------------------------------------------------------------------------------------------

    def one_pass(self, nudges: list[Nudge]) -> float:
        """Periodic work only: images are taken in by the associations' threads. Raises DiskFailed if they met it."""
        self._failure.check()
        if self.context.routing.changed():
            self._handler.policy = self._policy()
        self._associations.finish()
        self._renew_certificate()
        if self._unmended or self.context.spool.workers.dead(WORKER):
            found = self._mend()
            self.context.log.warning("mended", found=found)
        self._watch_reserve()
        return PERIOD_S

    def _renew_certificate(self) -> None:
        """Certificates are renewed every few months, by programs that cannot restart a receiver."""
        if self._tls is None:
            return
        try:
            if self._tls.reload():
                self._tell_certificate("certificate_renewed", self._tls)
        except ConfigurationError as exc:
            self.context.log.warning("certificate_kept", reason=str(exc))

    def _watch_reserve(self) -> None:
        short = self._reserve.short()
        if short and not self._short:
            self.context.log.error("refusing_images", reason=short)
        elif self._short and not short:
            self.context.log.info("accepting_images_again")
        self._short = short

    def figures(self) -> dict[str, float]:
        """Rates since the last call, counts since the start."""
        counts, committer = self._handler.counts, self._committer
        since, images = self._shown
        now, total = self.context.clock.monotonic(), committer.images
        self._shown = (now, total)
        return {
            "images_per_s": round((total - images) / max(now - since, 0.001), 1),
            "images_per_commit": round(total / max(committer.commits, 1), 1),
            "associations": float(len(self._associations)),
            "stored": float(counts["stored"]),
            "duplicates": float(counts["duplicate"]),
            "quarantined": float(counts["quarantined"]),
            "refused": float(counts["refused"]),
            "notices_suppressed": float(self._notices.suppressed),
            "refusing": float(bool(self._short)),
        }

    # -- ending ------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Stop accepting, let open associations finish for STOP_LIMIT_S, abort the rest, leave in order."""
        if self._worker is None:
            return
        self._stop_listening()
        self._committer.stop()
        self._sweeper.stop()
        self._failure.check()  # then nothing is in order: the next start mends
        try:
            self._associations.finish()
            self.context.spool.images.unsynced.finish()
            # A thread that did not end in time cannot commit any more; its association must not stay open for ever.
            self.context.spool.images.abort_dead(self._worker.owner)
            self._worker.leave()
        except OutOfSpace as exc:
            self.context.log.warning("left_unrecorded", reason=str(exc))

    def _stop_listening(self) -> None:
        # All at once: while one port waits for its associations, the others must not take new ones.
        threads = [threading.Thread(target=scp.stop, args=(self.STOP_LIMIT_S,)) for scp in self._scps]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
