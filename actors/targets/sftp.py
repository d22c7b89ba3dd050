"""Sends images into a folder of an SFTP server: under another name first, durable where the server can, then renamed.
It must not retry, touch the spool, or leave half an image under its final name.

SFTP is version 3 (draft-ietf-secsh-filexfer-02) with OpenSSH's extensions fsync@openssh.com and posix-rename@openssh.com.
"""

from __future__ import annotations

import asyncio
import posixpath
import uuid
from collections.abc import Callable, Generator, Sequence
from typing import Any

from actors.dicom import statuses
from actors.pace import STEP_S, Pace
from actors.targets.interface import Alive, Answer, Rung
from actors.targets.part10 import Part10File
from actors.targets.placing import Placing
from actors.targets.sftp_channel import GOODBYE_S, Channel, Fault
from actors.targets.sftp_faults import GONE, UNSUPPORTED
from actors.targets.sftp_rungs import rungs
from actors.targets.ssh import Login
from protocol.causes import Cause
from protocol.errors import NetworkError, UnreadableImage
from protocol.routing.targets import SftpTarget as SftpSettings
from protocol.spool.images import ImageFile

PIECE = 1 << 20  # bytes between two signs of life; each has to be through within `timeout_s`
_LONGEST = 120  # characters of a name that are kept in that of its temporary file; 255 bytes are usual at most

Read = Callable[[], bytes]


class SftpTarget:
    """A folder of an SFTP server."""

    pace: Pace | None = None

    def __init__(self, settings: SftpSettings) -> None:
        """Raises ConfigurationError: the extra is missing, a key or secret cannot be read."""
        self._settings, self._login = settings, Login(settings)
        self._placing = Placing(settings.layout)
        self.sessions, self.reuse_s = settings.connections, settings.reuse_s
        self.finishes = settings.done is not None

    @property
    def patience_s(self) -> float:
        """Connecting and logging in each take their time; then every single answer may."""
        return self._settings.connect_timeout_s + 2 * self._settings.timeout_s

    def open(self, images: Sequence[ImageFile], alive: Alive) -> SftpSession:
        """Log in and look at the folder. Raises NetworkError."""
        channel = Channel(self._login, alive)
        channel.start()
        return SftpSession(self._settings.path, self._placing, channel, self.pace)

    def finish(self, images: Sequence[ImageFile], alive: Alive) -> None:
        """Write the marker into each folder of these images. Raises NetworkError."""
        session = self.open(images, alive)
        try:
            for folder in dict.fromkeys(map(self._placing.folder, images)):
                session.mark(posixpath.join(self._settings.path, folder, self._settings.done or ""))
        except BaseException:
            session.abort()
            raise
        session.close()

    def rungs(self) -> Generator[Rung, None, None]:
        """Name, TCP, SSH, host key, login, folder, writing and deleting."""
        return rungs(self._login)


