"""Storage commitment asked of a target: a slot that sends to pynetdicom and asks it, and peers that misbehave."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE, evt

from actors.dicom import pdus
from actors.dicom.commitment import SOP_CLASS, SOP_INSTANCE, Report, Request
from actors.dicom.commitment_scu import CommitmentRefused, ask, reporting
from actors.dicom.scu import Node
from actors.targets.registry import make_target
from protocol.clock import SystemClock
from protocol.errors import AssociationAborted, AssociationRejected, NetworkError, PeerTimeout, TargetUnreachable
from protocol.spool import open_spool
from tests.dicom.dicom_fakes import raw_peer
from tests.dispatcher.dispatcher_fakes import FixedRouting, deliveries, make_slot, receive, route, series
from tests.peers import HOST, free_port

pytestmark = pytest.mark.slow
PATIENT = {"connect_timeout_s": 30.0, "acse_timeout_s": 30.0, "dimse_timeout_s": 30.0}
REQUEST = Request("1.2.3", ((CTImageStorage, "1.2.3.4"),))


class Archive:
    """pynetdicom as storage SCP that commits: on the association of the request, unless `silent`, after `failing`."""

    def __init__(
        self, *, offers: bool = True, status: int = 0, silent: bool = False, failing: tuple[str, ...] = ()
    ) -> None:
        self.status, self.silent, self.failing = status, silent, failing
        self.stored: list[str] = []
        self.asked: list[Dataset] = []
        self.heard: list[int] = []
        self.done = threading.Event()
        self.entity = AE("PACS")
        self.entity.add_supported_context(CTImageStorage, ExplicitVRLittleEndian)
        if offers:
            self.entity.add_supported_context(SOP_CLASS)

    def _store(self, event: Any) -> int:
        self.stored.append(event.request.AffectedSOPInstanceUID)
        return 0x0000

    def _action(self, event: Any) -> tuple[int, None]:
        self.asked.append(event.action_information)
        if not self.silent and self.status == 0:
            threading.Thread(target=self._report, args=(event.assoc, event.action_information)).start()
        return self.status, None

    def _report(self, association: Any, asked: Dataset) -> None:
        told = Dataset()
        told.TransactionUID = asked.TransactionUID
        named = list(asked.ReferencedSOPSequence)
        told.ReferencedSOPSequence = [one for one in named if one.ReferencedSOPInstanceUID not in self.failing]
        bad = [one for one in named if one.ReferencedSOPInstanceUID in self.failing]
        for one in bad:
            one.FailureReason = 0x0112
        if bad:
            told.FailedSOPSequence = bad
        status, _ = association.send_n_event_report(told, 2 if bad else 1, SOP_CLASS, SOP_INSTANCE)
        self.heard.append(int(status.Status))
        self.done.set()

    @contextmanager
    def serve(self) -> Iterator[int]:
        handlers = [(evt.EVT_C_STORE, self._store), (evt.EVT_N_ACTION, self._action)]
        server = self.entity.start_server((HOST, 0), block=False, evt_handlers=handlers)
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()


class Sender:
    """A spool with two images for `pacs` and a slot."""

    def __init__(self, home: Any, port: int, **commitment: Any) -> None:
        self.spool = open_spool(home, create=True)
        settings = {"port": port, "commitment": {"answer_s": 30.0, **commitment}, "retry": {"first_s": 10.0}, **PATIENT}
        self.routing = FixedRouting({"pacs": settings})
        self.slot = make_slot(self.spool, self.routing, SystemClock(), lambda name: None, make=make_target)
        self.images = series(1, 2)
        self.arrival = receive(self.spool, self.images)
        route(self.spool, self.arrival, "pacs")

    def run(self) -> dict[str, Any]:
        """One attempt; the delivery after it."""
        assert self.slot.run_once()
        return deliveries(self.spool)[0]


@pytest.fixture
def sender(tmp_path):
    made = []

    def make(port: int, **commitment: Any) -> Sender:
        made.append(Sender(tmp_path / "home", port, **commitment))
        return made[-1]

    yield make
    for one in made:
        one.spool.close()


def test_a_target_is_asked_for_what_it_was_sent_and_its_report_is_kept(sender):
    archive = Archive()
    with archive.serve() as port:
        at = sender(port)
        row = at.run()
        assert archive.done.wait(30)
    assert row["state"] == "confirming" and row["sent"] == 2
    assert archive.stored == [one.sop_uid for one in at.images]
    named = [
        (one.ReferencedSOPClassUID, one.ReferencedSOPInstanceUID) for one in archive.asked[0].ReferencedSOPSequence
    ]
    assert named == [(one.sop_class_uid, one.sop_uid) for one in at.images]
    assert archive.heard == [0]
    (waiting,) = at.spool.confirmations.waiting()
    assert waiting.failed == {}
    (listed,) = at.spool.confirmations.list()
    assert (listed["state"], listed["count"], listed["failed"]) == ("answered", 2, [])


def test_an_image_that_it_does_not_commit_to_is_kept_with_its_reason(sender):
    bad = series(1, 2)[1].sop_uid
    archive = Archive(failing=(bad,))
    with archive.serve() as port:
        at = sender(port)
        at.run()
        assert archive.done.wait(30)
    (waiting,) = at.spool.confirmations.waiting()
    assert waiting.failed == {bad: 0x0112}


def test_a_target_that_reports_later_leaves_the_delivery_confirming(sender):
    with Archive(silent=True).serve() as port:
        at = sender(port, answer_s=0.2)
        assert at.run()["state"] == "confirming"
    (waiting,) = at.spool.confirmations.waiting()
    assert waiting.failed is None and waiting.due > SystemClock().now() + 86_000


@pytest.mark.parametrize(
    ("archive", "state"),
    [({"offers": False}, "parked"), ({"status": 0x0122}, "parked"), ({"status": 0x0213}, "retrying")],
)
def test_a_target_that_does_not_take_the_request_keeps_its_images_and_is_asked_again_or_parked(sender, archive, state):
    made = Archive(**archive)
    with made.serve() as port:
        at = sender(port)
        row = at.run()
        assert row["state"] == state and "commitment" in row["error"] and row["sent"] == 2
    assert len(made.stored) == 2


def test_the_second_try_only_asks(sender):
    archive = Archive(status=0x0213)
    with archive.serve() as port:
        at = sender(port)
        assert at.run()["state"] == "retrying"
        archive.status = 0
        with at.spool.database.write() as tx:
            tx.execute("UPDATE delivery SET due = 0")
        assert at.run()["state"] == "confirming"
    assert len(archive.stored) == 2 and len(archive.asked) == 2
    assert archive.asked[0].TransactionUID != archive.asked[1].TransactionUID


# ---- peers that misbehave -------------------------------------------------------------------------------------------


def node(port: int, **limits: float) -> Node:
    return Node(HOST, port, "PACS", "SCANPOST", **{**PATIENT, **limits})


def report(to: Node, told: Report) -> int:
    with reporting(to) as send:
        return send(told)


def kept(report: Report) -> int:
    raise AssertionError("there was no report to keep")


def accept(sock: Any) -> None:
    sock.recv(65536)
    sock.sendall(pdus.AssociateAc((pdus.ContextResult(1, 0, ExplicitVRLittleEndian),), 16384).encode())


def silent(sock: Any) -> None:
    accept(sock)
    while sock.recv(65536):
        pass


def hangs_up(sock: Any) -> None:
    accept(sock)
    sock.recv(65536)


def aborts(sock: Any) -> None:
    sock.recv(65536)
    sock.sendall(pdus.encode_abort(0, 0))


def rejects(sock: Any) -> None:
    sock.recv(65536)
    sock.sendall(pdus.encode_reject(1, 1, 7))
    sock.recv(65536)


def refuses_the_role(sock: Any) -> None:
    sock.recv(65536)
    roles = (pdus.RoleSelection(SOP_CLASS, True, False),)
    answer = pdus.AssociateAc((pdus.ContextResult(1, 0, ExplicitVRLittleEndian),), 16384, bytes(64), roles)
    sock.sendall(answer.encode())
    sock.recv(65536)


@pytest.mark.parametrize(
    ("peer", "error"),
    [
        (silent, PeerTimeout),
        (hangs_up, AssociationAborted),
        (aborts, AssociationAborted),
        (rejects, AssociationRejected),
    ],
)
@pytest.mark.parametrize("what", ["ask", "report"])
def test_a_peer_that_does_not_do_its_part_is_an_error_with_a_limit(
    peer: Callable[..., None], error: Any, what: str
) -> None:
    limits = {"dimse_timeout_s": 0.4} if peer is silent else {}
    with raw_peer(peer) as port, pytest.raises(error):
        if what == "ask":
            ask(node(port, **limits), REQUEST, kept, 0.1)
        else:
            report(node(port, **limits), Report("1.2.3", REQUEST.references))


def test_nobody_there_is_an_error_that_can_pass() -> None:
    with pytest.raises(TargetUnreachable) as caught:
        report(node(free_port()), Report("1.2.3", REQUEST.references))
    assert caught.value.retryable


def test_who_refuses_the_role_of_scp_gets_no_report() -> None:
    with raw_peer(refuses_the_role) as port, pytest.raises(CommitmentRefused) as caught:
        report(node(port), Report("1.2.3", REQUEST.references))
    assert caught.value.retryable and isinstance(caught.value, NetworkError)
