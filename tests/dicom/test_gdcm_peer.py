"""GDCM's gdcmscu as a further independent sender (DCMTK and pynetdicom are others).

Debian's gdcmscu 3.0.21 dies by an exception of its own after each release, against DCMTK's storescp, too: so its exit code
says nothing, and what arrived is looked at.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from dicom_fakes import RecordingHandler, ct_and_mr, running_scp

from tests.peers import HOST, StoreScp, dataset_bytes, needs_dcmtk

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("gdcmscu") is None, reason="GDCM (gdcmscu) is not installed"),
]


def gdcmscu(port: int, called: str, options: Sequence[str]) -> None:
    command = ["gdcmscu", *options, "--call", called, "--aetitle", "GDCM", HOST, str(port)]
    subprocess.run(command, capture_output=True, timeout=30, check=False)


def test_gdcm_asks_for_an_echo_and_releases() -> None:
    handler = RecordingHandler()
    with running_scp(handler) as port:
        gdcmscu(port, "SCANPOST", ["--echo"])
        handler.wait(lambda: handler.closed_ids)
    assert handler.endings == ["released"] and not handler.refused_pdus
    assert (handler.peers[0].calling_ae, handler.peers[0].called_ae) == ("GDCM", "SCANPOST")


@needs_dcmtk
def test_gdcm_sends_a_folder_and_we_get_what_storescp_gets(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    for number, path in enumerate(ct_and_mr()):
        shutil.copy(path, folder / f"{number}.dcm")
    handler = RecordingHandler()
    with running_scp(handler) as port, StoreScp(tmp_path / "reference", ae="PACS") as reference:
        gdcmscu(reference.port, "PACS", ["--store", "-r", "-i", str(folder)])
        gdcmscu(port, "SCANPOST", ["--store", "-r", "-i", str(folder)])
        handler.wait(lambda: handler.closed_ids)
        expected = sorted(dataset_bytes(path) for path in reference.received())
    assert sorted(handler.datasets) == expected
    assert len(expected) == len(ct_and_mr())
    assert set(handler.endings) == {"released"} and not handler.refused_pdus
