"""A folder as the other side of a test, on the machine's disk, whose file system can be made to hang."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from actors.targets.folder import FolderTarget
from protocol.fsops import RealFs
from protocol.routing import targets as settings
from protocol.spool.images import ImageFile
from tests.peers import dataset_bytes
from tests.targets.battery import LARGE_BYTES, Peer

LAYOUT = "{PatientID}/{StudyInstanceUID}/{SeriesInstanceUID}"


class HangingFs(RealFs):
    """Every call waits while `hanging` is set and `released` is not; `calls` are the names of all calls so far."""

    def __init__(self) -> None:
        self.hanging, self.released = threading.Event(), threading.Event()
        self.calls: list[str] = []
        self.before: Callable[[str], None] = lambda name: None

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name.startswith("_") or not callable(found) or name == "before":
            return found

        def call(*arguments: Any) -> Any:
            self.calls.append(name)
            self.before(name)
            if self.hanging.is_set():
                self.released.wait()
            return found(*arguments)

        return call


def folder_settings(path: Path, **more: Any) -> settings.FolderTarget:
    return settings.FolderTarget(type="folder", path=str(path), **{"layout": LAYOUT, "timeout_s": 30.0, **more})


class FolderPeer(Peer):
    """A folder that is renamed to be away."""

    def __init__(self, folder: Path) -> None:
        self.top = folder / "share"
        self.top.mkdir()
        self.fs = HangingFs()
        self.limit_s = 3.0

    def target(self, **more: Any) -> FolderTarget:
        return FolderTarget(folder_settings(self.top, **{"timeout_s": self.limit_s, **more}), self.fs)

    def files(self) -> list[str]:
        """Relative names of all that is there, hidden and unfinished files too."""
        return sorted(str(path.relative_to(self.top)) for path in self.top.rglob("*") if path.is_file())

    def arrived(self) -> Mapping[str, bytes]:
        assert not [name for name in self.files() if not name.endswith(".dcm")], "something is left over"
        return {Path(name).stem: dataset_bytes(self.top / name) for name in self.files()}

    def large_arrived(self, image: ImageFile) -> bool:
        (name,) = self.files()
        return (self.top / name).stat().st_size > LARGE_BYTES

    def go_away(self) -> None:
        self.top.rename(self.top.with_name("unmounted"))

    def come_back(self) -> None:
        self.top.with_name("unmounted").rename(self.top)

    def hang(self) -> None:
        self.limit_s = 0.2
        self.fs.hanging.set()

    def close(self) -> None:
        self.fs.released.set()
