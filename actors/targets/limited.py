"""A target of any type that takes certain transfer syntaxes only, and cannot be asked: what is stored otherwise is changed.

It must not know the type of what it stands before; a DICOM node negotiates and does this itself.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from actors.dicom import statuses
from actors.pace import Pace
from actors.targets.interface import Alive, Answer, Finishing, Rung, Session, Target
from actors.targets.transcoding import NoRoom, Syntaxes, Transcoder, put_off, refusal
from protocol.errors import UnreadableImage
from protocol.spool.images import ImageFile


class LimitedTarget:
    """Stands before another target; see the interface for what is promised."""

    def __init__(self, inner: Target, syntaxes: Syntaxes) -> None:
        self._inner, self._syntaxes = inner, syntaxes
        self.sessions, self.reuse_s = inner.sessions, inner.reuse_s

    @property
    def pace(self) -> Pace | None:
        """That of the target, which sends."""
        return self._inner.pace

    @pace.setter
    def pace(self, pace: Pace | None) -> None:
        self._inner.pace = pace

    @property
    def patience_s(self) -> float:
        """That of the target: while an image is changed there are signs of life."""
        return self._inner.patience_s

    @property
    def finishes(self) -> bool:
        """Whether the target does something at the end of a delivery."""
        return isinstance(self._inner, Finishing) and self._inner.finishes

    def open(self, images: Sequence[ImageFile], alive: Alive) -> LimitedSession:
        """Raises NetworkError."""
        return LimitedSession(self._inner.open(images, alive), self._syntaxes, alive)

    def finish(self, images: Sequence[ImageFile], alive: Alive) -> None:
        """Raises NetworkError."""
        inner: Any = self._inner
        inner.finish(images, alive)

    def rungs(self) -> Generator[Rung, None, None]:
        """Those of the target."""
        return self._inner.rungs()


class LimitedSession:
    """Stands before another session."""

    def __init__(self, inner: Session, syntaxes: Syntaxes, alive: Alive) -> None:
        self._inner, self._syntaxes, self._alive = inner, syntaxes, alive
        self._transcoder = Transcoder(syntaxes.scratch)

    def send(self, image: ImageFile, following: ImageFile | None = None) -> Answer:
        """As it is stored if that is allowed, else changed. Raises NetworkError."""
        wanted = self._syntaxes.ways(image)
        if not wanted:
            words = f"the target is not to be sent transfer syntax {image.transfer_syntax_uid}"
            return Answer(statuses.SOP_CLASS_NOT_SUPPORTED, False, words, words)
        if wanted[0] == image.transfer_syntax_uid:
            return self._inner.send(image, self._ahead(following))
        try:
            changed = self._transcoder.result(image, wanted, self._alive)
        except UnreadableImage as exc:
            return refusal(image, wanted, exc)
        except NoRoom as exc:
            return put_off(exc)
        answer = self._inner.send(changed, self._ahead(following))
        return replace(answer, syntax=changed.transfer_syntax_uid)

    def again(self, images: Sequence[ImageFile], alive: Alive) -> bool:
        """As the session says."""
        self._alive = alive
        return self._inner.again(images, alive)

    def close(self) -> None:
        """End both."""
        self._inner.close()
        self._transcoder.close()

    def abort(self) -> None:
        """End both at once."""
        self._inner.abort()
        self._transcoder.close()

    def _ahead(self, following: ImageFile | None) -> ImageFile | None:
        """What the session may read ahead; an image that has to be changed is begun with instead."""
        wanted = () if following is None else self._syntaxes.ways(following)
        if following is None or not wanted or wanted[0] == following.transfer_syntax_uid:
            return following if wanted else None
        with suppress(NoRoom):  # its own turn will say so
            self._transcoder.begin(following, wanted)
        return None
