"""The battery of all target types against a folder of this machine."""

from __future__ import annotations

import pytest

from tests.targets.battery import TargetBattery
from tests.targets.folder_peers import FolderPeer


class TestFolderTarget(TargetBattery):
    @pytest.fixture
    def peer(self, tmp_path):
        peer = FolderPeer(tmp_path)
        yield peer
        peer.close()
