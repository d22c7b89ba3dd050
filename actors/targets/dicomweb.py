"""Sends images to a DICOMweb server with STOW-RS (PS3.18 section 10.5), each as a Part 10 file with its dataset untouched.
It must not transcode, follow redirects, touch the spool, or say a secret or a text of the server.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from itertools import takewhile

from actors.dicom import statuses
from actors.pace import Pace
from actors.targets import stow
from actors.targets.dicomweb_rungs import rungs
from actors.targets.http_connection import HttpConnection, Reply, Request
from actors.targets.interface import Alive, Answer, Rung
from actors.targets.web import Place, dial, headers_of, line_of, place_of
from protocol.causes import Cause
from protocol.errors import (
    AssociationAborted,
    AssociationRejected,
    NetworkError,
    TargetBusy,
    TargetUnreachable,
    UnreadableImage,
)
from protocol.routing.targets import DicomWebTarget as DicomWebSettings
from protocol.spool.images import ImageFile

_REQUEST_BYTES = 64 * 1024 * 1024  # several images in one request are not worth more: who fails repeats them all
_OF_NO_IMAGE = (TargetUnreachable, TargetBusy, AssociationRejected)
_EXPECT_BYTES = 1024 * 1024  # smaller ones cost no more than the question


class DicomWebTarget:
    """An origin server of the Studies Service."""

    pace: Pace | None = None

    def __init__(self, settings: DicomWebSettings) -> None:
        self._settings = settings
        self.sessions = settings.connections
        self.reuse_s = settings.reuse_s

    @property
    def patience_s(self) -> float:
        """At worst a kept connection turns out dead at its last piece, then a new one is connected, by way of a proxy and
        with TLS, a piece is taken late, and the answer begins and ends late."""
        settings = self._settings
        ways = (settings.proxy is not None) + settings.url.startswith("https:")
        return settings.connect_timeout_s + (5 + ways) * settings.timeout_s

    def open(self, images: Sequence[ImageFile], alive: Alive) -> DicomWebSession:
        """Connect. Raises TargetUnreachable, AssociationRejected (by TLS or proxy), AssociationAborted, PeerTimeout."""
        return DicomWebSession(self._settings, images, alive, self.pace)

    def rungs(self) -> Generator[Rung, None, None]:
        """Name, TCP, proxy and TLS if asked for, HTTP, login, STOW-RS."""
        return rungs(self._settings)


class DicomWebSession:
    """One connection, replaced when the server ends it between two requests, as servers do after a while."""

    def __init__(
        self, settings: DicomWebSettings, images: Sequence[ImageFile], alive: Alive, pace: Pace | None = None
    ) -> None:
        self._settings, self._images, self._alive, self._pace = settings, images, alive, pace
        self._at = 0  # where the image that is sent next stands, or before it
        self._known: dict[bytes, Answer] = {}  # receipt -> answer that nobody asked for yet
        self._alone: set[bytes] = set()  # receipts of images that need a request of their own
        self._expect = settings.expect_continue
        self._place: Place = place_of(settings.url)
        self._connection: HttpConnection = self._connect()

    def send(self, image: ImageFile, following: ImageFile | None = None) -> Answer:
        """STOW-RS. With several images per request those behind it may go out, too; their answers wait for their turn.

        Raises NetworkError.
        """
        while image.receipt not in self._known:
            batch = self._batch(image)
            try:
                answers = self._store(batch)
            except NetworkError as exc:
                self._connection.close()
                if len(batch) == 1 or isinstance(exc, _OF_NO_IMAGE):
                    raise
                # It may be one of them that server or proxy stumbles over, and that must not keep the others away.
                answers = [None] * len(batch)
                self._alive()
            for one, answer in zip(batch, answers, strict=True):
                if answer is None:
                    self._alone.add(one.receipt)
                else:
                    self._known[one.receipt] = answer
        return self._known.pop(image.receipt)

    def again(self, images: Sequence[ImageFile], alive: Alive) -> bool:
        """Whether the connection still stands."""
        if not self._connection.is_idle():
            return False
        self._images, self._at = images, 0
        self._known.clear()
        self._alone.clear()
        self._alive = self._connection.alive = alive
        return True

    def close(self) -> None:
        """HTTP has no word for it."""
        self._connection.close()

    def abort(self) -> None:
        """The same."""
        self._connection.close()

    # -- inner -------------------------------------------------------------------------------------------------------

    def _batch(self, image: ImageFile) -> list[ImageFile]:
        """The image and those right behind it, as many as go into one request; each SOP instance once, or the answer
        would not say of which it speaks."""
        batch, uids, size = [image], {image.sop_instance_uid}, image.bytes
        if self._settings.images_per_request == 1 or image.receipt in self._alone:
            return batch
        while self._at < len(self._images) and self._images[self._at] is not image:
            self._at += 1
        behind = self._images[self._at + 1 : self._at + self._settings.images_per_request]
        for other in takewhile(lambda one: one.receipt not in self._alone, behind):
            size += other.bytes
            if other.sop_instance_uid in uids or size > _REQUEST_BYTES:
                break
            uids.add(other.sop_instance_uid)
            batch.append(other)
        return batch

    def _store(self, batch: Sequence[ImageFile]) -> Sequence[Answer | None]:
        try:
            reply = self._post(batch)
        except UnreadableImage as exc:
            if len(batch) > 1:
                return [None] * len(batch)
            # Nothing the target could help with; the rest of the series must not wait for it.
            words = f"not sent, {exc}"
            return [Answer(statuses.PROCESSING_FAILURE, False, words, words, cause=Cause.IMAGE_DAMAGED)]
        self._alive()
        return stow.judge(reply, batch, self._settings.trust_status, time.time())

    def _post(self, batch: Sequence[ImageFile]) -> Reply:
        """Raises UnreadableImage: then the server has none of them."""
        while True:
            connection = self._standing()
            with stow.Multipart(batch, self._pace, self._alive) as body:
                request = self._request(body)
                try:
                    reply = connection.exchange(request)
                except AssociationAborted:
                    # A server may end a connection just when we go on with it; nothing of the request counts then,
                    # and an image that is stored twice stays one.
                    if connection.used and not connection.heard:
                        continue
                    raise
            if reply.status == 417 and request.expect:  # RFC 9110 section 10.1.1: without it, then
                self._expect = False
                continue
            if reply.early and 200 <= reply.status < 300:
                # Whatever it says is stored, it cannot have had the images.
                raise AssociationAborted(f"HTTP {reply.status} came before the server had the whole request")
            return reply

    def _request(self, body: stow.Multipart) -> Request:
        length = None if self._settings.chunked else body.length
        headers = [*headers_of(self._settings, self._place), ("Content-Type", body.media_type)]
        expect = self._expect and body.length > _EXPECT_BYTES
        line = line_of(self._settings, self._place, "/studies")
        together = Request.together if self._pace is None else self._pace.piece
        return Request("POST", line, headers, body, length, expect, together)

    def _standing(self) -> HttpConnection:
        if not self._connection.is_idle():
            self._connection = self._connect()
        return self._connection

    def _connect(self) -> HttpConnection:
        settings = self._settings
        sock = dial(settings, self._place)
        self._alive()
        return HttpConnection(sock, settings.timeout_s, lambda: self._alive())
