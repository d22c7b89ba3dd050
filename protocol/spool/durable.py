"""Makes files below the images folder durable with their names: data, folder, and every folder above up to the top.
It knows nothing of images and rows; with `sync` off (durability "relaxed") it syncs nothing.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from protocol.errors import SpoolError
from protocol.fsops import FsOps, NewFile

MANY_TRIES = 10
REMEMBERED = 4096  # folders


class DurableNames:
    """Remembers which folders' own names this process has synced.

    That a folder is there already does not make it safe: whoever made it may have died before syncing its name.
    """

    def __init__(self, fs: FsOps, top: Path, *, sync: bool) -> None:
        self._fs, self._top, self.sync = fs, top, sync
        self._safe: set[Path] = set()

    def create(self, path: Path | str) -> NewFile:
        """Make a file and the folders above it, again if the cleaner removed an emptied folder in between."""
        for _ in range(MANY_TRIES):
            with suppress(FileNotFoundError):
                return self._fs.create(path)
            place = Path(path)
            # Before the folders are there: who finds one that another thread just made must find it unsafe as well.
            self._safe.difference_update(self._above(place))
            with suppress(FileNotFoundError):
                self._fs.makedirs(place.parent)
        raise SpoolError("the folder of an image vanishes again and again")

    def settle(self, path: Path) -> None:
        """Make the name of a file durable; its data are."""
        if not self.sync:
            return
        self._fs.sync_dir(path.parent)
        unsure = [folder for folder in self._above(path) if folder not in self._safe]
        for folder in unsure:
            self._fs.sync_dir(folder.parent)
        if len(self._safe) > REMEMBERED:
            self._safe.clear()
        self._safe.update(unsure)

    def settle_found(self, path: Path) -> None:
        """Make a file durable that another process wrote, perhaps without living to sync it."""
        if self.sync:
            self._fs.sync_file(path)
            self.settle(path)

    def settle_removed(self, folder: Path) -> None:
        """Make it durable that names are gone from `folder`, or that it is gone itself."""
        for place in (folder, *folder.parents) if self.sync else ():
            try:
                self._fs.sync_dir(place)
                return
            except FileNotFoundError:
                continue

    def _above(self, path: Path) -> list[Path]:
        """The folders between a file and the top, innermost first."""
        return [folder for folder in path.parents if folder != self._top and folder.is_relative_to(self._top)]
