"""What an SFTP server's status means for an image: refused, refused for now, or no use to go on. Pure.
It must not connect, and lets no text of the server through: it may quote names made of patient data.

Codes: draft-ietf-secsh-filexfer-02 section 7 (version 3), and -13 section 9.1 for servers that speak a later one.
"""

from __future__ import annotations

from typing import Literal

from actors.dicom import statuses
from protocol.causes import Cause
from protocol.records import record

Reach = Literal["image", "target"]


@record
class Meaning:
    """`reach` target: it would be the same for every image. `again`: it may go well later. `status` as in PS3.7 annex C."""

    words: str
    reach: Reach
    again: bool
    status: int = statuses.PROCESSING_FAILURE
    cause: str = Cause.PROCESSING_FAILED


NO_SUCH_FILE, FAILURE, UNSUPPORTED = 2, 4, 8
GONE = frozenset((NO_SUCH_FILE, 10))
LOST = frozenset((6, 7))  # said by our own side: there is no connection any more

FULL = Meaning("the server has no space left", "image", True, statuses.OUT_OF_RESOURCES)
_GONE = Meaning("a folder of the server is not there (any more)", "target", True, cause=Cause.FOLDER_MISSING)
_DENIED = Meaning("the server does not permit us to write into the folder", "target", False, cause=Cause.NOT_PERMITTED)
_READ_ONLY = Meaning("the folder of the server is read-only", "target", False, cause=Cause.NOT_PERMITTED)
_UNNAMED = Meaning("the server refuses the name of the file", "image", False, statuses.CANNOT_UNDERSTAND)
_BROKEN = Meaning("the server lost its way in the middle of a file", "target", True)

_MEANINGS = {
    2: _GONE,
    3: _DENIED,
    # OpenSSH's server says so for all that has no code in version 3: a full disk, a quota, a disk that fails.
    4: Meaning("the server reports a failure and does not say which", "image", True),
    5: _BROKEN,
    8: Meaning("the server does not know an operation that is needed", "target", False),
    9: _BROKEN,
    10: _GONE,
    12: _READ_ONLY,
    13: Meaning("the server's disk is not there", "target", True),
    14: FULL,
    15: Meaning("our quota at the server is used up", "image", True, statuses.OUT_OF_RESOURCES),
    19: _UNNAMED,
    20: _UNNAMED,
    21: _UNNAMED,
    23: _UNNAMED,
    24: _UNNAMED,
}


def meaning(code: int) -> Meaning:
    """Of a status other than OK."""
    return _MEANINGS.get(code, Meaning(f"the server answered with status {code}", "image", True))
