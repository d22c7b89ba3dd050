"""The battery of all target types against a DICOMweb server in this process, one image and several per request."""

from __future__ import annotations

import threading
from collections.abc import Mapping

import pytest
from battery import LARGE_BYTES, Peer, TargetBattery
from web_fakes import Visit, dicomweb, module, uid_of, web

from actors.targets.interface import Target
from actors.targets.registry import make_target
from tests.peers import dataset_bytes

TOKEN = "geheimes-token-4711"


class DicomWebPeer(Peer):
    """Keeps what comes as files. What is larger than a small image it only counts, or it would be in the memory that is
    measured."""

    secrets = (TOKEN, "c2Nhbm5lcjp")

    def __init__(self, folder, **settings) -> None:
        self._folder, self._settings = folder, settings
        self._kept: dict[str, bytes] = {}
        self._large: dict[str, int] = {}
        self._released = threading.Event()
        self._hanging = False
        self._port = 0
        self.come_back()

    def _serve(self, visit: Visit) -> None:
        while True:
            _, headers = visit.head()
            assert headers["authorization"] == f"Bearer {TOKEN}"
            uids = self._take(visit, headers)
            if self._hanging:
                self._released.wait()
                return
            visit.answer(200, module(uids))

    def _take(self, visit: Visit, headers: dict[str, str]) -> list[str]:
        length = int(headers["content-length"])
        if length > LARGE_BYTES:
            start = visit.exactly(1000)
            left = length - 1000 - len(visit.rest())
            while left:
                left -= len(visit.sock.recv(min(left, 1 << 16)))
            uid = uid_of(start)
            self._large[uid] = length
            return [uid]
        boundary = b"\r\n--" + headers["content-type"].partition("boundary=")[2].encode()
        parts = visit.exactly(length).split(boundary)[1:-1]
        files = {uid_of(file): file for file in (part.partition(b"\r\n\r\n")[2] for part in parts)}
        if not self._hanging:
            self._kept |= files
        return list(files)

    def target(self) -> Target:
        limits = {"connect_timeout_s": self.timeout_s, "timeout_s": self.timeout_s, "token": "${SERVER_TOKEN}"}
        made = make_target(dicomweb(self._port, **limits, **self._settings))
        assert made is not None
        return made

    def arrived(self) -> Mapping[str, bytes]:
        found = {}
        for uid, file in self._kept.items():
            path = self._folder / "arrived.dcm"
            path.write_bytes(file)
            found[uid] = dataset_bytes(path)
        return found

    def large_arrived(self, image) -> bool:
        return self._large.get(image.sop_instance_uid, 0) > image.bytes

    def go_away(self) -> None:
        self._running.__exit__(None, None, None)

    def come_back(self) -> None:
        self._running = web(self._serve, port=self._port)
        self._port = self._running.__enter__().port

    def hang(self) -> None:
        self._hanging = True

    def close(self) -> None:
        self._released.set()
        self._running.__exit__(None, None, None)


class TestDicomWebTarget(TargetBattery):
    @pytest.fixture
    def peer(self, tmp_path, monkeypatch):
        monkeypatch.setenv("SERVER_TOKEN", TOKEN)
        peer = DicomWebPeer(tmp_path)
        yield peer
        peer.close()


class TestSeveralImagesPerRequest:
    """What does not depend on when each image goes out."""

    spool = TargetBattery.spool
    test_many_images_arrive_and_each_has_its_answer = TargetBattery.test_many_images_arrive_and_each_has_its_answer
    test_an_image_that_is_there_already = TargetBattery.test_an_image_that_is_there_already_is_a_success_again
    test_a_damaged_spool_file = TargetBattery.test_a_damaged_spool_file_is_an_answer_and_the_rest_is_sent
    test_a_session_serves_the_next_delivery = (
        TargetBattery.test_a_session_serves_the_next_delivery_or_says_that_it_does_not
    )
    test_to_end_a_session_never_raises = TargetBattery.test_to_end_a_session_never_raises_whatever_happened_before
    test_whatever_the_header_says = (
        TargetBattery.test_whatever_the_header_says_the_image_arrives_and_stays_apart_from_others
    )

    @pytest.fixture
    def peer(self, tmp_path, monkeypatch):
        monkeypatch.setenv("SERVER_TOKEN", TOKEN)
        peer = DicomWebPeer(tmp_path, images_per_request=3)
        yield peer
        peer.close()
