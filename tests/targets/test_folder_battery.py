"""The battery of all target types against a folder of this machine."""

from __future__ import annotations

import pytest

from actors.targets.limited import LimitedTarget
from actors.targets.transcoding import Syntaxes
from tests.targets.battery import TargetBattery
from tests.targets.folder_peers import FolderPeer


class TestFolderTarget(TargetBattery):
    @pytest.fixture
    def peer(self, tmp_path):
        peer = FolderPeer(tmp_path)
        yield peer
        peer.close()


class TestFolderTargetWithTransferSyntaxes(TargetBattery):
    """What every target promises holds with one in front that sees to transfer syntaxes, where nothing is to be changed."""

    @pytest.fixture
    def peer(self, tmp_path):
        peer = FolderPeer(tmp_path)
        make = peer.target
        peer.target = lambda: LimitedTarget(make(), Syntaxes(("explicit",), "lossless"))
        yield peer
        peer.close()
