"""OpenSSH's sshd with its SFTP server as the independent other side of tests: own port, own keys, no privileges.
It must not import scanpost. As root it runs as user `nobody`, in a folder that this user can reach (with PAM, since sshd
takes that account for locked otherwise).
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.peers import HOST, free_port, wait_until_listening

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
needs_sshd = pytest.mark.skipif(
    SSHD is None or find_spec("asyncssh") is None,
    reason="OpenSSH's server (apt install openssh-server) or asyncssh (pip install .[test]) is missing",
)

_CONFIG = """
Port {port}
ListenAddress {host}
HostKey {place}/host
PidFile none
AuthorizedKeysFile {place}/authorized
StrictModes no
UsePAM {pam}
UseDNS no
PasswordAuthentication no
KbdInteractiveAuthentication no
Subsystem sftp internal-sftp
ForceCommand {sftp}
"""


class Sshd:
    """Listening when the constructor returns. `folder` is what it serves to `user`, who logs in with the key `key`.

    `sftp` is the command that serves files, such as `internal-sftp -P fsync` for one that cannot sync.
    """

    def __init__(self, options: Sequence[str] = (), sftp: str = "internal-sftp") -> None:
        self.place = Path(tempfile.mkdtemp(prefix="sshd", dir="/tmp"))
        self.folder = self.place / "files"
        self.folder.mkdir()
        self.key, self.port = self.place / "user", free_port()
        self.user = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        for name in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.place / name], check=True)
        shutil.copyfile(self.place / "user.pub", self.place / "authorized")
        config = _CONFIG.format(
            port=self.port, host=HOST, place=self.place, sftp=sftp, pam="yes" if os.geteuid() == 0 else "no"
        ) + "\n".join(options)
        (self.place / "config").write_text(config + "\n")
        self.fingerprint = self._ask("ssh-keygen", "-l", "-f", str(self.place / "host.pub")).split()[1]
        (self.place / "known_hosts").write_text(f"[{HOST}]:{self.port} {(self.place / 'host.pub').read_text()}")
        self._as: dict[str, Any] = {}
        if os.geteuid() == 0:
            owner = pwd.getpwnam("nobody")
            for path in (self.place, *self.place.iterdir()):
                os.chown(path, owner.pw_uid, owner.pw_gid)
            self._as = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def __enter__(self) -> Sshd:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def settings(self, **more: Any) -> dict[str, Any]:
        """Those of a target of type sftp."""
        return {"type": "sftp", "host": HOST, "port": self.port, "user": self.user, "path": str(self.folder),
                "key_file": str(self.key), "host_key": self.fingerprint, **more}  # fmt: skip

    def start(self) -> None:
        """Return when it listens."""
        with (self.place / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(SSHD), "-D", "-e", "-f", self.place / "config"], stdout=log, stderr=log, cwd="/",
                start_new_session=True, **self._as,
            )  # fmt: skip
        wait_until_listening(self.port, self._process)

    def stop(self) -> None:
        """End it and its sessions in the middle of whatever they do; more than once is allowed."""
        if self._process is not None:
            for pid in [*_children(self._process.pid), self._process.pid]:
                _kill(pid)
            self._process.wait()
            self._process = None

    def close(self) -> None:
        """Stop it and remove everything."""
        self.stop()
        shutil.rmtree(self.place, ignore_errors=True)

    def new_folder(self) -> Path:
        """An empty one that the server may write to."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        if self._as:
            os.chown(folder, self._as["user"], self._as["group"])
        return folder

    def files(self, folder: Path | None = None) -> dict[str, bytes]:
        """Name below the folder (by default the server's own) -> bytes of every file."""
        top = folder or self.folder
        return {str(path.relative_to(top)): path.read_bytes() for path in top.rglob("*") if path.is_file()}

    def _ask(self, *command: str) -> str:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _children(pid: int) -> list[int]:
    """Of a process, and theirs: sessions are in groups of their own."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [each for child in map(int, text.split()) for each in (*_children(child), child)]


def _kill(pid: int) -> None:
    try:
        os.kill(pid, 9)
    except ProcessLookupError:
        return
