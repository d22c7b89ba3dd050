"""The battery of all target types against an SFTP server: OpenSSH's, behind a relay."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from actors.targets.interface import Target
from actors.targets.registry import make_target
from protocol.routing import targets as settings
from tests.relay import Relay
from tests.sshd import Sshd, needs_sshd
from tests.targets.battery import Peer, TargetBattery
from tests.targets.files import dataset_in

pytestmark = [needs_sshd, pytest.mark.slow]


@pytest.fixture(scope="module")
def server() -> Iterator[Sshd]:
    with Sshd() as server:
        yield server


class SftpPeer(Peer):
    def __init__(self, server: Sshd) -> None:
        self.server, self.relay, self.folder = server, Relay(server.port), server.new_folder()

    def target(self) -> Target:
        said = self.server.settings(
            port=self.relay.port, path=str(self.folder), layout="{PatientID}/{StudyInstanceUID}",
            connect_timeout_s=self.timeout_s, timeout_s=self.timeout_s,
        )  # fmt: skip
        made = make_target(settings.SftpTarget(**said))
        assert made is not None
        return made

    def arrived(self) -> Mapping[str, bytes]:
        files = self.server.files(self.folder)
        return dict(dataset_in(data) for name, data in files.items() if name.endswith(".dcm"))

    def go_away(self) -> None:
        self.relay.gone()

    def come_back(self) -> None:
        self.relay.listen()

    def hang(self) -> None:
        self.relay.hang()

    def close(self) -> None:
        self.relay.close()


class TestSftpTarget(TargetBattery):
    @pytest.fixture
    def peer(self, server):
        peer = SftpPeer(server)
        yield peer
        peer.close()

    def test_a_large_image_goes_through_in_flat_memory_with_signs_of_life(self, peer, spool):
        peer.timeout_s = 60.0  # of a part, on a machine that is busy with other tests
        super().test_a_large_image_goes_through_in_flat_memory_with_signs_of_life(peer, spool)
