"""pynetdicom as a second, independent peer on either side (DCMTK is the first)."""

from __future__ import annotations

from pathlib import Path

import pytest
from dicom_fakes import RecordingHandler, ct_and_mr, node, running_scp
from pydicom import dcmread
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, evt

from actors.dicom.part10 import read_part10
from actors.dicom.scu import VERIFICATION_CONTEXT, open_association
from tests.peers import HOST, dataset_bytes

pytestmark = pytest.mark.slow
PRIVATE_CLASS, PRIVATE_SYNTAX = "1.3.12.2.1107.5.9.1.777", "1.2.840.113619.5.2"


def test_pynetdicom_sends_and_prefers_nothing_of_ours() -> None:
    handler, dataset = RecordingHandler(), dcmread(ct_and_mr()[0])
    entity = AE("PYNET")
    entity.add_requested_context(CTImageStorage, [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
    entity.add_requested_context("1.2.840.10008.5.1.4.1.2.2.1")  # a query: not ours
    with running_scp(handler) as port:
        association = entity.associate(HOST, port, ae_title="SCANPOST")
        assert association.is_established
        assert [context.abstract_syntax for context in association.rejected_contexts] == ["1.2.840.10008.5.1.4.1.2.2.1"]
        assert association.send_c_store(dataset).Status == 0
        association.release()
        handler.wait(lambda: handler.closed_ids)
    assert handler.stored[0].transfer_syntax_uid == ExplicitVRLittleEndian
    assert handler.endings == ["released"]


def test_pynetdicom_receives_what_is_in_the_file() -> None:
    received: list[bytes] = []

    def store(event: evt.Event) -> int:
        received.append(event.request.DataSet.getvalue())
        return 0xB000

    entity = AE("PACS")
    entity.add_supported_context(CTImageStorage, ExplicitVRLittleEndian)
    entity.add_supported_context("1.2.840.10008.1.1")
    server = entity.start_server((HOST, 0), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])
    try:
        image = read_part10(ct_and_mr()[0])
        contexts = [VERIFICATION_CONTEXT, (CTImageStorage, ExplicitVRLittleEndian), ("1.2.3", ExplicitVRLittleEndian)]
        with open_association(node(server.server_address[1]), contexts) as association:
            assert not association.accepts("1.2.3", ExplicitVRLittleEndian)
            assert association.echo() == 0
            result = association.store(image)
    finally:
        server.shutdown()
    assert (result.status, result.category) == (0xB000, "warning")
    assert received == [dataset_bytes(image.path)]


def test_a_private_sop_class_in_a_private_transfer_syntax_goes_through(tmp_path: Path) -> None:
    path = tmp_path / "private"
    path.write_bytes(b"not even a dataset")
    image = type(read_part10(ct_and_mr()[0]))(path, 4, PRIVATE_CLASS, "1.2.3", PRIVATE_SYNTAX)
    handler = RecordingHandler()
    with running_scp(handler) as port, open_association(node(port), [(PRIVATE_CLASS, PRIVATE_SYNTAX)]) as association:
        assert association.store(image).status == 0
    assert handler.datasets == [b"even a dataset"]
    assert (handler.stored[0].sop_class_uid, handler.stored[0].transfer_syntax_uid) == (PRIVATE_CLASS, PRIVATE_SYNTAX)
