"""The battery of all target types against a DICOM node: our own SCP."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from actors.dicom.scp import ScpConfig, StorageScp
from actors.targets.interface import Target
from actors.targets.registry import make_target
from protocol.routing import targets as settings
from tests.dicom.dicom_fakes import RecordingHandler
from tests.peers import HOST, StoreScp, needs_dcmtk
from tests.targets.battery import LARGE_BYTES, Peer, TargetBattery


def dicom(port: int, timeout_s: float = Peer.timeout_s, **more) -> Target:
    waits = {f"{one}_timeout_s": timeout_s for one in ("connect", "acse", "dimse")}
    made = make_target(settings.DicomTarget(type="dicom", host=HOST, port=port, called_ae="PACS", **{**waits, **more}))
    assert made is not None
    return made


class DicomPeer(Peer):
    """A storage SCP in this process."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self.hanging = False
        self.handler = RecordingHandler()
        self.handler.on_store = self._answer
        self.port = 0
        self.come_back()

    def _answer(self, request) -> int:
        if self.hanging:
            self.released.wait()
        return 0

    def target(self) -> Target:
        return dicom(self.port, self.timeout_s)

    def arrived(self) -> Mapping[str, bytes]:
        stored = zip(self.handler.stored, self.handler.datasets, strict=True)
        return {request.sop_instance_uid: data for request, data in stored}

    def go_away(self) -> None:
        self.scp.stop(0.0)

    def come_back(self) -> None:
        self.scp = StorageScp(ScpConfig(host=HOST, port=self.port), self.handler)
        self.port = self.scp.start()

    def hang(self) -> None:
        self.hanging = True

    def close(self) -> None:
        self.released.set()
        self.scp.stop(0.0)


class TestDicomTargetThatMayTranscode(TargetBattery):
    """Our SCP takes everything, so nothing has to be changed."""

    @pytest.fixture
    def peer(self, tmp_path):
        peer = DicomPeer()
        peer.target = lambda: dicom(peer.port, peer.timeout_s, transcode="lossless")
        yield peer
        peer.close()

    test_a_large_image_goes_through_in_flat_memory_with_signs_of_life = None  # see below: it costs seconds


class TestDicomTarget(TargetBattery):
    @pytest.fixture
    def peer(self, tmp_path):
        peer = DicomPeer()
        yield peer
        peer.close()

    @pytest.mark.slow
    @needs_dcmtk
    def test_a_large_image_goes_through_in_flat_memory_with_signs_of_life(self, peer, spool, tmp_path):
        """With another process as the peer: ours would hold the image in the memory that is measured."""

        class Store(DicomPeer):
            def __init__(self, folder: Path) -> None:
                self.store = StoreScp(folder)
                self.port = self.store.port

            def large_arrived(self, image) -> bool:
                (path,) = self.store.received()
                return path.stat().st_size > LARGE_BYTES

        store = Store(tmp_path / "store")
        try:
            super().test_a_large_image_goes_through_in_flat_memory_with_signs_of_life(store, spool)
        finally:
            store.store.stop()
