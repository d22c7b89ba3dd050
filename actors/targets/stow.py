"""What a STOW-RS request is made of (PS3.18 section 10.5) and what its answer means for each image. Pure but for the files.
It must not connect, repeat, or let a text of the server out: the words here are ours.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from email.utils import parsedate_to_datetime

from actors.dicom import statuses
from actors.pace import Pace
from actors.targets.http_connection import Reply
from actors.targets.interface import Alive, Answer
from actors.targets.part10 import Part10File
from actors.targets.store_response import StoreResponse, read
from actors.targets.transcoding import not_taken
from protocol.causes import Cause
from protocol.errors import AssociationRejected, NetworkError, TargetBusy
from protocol.spool.images import ImageFile

_SYNTAX_NOT_SUPPORTED = 0xC122  # PS3.18 section I.2.2
_ALREADY_THERE = (statuses.DUPLICATE, 0xB00E)  # the second is what Azure's DICOM service says (45070)
_LONGEST_RETRY_AFTER_S = 3600.0  # a server's wrong clock must not stop deliveries for years
_PLAIN_URL = re.compile(r"(https?:/)?(/[A-Za-z0-9._:~-]+){1,20}/?", re.ASCII)  # with nothing secret or personal in it
_AWAY = {404: "knows no STOW-RS at this URL", 405: "takes no STOW-RS at this URL", 410: "has no STOW-RS there any more",
         501: "has no STOW-RS"}  # fmt: skip


class Multipart:
    """The body of one request, multipart/related (RFC 2387) with one Part 10 file in each part; read once.

    `length` is its bytes. The transfer syntax stands in each file's meta information only, which every server reads.
    """

    def __init__(
        self, images: Sequence[ImageFile], pace: Pace | None = None, alive: Alive = lambda: None
    ) -> None:  # fmt: skip
        """Opens the files, so use it in a `with`. Raises UnreadableImage."""
        # Random, so that no image can hold it by chance or on purpose.
        self._boundary = f"scanpost-{uuid.uuid4().hex}"
        with ExitStack() as opened:
            self._files = [opened.enter_context(Part10File(image, pace=pace, alive=alive)) for image in images]
            self._opened = opened.pop_all()
        self._between = f"\r\n--{self._boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        self._tail = f"\r\n--{self._boundary}--\r\n".encode()
        self.length = sum(len(self._between) + file.size for file in self._files) + len(self._tail)

    def __enter__(self) -> Multipart:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    @property
    def media_type(self) -> str:
        """For the header field Content-Type."""
        return f'multipart/related; type="application/dicom"; boundary={self._boundary}'

    def __iter__(self) -> Iterator[bytes]:
        """Raises UnreadableImage if a file is cut meanwhile."""
        for file in self._files:
            yield self._between
            yield from file
        yield self._tail


def judge(reply: Reply, images: Sequence[ImageFile], trust_status: bool, now: float) -> list[Answer | None]:
    """What became of each image; None, with several images only: it has to be sent alone to find out.

    `trust_status`: 200 (OK) means stored even if the answer does not say of what. `now` is seconds UTC.
    Raises NetworkError: no answer about images, see PS3.18 table 10.5.3-1 and RFC 9110 section 15.
    """
    said = read(reply.body)
    if not 200 <= reply.status < 300:
        _refuse(reply, now)
    elif said is None and reply.body.strip():
        words = f"HTTP {reply.status}, but no DICOMweb server answers at this URL"
        raise AssociationRejected(words)
    found = said or StoreResponse()
    return [_one(reply, found, image, len(images) == 1, trust_status) for image in images]


def _one(reply: Reply, found: StoreResponse, image: ImageFile, alone: bool, trust_status: bool) -> Answer | None:
    uid = image.sop_instance_uid
    if uid in found.failed:  # in doubt it was not stored
        return _failed(found.failed[uid], image)
    if uid in found.stored and reply.status < 300:
        return _stored(found.stored[uid])
    if not alone:
        return None
    if found.others:
        return _failed(found.others[0], image)
    if reply.status >= 300:
        return _not_stored(reply.status, image)
    if trust_status and reply.status in (200, 204):
        return Answer(statuses.SUCCESS, True, f"HTTP {reply.status}, taken for stored")
    # PS3.18 table I.1-1: an image that was stored has to be named.
    words = f"HTTP {reply.status}, but the answer does not say that this image is stored (see `trust_status`)"
    return Answer(statuses.PROCESSING_FAILURE, False, words, "", True)


def _stored(warning: int) -> Answer:
    if warning == 0:
        return Answer(statuses.SUCCESS, True, statuses.describe(statuses.SUCCESS))
    status = warning if statuses.category(warning) == "warning" else 0xB000
    return Answer(status, True, statuses.describe(status))


def _failed(reason: int | None, image: ImageFile) -> Answer:
    """A Failure Reason (PS3.18 section I.2.2) has the numbers of C-STORE's statuses."""
    if reason in _ALREADY_THERE:
        return Answer(statuses.DUPLICATE, True, statuses.describe(statuses.DUPLICATE))
    if reason == _SYNTAX_NOT_SUPPORTED:
        return Answer(reason, False, f"{reason:04X} {not_taken(image)}")
    if reason is None or statuses.category(reason) != "failure":  # it failed, whatever the number says
        reason = statuses.PROCESSING_FAILURE
    return Answer(reason, False, statuses.describe(reason), "", statuses.retryable(reason))


