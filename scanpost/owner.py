"""Whose node it is: root at the command line acts as the user that the node belongs to, so that what a command makes (a version
of the routing, accounts, a restored database) can be read by the programs that run as that user.

It must not guess: a file of the node says whose it is, and who cannot become that user is told to.
"""

from __future__ import annotations

import getpass
import os
import pwd
from pathlib import Path
from typing import Any

from protocol.errors import ScanpostError


def act_as_owner(home: Path, *, starts: bool = False, system: Any = os) -> None:
    """Become the owner of the node at `home`, for good. Does nothing for who is not root, and where the node is root's.

    Args:
        starts: the call starts the node: then only a spool that is there already says whose it is. A folder alone does not;
            in containers root's node may lie in a folder of somebody else.
        system: `os`, in tests something else.

    Raises:
        ScanpostError: that user cannot use this installation, or root may not become others here.
    """
    if system.geteuid() != 0 or not (owner := _owner(home, starts)):
        return
    uid, gid, name = owner
    os.environ.setdefault("LOGNAME", getpass.getuser())  # the record names who typed, not as whom it was done
    try:
        system.initgroups(name, gid) if name else system.setgroups([])
        system.setgid(gid)
        system.setuid(uid)
    except OSError as exc:
        raise _refused(home, owner, str(exc.strerror)) from exc
    if not all(system.access(file, os.R_OK) for file in (__file__, os.__file__)):
        raise _refused(home, owner, "who cannot read this installation of scanpost")


def _owner(home: Path, starts: bool) -> tuple[int, int, str] | None:
    """User, group and name; None if it is root's, or nothing is there yet."""
    places = [home / "spool" / "spool.sqlite3"] + ([] if starts else [home / "accounts.sqlite3", home])
    for place in places:
        try:
            found = place.stat()
        except OSError:
            continue
        if found.st_uid == 0:
            return None
        try:
            known = pwd.getpwuid(found.st_uid)
        except KeyError:  # a container's user may have no name
            return found.st_uid, found.st_gid, ""
        return found.st_uid, known.pw_gid, known.pw_name
    return None


def _refused(home: Path, owner: tuple[int, int, str], why: str) -> ScanpostError:
    who = owner[2] or f"user {owner[0]}"
    return ScanpostError(
        f"the node in {home} belongs to {who}, {why}; run this as {who}: what root makes could not be read there"
    )
