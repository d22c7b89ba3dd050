"""A receiver with real sockets beside a router, and pynetdicom as scanner and as target. It must not hide what they say."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, build_role, evt
from receiver_rig import HOST, WAIT_S, Rig, receiver, send

from actors.base import make_context, passes
from actors.router.actor import RouterActor
from protocol.routing.versions import RoutingVersions
from protocol.spool.deliveries import ImageResult
from protocol.testing.images import TestImage
from protocol.wire.nudges import NoWire

PUSH_MODEL, INSTANCE = "1.2.840.10008.1.20.1", "1.2.840.10008.1.20.1.1"
SYNTAXES = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]
PACS = {"type": "dicom", "host": HOST, "port": 1, "called_ae": "PACS"}


def routing(source: Any = "target", **target: Any) -> dict[str, Any]:
    """CT1 with this commitment; CT goes to pacs, nothing else does."""
    return {
        "targets": {"pacs": {**PACS, **target}},
        "sources": {"ct1": {"calling_ae": "CT1", "quiet_s": 0.0, "commitment": source}},
        "rules": [{"name": "ct", "when": "Modality == 'CT'", "action": "route", "targets": ["pacs"]}],
    }


class Site:
    """The receiver's rig and a router over the same spool, moved on by `until`."""

    def __init__(self, rig: Rig) -> None:
        self.rig, self.spool = rig, rig.spool
        context = make_context(
            rig.actor.context.settings, rig.spool, wire=NoWire(), log=rig.log, rng=random.Random(1),
            clock=rig.actor.context.clock,
            routing=RoutingVersions(rig.home / "config" / "routing", rig.spool.fs, rig.actor.context.clock),
        )  # fmt: skip
        self.router = RouterActor(context)

    def work(self) -> None:
        """One pass of everybody, the sweep included."""
        self.router._swept = float("-inf")
        passes(self.router)
        self.rig.actor.one_pass([])

    def until(self, condition: Any, what: str = "it did not happen") -> Any:
        end = time.monotonic() + WAIT_S
        while time.monotonic() < end:
            self.work()
            found = condition()
            if found:
                return found
            with self.rig.wire.changed:
                self.rig.wire.changed.wait(0.05)
        raise AssertionError(f"{what}: {self.spool.commitments.list()}")

    def receive(self, *images: TestImage, calling: str = "CT1") -> None:
        """Images come in and are decided."""
        before = self.spool.accounting.figures()
        with self.rig.associate(calling) as association:
            assert [send(association, image, self.rig.home) for image in images] == [0] * len(images)
        self.rig.until_recorded(before.received + before.duplicates + len(images))
        self.until(lambda: self.spool.arrivals.list(limit=1)[0]["state"] not in ("open", "closed"), "not decided")

    def deliver(self) -> None:
        """A dispatcher sends everything that waits."""
        owner = self.spool.workers.enter("dispatcher", "9-9").owner
        while claim := self.spool.deliveries.claim(owner, {"pacs": 1}, self.spool.database.clock.now() + 1e6):
            results = [ImageResult(one.position, one.file.receipt, 0, True) for one in claim.images]
            self.spool.deliveries.confirm(claim, results)
            self.spool.deliveries.complete(claim)

    def states(self) -> list[str]:
        return [row["state"] for row in self.spool.commitments.list()][::-1]


@contextmanager
def site(home: Path, configuration: dict[str, Any], **settings: Any) -> Iterator[Site]:
    with receiver(home, routing=configuration, **settings) as rig:
        yield Site(rig)


class Scanner:
    """pynetdicom as SCU of storage commitment; with `listen` also on a port of its own, for later reports."""

    def __init__(self, calling: str = "CT1") -> None:
        self.changed = threading.Condition()
        self.reports: list[tuple[int, Dataset]] = []
        self.roles: list[Any] = []
        self.associations: set[int] = set()
        self.status = 0x0000
        self.port = 0
        self._entity = AE(calling)
        self._entity.add_requested_context(PUSH_MODEL, SYNTAXES)
        self._entity.add_requested_context(CTImageStorage, SYNTAXES)
        self._server: Any = None

    def listen(self, *, takes_reports: bool = True) -> int:
        """A server that lets who calls be SCP of storage commitment; its port."""
        entity = AE("CT1")
        entity.add_supported_context(PUSH_MODEL, SYNTAXES, scu_role=False, scp_role=takes_reports)
        handlers = [(evt.EVT_N_EVENT_REPORT, self._reported)]
        self._server = entity.start_server((HOST, self.port), block=False, evt_handlers=handlers)
        self.port = self._server.server_address[1]
        return self.port

    def close(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server = None

    def associate(self, port: int, roles: Sequence[Any] = ()) -> Any:
        association = self._entity.associate(
            HOST,
            port,
            ae_title="SCANPOST",
            ext_neg=list(roles),
            evt_handlers=[(evt.EVT_N_EVENT_REPORT, self._reported)],
        )
        assert association.is_established
        return association

    def _reported(self, event: Any) -> tuple[int, None]:
        with self.changed:
            self.reports.append((event.event_type, event.event_information))
            self.roles.append(event.assoc.is_requestor)
            self.associations.add(id(event.assoc))
            self.changed.notify_all()
        return self.status, None

    def wait(self, site: Site | None = None, count: int = 1) -> Dataset:
        """The last report, once so many are there."""
        if site is not None:
            site.until(lambda: len(self.reports) >= count, "the scanner got no report")
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.reports) >= count, WAIT_S), "the scanner got no report"
        return self.reports[-1][1]


def action(*images: TestImage, transaction: str = "1.2.3.4") -> Dataset:
    """The data set of a request."""
    dataset = Dataset()
    dataset.TransactionUID = transaction
    dataset.ReferencedSOPSequence = [reference(image.sop_class_uid, image.sop_uid) for image in images]
    return dataset


def reference(sop_class_uid: str, sop_uid: str, reason: int | None = None) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class_uid, sop_uid
    if reason is not None:
        item.FailureReason = reason
    return item


def request(association: Any, dataset: Dataset, action_type: int = 1) -> int:
    """N-ACTION; the status."""
    status, _ = association.send_n_action(dataset, action_type, PUSH_MODEL, INSTANCE)
    return int(status.Status)


def told(report: Dataset) -> dict[str, int]:
    """SOP instance UID -> failure reason, 0 for those committed."""
    done = {one.ReferencedSOPInstanceUID: 0 for one in report.get("ReferencedSOPSequence", [])}
    return done | {one.ReferencedSOPInstanceUID: one.FailureReason for one in report.get("FailedSOPSequence", [])}


SCP_ROLE = build_role(PUSH_MODEL, scu_role=False, scp_role=True)
BOTH_ROLES = build_role(PUSH_MODEL, scu_role=True, scp_role=True)
SCU_ROLE = build_role(PUSH_MODEL, scu_role=True, scp_role=False)
