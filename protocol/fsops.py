"""Every file operation whose outcome the promises depend on, behind one small interface.
Real here, simulated in protocol/testing/simfs.py; nobody else calls os.rename, fsync or flock on the spool.

Durability follows POSIX: file data survive a power cut after `sync`, a name after `sync_dir` of its folder.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Protocol

from protocol.errors import DiskFailed, OutOfSpace
from protocol.records import record

FOLDER_MODE = 0o750
FILE_MODE = 0o640
SECRET_MODE = 0o600
_MOST_AT_ONCE = 128 * 1024 + 4096
_MAX_IOV = 512  # half of Linux's IOV_MAX
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@record
class Room:
    """What a file system has left for us: bytes and inodes (inodes is None where it does not count them)."""

    bytes: int
    inodes: int | None


class NewFile(Protocol):
    """A file being written for the first time."""

    def write(self, data: bytes | memoryview) -> None:
        """Append. Raises OutOfSpace, DiskFailed."""

    def write_all(self, parts: Sequence[bytes | memoryview]) -> None:
        """Append all parts, in one call where the system can. Raises OutOfSpace, DiskFailed."""

    def write_at(self, offset: int, data: bytes) -> None:
        """Write over bytes that are there already, from `offset`. Raises OutOfSpace, DiskFailed."""

    def sync(self) -> None:
        """Make the data durable. Raises OutOfSpace, DiskFailed; never retried."""

    def has_name(self) -> bool:
        """Whether anybody will find it again: nobody removed its last name since it was made."""

    def close(self) -> None:
        """Let go of the file; not a sync."""


class Lock(Protocol):
    """A held flock. It is gone when the process dies, whatever the reason."""

    def write(self, text: str) -> None:
        """Say who holds it; readable by everybody through `lock_text`."""

    def release(self) -> None:
        """Give it back. The file stays: lock files are never unlinked."""


class FsOps(Protocol):
    """The operations. Missing files raise FileNotFoundError, existing ones FileExistsError.

    Every image goes through `create`, `rename` and sometimes `unlink`: these take texts as well, because to put a Path
    together takes longer than half of what the kernel does with it.
    """

    def create(self, path: Path | str) -> NewFile: ...
    def write_new(self, path: Path, data: bytes) -> None: ...
    def read_bytes(self, path: Path) -> bytes: ...
    def open_read(self, path: Path) -> BinaryIO: ...
    def rename(self, source: Path | str, target: Path | str) -> None: ...
    def link(self, source: Path, target: Path) -> None: ...
    def unlink(self, path: Path | str) -> None: ...
    def makedirs(self, path: Path) -> list[Path]: ...
    def rmdir(self, path: Path) -> None: ...
    def sync_file(self, path: Path) -> None: ...
    def sync_dir(self, path: Path) -> None: ...
    def listdir(self, path: Path) -> list[str]: ...
    def exists(self, path: Path) -> bool: ...
    def size(self, path: Path) -> int: ...
    def room(self, path: Path) -> Room: ...
    def lock(self, path: Path) -> Lock | None: ...
    def is_locked(self, path: Path) -> bool: ...
    def lock_text(self, path: Path) -> str: ...


class disk_errors:
    """Turn the operating system's errors about the disk itself into ours, others pass.

    A class, since every image comes through four of them, and a generator takes a microsecond more.
    """

    __slots__ = ("_what",)

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: object, exc: BaseException | None, traceback: object) -> None:
        if not isinstance(exc, OSError):
            return
        if exc.errno in _NO_ROOM:
            raise OutOfSpace(f"{self._what}: {os.strerror(exc.errno or 0)}") from exc
        if exc.errno in (errno.EIO, errno.EROFS):
            raise DiskFailed(f"{self._what}: {os.strerror(exc.errno)}") from exc


def _portions(parts: Sequence[bytes | memoryview]) -> Iterator[list[bytes | memoryview]]:
    """The parts in their order, in lists of up to about _MOST_AT_ONCE bytes: the kernel takes its page cache in blocks as large
    as what is written at once, and has to look for large ones.
    """
    group: list[bytes | memoryview] = []
    size = 0
    for part in parts:
        if size + len(part) > _MOST_AT_ONCE or len(group) == _MAX_IOV:
            if group:
                yield group
            while len(part) > _MOST_AT_ONCE:
                part = memoryview(part)
                yield [part[:_MOST_AT_ONCE]]
                part = part[_MOST_AT_ONCE:]
            group, size = [], 0
        group.append(part)
        size += len(part)
    if group:
        yield group


class RealNewFile:
    """A file opened with O_EXCL; see NewFile."""

    def __init__(self, path: Path | str) -> None:
        with disk_errors("create file"):
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)

    @classmethod
    def holding(cls, fd: int) -> RealNewFile:
        """A file that compiled code made, by its descriptor."""
        file = cls.__new__(cls)
        file._fd = fd
        return file

    def hand_over(self) -> int:
        """Its descriptor, which from now on somebody else closes."""
        fd, self._fd = self._fd, -1
        return fd

    def write(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        with disk_errors("write file"):
            while view:
                view = view[os.write(self._fd, view) :]

    def write_all(self, parts: Sequence[bytes | memoryview]) -> None:
        with disk_errors("write file"):
            for group in _portions(parts):
                while group:
                    done = os.writev(self._fd, group)
                    while group and done >= len(group[0]):
                        done -= len(group.pop(0))
                    if done:
                        group[0] = memoryview(group[0])[done:]

    def write_at(self, offset: int, data: bytes) -> None:
        with disk_errors("write file"):
            if os.pwrite(self._fd, data, offset) != len(data):
                raise OutOfSpace("write file: the disk is full")

    def sync(self) -> None:
        with disk_errors("sync file"):
            os.fdatasync(self._fd)

    def has_name(self) -> bool:
        return os.fstat(self._fd).st_nlink > 0

    def close(self) -> None:
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)


class RealLock:
    """A file descriptor with LOCK_EX; see Lock."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def write(self, text: str) -> None:
        # Never empty in between: who reads meanwhile sees the old text or the new one, perhaps with blanks behind it;
        # and a disk that became full still has the room of the old one.
        new = text.encode()
        os.pwrite(self._fd, new.ljust(os.fstat(self._fd).st_size), 0)
        os.ftruncate(self._fd, len(new))

    def release(self) -> None:
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)


