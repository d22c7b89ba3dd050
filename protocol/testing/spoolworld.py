"""A node whose spool is driven directly, without actors, and the books of the world outside: what scanners were promised.
It decides as simply as possible (close when no association is open, send everything to every target).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from protocol.errors import NetworkError
from protocol.header.scan import scan
from protocol.records import record
from protocol.spool.arrivals import TargetChoice, Verdict
from protocol.spool.deliveries import Claim, ImageResult
from protocol.spool.images import Incoming, Receipt, Saved
from protocol.spool.intake import Writer
from protocol.spool.places import series_key
from protocol.spool.workers import Worker
from protocol.testing.fakes import SUCCESS
from protocol.testing.images import TestImage
from protocol.testing.world import World

ACKNOWLEDGED = ("stored", "duplicate", "quarantined")
TARGETS = ("archive", "pacs", "research")
MANY_ROUNDS = 50


@record
class Promise:
    """An image whose sender was told that it is safe."""

    image: TestImage
    calling_ae: str
    outcome: str


@record
class Association:
    """An association of a scanner with this node."""

    id: bytes
    calling_ae: str


class SpoolWorld(World):
    """See above. `targets` take what is delivered; `promises` is what may never be broken."""

    def __init__(self, home: Path, seed: int = 1, *, durability: str = "fsync") -> None:
        super().__init__(home, seed, durability=durability)
        self.promises: list[Promise] = []
        self.route_to: Sequence[str] = TARGETS
        self.purged: set[str] = set()  # SOP instance UIDs of images whose rows may be gone
        self._workers: dict[str, Worker] = {}
        self._writers: dict[bytes, Writer] = {}
        self._behind: list[Saved] = []
        self._associations = 0
        for name in TARGETS:
            self.target(name)

    def kill(self) -> None:
        super().kill()
        self._workers.clear()
        self._writers.clear()
        self._behind.clear()

    def worker(self, actor: str) -> Worker:
        """This node's worker of that kind; it enters when it is first needed."""
        if actor not in self._workers:
            self._workers[actor] = self.spool.workers.enter(actor, "0")
        return self._workers[actor]

    # what scanners do

    def connect(self, calling_ae: str = "CT1") -> Association:
        """A scanner opens an association."""
        owner = self.worker("receiver").owner
        self._associations += 1
        association = Association(self._associations.to_bytes(16, "big"), calling_ae)
        self.spool.images.association_opened(
            association.id, owner, calling_ae, "SCANPOST", "10.0.0.1:104", calling_ae.lower()
        )
        return association

    def send(self, association: Association, *images: TestImage, reason: str | None = None) -> list[Receipt]:
        """The images in one commit; what is acknowledged is promised. Durability "early": rows follow two at a time."""
        if self.durability == "early" and reason is None:
            self._send_early(association, images)
            return []
        saved = [self.spool.images.save(self.incoming(association, image, reason)) for image in images]
        receipts = self.spool.images.commit(saved)
        for image, receipt in zip(images, receipts, strict=True):
            if receipt.outcome in ACKNOWLEDGED:
                self.promises.append(Promise(image, association.calling_ae, receipt.outcome))
        return receipts

    def _send_early(self, association: Association, images: Sequence[TestImage]) -> None:
        """As the receiver does it: whole or in pieces, into files made ahead, promised before there is a row."""
        for image in images:
            incoming = self.incoming(association, image)
            assert incoming.header is not None
            writer = self._writers.get(association.id)
            if writer is None:
                writer = self._writers[association.id] = self.spool.images.writer(incoming.origin)
            named = image.sop_class_uid, image.sop_uid, image.transfer_syntax_uid
            key = series_key(incoming.header.study_uid, incoming.header.series_uid, incoming.calling_ae)
            spooled, cut = self.spool.images, len(incoming.dataset) // 2 if image.instance % 2 else 0
            if cut:
                intake = writer.begin(*named)
                intake.write(key, [incoming.dataset[:cut]], False)
                intake.write(key, [incoming.dataset[cut:]], True)
                file, meta = intake.finish(sync=spooled.sync), intake.meta()
            else:
                file, meta = writer.put(key, *named, [incoming.dataset], sync=spooled.sync)
            saved = spooled.described(file, meta, incoming.source, incoming.header)
            self.promises.append(Promise(image, association.calling_ae, "stored"))
            self._behind.append(saved)
            if len(self._behind) > 1:
                self.settle_rows()
            writer.prepare()

    def settle_rows(self) -> None:
        """Give what is promised its rows."""
        if self._behind:
            receipts = self.spool.images.commit(self._behind)
            assert all(receipt.outcome in ACKNOWLEDGED for receipt in receipts)
            self._behind.clear()

    def hang_up(self, association: Association, how: str) -> None:
        """The association ends."""
        self.settle_rows()
        if association.id in self._writers:
            self._writers.pop(association.id).close()
        self.spool.images.association_closed(association.id, how)

    def incoming(self, association: Association, image: TestImage, reason: str | None = None) -> Incoming:
        """An image as the receiver hands it to the spool."""
        data = image.dataset()
        return Incoming(
            association.id, association.calling_ae, "SCANPOST", "10.0.0.1:104", association.calling_ae.lower(),
            image.sop_class_uid, image.sop_uid, image.transfer_syntax_uid, data,
            scan(data, image.transfer_syntax_uid), reason,
        )  # fmt: skip

    def receive(self, *images: TestImage, calling_ae: str = "CT1", how: str = "released") -> None:
        """One association with these images, each acknowledged alone."""
        association = self.connect(calling_ae)
        for image in images:
            self.send(association, image)
        self.hang_up(association, how)

    # what actors do

    def close_arrivals(self) -> int:
        """Close every open arrival whose associations have ended; how many."""
        ready = [arrival for arrival in self.spool.arrivals.open_ones() if not arrival.associations_open]
        return sum(self.spool.arrivals.close(arrival.id, "released", images=arrival.images) for arrival in ready)

    def decide(self) -> int:
        """Route every closed arrival; how many."""
        waiting = self.spool.arrivals.undecided()
        for arrival in waiting:
            self.spool.arrivals.subject(arrival)
            self.spool.arrivals.decide(arrival, Verdict("route", 1, [TargetChoice(name) for name in self.route_to]))
        return len(waiting)

    def claim(self, limits: Mapping[str, int] | None = None) -> Claim | None:
        """Claim the next delivery."""
        limits = dict.fromkeys(self.targets, 1) if limits is None else limits
        return self.spool.deliveries.claim(self.worker("dispatcher").owner, limits, self.clock.now())

    def deliver(self, claim: Claim, *, group: int = 1) -> None:
        """Send a claim and record each `group` of answers; on failure retry in a minute, with refused images park."""
        target, results = self.targets[claim.target], list[ImageResult]()
        try:
            target.connect()
            for image in claim.images:
                status = target.store(image.file.sop_instance_uid, self.data_of(image.file.path, image.file.offset))
                results.append(ImageResult(image.position, image.file.receipt, status, status == SUCCESS))
                if len(results) >= group:
                    self.spool.deliveries.confirm(claim, results)
                    results = []
        except NetworkError as exc:
            self.spool.deliveries.confirm(claim, results)
            self.spool.deliveries.retry(claim, self.clock.now() + 60, str(exc))
            return
        self.spool.deliveries.confirm(claim, results)
        if self.spool.deliveries.get(claim.delivery)["refused"]:
            self.spool.deliveries.park(claim, "images were refused")
        else:
            self.spool.deliveries.complete(claim)

    def data_of(self, path: Path, offset: int) -> bytes:
        """The data set in a file of the spool."""
        with self.spool.fs.open_read(path) as file:
            file.seek(offset)
            return file.read()

    # after a death

    def recover(self, *, every_day: bool = False) -> None:
        """What the actors do when they start; `every_day` looks for files of any day, as after a restore."""
        spool = self.spool
        for owner in spool.workers.dead():
            spool.images.abort_dead(owner)
            spool.deliveries.reap(owner)
            spool.workers.forget(owner)
        spool.adoption.adopt(everything=every_day)
        for arrival in spool.cleaning.marked():
            spool.cleaning.remove_files(arrival)

    def finish(self) -> None:
        """Go on until there is nothing left to do; targets do right from now on, a person retries what is parked."""
        for target in self.targets.values():
            target.away, target.hang_at, target.abort_at = False, 0, 0
            target.refuse.clear()
        for _ in range(MANY_ROUNDS):
            done = self.release_all() + self.close_arrivals() + self.decide() + self._deliver_all()
            due = self.spool.deliveries.next_due()
            if not done and due is None:
                return
            self.clock.advance(max(61.0, (due or 0.0) - self.clock.now()))
        raise AssertionError(f"not done after {MANY_ROUNDS} rounds")

    def release_all(self) -> int:
        """What a person would do."""
        held = self.spool.arrivals.list(state="held")
        for row in held:
            command = self.spool.commands.ask("series.release", "tester", {"arrival": row["id"]})
            self.spool.arrivals.release(row["id"], command)
        return len(held) + self._release_deliveries()

    def _release_deliveries(self) -> int:
        stuck = self.spool.deliveries.list(states=("parked", "held"), limit=500)
        for row in stuck:
            act = "retry" if row["state"] == "parked" else "release"
            command = self.spool.commands.ask(f"queue.{act}", "tester", {"delivery": row["id"]})
            self.spool.deliveries.change([row["id"]], act, command)
        return len(stuck)

    def _deliver_all(self) -> int:
        count = 0
        while claim := self.claim():
            self.deliver(claim)
            count += 1
        return count
