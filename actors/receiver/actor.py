"""The receiver: opens the DICOM ports, has its crew take images in, and mends what dead receivers and workers left.
It must not look at rules or targets; once an image is acknowledged the rest is the router's.
"""

from __future__ import annotations

from typing import ClassVar

from actors.base import Actor, Context
from actors.dicom.scp import Address, Door
from actors.receiver import alike
from actors.receiver.admission import Doors, Notices, charsets_of
from actors.receiver.counting import Desk, Here
from actors.receiver.crew import Alone, Crew
from actors.receiver.limits import Limits, Pace
from actors.receiver.mending import WORKER, mend
from actors.receiver.outcomes import Failure
from actors.receiver.ports import Port, ports_of, server_tls
from actors.receiver.reception import Means
from actors.receiver.reporter import Reporter
from actors.receiver.workers import WORKER as CHILD
from actors.receiver.workers import Workers
from actors.rhythm import REST_S
from protocol.addresses import with_port
from protocol.errors import ConfigurationError, NetworkError, OutOfSpace
from protocol.wire.nudges import Nudge

PERIOD_S = 1.0


class ReceiverActor(Actor):
    """Storage SCP over the spool."""

    NAME = "receiver"
    CHILDREN = CHILD
    STOP_LIMIT_S: ClassVar[float] = 15.0
    """How long open associations may go on after the order to stop; below what the actor's process allows."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.ports: list[int] = []
        self._doors: list[Door] = []
        self._tls = server_tls(context.settings.receiver)
        self._revision = context.routing.current().number
        self._failure = Failure(context.wire.wake)
        self._reporter = self._make_reporter()
        self._unmended = False
        self._shown = (context.clock.monotonic(), 0.0)
        self._allowed = Doors(context.settings.receiver.allow)
        self._notices = Notices(context.clock)
        own = context.settings.receiver
        self._limits = Limits(own.max_associations, own.max_associations_per_address)
        self._drained = ""
        self.crew = self._make_crew()

    def _make_crew(self) -> Crew:
        context, settings = self.context, self.context.settings
        own = settings.receiver
        limits, pace = self._limits, Pace(context.clock)
        if own.workers == 1:
            means = Means(settings, context.spool, context.routing, context.clock, context.fs, context.log)
            return Alone(means, context.instance, context.wire, Here(limits, pace))
        return Workers(
            home=settings.home, instance=context.instance, count=own.workers, desk=Desk(limits, pace),
            limit_s=self.STOP_LIMIT_S, wire=context.wire, log=context.log, died=self._lost_one, nursery=context.nursery,
        )  # fmt: skip

    def _make_reporter(self) -> Reporter:
        context = self.context
        return Reporter(
            context.spool, lambda: context.routing.current().configuration, context.settings.receiver.commitment_port,
            context.clock, context.random, context.log, self._failure.set,
        )  # fmt: skip

    # -- beginning ---------------------------------------------------------------------------------------------

    def recover(self) -> dict[str, int]:
        """Mend what dead receivers left, then open the ports: a scanner's repetition finds its image adopted."""
        # Before anybody counts as a receiver: files whose writer is unknown are mended only while there is none.
        found = self._mend()
        self._look_for_drain()
        self.context.log.info("receiving_by", way=alike.in_words())
        self.crew.start()
        for number, port in enumerate(ports_of(self.context.settings.receiver)):
            self._open(number, port)
        if self._tls is not None:
            self._tell_certificate("certificate_loaded")
        return found

    def _mend(self) -> dict[str, int]:
        try:
            configuration = self.context.routing.current().configuration
            again = [name for name, source in configuration.sources.items() if source.resend == "deliver"]
            found = mend(self.context.spool, configuration.keywords, charsets_of(configuration.sources), again)
        except OutOfSpace as exc:
            # Refusing every image is a better answer than no answer; `one_pass` tries again.
            self.context.log.error("not_mended", reason=str(exc))
            self._unmended = True
            return {}
        self._unmended = False
        return found

    def _open(self, number: int, port: Port) -> None:
        config = port.config

        def enter(sock, address: Address) -> None:  # type: ignore[no-untyped-def]
            self.crew.take(sock, address, number)

        door = Door(config, enter, self._allowed.open_to)
        try:
            bound = door.open()
        except OSError as exc:
            raise NetworkError(f"cannot listen on {with_port(config.host, config.port)}: {exc.strerror}") from exc
        self._doors.append(door)
        self.ports.append(bound)
        self.context.log.info("listening", host=config.host, port=bound, ae_title=config.ae_title, tls=port.tls)

    def _tell_certificate(self, action: str) -> None:
        assert self._tls is not None
        expires = self._tls.certificate.expires
        self.context.log.info(action, subject=self._tls.certificate.subject, expires=expires.isoformat())
        if expires.timestamp() < self.context.clock.now():
            self.context.log.warning("certificate_expired", expires=expires.isoformat())

    # -- working -----------------------------------------------------------------------------------------------

    def one_pass(self, nudges: list[Nudge]) -> float:
        """Periodic work only: images are taken in by the crew. Raises DiskFailed if it met that."""
        revision = self.context.routing.current().number if self.context.routing.changed() else self._revision
        if revision != self._revision:
            self._revision = revision
            self.crew.new_policy()
        self._failure.check()
        self._look_for_drain()
        self._renew_certificate()
        self._tell_turned_away()
        self.crew.attend(self.context.clock.monotonic())
        self._reporter.round(self.context.clock.monotonic())
        if self._unmended or self.context.spool.workers.dead(WORKER):
            found = self._mend()
            self.context.log.warning("mended", found=found)
        return REST_S if self.crew.patient and self.context.spool.stillness.still() else PERIOD_S

    def _look_for_drain(self) -> None:
        """Before maintenance nobody is let in any more; who sends tries again later (PS3.8 table 9-21: local limit)."""
        drain = self.context.spool.draining.state()
        words = "" if drain is None else drain.words
        if words != self._drained:
            self._drained = words
            self._limits.shut(words)
            self.context.log.info("drain_ended" if drain is None else "drain_begun")
        if drain is not None and not drain.shut:
            self.context.spool.draining.heard()

    def _tell_turned_away(self) -> None:
        """Who found the door closed (receiver.allow); a flood is told now and then."""
        for address in self._allowed.turned_away():
            reason = "the address is not in receiver.allow"
            if self._notices.wanted(address):
                self.context.log.warning("turned_away", address=address, reason=reason)
                try:
                    self.context.spool.images.association_rejected("", "", address, reason)
                except OutOfSpace as exc:
                    self.context.log.warning("event_not_recorded", type="association.rejected", reason=str(exc))

    def _lost_one(self) -> None:
        """A worker is gone; its lock is free, so the pass that sees this mends what it left."""
        self.context.wire.wake()

    def _renew_certificate(self) -> None:
        """Certificates are renewed every few months, by programs that cannot restart a receiver."""
        if self._tls is None:
            return
        try:
            if self._tls.reload():
                self.crew.new_certificate()
                self._tell_certificate("certificate_renewed")
        except ConfigurationError as exc:
            self.context.log.warning("certificate_kept", reason=str(exc))

    def figures(self) -> dict[str, float]:
        """Rates since the last call, counts since the start."""
        counts = self.crew.figures()
        since, images = self._shown
        now, total = self.context.clock.monotonic(), counts.pop("images", 0)
        self._shown = (now, total)
        return {
            "images_per_s": round(max(0.0, total - images) / max(now - since, 0.001), 1),
            "images_per_commit": round(total / max(counts.pop("commits", 0), 1), 1),
            **{name: float(count) for name, count in counts.items()},
        }

    # -- ending ------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Stop accepting, let open associations finish for STOP_LIMIT_S, abort the rest, leave in order."""
        for door in self._doors:
            door.close()
        self.crew.stop(self.STOP_LIMIT_S)
        self._reporter.stop()
