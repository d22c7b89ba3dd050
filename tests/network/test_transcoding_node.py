"""A node transcodes for a viewer that takes one transfer syntax only, also when it is killed in the middle."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import psutil
import pydicom
import pytest
from pydicom.data import get_testdata_file

from protocol.routing.extras import lacking
from protocol.routing.syntaxes import IMPLICIT
from tests.network.system import Node, rule, target, wait_until
from tests.peers import StoreScp, dcmsend, needs_dcmtk

np = pytest.importorskip("numpy", reason="an extra is missing (pip install .[test])")
pytestmark = [
    pytest.mark.slow, needs_dcmtk,
    pytest.mark.skipif("transcode" in lacking(), reason="an extra is missing (pip install .[test])"),
]  # fmt: skip
IMAGES = 30
WORKER = "actors.transcode.worker"


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


def test_a_series_that_is_transcoded_arrives_whole_though_slot_and_codec_are_killed(tmp_path):
    files = compressed_series(tmp_path / "files")
    with (
        StoreScp(tmp_path / "in", ae="VIEWER", options=["+xi", "--sleep-during", "0"]) as viewer,
        Node(tmp_path / "home") as node,
    ):
        node.route(
            {"viewer": {**target(viewer.port, "VIEWER"), "transcode": "lossless"}},
            [rule("all", "Modality == 'MR'", "viewer")],
        )
        assert dcmsend(node.port, list(files.values())).returncode == 0

        wait_until(lambda: workers(node, WORKER) or len(viewer.received()) >= IMAGES, 60, "a worker")
        for process in workers(node, WORKER) + workers(node, "actors.dispatcher.slot"):
            process.send_signal(signal.SIGKILL)

        def delivered() -> bool:
            return node.status()["images"]["delivered"] == IMAGES

        wait_until(delivered, 90, lambda: f"{node.status()}\n{node.logs()}")
        (listed,) = json.loads(node.cli("series", "list", "--json").stdout)
        story = json.loads(node.cli("series", "show", str(listed["id"]), "--json").stdout)
        assert story["deliveries"][0]["transcoded"] >= 1
        assert not [path for path in (node.home / "run").iterdir() if path.name.startswith("tmp")]
        wait_until(lambda: not workers(node, WORKER), 30, "the end of the workers")
    expected = pydicom.dcmread(next(iter(files.values()))).pixel_array
    arrived = {str(found.SOPInstanceUID): found for found in map(pydicom.dcmread, viewer.received())}
    assert arrived.keys() == files.keys()
    for found in arrived.values():
        assert found.file_meta.TransferSyntaxUID == IMPLICIT
        np.testing.assert_array_equal(found.pixel_array, expected)
