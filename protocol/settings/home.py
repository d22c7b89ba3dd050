"""Where a node keeps its files, and where its sockets go when that path is too long.
It must not create anything but the short folder for sockets.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from protocol.errors import SettingsError

INSTALLED_HOME = Path("/var/lib/scanpost")
SOCKET_PATH_LIMIT = 107  # bytes of sockaddr_un.sun_path without the final NUL (unix(7))
_SUFFIX_BYTES = 12  # supervisord binds "<path>.<pid>" first and renames it


def default_home(environ: Mapping[str, str], package: Path | None = None) -> Path:
    """$SCANPOST_HOME; else `var` in the checkout this code runs from; else /var/lib/scanpost. Always absolute."""
    if environ.get("SCANPOST_HOME"):
        return Path(environ["SCANPOST_HOME"]).expanduser().absolute()
    top = package or Path(__file__).resolve().parent.parent.parent
    if (top / "setup.cfg").is_file() and (top / "protocol").is_dir():
        return top / "var"
    return INSTALLED_HOME


def socket_path(home: Path, name: str, temporary: Path | None = None) -> Path:
    """Path of the unix socket `name` of this node: in run/, or in a short folder of our own if that is too long.

    Every process of a node computes the same path. Raises SettingsError if the short folder belongs to somebody else.
    """
    usual = home / "run" / name
    if len(os.fsencode(usual)) + _SUFFIX_BYTES <= SOCKET_PATH_LIMIT:
        return usual
    key = hashlib.sha256(os.fsencode(home)).hexdigest()[:12]
    folder = (temporary or Path("/tmp")) / f"scanpost-{os.getuid()}-{key}"
    try:
        folder.mkdir(0o700)
    except FileExistsError:
        found = folder.lstat()
        if not folder.is_dir() or folder.is_symlink() or found.st_uid != os.getuid() or found.st_mode & 0o077:
            raise SettingsError(
                f"{folder} is not a private folder of ours",
                "SCANPOST_HOME",
                "remove it, or use a shorter SCANPOST_HOME",
            ) from None
    return folder / name
