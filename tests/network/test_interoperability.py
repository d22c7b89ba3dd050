"""Other products on both sides of a whole node: Orthanc sends and receives, pynetdicom receives, every transfer syntax."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.uid import AllTransferSyntaxes
from pynetdicom import AE, AllStoragePresentationContexts, evt

from tests.network.system import ROOT, USUAL, Node, rule, target, wait_until
from tests.orthanc import Orthanc, needs_orthanc
from tests.peers import HOST, StoreScp, dataset_bytes, needs_dcmtk, storescu

pytestmark = [pytest.mark.slow, needs_dcmtk]
SHARED = ROOT.parent / "shared" / "data" / "transfer-syntaxes"
# One file for each transfer syntax that pydicom ships; big endian and deflated are rare enough to be forgotten.
BUNDLED = (
    "CT_small.dcm", "MR_small_implicit.dcm", "MR_small_bigendian.dcm", "image_dfl.dcm", "MR_small_RLE.dcm",
    "MR_small_jpeg_ls_lossless.dcm", "MR_small_jp2klossless.dcm", "JPEG2000.dcm", "JPEG-lossy.dcm", "SC_rgb_jpeg_gdcm.dcm",
    "SC_rgb_dcmtk_+eb+cr.dcm",
)  # fmt: skip
MB = 2**20
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
def pacs(folder: Path) -> Iterator[Orthanc | None]:
    try:
        made = Orthanc(folder / "pacs", "PACS")
    except FileNotFoundError:
        yield None
        return
    with made:
        yield made


@pytest.fixture(scope="module")
def disk(folder: Path) -> Iterator[StoreScp]:
    with StoreScp(folder / "disk", ae="DISK") as made:
        yield made


@pytest.fixture(scope="module")
def node(folder: Path, archive: Archive, disk: StoreScp, pacs: Orthanc | None) -> Iterator[Node]:
    """Shared by all: what comes from the Orthanc that scans goes to the Orthanc that archives, the rest to pynetdicom."""
    made = Node(folder / "home", environment=USUAL)
    targets = {"archive": target(archive.port, "ARCHIVE"), "disk": target(disk.port, "DISK")}
    rules = [
        rule("others", "SenderAET not in ('SCANNER', 'ENHANCED')", "archive"),
        rule("large", "SenderAET == 'ENHANCED'", "disk"),
    ]
    if pacs is not None:
        targets["pacs"] = target(pacs.port, "PACS")
        rules.append(rule("orthanc", "SenderAET == 'SCANNER'", "pacs"))
    made.route(targets, rules)
    with made:
        yield made


def every_syntax(folder: Path) -> list[Path]:
    """Files of every transfer syntax at hand, each SOP instance once: pydicom's variants of one image get UIDs of their own."""
    folder.mkdir()
    chosen: dict[str, Path] = {}
    for path in [*(Path(str(get_testdata_file(name))) for name in BUNDLED), *sorted(SHARED.glob("*.dcm"))]:
        uid = uid_and_syntax(path)[0]
        if uid in chosen:
            other = f"{uid[:-2]}{len(chosen) + 10}"
            path = Path(shutil.copy(path, folder / path.name))
            path.write_bytes(path.read_bytes().replace(uid.encode(), other.encode()))
            uid = other
        chosen[uid] = path
    return list(chosen.values())


def uid_and_syntax(path: Path) -> tuple[str, str]:
    meta = pydicom.dcmread(path, stop_before_pixels=True)
    return str(meta.SOPInstanceUID), str(meta.file_meta.TransferSyntaxUID)


def even(data: bytes) -> bytes:
    """A deflated stream of odd length goes out with the NUL that its file should have had (PS3.5 section A.5)."""
    return data + b"\0" * (len(data) % 2)


def test_every_transfer_syntax_goes_through_a_node_and_pynetdicom_gets_the_very_bytes(
    node: Node, archive: Archive, tmp_path: Path
) -> None:
    files = every_syntax(tmp_path / "files")
    expected = {uid_and_syntax(path)[0]: [(uid_and_syntax(path)[1], even(dataset_bytes(path)))] for path in files}
    assert {BIG_ENDIAN, DEFLATED} < {kept[0][0] for kept in expected.values()}
    done = node.cli("send", HOST, str(node.port), *map(str, files), "-aet", "MODALITY")
    said = done.stdout + done.stderr
    assert f"{len(files)} sent" in said and " 0 failed" in said
    archive.wait(set(expected), node)
    assert {uid: archive.received[uid] for uid in expected} == expected


