"""The battery of all target types against an S3 server: moto's, in a process of its own, behind a relay."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from actors.targets.interface import Target
from actors.targets.registry import make_target
from protocol.routing import targets as settings
from tests.moto import KEY, SECRET, S3Server, needs_moto
from tests.peers import HOST
from tests.relay import Relay
from tests.targets.battery import LARGE_BYTES, Peer, TargetBattery
from tests.targets.files import dataset_in

pytestmark = [needs_moto, pytest.mark.slow]


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    server = S3Server()
    yield server
    server.close()


class S3Peer(Peer):
    secrets = (KEY, SECRET)

    def __init__(self, server: S3Server) -> None:
        self.server, self.relay, self.bucket = server, Relay(server.port), server.bucket()

    def target(self) -> Target:
        made = make_target(
            settings.S3Target(
                type="s3", bucket=self.bucket, endpoint=f"http://{HOST}:{self.relay.port}", allow_http=True,
                access_key="${S3_KEY}", secret_key="${S3_SECRET}", layout="{PatientID}/{StudyInstanceUID}",
                connect_timeout_s=self.timeout_s, timeout_s=self.timeout_s,
            )
        )  # fmt: skip
        assert made is not None
        return made

    def arrived(self) -> Mapping[str, bytes]:
        return dict(dataset_in(data) for data in self.server.objects(self.bucket).values())

    def large_arrived(self, image) -> bool:
        (name,) = self.server.names(self.bucket)
        return self.server.head(self.bucket, name)["ContentLength"] > LARGE_BYTES

    def go_away(self) -> None:
        self.relay.gone()

    def come_back(self) -> None:
        self.relay.listen()

    def hang(self) -> None:
        self.relay.hang()

    def close(self) -> None:
        self.relay.close()


class TestS3Target(TargetBattery):
    @pytest.fixture
    def peer(self, server, monkeypatch):
        monkeypatch.setenv("S3_KEY", KEY)
        monkeypatch.setenv("S3_SECRET", SECRET)
        peer = S3Peer(server)
        yield peer
        peer.close()

    def test_a_large_image_goes_through_in_flat_memory_with_signs_of_life(self, peer, spool):
        peer.timeout_s = 60.0  # of a part, on a machine that is busy with other tests
        super().test_a_large_image_goes_through_in_flat_memory_with_signs_of_life(peer, spool)
