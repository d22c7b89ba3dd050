"""What became of a request to an S3 server that failed, read out of obstore's message. Pure.
It must not connect, and lets none of the message through: it quotes object names, which may be made of patient data.

Codes: Amazon S3 API reference, "Error responses"; further ones of MinIO, Ceph and others that speak the same.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Literal

from actors.dicom import statuses
from protocol.causes import Cause
from protocol.records import record

Reach = Literal["image", "target", "nobody", "middle", "silence"]


@record
class Meaning:
    """What happened. `again`: it may go well later. `status` as in PS3.7 annex C, `http` and `code` those of the server, if any.

    `reach` image: this one was refused; target: it would be the same for every image; nobody: there is no connection;
    middle: it ended; silence: no answer in time.
    """

    words: str
    reach: Reach
    again: bool
    status: int = statuses.PROCESSING_FAILURE
    http: int = 0
    code: str = ""
    cause: str = Cause.PROCESSING_FAILED


NOT_S3 = Meaning("the answer of the server is none of S3", "target", True)

# In the last part of the message control characters are escaped, so neither a server nor a name can forge a line of it.
_LAST_PART = "\nDebug source:\n"
_STATUS = re.compile(r"\n *status: ([0-9]{3}),\n")
_CODE = re.compile(r"<Code>([A-Za-z0-9.]{1,64})</Code>")
_KIND = re.compile(r"\n *kind: (Connect|Timeout|Interrupted|Request|Decode|Unknown),\n")
_CAUSES = (
    (re.compile(r"certificate", re.IGNORECASE), "the server's certificate is not trusted", Cause.TLS),
    (
        re.compile(r"dns error|failed to lookup", re.IGNORECASE),
        "the name of the server cannot be resolved",
        Cause.NAME_UNKNOWN,
    ),
)

_LATER = {
    "QuotaExceeded": "our quota at the server is used up",
    "XMinioAdminBucketQuotaExceeded": "the quota of the bucket is used up",
    "XMinioStorageFull": "the server has no space left",
    "InsufficientStorage": "the server has no space left",
}
_DAMAGED = frozenset(("BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch",
                      "IncompleteBody", "InvalidPart", "NoSuchUpload", "RequestTimeout"))  # fmt: skip
_REFUSED = frozenset(
    ("KeyTooLongError", "EntityTooLarge", "InvalidObjectName", "XMinioInvalidObjectName", "InvalidURI")
)
_BUSY = frozenset(("SlowDown", "ServiceUnavailable", "Throttling", "TooManyRequests", "OperationAborted",
                   "InternalError", "ServerBusy"))  # fmt: skip


def meaning(message: str) -> Meaning:
    """Of an exception's text."""
    told = message.rpartition(_LAST_PART)[2]
    status = _STATUS.search(told)
    if status is None:
        return _unanswered(told)
    found = _CODE.search(told, status.end())
    http, code = int(status[1]), found[1] if found else ""
    return replace(_answered(http, code), http=http, code=code)


def _unanswered(message: str) -> Meaning:
    if "inner: BareRedirect" in message:
        return Meaning(
            "the bucket is in another region than the settings say", "target", False, cause=Cause.CONFIGURATION
        )
    kind = _KIND.search(message)
    if kind is None:
        return NOT_S3
    if kind[1] == "Timeout":
        return Meaning("no answer in time", "silence", True)
    for pattern, words, cause in _CAUSES:
        if pattern.search(message, kind.end()):
            return Meaning(words, "nobody", True, cause=cause)  # people mend that
    if kind[1] == "Connect":
        return Meaning("no connection", "nobody", True, cause=Cause.UNREACHABLE)
    return Meaning("the connection ended in the middle", "middle", True)


def _answered(status: int, code: str) -> Meaning:
    said = f"{status} {code}".rstrip()
    if code in _LATER or status == 507:
        words = _LATER.get(code, "the server has no space left")
        return Meaning(f"{words} ({said})", "image", True, statuses.OUT_OF_RESOURCES)
    if code in _DAMAGED or status in (408, 412):
        return Meaning(f"the image did not come through whole ({said})", "image", True)
    if code in _REFUSED or status == 413:
        words = f"the server does not take an image of this name or size ({said})"
        return Meaning(words, "image", False, statuses.CANNOT_UNDERSTAND)
    if code == "RequestTimeTooSkewed":
        return Meaning(f"the clocks of this machine and the server differ too much ({said})", "target", True)
    if code in _BUSY or status >= 500 or status in (409, 429):
        return Meaning(f"the server is busy or broken ({said})", "target", True, cause=Cause.BUSY)
    if code == "NoSuchBucket" or status == 404:
        return Meaning(f"the bucket is not there ({said})", "target", False, cause=Cause.FOLDER_MISSING)
    if status in (401, 403):
        cause = Cause.NOT_PERMITTED if code in ("AccessDenied", "") else Cause.LOGIN_FAILED
        words = f"the server does not permit it ({said})"
        return Meaning(words, "target", False, statuses.NOT_AUTHORISED, cause=cause)
    return Meaning(f"the server refuses what the settings ask for ({said})", "target", False, cause=Cause.REJECTED)