@needs_orthanc
def test_orthanc_sends_and_another_orthanc_gets_the_same_objects(
    node: Node, folder: Path, pacs: Orthanc, tmp_path: Path
) -> None:
    # Compressed ones stay compressed: Orthanc proposes what its file needs, and so do we.
    files = {uid_and_syntax(path)[0]: path for path in every_syntax(tmp_path / "files")}
    with Orthanc(folder / "scanner", "SCANNER", {"node": ("SCANPOST", node.port)}) as scanner:
        assert scanner.json("/modalities/node/echo", b"{}") == {}
        job = scanner.send("node", [scanner.add(path) for path in files.values()])
        assert (job["InstancesCount"], job["FailedInstancesCount"]) == (len(files), 0)
    wait_until(
        lambda: pacs.json("/statistics")["CountInstances"] == len(files), 60,
        lambda: f"{pacs.json('/statistics')} {node.status()}\n{node.logs()}",
    )  # fmt: skip
    arrived = {uid: pydicom.dcmread(io.BytesIO(data)) for uid, data in pacs.files().items()}
    assert set(arrived) == set(files)
    for uid, path in files.items():
        sent = pydicom.dcmread(path)
        assert arrived[uid].file_meta.TransferSyntaxUID == sent.file_meta.TransferSyntaxUID, path.name
        assert arrived[uid].PixelData == sent.PixelData, path.name
        assert arrived[uid].PatientName == sent.PatientName, path.name


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
    wait_until(lambda: node.status()["images"]["in_delivery"] == 0, 60, "deliveries are finished")
    assert {len(archive.received[uid]) for uid in uids} == {1}
    wait_until(lambda: node.json("doctor")["healthy"], 60, "doctor is content")


def multi_frame(path: Path, size: int, number: int) -> str:
    """Write an object with `size` bytes of pixels, without ever holding them; its SOP instance UID."""
    image = pydicom.dcmread(str(get_testdata_file("MR_small.dcm")))
    image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = f"{image.SOPInstanceUID[:-4]}9{number}"
    image.SeriesInstanceUID = f"{image.SeriesInstanceUID[:-4]}9{number}"
    image.NumberOfFrames = size // (2 * image.Rows * image.Columns)
    del image.PixelData
    image.save_as(path)
    with path.open("ab") as file:
        file.write(b"\xe0\x7f\x10\x00OW\0\0" + size.to_bytes(4, "little"))
        for _ in range(size // MB):
            file.write(os.urandom(MB))
    return str(image.SOPInstanceUID)


def tail_digest(path: Path, size: int) -> str:
    with path.open("rb") as file:
        file.seek(-size, os.SEEK_END)
        return hashlib.file_digest(file, "sha256").hexdigest()


def received(disk: StoreScp, uid: str) -> list[Path]:
    return [path for path in disk.received() if path.name.endswith(uid)]


def peaks(node: Node) -> dict[int, int]:
    """Process id -> most memory it ever had, bytes."""
    found = {}
    for process in node.processes():
        try:
            text = Path(f"/proc/{process.pid}/status").read_text()
            found[process.pid] = next(
                int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("VmHWM")
            )
        except (OSError, StopIteration, psutil.Error):
            continue
    return found


@pytest.mark.timeout(300)
@pytest.mark.parametrize("size", [32 * MB, pytest.param(500 * MB, marks=pytest.mark.soak)], ids=["32MB", "500MB"])
def test_a_large_multi_frame_object_goes_through_without_ever_being_in_memory(
    node: Node, disk: StoreScp, tmp_path: Path, size: int
) -> None:
    before: dict[int, int] = {}
    for number, of in enumerate((MB, size)):  # the first, small one starts what is started on demand
        before = peaks(node)
        uid = multi_frame(tmp_path / "large.dcm", of, number + size // MB)
        node.cli("send", HOST, str(node.port), str(tmp_path / "large.dcm"), "-aet", "ENHANCED")
        wait_until(lambda wanted=uid: received(disk, wanted), 120, lambda: f"{node.status()}\n{node.logs()}")
        wait_until(lambda: node.status()["images"]["in_delivery"] == 0, 60, "the delivery is finished")
    (arrived,) = received(disk, uid)
    assert tail_digest(arrived, size) == tail_digest(tmp_path / "large.dcm", size)
    grown = {pid: after - before[pid] for pid, after in peaks(node).items() if pid in before}
    assert max(grown.values()) < size / 2, grown
