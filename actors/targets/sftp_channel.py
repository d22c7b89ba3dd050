"""A connection to an SFTP server with one channel, and how its answers are waited for: each with a limit, errors in our words.
It must not know images or folders' names; `sftp` is asyncssh's client, whose calls go through `answered`.

asyncssh runs in the calling thread, only while `run` waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from actors.targets.extras import load
from actors.targets.interface import Alive
from actors.targets.sftp_faults import FAILURE, FULL, LOST, Meaning, meaning
from actors.targets.ssh import Login
from protocol.addresses import with_port
from protocol.causes import Cause
from protocol.errors import AssociationAborted, NetworkError, PeerTimeout, TargetUnreachable

GOODBYE_S = 1.0  # how long the end of a connection is waited for; everything that counts is answered by then
_TURNS = 10  # of the event loop: enough to hear what came in, without waiting

T = TypeVar("T")


class Fault(Exception):
    """The server answered, and not with yes."""

    def __init__(self, code: int, found: Meaning) -> None:
        self.code, self.found = code, found
        super().__init__(found.words)


class Channel:
    """Logged in when it is made; `start` opens SFTP. Used by one thread at a time."""

    def __init__(self, login: Login, alive: Alive) -> None:
        """Raises NetworkError."""
        self._settings, self.alive = login.settings, alive
        self.where = with_port(self._settings.host, self._settings.port)
        self.broken = False
        self.sftp: Any = None
        self._ssh = load("sftp")
        self._connection: Any = None
        self._loop = own_loop()
        try:
            self._connection = login.dial(self._loop)
        except BaseException:
            self.end(0.0)
            raise
        alive()

    def start(self) -> None:
        """Open SFTP and look at the folder of the settings; one that is not there may not be mounted, which passes.

        Raises NetworkError, after which the connection is over.
        """

        async def work() -> None:
            self.sftp = await self.answered(self._connection.start_sftp_client())
            if not await self.answered(self.sftp.isdir(self._settings.path)):
                words = f"{self.where}: the folder of the settings is not there"
                raise TargetUnreachable(words, cause=Cause.FOLDER_MISSING)

        try:
            self.run(work())
        except Fault as fault:
            self.end(0.0)
            found = fault.found
            raise NetworkError(f"{self.where}: {found.words}", found.again, found.cause) from fault
        except BaseException:
            self.end(0.0)
            raise

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Raises what `work` does; what is the matter with the server now, not with an image or our rights, as a NetworkError,
        which ends the session.
        """
        try:
            return self._loop.run_until_complete(work)
        except Fault as fault:
            if fault.found.reach == "image" or not fault.found.again:
                raise
            self.broken = True
            raise NetworkError(f"{self.where}: {fault.found.words}", fault.found.again, fault.found.cause) from fault
        except NetworkError:
            self.broken = True
            raise

    async def answered(self, asked: Any) -> Any:
        """The server's answer in time. Raises Fault, PeerTimeout, AssociationAborted."""
        try:
            answer = await asyncio.wait_for(asked, self._settings.timeout_s)
        except TimeoutError as exc:
            self.broken = True
            raise PeerTimeout(f"{self.where}: no answer within {self._settings.timeout_s:g} s") from exc
        except (self._ssh.Error, OSError, ValueError) as exc:  # ValueError: packets that are none
            if isinstance(exc, self._ssh.SFTPError) and exc.code not in LOST:
                raise Fault(exc.code, await self._meaning(exc.code)) from exc
            self.broken = True
            raise AssociationAborted(f"{self.where}: the connection ended in the middle") from exc
        self.alive()
        return answer

    async def _meaning(self, code: int) -> Meaning:
        """A failure without a reason may be a full disk, if the server lets us look."""
        if code != FAILURE:
            return meaning(code)
        try:
            room = await asyncio.wait_for(self.sftp.statvfs(self._settings.path), self._settings.timeout_s)
        except (self._ssh.Error, OSError, TimeoutError):
            return meaning(code)
        return meaning(code) if room.bavail else FULL

    def stands(self) -> bool:
        """Whether it can be used; never waits."""
        if self.broken or self._loop.is_closed():
            return False
        self._loop.run_until_complete(_turn())
        return not self._connection.is_closed()

    def end(self, wait_s: float) -> None:
        """Tell the server and wait for it so long; 0 cuts the connection. More than once is allowed; never raises."""
        if self._loop.is_closed():
            return
        try:
            if self._connection is not None:
                self._loop.run_until_complete(self._leave(wait_s))
        finally:
            _close(self._loop)

    async def _leave(self, wait_s: float) -> None:
        try:
            if wait_s and not self.broken:
                self._connection.close()
                await asyncio.wait_for(self._connection.wait_closed(), wait_s)
                return
        except (self._ssh.Error, OSError, TimeoutError):
            self.broken = True
        self._connection.abort()
        await _turn()


def own_loop() -> asyncio.AbstractEventLoop:
    """A loop that keeps to itself what nobody asks for: pieces of a file that were under way when the connection ended
    fail, too, and asyncio would log each of them with the library's and the server's words.
    """
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda _loop, _context: None)
    return loop


async def _turn() -> None:
    """Let the loop hear what came in, the end of the connection perhaps."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)


def _close(loop: asyncio.AbstractEventLoop) -> None:
    """With whatever tasks asyncssh has left."""
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    loop.close()
