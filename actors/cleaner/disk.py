"""How the disk stands against its reserves, and the ballast: room set aside for when somebody else filled it.
It must not delete anything but the ballast.
"""

from __future__ import annotations

from actors.rhythm import LOOK_S, REST_S
from protocol.fsops import FsOps, Room
from protocol.records import record
from protocol.spool.places import Places

PLENTY, MUCH = (
    10.0,
    4.0,
)  # times the reserve: so much is not filled between two looks of an actor at rest, within MUCH_S
MUCH_S = 5.0
PRESSURE = 1.5  # the window is lifted at this many times the reserve, before the receiver has to refuse
INODES = 20_000  # and when so few inodes are left
BALLAST_CHUNK = 1 << 20


@record
class Disk:
    """How the disk stands against the two reserves (bytes)."""

    room: Room
    reserve: float
    reserve2: float

    @property
    def pressure(self) -> bool:
        """Clean now, whatever the window."""
        return self.room.bytes < PRESSURE * self.reserve or self._few_inodes

    @property
    def below(self) -> bool:
        """The receiver refuses."""
        return self.room.bytes < self.reserve

    @property
    def below_second(self) -> bool:
        """Not even the database can be sure of its room any more."""
        return self.room.bytes < self.reserve2

    @property
    def patience_s(self) -> float:
        """When to look again while nothing else happens: other programs fill disks, too."""
        reserve = max(self.reserve, self.reserve2)
        if self._few_inodes or self.room.bytes <= MUCH * reserve:
            return LOOK_S
        return REST_S if self.room.bytes > PLENTY * reserve else MUCH_S

    @property
    def _few_inodes(self) -> bool:
        return self.room.inodes is not None and self.room.inodes < INODES


class Ballast:
    """Space set aside in good times, so that the database can work when somebody else filled the disk."""

    def __init__(self, fs: FsOps, places: Places, size: int) -> None:
        self._fs, self._path, self._size = fs, places.ballast, size

    def attend(self, disk: Disk) -> None:
        """Free it below the second reserve; make it where there is plenty of room."""
        there = self._fs.exists(self._path)
        if disk.below_second:
            for path in (self._path, self._path.with_suffix(".tmp")):
                if self._fs.exists(path):
                    self._fs.unlink(path)
        elif not there and self._size and disk.room.bytes > PRESSURE * disk.reserve + self._size:
            self._make()

    def _make(self) -> None:
        tmp = self._path.with_suffix(".tmp")
        if self._fs.exists(tmp):
            self._fs.unlink(tmp)
        file = self._fs.create(tmp)
        try:
            for start in range(0, self._size, BALLAST_CHUNK):
                file.write(bytes(min(BALLAST_CHUNK, self._size - start)))
            file.sync()
        finally:
            file.close()
        self._fs.rename(tmp, self._path)
