"""Sends images into a folder of an SFTP server: under another name first, durable where the server can, then renamed.
It must not retry, touch the spool, or leave half an image under its final name.

SFTP is version 3 (draft-ietf-secsh-filexfer-02) with OpenSSH's extensions fsync@openssh.com and posix-rename@openssh.com.
"""

from __future__ import annotations

import asyncio
import posixpath
from collections.abc import Awaitable, Sequence
from typing import Any, TypeVar

from actors.dicom import statuses
from actors.targets.extras import load
from actors.targets.interface import Alive, Answer
from actors.targets.part10 import Part10File
from actors.targets.placing import Placing
from actors.targets.sftp_faults import FAILURE, FULL, GONE, LOST, UNSUPPORTED, Meaning, meaning
from actors.targets.ssh import Login
from protocol.errors import AssociationAborted, NetworkError, PeerTimeout, TargetUnreachable, UnreadableImage
from protocol.routing.targets import SftpTarget as SftpSettings
from protocol.spool.images import ImageFile

PIECE = 1 << 20  # bytes between two signs of life; each has to be through within `timeout_s`
GOODBYE_S = 1.0  # how long the end of a connection is waited for; everything that counts is answered by then
_TURNS = 10  # of the event loop: enough to hear what came in, without waiting

T = TypeVar("T")


class _Fault(Exception):
    """The server answered, and not with yes."""

    def __init__(self, code: int, found: Meaning) -> None:
        self.code, self.found = code, found
        super().__init__(found.words)


class SftpTarget:
    """A folder of an SFTP server."""

    def __init__(self, settings: SftpSettings) -> None:
        """Raises ConfigurationError: the extra is missing, a key or secret cannot be read."""
        self._settings, self._login = settings, Login(settings)
        self.sessions, self.reuse_s = settings.connections, settings.reuse_s

    @property
    def patience_s(self) -> float:
        """Connecting and logging in each take their time; then every single answer may."""
        return self._settings.connect_timeout_s + 2 * self._settings.timeout_s

    def open(self, images: Sequence[ImageFile], alive: Alive) -> SftpSession:
        """Log in and look at the folder. Raises NetworkError."""
        return SftpSession(self._settings, self._login, alive)


