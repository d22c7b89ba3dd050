"""Connections to SSH servers: who we are, which server is trusted, and what asyncssh's errors mean.
It must not send files, and never trusts a server that nobody vouched for unless `verify` is false.

Nothing of the user's own SSH configuration, keys or agent is used: the settings say it all (RFC 4251 to 4254).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from actors.dicom.dialling import connect
from actors.targets.extras import load
from protocol.addresses import with_port
from protocol.causes import Cause
from protocol.errors import ConfigurationError, NetworkError, PeerTimeout, TargetUnreachable
from protocol.routing.secrets import resolve
from protocol.routing.targets import SftpTarget

_UNKNOWN = "the server's host key {seen} is not known"
_OTHER = "the server shows the host key {seen}, which is not the one that is trusted"
_ADOPT = "if it is the right server, write this fingerprint into host_key"


class Login:
    """Everything needed to log in, read once: a key that cannot be read is a fault of the configuration, not the server's.

    Raises ConfigurationError: the extra is missing, a secret, key or file of known hosts cannot be read.
    """

    def __init__(self, settings: SftpTarget, environ: Mapping[str, str] = os.environ) -> None:
        self.settings = settings
        self._ssh = load("sftp")
        self._password = None if settings.password is None else resolve(settings.password, environ).get_secret_value()
        self._keys = None if settings.key_file is None else [self._key(settings.key_file, environ)]
        self.known_hosts = self._known_hosts()

    def _key(self, file: str, environ: Mapping[str, str]) -> Any:
        secret = self.settings.key_password
        words = None if secret is None else resolve(secret, environ).get_secret_value()
        try:
            return self._ssh.import_private_key(_read(file, "key_file"), words)
        except (self._ssh.KeyImportError, self._ssh.KeyEncryptionError) as exc:
            cure = "Write a private key in OpenSSH's or PEM form there, and its password into key_password"
            raise ConfigurationError(f"{file} is no key that can be used", "key_file", cure) from exc

    def _known_hosts(self) -> Any:
        """As asyncssh wants it: None trusts everybody, three empty lists nobody."""
        if not self.settings.verify:
            return None
        file = self.settings.known_hosts
        if file is None:
            return [], [], []
        try:
            return self._ssh.import_known_hosts(_read(file, "known_hosts").decode())
        except ValueError as exc:
            cure = "Write lines of ssh-keyscan there, checked by hand"
            raise ConfigurationError(f"{file} is no file of known hosts", "known_hosts", cure) from exc

    def dial(self, loop: asyncio.AbstractEventLoop) -> Any:
        """An SSH connection, logged in. Raises NetworkError; every wait has its limit."""
        at = self.settings
        sock = connect(at.host, at.port, at.connect_timeout_s)
        client = _client(self._ssh, at)
        try:
            return loop.run_until_complete(asyncio.wait_for(self._connect(sock, client), at.timeout_s))
        except TimeoutError as exc:
            raise PeerTimeout(f"{with_port(at.host, at.port)}: no login within {at.timeout_s:g} s") from exc
        except (self._ssh.Error, OSError, ValueError) as exc:
            raise self._refused(exc, client.seen) from exc
        finally:
            sock.close()  # asyncssh has it by now, or nobody needs it

    def host_key(self, loop: asyncio.AbstractEventLoop) -> tuple[Any, str]:
        """(the key that the server shows before anybody logs in, the server's address). Raises NetworkError."""
        at = self.settings
        sock = connect(at.host, at.port, at.connect_timeout_s)
        address = str(sock.getpeername()[0])
        kinds = [kind.decode() for key in self._known(address)[0] for kind in key.sig_algorithms]  # as `dial` asks for
        asking = self._ssh.get_server_host_key(
            at.host, at.port, sock=_own(sock), config=None, server_host_key_algs=kinds or ()
        )
        try:
            return loop.run_until_complete(asyncio.wait_for(asking, at.timeout_s)), address
        except TimeoutError as exc:
            raise PeerTimeout(f"{with_port(at.host, at.port)}: no SSH handshake within {at.timeout_s:g} s") from exc
        except (self._ssh.Error, OSError, ValueError) as exc:
            raise self._refused(exc, "") from exc
        finally:
            sock.close()

    async def _connect(self, sock: Any, client: Any) -> Any:
        at = self.settings
        return await self._ssh.connect(
            at.host, at.port, sock=_own(sock), config=None, client_factory=lambda: client, known_hosts=self.known_hosts,
            username=at.user, password=self._password, client_keys=self._keys, agent_path=None, gss_host=None,
            kbdint_auth=self._password is not None, keepalive_interval=at.keepalive_s, keepalive_count_max=3,
            login_timeout=at.timeout_s, compression_algs=None,
        )  # fmt: skip

    def _refused(self, exc: Exception, seen: str) -> NetworkError:
        """What an error while connecting means; only our own words, a server's may say anything."""
        ssh, where = self._ssh, with_port(self.settings.host, self.settings.port)
        if isinstance(exc, ssh.HostKeyNotVerifiable):
            return NetworkError(f"{where}: {self.distrust(seen)}", False, Cause.TLS)
        if isinstance(exc, ssh.PermissionDenied):
            words = f"{where}: the server does not let us log in as the user of the settings"
            return NetworkError(words, False, Cause.LOGIN_FAILED)
        if isinstance(exc, ssh.KeyExchangeFailed | ssh.ProtocolNotSupported):
            words = f"{where}: the server speaks no SSH that is safe enough to use"
            return NetworkError(words, False, Cause.REJECTED)
        if isinstance(exc, ssh.ProtocolError | ValueError):
            return NetworkError(f"{where}: what answers there does not speak SSH", cause=Cause.REJECTED)
        return TargetUnreachable(f"{where}: the connection ended before the login was done")

    def distrust(self, seen: str) -> str:
        """Why a server with this fingerprint ("" if it is not known) is not trusted, and the cure."""
        vouched = self.settings.known_hosts is not None or self.settings.host_key is not None
        words = (_OTHER if vouched else _UNKNOWN).format(seen=seen or "(of a kind not asked for)")
        return f"{words}: {_ADOPT}" if not vouched else f"{words}; if it was changed on purpose, change the settings"

    def trusts(self, key: Any, address: str) -> bool:
        """Whether a key that the server at this address showed is one that the settings vouch for."""
        at = self.settings
        if not at.verify:
            return True
        if at.known_hosts is None:
            return bool(key.get_fingerprint() == at.host_key)
        trusted, revoked = self._known(address)
        return key in trusted and key not in revoked

    def _known(self, address: str) -> tuple[list[Any], list[Any]]:
        """(keys that are trusted, keys that are revoked) of the file of known hosts."""
        at = self.settings
        if at.known_hosts is None:
            return [], []
        trusted, _, revoked, *_ = self._ssh.match_known_hosts(self.known_hosts, at.host, address, at.port)
        return list(trusted), list(revoked)


def _client(ssh: Any, settings: SftpTarget) -> Any:
    """Whom asyncssh asks about keys that are in no file; `seen` is the fingerprint that it asked about."""

    class Client(ssh.SSHClient):  # type: ignore[misc]
        seen = ""

        def validate_host_public_key(self, host: str, addr: str, port: int, key: Any) -> bool:
            self.seen = key.get_fingerprint()
            return self.seen == settings.host_key

    return Client()


def _own(sock: Any) -> Any:
    """A second handle of the connection: asyncio closes what it is given, and only if it got so far."""
    copy = sock.dup()
    copy.setblocking(False)
    return copy


def _read(file: str, key: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as exc:
        cure = "Put it there, readable for the service"
        raise ConfigurationError(f"{file} cannot be read: {exc.strerror or type(exc).__name__}", key, cure) from exc
