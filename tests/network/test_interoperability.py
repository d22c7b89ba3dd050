"""Other products on both sides of a whole node: Orthanc sends and receives, pynetdicom receives, every transfer syntax."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.uid import AllTransferSyntaxes
from pynetdicom import AE, AllStoragePresentationContexts, evt

from tests.network.system import ROOT, Node, rule, target, wait_until
from tests.orthanc import Orthanc, needs_orthanc
from tests.peers import HOST, dataset_bytes, needs_dcmtk, storescu

pytestmark = pytest.mark.slow
SHARED = ROOT.parent / "shared" / "data" / "transfer-syntaxes"
# One file for each transfer syntax that pydicom ships; big endian and deflated are rare enough to be forgotten.
BUNDLED = (
    "CT_small.dcm", "MR_small_implicit.dcm", "MR_small_bigendian.dcm", "image_dfl.dcm", "MR_small_RLE.dcm",
    "MR_small_jpeg_ls_lossless.dcm", "MR_small_jp2klossless.dcm", "JPEG2000.dcm", "JPEG-lossy.dcm", "SC_rgb_jpeg_gdcm.dcm",
    "SC_rgb_dcmtk_+eb+cr.dcm",
)  # fmt: skip
BIG_ENDIAN, DEFLATED = "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"
PER_IMAGE = 12


class Archive:
    """pynetdicom as storage target: keeps the very bytes it was sent."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.received: dict[str, list[tuple[str, bytes]]] = {}
        entity = AE("ARCHIVE")
        for context in AllStoragePresentationContexts:
            entity.add_supported_context(context.abstract_syntax, AllTransferSyntaxes)
        self._server = entity.start_server((HOST, 0), block=False, evt_handlers=[(evt.EVT_C_STORE, self._store)])
        self.port: int = self._server.server_address[1]

    def _store(self, event: evt.Event) -> int:
        with self.changed:
            kept = self.received.setdefault(str(event.request.AffectedSOPInstanceUID), [])
            kept.append((str(event.context.transfer_syntax), event.request.DataSet.getvalue()))
            self.changed.notify_all()
        return 0

    def wait(self, uids: set[str], node: Node) -> None:
        with self.changed:
            there = self.changed.wait_for(lambda: uids <= set(self.received), 60)
        assert there, f"missing {uids - set(self.received)}\n{node.status()}\n{node.logs()}"

    def stop(self) -> None:
        self._server.shutdown()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("products")


@pytest.fixture(scope="module")
def archive() -> Iterator[Archive]:
    made = Archive()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def pacs_port(folder: Path) -> Iterator[Orthanc | None]:
    try:
        made = Orthanc(folder / "pacs", "PACS")
    except FileNotFoundError:
        yield None
        return
    with made:
        yield made


@pytest.fixture(scope="module")
def node(folder: Path, archive: Archive, pacs_port: Orthanc | None) -> Iterator[Node]:
    """Shared by all: what comes from the Orthanc that scans goes to the Orthanc that archives, the rest to pynetdicom."""
    made = Node(folder / "home")
    targets = {"archive": target(archive.port, "ARCHIVE")}
    rules = [rule("others", "SenderAET != 'SCANNER'", "archive")]
    if pacs_port is not None:
        targets["pacs"] = target(pacs_port.port, "PACS")
        rules.append(rule("orthanc", "SenderAET == 'SCANNER'", "pacs"))
    made.route(targets, rules)
    with made:
        yield made


def every_syntax() -> list[Path]:
    """Files of every transfer syntax at hand, each SOP instance once."""
    paths = [Path(str(get_testdata_file(name))) for name in BUNDLED]
    paths += sorted(SHARED.glob("*.dcm"))
    chosen: dict[str, Path] = {}
    for path in paths:
        chosen.setdefault(str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID), path)
    return list(chosen.values())


def uid_and_syntax(path: Path) -> tuple[str, str]:
    meta = pydicom.dcmread(path, stop_before_pixels=True)
    return str(meta.SOPInstanceUID), str(meta.file_meta.TransferSyntaxUID)


def test_every_transfer_syntax_goes_through_a_node_and_pynetdicom_gets_the_very_bytes(
    node: Node, archive: Archive
) -> None:
    files = every_syntax()
    expected = {uid_and_syntax(path)[0]: [(uid_and_syntax(path)[1], dataset_bytes(path))] for path in files}
    assert {BIG_ENDIAN, DEFLATED} < {kept[0][0] for kept in expected.values()}
    done = node.cli("send", HOST, str(node.port), *map(str, files), "-aet", "MODALITY")
    assert f"{len(files)} sent, 0 failed" in done.stdout + done.stderr
    archive.wait(set(expected), node)
    assert {uid: archive.received[uid] for uid in expected} == expected


@needs_orthanc
def test_orthanc_sends_and_another_orthanc_gets_the_same_objects(node: Node, folder: Path, pacs_port: Orthanc) -> None:
    # Compressed ones stay compressed: Orthanc proposes what its file needs, and so do we.
    files = {
        uid_and_syntax(path)[0]: path
        for path in every_syntax()
        if uid_and_syntax(path)[1] not in (BIG_ENDIAN, DEFLATED)
    }
    with Orthanc(folder / "scanner", "SCANNER", {"node": ("SCANPOST", node.port)}) as scanner:
        assert scanner.json("/modalities/node/echo", b"{}") == {}
        job = scanner.send("node", [scanner.add(path) for path in files.values()])
        assert (job["InstancesCount"], job["FailedInstancesCount"]) == (len(files), 0)
    wait_until(
        lambda: pacs_port.json("/statistics")["CountInstances"] == len(files), 60,
        lambda: f"{pacs_port.json('/statistics')} {node.status()}\n{node.logs()}",
    )  # fmt: skip
    arrived = {uid: pydicom.dcmread(io.BytesIO(data)) for uid, data in pacs_port.files().items()}
    assert set(arrived) == set(files)
    for uid, path in files.items():
        sent = pydicom.dcmread(path)
        assert arrived[uid].file_meta.TransferSyntaxUID == sent.file_meta.TransferSyntaxUID, path.name
        assert arrived[uid].PixelData == sent.PixelData, path.name
        assert arrived[uid].PatientName == sent.PatientName, path.name


@needs_dcmtk
def test_a_sender_with_an_association_for_each_image_gets_each_delivered_once(
    node: Node, archive: Archive, tmp_path: Path
) -> None:
    image = pydicom.dcmread(str(get_testdata_file("CT_small.dcm")))
    image.SeriesInstanceUID = f"{image.SeriesInstanceUID}.77"
    uids = set()
    for number in range(PER_IMAGE):
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = f"{image.SeriesInstanceUID}.{number + 1}"
        uids.add(str(image.SOPInstanceUID))
        image.save_as(tmp_path / "image.dcm")
        assert storescu(node.port, [tmp_path / "image.dcm"], calling="ONEBYONE").returncode == 0
    archive.wait(uids, node)
    wait_until(lambda: node.status()["images"]["in_delivery"] == 0, 30, "deliveries are finished")
    assert {len(archive.received[uid]) for uid in uids} == {1}
    wait_until(lambda: node.json("doctor")["healthy"], 20, "doctor is content")