def _not_stored(status: int, image: ImageFile) -> Answer:
    """A request that failed as a whole, with one image in it."""
    if status == 413:
        words = f"HTTP 413: {image.bytes} bytes are more than the server takes"
        return Answer(statuses.OUT_OF_RESOURCES, False, words)
    if status == 415:
        return Answer(statuses.SOP_CLASS_NOT_SUPPORTED, False, f"HTTP 415: {not_taken(image)}")
    if status == 507:
        return Answer(statuses.OUT_OF_RESOURCES, False, "HTTP 507: the server is full", "", True)
    if status >= 500:
        return Answer(statuses.PROCESSING_FAILURE, False, f"HTTP {status}: processing failure", "", True)
    if status in (400, 422):
        return Answer(statuses.CANNOT_UNDERSTAND, False, f"HTTP {status}: the server cannot understand the image")
    return Answer(statuses.PROCESSING_FAILURE, False, f"HTTP {status}: the server does not store this image")


def _refuse(reply: Reply, now: float) -> None:
    """Raise what is no fault of an image; the others end in `_not_stored`."""
    status = reply.status
    if status < 400:
        # Not followed: images and credentials go where a person said, and nowhere else.
        words = f"HTTP {status}: the server redirects{_where(reply)}; if that is right, set it as the target's url"
        raise AssociationRejected(words, status not in (301, 308))
    if status in (401, 403, 407):
        who = "the proxy" if status == 407 else "the server"
        words = f"HTTP {status}: {who} does not accept who we are; check token, user, password or certificate"
        raise AssociationRejected(words, False, Cause.NOT_PERMITTED if status == 403 else Cause.LOGIN_FAILED)
    if status in _AWAY:
        raise AssociationRejected(f"HTTP {status}: the server {_AWAY[status]}")
    if status == 411:
        raise AssociationRejected("HTTP 411: the server wants a Content-Length; set `chunked` to false", False)
    if status in (429, 503):
        after_s = retry_after_s(reply.headers.get("retry-after", ""), now)
        asks = f", asks for {after_s:.0f} s" if after_s else ""
        raise TargetBusy(f"HTTP {status}: the server is busy{asks}", after_s)
    if status in (408, 425, 502, 504):
        words = f"HTTP {status}: the server or what stands before it did not serve the request"
        raise NetworkError(words, cause=Cause.PROCESSING_FAILED)


def _where(reply: Reply) -> str:
    location = reply.headers.get("location", "")
    return f" to {location}" if _PLAIN_URL.fullmatch(location) else ""


def retry_after_s(value: str, now: float) -> float:
    """Seconds of a Retry-After field (RFC 9110 section 10.2.3), 0 if it says nothing; an hour at most."""
    value = value.strip()
    if value.isascii() and value.isdigit() and len(value) < 10:
        wanted = float(value)
    else:
        try:
            wanted = parsedate_to_datetime(value).timestamp() - now
        except (TypeError, ValueError, OverflowError):
            return 0.0
    return min(max(wanted, 0.0), _LONGEST_RETRY_AFTER_S)
