"""Storage commitment around a node in memory: scanners that ask and take reports, targets that are asked and report.
It keeps the books of who was told what, and checks them; each word is an effect of the process that hears or says it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from actors.dicom.commitment import Report, Request
from protocol.errors import TargetUnreachable
from protocol.testing.images import TestImage

if TYPE_CHECKING:
    from tests.crash.node_in_memory import Node


@dataclass(frozen=True)
class Wanted:
    """What a scanner wants to be committed."""

    calling_ae: str
    transaction: str
    images: tuple[TestImage, ...]


class Committing:
    """See the module. `uncommitted` are SOP instance UIDs that targets do not commit to; `silent` targets never report."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self.wanted: list[Wanted] = []
        self.acknowledged: list[Wanted] = []
        self.reports: dict[str, list[Report]] = {}  # what scanners got, by transaction
        self.broken: list[str] = []  # promises that were not true when they were made
        self.scanners_away = False
        self.uncommitted: set[str] = set()
        self.silent: set[str] = set()
        self._asked: list[tuple[str, str, list[str]]] = []  # target, transaction, instances: not reported yet
        self.committed: dict[str, set[str]] = {}  # target -> instances it committed to

    # ---- scanners -----------------------------------------------------------------------------------------------------
    def ask(self, calling_ae: str, transaction: str, *images: TestImage) -> None:
        """A scanner asks on an association of its own; one that got no answer asks again."""
        one = Wanted(calling_ae, transaction, images)
        self.wanted.append(one)
        self._ask(one)

    def _ask(self, one: Wanted) -> None:
        node = self._node

        def go() -> bool:
            association = node.call(one.calling_ae)
            self.request(association, one)
            node.hang_up(association, one.calling_ae, "released")
            return True

        if not node.act("receiver", go) and one not in self.acknowledged:
            self._ask(one)

    def request(self, association: bytes, one: Wanted) -> None:
        """One N-ACTION; its response is an effect, too."""
        node = self._node
        references = tuple((image.sop_class_uid, image.sop_uid) for image in one.images)
        handler = node.actors["receiver"].handler.commitment
        assert handler.offered(node.peer(one.calling_ae))
        assert handler.requested(association, node.peer(one.calling_ae), Request(one.transaction, references)) == 0
        self.acknowledge(one)

    def acknowledge(self, one: Wanted) -> None:
        """The scanner is told that its request is kept."""
        effects = self._node.effects["receiver"]
        effects.step("acknowledge.before")
        self.acknowledged.append(one)
        effects.step("acknowledge.after")

    def repeat(self) -> None:
        """What was not acknowledged is asked again."""
        for one in self.wanted:
            if one not in self.acknowledged:
                self._ask(one)

    @contextmanager
    def reporting(self, scanner: Any) -> Iterator[Callable[[Report], int]]:
        """An association to a scanner, in place of actors.dicom.commitment_scu.reporting."""
        if self.scanners_away:
            raise TargetUnreachable(f"{scanner} is away")
        yield self._take_report

    def _take_report(self, report: Report) -> int:
        effects = self._node.effects["receiver"]
        effects.step("scanner.report.before")
        self.reports.setdefault(report.transaction_uid, []).append(report)
        self._judge(report)
        effects.step("scanner.report.after")
        return 0

    def _judge(self, report: Report) -> None:
        """What is called committed must be where it has to be in this very moment."""
        from tests.crash.node_in_memory import COMMITTING, ROUTES

        one = next(one for one in self.wanted if one.transaction == report.transaction_uid)
        by_uid = {image.sop_uid: image for image in one.images}
        for _, uid in report.committed:
            if one.calling_ae == "KEEP1":
                self._need(uid in self._kept(), f"{uid} is called committed and not here")
                continue
            for name in ROUTES[COMMITTING][by_uid[uid].modality]:
                self._need(uid in self._node.targets[name].received, f"{uid} is called committed, {name} never got it")
                # pacs is asked: its C-STORE success is not enough.
                told = name != "pacs" or uid in self.committed.get("pacs", ())
                self._need(told, f"{uid} is called committed, pacs did not commit to it")

    def _need(self, condition: bool, text: str) -> None:
        if not condition:
            self.broken.append(text)

    def _kept(self) -> set[str]:
        with self._node.spool.database.read() as connection:
            rows = connection.execute(
                "SELECT i.sop_uid FROM image i JOIN arrival a ON a.id = i.arrival WHERE a.state <> 'deleted'"
            ).fetchall()
        return {row[0] for row in rows}

    # ---- targets ------------------------------------------------------------------------------------------------------
    def ask_target(self, spool: Any, claim: Any, settings: Any, commitment: Any, alive: Callable[[], None]) -> None:
        """In place of actors.dispatcher.confirming.ask_target: the target reports later, on an association of its own."""
        effects, name = self._node.effects[self._node.at_work], settings.called_ae.lower()
        asked = spool.confirmations.ask(claim)
        effects.step("target.ask.before")
        if self._node.targets[name].away:
            raise TargetUnreachable(f"{name} is away")
        if name not in self.silent:
            self._asked.append((name, asked.transaction_uid, [uid for _, uid in asked.images]))
        effects.step("target.ask.after")

    def targets_report(self) -> None:
        """Each target that was asked says what it has; it repeats what was not acknowledged."""
        for name, transaction, instances in list(self._asked):
            has = set(self._node.targets[name].received) - self.uncommitted
            done = tuple(("1.2", uid) for uid in instances if uid in has)
            failed = tuple(("1.2", uid, 0x0112) for uid in instances if uid not in has)
            self.committed.setdefault(name, set()).update(uid for _, uid in done)
            told = Report(transaction, done, failed)
            if self._node.act("receiver", lambda told=told, name=name: self._told(name, told)):
                self._asked.remove((name, transaction, instances))
                self._node.may_repeat += len(failed)

    def _told(self, name: str, report: Report) -> bool:
        effects = self._node.effects["receiver"]
        status = self._node.actors["receiver"].handler.commitment.told(self._node.peer(name.upper()), report)
        effects.step("acknowledge.report.before")
        assert status == 0, f"{name}'s report is not known"
        effects.step("acknowledge.report.after")
        return True

    def heal(self) -> None:
        """Everybody does right from now on."""
        self.scanners_away = False
        self.uncommitted.clear()
        self.silent.clear()

    # ---- time and checks ----------------------------------------------------------------------------------------------
    def waits(self, idle: int, who: Sequence[str]) -> list[float]:
        """How long until something of it is due."""
        spool, now = self._node.spool, self._node.clock.now()
        waits: list[float] = []
        if "receiver" in who:
            waits += [row["due"] - now + 0.01 for row in spool.commitments.list(states=("answered",), limit=500)]
        if "router" in who:
            waits += [one.due - now + 0.01 for one in spool.confirmations.waiting()]
            if idle < 4 and spool.commitments.list(states=("waiting",), limit=1):
                waits.append(31.0 if idle < 2 else 601.0)  # an old one is looked at each 30 s; what is unknown fails
        return waits

    def check(self) -> None:
        """In every moment: no report was a lie; what was acknowledged is known; what is kept for a promise is there."""
        assert not self.broken, self.broken
        known = {row["transaction_uid"] for row in self._node.spool.commitments.list(limit=1000)}
        for one in self.acknowledged:
            assert one.transaction in known, f"request {one.transaction} is lost"
        with self._node.spool.database.read() as connection:
            gone = connection.execute(
                "SELECT a.id FROM promise p JOIN arrival a ON a.id = p.arrival WHERE a.state IN ('discarded', 'deleted')"
                " AND NOT EXISTS (SELECT 1 FROM delivery d WHERE d.arrival = a.id AND d.state = 'delivered')"
            ).fetchall()
            unconfirmed = connection.execute(
                "SELECT d.id FROM delivery d WHERE d.state = 'delivered' AND EXISTS"
                " (SELECT 1 FROM confirmation c WHERE c.delivery = d.id) AND NOT EXISTS"
                " (SELECT 1 FROM confirmation c WHERE c.delivery = d.id AND c.state = 'answered')"
            ).fetchall()
        assert not gone, f"promised and let go: {[row[0] for row in gone]}"
        assert not unconfirmed, f"delivered without the target's word: {[row[0] for row in unconfirmed]}"

    def check_end(self) -> None:
        """After everything was healed: each request that was acknowledged got its report."""
        for one in self.acknowledged:
            assert one.transaction in self.reports, f"request {one.transaction} was never reported"
            last = self.reports[one.transaction][-1]
            assert len(last.committed) + len(last.failed) == len(one.images)
