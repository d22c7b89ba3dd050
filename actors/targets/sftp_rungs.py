"""The way to an SFTP server, step by step: name, TCP, SSH, host key, login, folder, writing and deleting.
It must not send an image, nor know of deliveries.
"""

from __future__ import annotations

import posixpath
from collections.abc import Generator
from typing import Any

from actors.dicom.dialling import connect
from actors.targets.interface import Rung
from actors.targets.resolving import addresses
from actors.targets.sftp_channel import GOODBYE_S, Channel, Fault, own_loop
from actors.targets.ssh import Login
from protocol.addresses import with_port
from protocol.errors import NetworkError

PROBE = ".scanpost-probe"


def rungs(login: Login) -> Generator[Rung, None, None]:
    """See Target.rungs."""
    yield Rung("name", lambda: addresses(login.settings.host, login.settings.port))
    yield Rung("tcp", lambda: _connect(login))
    shown: list[tuple[Any, str]] = []
    yield Rung("ssh", lambda: _shake_hands(login, shown))
    yield Rung("host key", lambda: _check(login, *shown[0]))
    opened: list[Channel] = []
    try:
        yield Rung("login", lambda: _log_in(login, opened))
        channel = opened[0]
        yield Rung("folder", lambda: _enter(login, channel))
        path = posixpath.join(login.settings.path, PROBE)
        yield Rung("write", lambda: _write(channel, path))
        yield Rung("delete", lambda: _delete(channel, path))
    finally:
        for one in opened:
            one.end(GOODBYE_S)


def _connect(login: Login) -> str:
    at = login.settings
    connect(at.host, at.port, at.connect_timeout_s).close()
    return f"{with_port(at.host, at.port)} is open"


def _shake_hands(login: Login, shown: list[tuple[Any, str]]) -> str:
    loop = own_loop()
    try:
        shown.append(login.host_key(loop))
    finally:
        loop.close()
    key = shown[0][0]
    return f"the server shows the key {key.get_algorithm()} {key.get_fingerprint()}"


def _check(login: Login, key: Any, address: str) -> str:
    if not login.trusts(key, address):
        raise NetworkError(login.distrust(key.get_fingerprint()), retryable=False)
    return "trusted" if login.settings.verify else "NOT verified"


def _log_in(login: Login, opened: list[Channel]) -> str:
    opened.append(Channel(login, lambda: None))
    return f"logged in as {login.settings.user}"


def _enter(login: Login, channel: Channel) -> str:
    channel.start()
    return f"{login.settings.path} is there"


def _write(channel: Channel, path: str) -> str:
    async def work() -> None:
        file = await channel.answered(channel.sftp.open(path, "wb"))
        try:
            await channel.answered(file.write(b"scanpost was here to see whether it may write\n"))
        finally:
            if not channel.broken:
                await channel.answered(file.close())

    return _tried(channel, work(), "a file was written")


def _delete(channel: Channel, path: str) -> str:
    async def work() -> None:
        await channel.answered(channel.sftp.remove(path))

    return _tried(channel, work(), "and deleted again")


def _tried(channel: Channel, work: Any, words: str) -> str:
    try:
        channel.run(work)
    except Fault as fault:
        raise NetworkError(f"{channel.where}: {fault.found.words}", fault.found.again) from fault
    return words
