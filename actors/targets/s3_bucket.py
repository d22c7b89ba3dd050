"""The requests to one bucket, each with its outcome in our words; obstore does them, and other threads go on meanwhile.
It must not know images, nor try anything again: the dispatcher does, and other deliveries need not wait for it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from actors.targets.extras import load
from actors.targets.s3_faults import NOT_S3, Meaning, meaning
from actors.targets.s3_store import host_of, make_store
from protocol.addresses import with_port
from protocol.errors import AssociationAborted, NetworkError, PeerTimeout, TargetUnreachable
from protocol.routing.targets import S3Target

PROBE = "scanpost-probe"  # the name of an object that is there only while a person tests the way
PARTS_AT_ONCE = 1  # of one image: several images go at once, and memory stays flat


class Bucket:
    """May be used by several threads. Its methods give None, or what went wrong."""

    def __init__(self, settings: S3Target) -> None:
        """Raises ConfigurationError."""
        self._s3, self._store = load("s3"), make_store(settings)
        self._where = with_port(*host_of(settings))

    def greet(self) -> None:
        """See that an S3 server answers, whatever it says of an object that is not there: not everybody may read.

        Raises NetworkError.
        """
        found = self._asked(lambda: self._s3.head(self._store, PROBE))
        if found is not None and (found.again or not 400 <= found.http < 500):
            raise self.error(found)

    def put(
        self, name: str, data: bytes | Iterator[bytes], attributes: Mapping[str, str] | None = None, part: int = 0
    ) -> Meaning | None:
        """Put an object; in parts of so many bytes, if `part` is given. What the iterator raises comes through."""
        more: dict[str, Any] = {"chunk_size": part, "max_concurrency": PARTS_AT_ONCE} if part else {}
        said: dict[str, Any] = {"attributes": dict(attributes or {}), "use_multipart": bool(part), **more}
        answer: dict[str, Any] = {}
        found = self._asked(lambda: answer.update(self._s3.put(self._store, name, data, **said)))
        if found is None and isinstance(data, bytes):  # of parts the server gives an account, which was read
            return self._doubt(name, data, str(answer.get("e_tag")))
        return found

    def _doubt(self, name: str, data: bytes, tag: str) -> Meaning | None:
        """None: it is there. Whoever is in the way, a portal that wants a password, say, answers with 200 and a tag, too.

        An object put as a whole has its MD5 as its tag ("Common response headers" of Amazon S3), unless the server encrypts it
        with a key of its own, or was told to save that work; then it is asked. One that does not let us read is believed: what
        is in the way says yes to everything.
        """
        if tag.strip('"').lower() == hashlib.md5(data, usedforsecurity=False).hexdigest():
            return None
        seen: dict[str, Any] = {}
        found = self._asked(lambda: seen.update(self._s3.head(self._store, name)))
        if found is None:
            return None if seen.get("size") == len(data) else NOT_S3
        return None if found.http in (400, 401, 403, 405) else NOT_S3 if found.http == 404 else found

    def look(self) -> Meaning | None:
        """List what begins like the probe."""
        return self._asked(lambda: next(iter(self._s3.list(self._store, PROBE)), None))

    def delete(self, name: str) -> Meaning | None:
        """Remove an object."""
        return self._asked(lambda: self._s3.delete(self._store, name))

    def error(self, found: Meaning) -> NetworkError:
        """What ends a session."""
        words = f"{self._where}: {found.words}"
        if found.reach == "silence":
            return PeerTimeout(words)
        if found.reach == "nobody":
            return TargetUnreachable(words, cause=found.cause)
        if found.reach == "middle":
            return AssociationAborted(words)
        return NetworkError(words, found.again, found.cause)

    def _asked(self, ask: Callable[[], object]) -> Meaning | None:
        try:
            ask()
        except (self._s3.exceptions.BaseError, OSError) as exc:
            return meaning(str(exc))
        return None