class RealFs:
    """FsOps on the machine's own file system."""

    def create(self, path: Path | str) -> NewFile:
        return RealNewFile(path)

    def write_new(self, path: Path, data: bytes) -> None:
        """Create, write and sync one small file (its name becomes durable with `sync_dir` of the folder)."""
        file = self.create(path)
        try:
            file.write(data)
            file.sync()
        finally:
            file.close()

    def read_bytes(self, path: Path) -> bytes:
        return path.read_bytes()

    def open_read(self, path: Path) -> BinaryIO:
        return open(path, "rb", buffering=0)

    def rename(self, source: Path | str, target: Path | str) -> None:
        with disk_errors("rename file"):
            os.rename(source, target)

    def link(self, source: Path, target: Path) -> None:
        with disk_errors("link file"):
            os.link(source, target)

    def unlink(self, path: Path | str) -> None:
        with disk_errors("remove file"):
            os.unlink(path)

    def makedirs(self, path: Path) -> list[Path]:
        """Create `path` and its missing parents; returns the folders that got a new entry, innermost last."""
        missing = []
        at = path
        while not at.is_dir():
            missing.append(at)
            at = at.parent
        touched = []
        with disk_errors("create folder"):
            for folder in reversed(missing):
                try:
                    os.mkdir(folder, FOLDER_MODE)
                except FileExistsError:
                    # Another process made it and may not have synced its parent yet: sync it here as well.
                    if not folder.is_dir():
                        raise
                touched.append(folder.parent)
        return touched

    def rmdir(self, path: Path) -> None:
        with disk_errors("remove folder"):
            os.rmdir(path)

    def sync_file(self, path: Path) -> None:
        """Make the data of a file durable that somebody else wrote, perhaps without syncing it.

        What is read afterwards comes from the disk: after a sync that failed (whoever saw it may be dead) the memory still
        shows what the disk has not.
        """
        with disk_errors("sync file"):
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fdatasync(fd)
                if hasattr(os, "posix_fadvise"):
                    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(fd)

    def sync_dir(self, path: Path) -> None:
        with disk_errors("sync folder"):
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)

    def listdir(self, path: Path) -> list[str]:
        return sorted(os.listdir(path))

    def exists(self, path: Path) -> bool:
        return path.exists()

    def size(self, path: Path) -> int:
        return path.stat().st_size

    def room(self, path: Path) -> Room:
        found = os.statvfs(path)
        return Room(found.f_bavail * found.f_frsize, found.f_favail if found.f_files else None)

    def lock(self, path: Path) -> Lock | None:
        """Take the lock, or None if somebody else holds it."""
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return None
        return RealLock(fd)

    def is_locked(self, path: Path) -> bool:
        """Probe with LOCK_SH, so that two probes do not see each other."""
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                return False
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
        return False

    def lock_text(self, path: Path) -> str:
        try:
            return path.read_text(errors="replace")
        except FileNotFoundError:
            return ""
