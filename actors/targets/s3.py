"""Sends images as objects into a bucket of an S3 server; the server checks each by its SHA-256.
It must not retry, touch the spool, or hold more of an image in memory than a few parts.

An object appears whole or not at all (PutObject, CompleteMultipartUpload), so sending it again is no harm. obstore does
the requests; while it waits, other threads of the process go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from actors.dicom import statuses
from actors.targets.extras import load
from actors.targets.interface import Alive, Answer
from actors.targets.part10 import Part10File
from actors.targets.placing import Placing
from actors.targets.s3_faults import Meaning, meaning
from actors.targets.s3_store import host_of, make_store
from protocol.errors import AssociationAborted, NetworkError, PeerTimeout, TargetUnreachable, UnreadableImage
from protocol.routing.targets import S3Target as S3Settings
from protocol.spool.images import ImageFile

PROBE = "scanpost-probe"  # an object that nobody has
MOST_PARTS = 10_000  # Amazon S3 user guide, "multipart upload limits"
PARTS_AT_ONCE = 1  # of one image: several images go at once, and memory stays flat
MEDIA_TYPE = "application/dicom"  # RFC 3240

T = TypeVar("T")


class S3Target:
    """A bucket."""

    def __init__(self, settings: S3Settings) -> None:
        """Raises ConfigurationError: the extra is missing, a secret or file cannot be read."""
        self._settings, self._store = settings, make_store(settings)
        self.sessions, self.reuse_s = settings.connections, settings.reuse_s

    @property
    def patience_s(self) -> float:
        """An image in parts: it is announced, then each part is a sign of life, then it is finished or taken back."""
        return 3 * (self._settings.connect_timeout_s + self._settings.timeout_s)

    def open(self, images: Sequence[ImageFile], alive: Alive) -> S3Session:
        """See that an S3 server answers. Raises NetworkError."""
        return S3Session(self._settings, self._store, alive)


class S3Session:
    """Requests one after the other; the connections behind them are obstore's own, kept and replaced as needed."""

    def __init__(self, settings: S3Settings, store: Any, alive: Alive) -> None:
        self._settings, self._store, self._alive = settings, store, alive
        self._s3 = load("s3")
        self._placing = Placing(settings.layout)
        self._where = "{}:{}".format(*host_of(settings))
        self._attributes = {"Content-Type": MEDIA_TYPE}
        if settings.storage_class is not None:
            self._attributes["Storage-Class"] = settings.storage_class
        self._broken = False
        self._probe()

    # ---- the promises of interface.Session ------------------------------------------------------------------------
    def send(self, image: ImageFile, following: ImageFile | None = None) -> Answer:
        """Put one object. Raises NetworkError, after which the session is over."""
        name = self._placing.name(image)
        try:
            with Part10File(image) as source:
                found = self._asked(lambda: self._put(name, source))
        except UnreadableImage as exc:
            words = f"not sent, {exc}"
            return Answer(statuses.PROCESSING_FAILURE, False, words, words)
        if found is None:
            self._alive()
            return Answer(statuses.SUCCESS, True, "stored")
        if found.reach == "image":
            return Answer(found.status, False, found.words, "", found.again)
        raise self._error(found)

    def again(self, images: Sequence[ImageFile], alive: Alive) -> bool:
        """Whether nothing went wrong; a connection that ended meanwhile is replaced without notice."""
        self._alive = alive
        return not self._broken

    def close(self) -> None:
        """Nothing is left open that anybody waits for."""
        self._broken = True

    abort = close

    # ---- requests -------------------------------------------------------------------------------------------------
    def _probe(self) -> None:
        """Any answer to a question about an object that is not there will do: not everybody may read."""
        found = self._asked(lambda: self._s3.head(self._store, PROBE))
        if found is not None and (found.again or not 400 <= found.http < 500):
            raise self._error(found)
        self._alive()

    def _put(self, name: str, source: Part10File) -> None:
        size = self._settings.part_mb << 20
        if source.size <= size:
            data = b"".join(source)
            self._s3.put(self._store, name, data, attributes=self._attributes, use_multipart=False)
            return
        self._s3.put(
            self._store, name, self._pieces(source), attributes=self._attributes, use_multipart=True,
            chunk_size=max(size, -(-source.size // MOST_PARTS)), max_concurrency=PARTS_AT_ONCE,
        )  # fmt: skip

    def _pieces(self, source: Part10File) -> Iterator[bytes]:
        """They are asked for only as fast as parts go out."""
        for piece in source:
            self._alive()
            yield piece

    def _asked(self, ask: Callable[[], object]) -> Meaning | None:
        """What went wrong with a request, None if nothing. Raises UnreadableImage, which comes out of our own file."""
        try:
            ask()
        except (self._s3.exceptions.BaseError, OSError) as exc:
            return meaning(str(exc))
        return None

    def _error(self, found: Meaning) -> NetworkError:
        """What ends the session."""
        self._broken = True
        words = f"{self._where}: {found.words}"
        if found.reach == "silence":
            return PeerTimeout(words)
        if found.reach == "nobody":
            return TargetUnreachable(words)
        if found.reach == "middle":
            return AssociationAborted(words)
        return NetworkError(words, found.again)