class SftpSession:
    """One connection; `top` is the folder of the settings, which is never made."""

    def __init__(self, top: str, placing: Placing, channel: Channel, pace: Pace | None = None) -> None:
        self._top, self._placing, self._channel = top.rstrip("/"), placing, channel
        self._made: set[str] = set()
        self._token = uuid.uuid4().hex[:8]
        self._pace, self._piece = pace, PIECE if pace is None else min(PIECE, pace.piece)

    # ---- the promises of interface.Session ------------------------------------------------------------------------
    def send(self, image: ImageFile, following: ImageFile | None = None) -> Answer:
        """Write one file. Raises NetworkError, after which the session is over."""
        path = posixpath.join(self._top, self._placing.name(image))
        try:
            with Part10File(image) as source:
                self._channel.run(self._store(path, image.receipt.hex(), lambda: b"".join(_some(source, self._piece))))
        except UnreadableImage as exc:
            words = f"not sent, {exc}"
            return Answer(statuses.PROCESSING_FAILURE, False, words, words, cause=Cause.IMAGE_DAMAGED)
        except Fault as fault:
            found = fault.found
            return Answer(
                found.status, False, found.words, "", found.again, found.cause if found.reach == "target" else "",
                everywhere=found.reach == "target",
            )  # fmt: skip
        return Answer(statuses.SUCCESS, True, "stored")

    def mark(self, path: str) -> None:
        """Write an empty file. Raises NetworkError."""
        try:
            self._channel.run(self._store(path, "marker", lambda: b""))
        except Fault as fault:
            words = f"{self._channel.where}: {fault.found.words}"
            raise NetworkError(words, fault.found.again, fault.found.cause) from fault

    def again(self, images: Sequence[ImageFile], alive: Alive) -> bool:
        """Whether the connection still stands."""
        self._channel.alive = alive
        return self._channel.stands()

    def close(self) -> None:
        """Tell the server, and wait for it a moment."""
        self._channel.end(GOODBYE_S)

    def abort(self) -> None:
        """Cut the connection."""
        self._channel.end(0.0)

    # ---- one file -------------------------------------------------------------------------------------------------
    async def _store(self, path: str, mark: str, read: Read) -> None:
        """`mark` tells the temporary file from those of other images."""
        folder, name = posixpath.split(path)
        usual = posixpath.join(folder, f".{name[:_LONGEST]}.{mark}.part")
        await self._make(folder)
        temporary, file, left = await self._created(usual, folder)
        try:
            await self._write(file, read)
            await self._rename(temporary, path)
        except (Fault, UnreadableImage):
            await self._remove(temporary)
            raise
        for each in reversed(left):
            # Who was killed left it. Should somebody write it still, then renaming fails, and it is sent again. The first one
            # goes last: as long as it is there, the next attempt looks for the others.
            await self._remove(each)

    async def _created(self, usual: str, folder: str) -> tuple[str, Any, list[str]]:
        """A file of our own, and those that were there: two sessions that wrote into one would give each other's half a name."""
        stem, taken = usual.removesuffix(".part"), []
        for name in (usual, f"{stem}.1.part", f"{stem}.2.part"):
            try:
                return name, await self._opened(name, folder), taken
            except Fault as fault:
                # Few servers say that it is there; if something else is wrong, it is wrong with the last one, too.
                if fault.found.reach != "image":
                    raise
                taken.append(name)
        own = f"{stem}.{self._token}.part"
        return own, await self._opened(own, folder), taken

    async def _write(self, file: Any, read: Read) -> None:
        answered = self._channel.answered
        try:
            while piece := read():
                if self._pace is not None:
                    await self._due(self._pace.take(len(piece)))
                await answered(file.write(piece))
            await self._sync(file)
        finally:
            if not self._channel.broken:
                await answered(file.close())

    async def _due(self, wait_s: float) -> None:
        """Wait for the bandwidth cap; meanwhile the connection is kept alive."""
        while wait_s > 0:
            step_s = min(wait_s, STEP_S)
            await asyncio.sleep(step_s)
            wait_s -= step_s
            self._channel.alive()

    async def _opened(self, path: str, folder: str) -> Any:
        """A folder that we made may have been tidied away since."""
        answered, sftp = self._channel.answered, self._channel.sftp
        try:
            return await answered(sftp.open(path, "xb"))
        except Fault as fault:
            if fault.code not in GONE:
                raise
        self._made.clear()
        await self._make(folder)
        return await answered(sftp.open(path, "xb"))

    async def _sync(self, file: Any) -> None:
        try:
            await self._channel.answered(file.fsync())
        except Fault as fault:
            if fault.code != UNSUPPORTED:  # then it is as durable as the server thinks fit
                raise

    async def _rename(self, temporary: str, path: str) -> None:
        answered, sftp = self._channel.answered, self._channel.sftp
        try:
            await answered(sftp.posix_rename(temporary, path))
        except Fault as fault:
            if fault.code != UNSUPPORTED:
                raise
            # A plain rename does not replace: the former file goes first, since the new one is whole already.
            await self._remove(path)
            await answered(sftp.rename(temporary, path))

    async def _make(self, folder: str) -> None:
        """The folders between that of the settings and the image's."""
        missing, at = [], folder.rstrip("/")
        while at != self._top and at not in self._made and not await self._is_folder(at):
            missing.append(at)
            at = posixpath.dirname(at)
        for each in reversed(missing):
            try:
                await self._channel.answered(self._channel.sftp.mkdir(each))
            except Fault:
                if not await self._is_folder(each):  # else another session was quicker
                    raise
        self._made.add(folder.rstrip("/"))

    async def _is_folder(self, path: str) -> bool:
        return bool(await self._channel.answered(self._channel.sftp.isdir(path)))

    async def _remove(self, path: str) -> None:
        try:
            await self._channel.answered(self._channel.sftp.remove(path))
        except Fault:
            return  # it was not there, or what stops this stops the image, too


def _some(source: Part10File, most: int) -> list[bytes]:
    """Chunks of `most` bytes altogether, fewer or none at the end."""
    found, size = [], 0
    while size < most and (chunk := source.read(most - size)):
        found.append(chunk)
        size += len(chunk)
    return found
