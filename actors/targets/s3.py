"""Sends images as objects into a bucket of an S3 server; the server checks each by its SHA-256.
It must not retry, touch the spool, or hold more of an image in memory than a few parts.

An object appears whole or not at all (PutObject, CompleteMultipartUpload), so sending it again is no harm. obstore does
the requests; while it waits, other threads of the process go on.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence

from actors.dicom import statuses
from actors.pace import Pace
from actors.targets.interface import Alive, Answer, Rung
from actors.targets.part10 import Part10File
from actors.targets.placing import Placing
from actors.targets.s3_bucket import Bucket
from actors.targets.s3_faults import Meaning
from actors.targets.s3_rungs import rungs
from protocol.causes import Cause
from protocol.errors import UnreadableImage
from protocol.routing.targets import S3Target as S3Settings
from protocol.spool.images import ImageFile

MOST_PARTS = 10_000  # Amazon S3 user guide, "multipart upload limits"
MEDIA_TYPE = "application/dicom"  # RFC 3240


class S3Target:
    """A bucket."""

    pace: Pace | None = None

    def __init__(self, settings: S3Settings) -> None:
        """Raises ConfigurationError: the extra is missing, a secret or file cannot be read."""
        self._settings, self._bucket = settings, Bucket(settings)
        self._placing = Placing(settings.layout)
        self.sessions, self.reuse_s = settings.connections, settings.reuse_s
        self.finishes = settings.done is not None

    @property
    def patience_s(self) -> float:
        """An image in parts: it is announced, then each part is a sign of life, then it is finished or taken back."""
        return 3 * (self._settings.connect_timeout_s + self._settings.timeout_s)

    def open(self, images: Sequence[ImageFile], alive: Alive) -> S3Session:
        """See that an S3 server answers. Raises NetworkError."""
        self._bucket.greet()
        alive()
        return S3Session(self._settings, self._bucket, self._placing, alive, self.pace)

    def finish(self, images: Sequence[ImageFile], alive: Alive) -> None:
        """Put the marker beside these images. Raises NetworkError."""
        for folder in dict.fromkeys(map(self._placing.folder, images)):
            found = self._bucket.put(f"{folder}/{self._settings.done}".lstrip("/"), b"")
            if found is not None:
                raise self._bucket.error(found)
            alive()

    def rungs(self) -> Generator[Rung, None, None]:
        """Name, TCP, TLS, bucket, writing and deleting."""
        return rungs(self._settings, self._bucket)


class S3Session:
    """Requests one after the other; the connections behind them are obstore's own, kept and replaced as needed."""

    def __init__(
        self, settings: S3Settings, bucket: Bucket, placing: Placing, alive: Alive, pace: Pace | None = None
    ) -> None:
        self._bucket, self._placing, self._alive, self._pace = bucket, placing, alive, pace
        self._part = settings.part_mb << 20
        self._attributes = {"Content-Type": MEDIA_TYPE}
        if settings.storage_class is not None:
            self._attributes["Storage-Class"] = settings.storage_class
        self._broken = False

    def send(self, image: ImageFile, following: ImageFile | None = None) -> Answer:
        """Put one object. Raises NetworkError, after which the session is over."""
        name = self._placing.name(image)
        try:
            with Part10File(image, pace=self._pace, alive=self._alive) as source:
                found = self._put(name, source)
        except UnreadableImage as exc:
            words = f"not sent, {exc}"
            return Answer(statuses.PROCESSING_FAILURE, False, words, words, cause=Cause.IMAGE_DAMAGED)
        if found is None:
            self._alive()
            return Answer(statuses.SUCCESS, True, "stored")
        if found.reach == "image":
            return Answer(found.status, False, found.words, "", found.again)
        if found.reach == "target" and not found.again and found.http:
            return Answer(found.status, False, found.words, cause=found.cause, everywhere=True)
        self._broken = True
        raise self._bucket.error(found)

    def again(self, images: Sequence[ImageFile], alive: Alive) -> bool:
        """Whether nothing went wrong; a connection that ended meanwhile is replaced without notice."""
        self._alive = alive
        return not self._broken

    def close(self) -> None:
        """Nothing is left open that anybody waits for."""
        self._broken = True

    abort = close

    def _put(self, name: str, source: Part10File) -> Meaning | None:
        if source.size <= self._part:
            return self._bucket.put(name, b"".join(source), self._attributes)
        part = max(self._part, -(-source.size // MOST_PARTS))
        return self._bucket.put(name, self._pieces(source), self._attributes, part)

    def _pieces(self, source: Part10File) -> Iterator[bytes]:
        """They are asked for only as fast as parts go out."""
        for piece in source:
            self._alive()
            yield piece