class SftpSession:
    """One connection with one SFTP channel. asyncssh runs in the calling thread, only while a method waits for it."""

    def __init__(self, settings: SftpSettings, login: Login, alive: Alive) -> None:
        self._settings, self._alive = settings, alive
        self._placing = Placing(settings.layout)
        self._ssh = load("sftp")
        self._where = f"{settings.host}:{settings.port}"
        self._made: set[str] = set()
        self._broken = False
        self._connection: Any = None
        self._loop = asyncio.new_event_loop()
        try:
            self._connection = login.dial(self._loop)
            alive()
            self._run(self._start())
        except BaseException:
            self.abort()
            raise

    # ---- the promises of interface.Session ------------------------------------------------------------------------
    def send(self, image: ImageFile, following: ImageFile | None = None) -> Answer:
        """Write one file. Raises NetworkError, after which the session is over."""
        path = posixpath.join(self._settings.path, self._placing.name(image))
        try:
            self._run(self._store(image, path))
        except UnreadableImage as exc:
            words = f"not sent, {exc}"
            return Answer(statuses.PROCESSING_FAILURE, False, words, words)
        except _Fault as fault:
            return Answer(fault.found.status, False, fault.found.words, "", fault.found.again)
        return Answer(statuses.SUCCESS, True, "stored")

    def again(self, images: Sequence[ImageFile], alive: Alive) -> bool:
        """Whether the connection still stands."""
        if self._broken or self._loop.is_closed():
            return False
        self._alive = alive
        self._loop.run_until_complete(_turn())
        return not self._connection.is_closed()

    def close(self) -> None:
        """Tell the server, and wait for it a moment."""
        self._end(GOODBYE_S)

    def abort(self) -> None:
        """Cut the connection."""
        self._end(0.0)

    # ---- one file -------------------------------------------------------------------------------------------------
    async def _start(self) -> None:
        """The channel. A folder that is not there may be one that is not mounted: that passes."""
        self._sftp = await self._answered(self._connection.start_sftp_client())
        if not await self._answered(self._sftp.isdir(self._settings.path)):
            raise TargetUnreachable(f"{self._where}: the folder of the settings is not there")

    async def _store(self, image: ImageFile, path: str) -> None:
        folder, name = posixpath.split(path)
        temporary = posixpath.join(folder, f".{name[:120]}.{image.receipt.hex()}.part")
        with Part10File(image) as source:
            await self._make(folder)
            try:
                await self._write(source, temporary, folder)
                await self._rename(temporary, path)
            except (_Fault, UnreadableImage):
                await self._remove(temporary)
                raise

    async def _write(self, source: Part10File, path: str, folder: str) -> None:
        file = await self._opened(path, folder)
        try:
            while piece := b"".join(_some(source)):
                await self._answered(file.write(piece))
            await self._sync(file)
        finally:
            if not self._broken:
                await self._answered(file.close())

    async def _opened(self, path: str, folder: str) -> Any:
        """A folder that we made may have been tidied away since."""
        try:
            return await self._answered(self._sftp.open(path, "wb"))
        except _Fault as fault:
            if fault.code not in GONE:
                raise
        self._made.clear()
        await self._make(folder)
        return await self._answered(self._sftp.open(path, "wb"))

    async def _sync(self, file: Any) -> None:
        try:
            await self._answered(file.fsync())
        except _Fault as fault:
            if fault.code != UNSUPPORTED:  # then it is as durable as the server thinks fit
                raise

    async def _rename(self, temporary: str, path: str) -> None:
        try:
            await self._answered(self._sftp.posix_rename(temporary, path))
        except _Fault as fault:
            if fault.code != UNSUPPORTED:
                raise
            # A plain rename does not replace: the former file goes first, since the new one is whole already.
            await self._remove(path)
            await self._answered(self._sftp.rename(temporary, path))

    async def _make(self, folder: str) -> None:
        """The folders between that of the settings, which is never made, and the image's."""
        base, missing, at = self._settings.path.rstrip("/"), [], folder.rstrip("/")
        while at != base and at not in self._made and not await self._answered(self._sftp.isdir(at)):
            missing.append(at)
            at = posixpath.dirname(at)
        for each in reversed(missing):
            await self._mkdir(each)
        self._made.add(folder.rstrip("/"))

    async def _mkdir(self, folder: str) -> None:
        try:
            await self._answered(self._sftp.mkdir(folder))
        except _Fault:
            if not await self._answered(self._sftp.isdir(folder)):  # else another session was quicker
                raise

    async def _remove(self, path: str) -> None:
        try:
            await self._answered(self._sftp.remove(path))
        except _Fault:
            return  # it was not there, or what stops this stops the image, too

    # ---- waiting --------------------------------------------------------------------------------------------------
    def _run(self, work: Awaitable[T]) -> T:
        """Raises what `work` does; what would be the same for every image as a NetworkError, which ends the session."""
        try:
            return self._loop.run_until_complete(work)
        except _Fault as fault:
            if fault.found.reach == "image":
                raise
            self._broken = True
            raise NetworkError(f"{self._where}: {fault.found.words}", fault.found.again) from fault
        except NetworkError:
            self._broken = True
            raise

    async def _answered(self, asked: Awaitable[T]) -> T:
        """The server's answer in time. Raises _Fault, PeerTimeout, AssociationAborted."""
        try:
            answer = await asyncio.wait_for(asked, self._settings.timeout_s)
        except TimeoutError as exc:
            self._broken = True
            raise PeerTimeout(f"{self._where}: no answer within {self._settings.timeout_s:g} s") from exc
        except (self._ssh.Error, OSError) as exc:
            if isinstance(exc, self._ssh.SFTPError) and exc.code not in LOST:
                raise _Fault(exc.code, await self._meaning(exc.code)) from exc
            self._broken = True
            raise AssociationAborted(f"{self._where}: the connection ended in the middle") from exc
        self._alive()
        return answer

    async def _meaning(self, code: int) -> Meaning:
        """A failure without a reason may be a full disk, if the server lets us look."""
        if code == FAILURE:
            try:
                room = await asyncio.wait_for(self._sftp.statvfs(self._settings.path), self._settings.timeout_s)
                return meaning(code) if room.bavail else FULL
            except (self._ssh.Error, OSError, TimeoutError):
                return meaning(code)
        return meaning(code)

    def _end(self, wait_s: float) -> None:
        if self._loop.is_closed():
            return
        try:
            if self._connection is not None:
                self._loop.run_until_complete(self._leave(wait_s))
        finally:
            _close(self._loop)

    async def _leave(self, wait_s: float) -> None:
        try:
            if wait_s and not self._broken:
                self._connection.close()
                await asyncio.wait_for(self._connection.wait_closed(), wait_s)
                return
        except (self._ssh.Error, OSError, TimeoutError):
            self._broken = True
        self._connection.abort()
        await _turn()


async def _turn() -> None:
    """Let the loop hear what came in, the end of the connection perhaps."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)


def _some(source: Part10File) -> list[bytes]:
    """Chunks of about PIECE bytes altogether, none at the end."""
    found, size = [], 0
    while size < PIECE and (chunk := source.read(PIECE - size)):
        found.append(chunk)
        size += len(chunk)
    return found


def _close(loop: asyncio.AbstractEventLoop) -> None:
    """With whatever tasks asyncssh has left."""
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    loop.close()
