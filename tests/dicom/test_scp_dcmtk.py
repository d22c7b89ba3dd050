"""DCMTK's senders against our storage SCP: every byte, every transfer syntax, several at a time."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from dicom_fakes import PYDICOM_FILES, SHARED_SYNTAXES, RecordingHandler, ct_and_mr, running_scp

from actors.dicom.part10 import read_part10
from protocol.errors import UnreadableImage
from tests.peers import StoreScp, dataset_bytes, dcmsend, echoscu, needs_dcmtk, storescu

pytestmark = [needs_dcmtk, pytest.mark.slow]


def sendable(folder: Path) -> list[Path]:
    """One file for each (SOP class, transfer syntax, name) that DCMTK itself can read."""
    found: dict[tuple[str, str], Path] = {}
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        try:
            image = read_part10(path)
        except UnreadableImage:
            continue
        found.setdefault((image.transfer_syntax_uid, image.sop_class_uid), path)
    return list(found.values())


def test_echoscu_gets_its_answer() -> None:
    with running_scp(RecordingHandler()) as port:
        assert echoscu(port).returncode == 0


def expected_of(paths: Iterable[Path]) -> list[tuple[str, str, bytes]]:
    """(SOP instance UID, transfer syntax, dataset) of each file."""
    images = [read_part10(path) for path in paths]
    return sorted((i.sop_instance_uid, i.transfer_syntax_uid, dataset_bytes(i.path)) for i in images)


def arrived_at(handler: RecordingHandler) -> list[tuple[str, str, bytes]]:
    return sorted((r.sop_instance_uid, r.transfer_syntax_uid, bytes(r.dataset)) for r in handler.stored)


def test_storescu_sends_ct_and_mr_and_every_byte_arrives(tmp_path: Path) -> None:
    # DCMTK's senders re-encode what they read; what they really send is what storescp writes "exactly as read"
    handler, files = RecordingHandler(), ct_and_mr()
    with running_scp(handler) as port, StoreScp(tmp_path / "reference") as reference:
        assert storescu(reference.port, files).returncode == 0
        done = storescu(port, files, called="SCANPOST", calling="CT1")
        assert done.returncode == 0, done.stderr
        handler.wait(lambda: handler.closed_ids)
        expected = expected_of(reference.received())
    assert arrived_at(handler) == expected
    assert [request.sop_instance_uid for request in handler.stored] == [
        read_part10(path).sop_instance_uid for path in files
    ]
    assert [request.transfer_syntax_uid for request in handler.stored] == ["1.2.840.10008.1.2.1"] * 2
    assert handler.endings == ["released"] and handler.closed_ids[0][0] == handler.opened_ids[0]
    assert (handler.peers[0].calling_ae, handler.peers[0].called_ae) == ("CT1", "SCANPOST")
    assert handler.peers[0].address == "127.0.0.1"


@pytest.mark.parametrize("folder", [PYDICOM_FILES, SHARED_SYNTAXES], ids=["pydicom", "shared"])
def test_every_transfer_syntax_arrives_bit_by_bit(folder: Path, tmp_path: Path) -> None:
    if not folder.is_dir():
        pytest.skip(f"{folder.name} is not there")
    files = sendable(folder)
    handler = RecordingHandler()
    with running_scp(handler) as port, StoreScp(tmp_path / "reference", options=["+uf"]) as reference:
        assert dcmsend(reference.port, files, ["--no-halt"]).returncode == 0
        done = dcmsend(port, files, ["--no-halt", "-v"])
        assert done.returncode == 0, done.stderr
        expected = expected_of(reference.received())
    assert arrived_at(handler) == expected
    assert f"with status SUCCESS  : {len(handler.stored)}" in done.stdout + done.stderr
    assert len({request.transfer_syntax_uid for request in handler.stored}) >= 7


def test_a_private_sop_class_is_taken(tmp_path: Path) -> None:
    source = ct_and_mr()[0].read_bytes()
    ours = source.replace(b"1.2.840.10008.5.1.4.1.1.2\0", b"1.3.12.2.1107.5.9.1.777.1\0")
    assert ours != source
    path = tmp_path / "private.dcm"
    path.write_bytes(ours)
    handler = RecordingHandler()
    with running_scp(handler) as port:
        profile = tmp_path / "profile.cfg"
        profile.write_text(
            "[[TransferSyntaxes]]\n[Plain]\nTransferSyntax1 = LittleEndianExplicit\n"
            "[[PresentationContexts]]\n[Private]\n"
            "PresentationContext1 = 1.3.12.2.1107.5.9.1.777.1\\Plain\n[[Profiles]]\n[Default]\n"
            "PresentationContexts = Private\n"
        )
        done = storescu(port, [path], ["-xf", str(profile), "Default"])
        assert done.returncode == 0, done.stderr
    assert handler.stored[0].sop_class_uid == "1.3.12.2.1107.5.9.1.777.1"
    assert dataset_bytes(path).startswith(handler.datasets[0])  # storescu leaves out the trailing padding (FFFC,FFFC)


def test_eight_associations_store_at_the_same_time() -> None:
    handler = RecordingHandler()
    together = threading.Barrier(8, timeout=60)

    def store(request: object) -> int:
        together.wait()  # passes only if eight are in the handler at once
        return 0

    handler.on_store = store
    with running_scp(handler) as port, ThreadPoolExecutor(8) as pool:
        path = ct_and_mr()[0]
        results = list(pool.map(lambda number: storescu(port, [path], calling=f"CT{number}"), range(8)))
        assert [done.returncode for done in results] == [0] * 8
        handler.wait(lambda: len(handler.closed_ids) == 8)
    assert handler.endings == ["released"] * 8
    assert len(set(handler.opened_ids)) == 8


def test_a_failure_status_reaches_storescu() -> None:
    handler = RecordingHandler()
    handler.on_store = lambda request: 0xA700
    with running_scp(handler) as port:
        done = storescu(port, ct_and_mr(), ["-v", "--no-halt"])
    assert "OutOfResources" in (done.stdout + done.stderr)


def test_a_sender_that_aborts_is_reported_as_aborted() -> None:
    handler = RecordingHandler()
    with running_scp(handler) as port:
        done: subprocess.CompletedProcess[str] = storescu(port, ct_and_mr(), ["--abort"])
        assert done.returncode == 0, done.stderr
        handler.wait(lambda: handler.closed_ids)
    assert handler.endings == ["aborted"] and len(handler.stored) == 2


def test_a_rejected_caller_gets_the_reason() -> None:
    handler = RecordingHandler()
    handler.on_requested = lambda peer: "unknown source" if peer.calling_ae == "EVIL" else None
    with running_scp(handler) as port:
        refused = storescu(port, ct_and_mr(), calling="EVIL")
        welcome = storescu(port, ct_and_mr(), calling="CT1")
    assert refused.returncode != 0 and "Calling AE Title Not Recognized" in refused.stdout + refused.stderr
    assert welcome.returncode == 0 and len(handler.opened_ids) == 1


def test_a_wrong_called_ae_is_rejected_if_asked_for() -> None:
    with running_scp(RecordingHandler(), accept_any_called_ae=False, ae_title="SCANPOST") as port:
        assert echoscu(port, called="SCANPOST").returncode == 0
        refused = echoscu(port, called="OTHER")
    assert refused.returncode != 0 and "Called AE Title Not Recognized" in refused.stdout + refused.stderr


@pytest.mark.timeout(30)
def test_a_sender_with_nagles_algorithm_on_is_not_kept_waiting() -> None:
    """Its dataset waits for our acknowledgement of the command: 40 ms per image, unless we acknowledge at once."""
    handler = RecordingHandler()
    with running_scp(handler) as port:
        # Above 40 s if it waited, which the time limit of this test does not allow.
        done = storescu(port, ct_and_mr()[:1] * 1000, ["--repeat", "1"], env={"TCP_NODELAY": "0"})
        assert done.returncode == 0, done.stderr
    assert len(handler.stored) == 1000
