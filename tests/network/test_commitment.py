"""Storage commitment through a whole node in real processes: pynetdicom asks and is asked, the receiver dies in between."""

from __future__ import annotations

import io
import threading
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE, evt

from protocol.testing.images import TestImage
from tests.network.evidence import doctor
from tests.network.system import Node, rule, target, wait_until
from tests.peers import HOST
from tests.targets.test_target_commitment import Archive

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
PUSH_MODEL, INSTANCE = "1.2.840.10008.1.20.1", "1.2.840.10008.1.20.1.1"
WAIT_S = 60.0


class Scanner:
    """Sends, asks, and takes reports: on its own associations and at a port of its own."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.reports: dict[
            str, tuple[bool, int, list[str]]
        ] = {}  # transaction -> own association, event type, committed
        self._entity = AE("CT1")
        self._entity.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
        self._entity.add_requested_context(PUSH_MODEL)
        listener = AE("CT1")
        listener.add_supported_context(PUSH_MODEL, scu_role=False, scp_role=True)
        self._handlers = [(evt.EVT_N_EVENT_REPORT, self._reported)]
        self.server = listener.start_server((HOST, 0), block=False, evt_handlers=self._handlers)
        self.port = self.server.server_address[1]

    def _reported(self, event: Any) -> tuple[int, None]:
        told = event.event_information
        committed = [one.ReferencedSOPInstanceUID for one in told.get("ReferencedSOPSequence", [])]
        with self.changed:
            self.reports[told.TransactionUID] = (event.assoc.is_requestor, event.event_type, committed)
            self.changed.notify_all()
        return 0, None

    def associate(self, port: int) -> Any:
        association = self._entity.associate(HOST, port, ae_title="SCANPOST", evt_handlers=self._handlers)
        assert association.is_established
        return association

    def ask(self, association: Any, transaction: str, image: TestImage) -> None:
        asked, item = Dataset(), Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = image.sop_class_uid, image.sop_uid
        asked.TransactionUID, asked.ReferencedSOPSequence = transaction, [item]
        status, _ = association.send_n_action(asked, 1, PUSH_MODEL, INSTANCE)
        assert status.Status == 0

    def wait(self, transaction: str, node: Node) -> tuple[bool, int, list[str]]:
        with self.changed:
            found = self.changed.wait_for(lambda: transaction in self.reports, WAIT_S)
        assert found, node.logs()
        return self.reports[transaction]


def send(association: Any, image: TestImage) -> None:
    dataset = dcmread(io.BytesIO(image.dataset()), force=True)
    dataset.ensure_file_meta()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    assert association.send_c_store(dataset).Status == 0


def test_a_scanner_hears_of_its_images_once_the_archive_committed_to_them_whoever_dies(tmp_path):
    scanner, archive = Scanner(), Archive()
    first, second = TestImage(series=1), TestImage(series=2)
    node = Node(tmp_path / "home", environment={"SCANPOST_RECEIVER__WORKERS": "2"})
    try:
        with archive.serve() as port:
            source = {"calling_ae": "CT1", "commitment": {"policy": "target", "target": "pacs", "port": scanner.port}}
            node.route(
                {"pacs": target(port, commitment=True)},
                [rule("ct", "Modality == 'CT'", "pacs")],
                sources={"ct1": source},
            )
            node.up()
            association = scanner.associate(node.port)
            send(association, first)
            asking = scanner.associate(node.port)
            scanner.ask(asking, "1.2.1", first)
            association.release()
            assert scanner.wait("1.2.1", node) == (True, 1, [first.sop_uid])
            asking.release()

            late = scanner.associate(node.port)
            scanner.ask(late, "1.2.2", second)  # before the image
            node.kill("receiver")
            late.abort()
            wait_until(lambda: _sent(scanner, node, second), WAIT_S, node.logs)
            assert scanner.wait("1.2.2", node) == (False, 1, [second.sop_uid])
            states = wait_until(
                lambda: [row["state"] for row in rows] == ["reported"] * 2 and rows
                if (rows := node.json("commitment", "list")) else None, WAIT_S, node.logs,
            )  # fmt: skip
            assert {row["failed"] for row in states} == {0}
            asked = node.json("commitment", "targets")
            assert [(row["target"], row["state"], row["failed"]) for row in asked] == [("pacs", "answered", [])] * 2
            doctor(node)
    finally:
        node.stop()
        scanner.server.shutdown()


def _sent(scanner: Scanner, node: Node, image: TestImage) -> bool:
    """Once the receiver is back."""
    association = scanner._entity.associate(HOST, node.port, ae_title="SCANPOST")
    if not association.is_established:
        return False
    send(association, image)
    association.release()
    return True
