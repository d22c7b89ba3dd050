"""A whole node routes to Orthanc by DICOMweb: the archive is away for a while, dies in the middle, and has every byte.
The same node transcodes for a viewer that takes one transfer syntax only, also when it is killed in the middle.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pydicom
import pytest
from pydicom.data import get_testdata_file

from protocol.routing.extras import lacking
from protocol.routing.syntaxes import IMPLICIT
from protocol.testing.images import TestImage
from tests.network.evidence import doctor, events, images, send, series
from tests.network.system import Node, rule, wait_until
from tests.network.system import target as dicom_target
from tests.orthanc import Orthanc, needs_dicomweb
from tests.peers import HOST, StoreScp, dataset_bytes, dcmsend, free_port, needs_dcmtk

pytestmark = [needs_dcmtk, pytest.mark.slow, pytest.mark.timeout(240)]
RETRY = {"first_s": 0.5, "factor": 2.0, "max_s": 2.0}
IMAGES = 30
WORKER = "actors.transcode.worker"
USERS = {"scanpost": "ein Geheimnis"}


def target(port: int, **more: Any) -> dict[str, Any]:
    login = {"user": "scanpost", "password": "${ARCHIVE_PASSWORD}"}
    return {"type": "dicomweb", "url": f"http://{HOST}:{port}/dicom-web", "retry": RETRY, **login, **more}


def archive(folder: Path, port: int) -> Orthanc:
    return Orthanc(folder / "archive", "ARCHIVE", http_port=port, dicomweb=True, users=USERS)


def stored(there: Orthanc, folder: Path) -> dict[str, bytes]:
    found = {}
    for uid, data in there.files().items():
        (folder / "kept.dcm").write_bytes(data)
        found[uid] = dataset_bytes(folder / "kept.dcm")
    return found


def expected(sent: list[TestImage]) -> dict[str, bytes]:
    return {image.sop_uid: image.dataset() for image in sent}


@pytest.fixture(scope="module")
def node(tmp_path_factory) -> Iterator[Node]:
    """Shared: each test has an archive, a configuration and a series of its own."""
    with Node(tmp_path_factory.mktemp("node") / "home", environment={"ARCHIVE_PASSWORD": USERS["scanpost"]}) as made:
        yield made


@needs_dicomweb
def test_an_archive_that_is_away_gets_every_image_when_it_is_back(node, tmp_path):
    port = free_port()
    first, second = series(1, 20), series(2, 15)
    node.route({"archive": target(port)}, [rule("all", "Modality == 'CT'", "archive")])
    send(node, tmp_path / "scanner", first)
    wait_until(lambda: len(events(node, "delivery.attempt.failed")) >= 2, 60, "it is tried in vain")
    tested = node.cli("target", "test", "archive", check=False)
    assert tested.returncode == 1 and "tcp" in tested.stdout

    with archive(tmp_path, port) as there:
        wait_until(lambda: images(node)["delivered"] == 20, 60, lambda: f"{node.status()}\n{node.logs()}")
        assert stored(there, tmp_path) == expected(first)
        assert "login" in node.cli("target", "test", "archive").stdout
        there.stop()
        send(node, tmp_path / "scanner", second)
        before = len(events(node, "delivery.attempt.failed"))
        wait_until(lambda: len(events(node, "delivery.attempt.failed")) > before, 60, "it is tried in vain again")

    with archive(tmp_path, port) as there:
        wait_until(lambda: images(node)["delivered"] == 35, 60, lambda: f"{node.status()}\n{node.logs()}")
        assert stored(there, tmp_path) == expected([*first, *second])
    assert not doctor(node)["bad"]
    said = node.logs(10_000) + "".join(file.read_text() for file in (node.home / "config").rglob("*.json"))
    assert USERS["scanpost"] not in said and "Test^Image" not in said


@needs_dicomweb
def test_a_wrong_password_parks_with_its_reason_and_a_person_brings_it_through(node, tmp_path):
    port, sent, before = free_port(), series(3, 5), images(node)["delivered"]
    password = tmp_path / "password"
    password.write_text("falsch\n")
    node.route({"archive": target(port, password=f"file:{password}")}, [rule("all", "Modality == 'CT'", "archive")])
    with archive(tmp_path, port) as there:
        send(node, tmp_path / "scanner", sent)
        wait_until(lambda: events(node, "delivery.parked"), 60, lambda: node.logs())
        (parked,) = events(node, "delivery.parked")
        assert parked.data["error"].startswith("HTTP 401") and parked.data["attempts"] == 1
        password.write_text(USERS["scanpost"] + "\n")
        node.cli("queue", "retry", "--all-parked")
        wait_until(lambda: images(node)["delivered"] == before + 5, 60, lambda: f"{node.status()}\n{node.logs()}")
        assert stored(there, tmp_path) == expected(sent)


def compressed_series(folder: Path) -> dict[str, Path]:
    """One JPEG-LS image, many times."""
    folder.mkdir()
    dataset = pydicom.dcmread(str(get_testdata_file("MR_small_jpeg_ls_lossless.dcm")))
    found = {}
    for number in range(IMAGES):
        uid = f"1.2.826.0.1.3680043.10.1.{number + 1}"
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid
        dataset.InstanceNumber = number
        found[uid] = folder / f"{number}.dcm"
        dataset.save_as(found[uid])
    return found


def workers(node: Node, kind: str) -> list[psutil.Process]:
    found = []
    for process in node.processes():
        try:
            if kind in process.cmdline() or process.name() == kind.rpartition(".")[2]:
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.mark.skipif("transcode" in lacking(), reason="an extra is missing (pip install .[test])")
def test_a_series_that_is_transcoded_arrives_whole_though_slot_and_codec_are_killed(node, tmp_path):
    np = pytest.importorskip("numpy", reason="an extra is missing (pip install .[test])")
    files, before = compressed_series(tmp_path / "files"), images(node)["delivered"]
    with StoreScp(tmp_path / "in", ae="VIEWER", options=["+xi", "--sleep-during", "0"]) as viewer:
        node.route(
            {"viewer": {**dicom_target(viewer.port, "VIEWER"), "transcode": "lossless"}},
            [rule("all", "Modality == 'MR'", "viewer")],
        )
        assert dcmsend(node.port, list(files.values())).returncode == 0

        wait_until(lambda: workers(node, WORKER) or len(viewer.received()) >= IMAGES, 60, "a worker")
        for process in workers(node, WORKER) + workers(node, "actors.dispatcher.slot"):
            process.send_signal(signal.SIGKILL)

        wait_until(lambda: images(node)["delivered"] == before + IMAGES, 90, lambda: f"{node.status()}\n{node.logs()}")
        listed = node.json("series", "list")[0]  # the newest one
        story = node.json("series", "show", str(listed["id"]))
        assert story["deliveries"][0]["transcoded"] >= 1
        assert not [path for path in (node.home / "run").iterdir() if path.name.startswith("tmp")]
        wait_until(lambda: not workers(node, WORKER), 60, "the end of the workers")
    expected = pydicom.dcmread(next(iter(files.values()))).pixel_array
    arrived = {str(found.SOPInstanceUID): found for found in map(pydicom.dcmread, viewer.received())}
    assert arrived.keys() == files.keys()
    for found in arrived.values():
        assert found.file_meta.TransferSyntaxUID == IMPLICIT
        np.testing.assert_array_equal(found.pixel_array, expected)
