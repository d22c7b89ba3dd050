"""The images of a claim, handed out in order to one or several sessions, and which of them are under way.
It must not know sessions, threads or the spool; its methods may be called from any thread.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from protocol.spool.deliveries import ImageToSend


class Supply:
    """Whoever asks gets the next image, so a slow session holds up no other."""

    def __init__(self, images: Sequence[ImageToSend]) -> None:
        self._images, self._next = images, 0
        self._lock = threading.Lock()
        self._open: dict[int, ImageToSend] = {}

    def take(self) -> ImageToSend | None:
        """The next image, None at the end."""
        with self._lock:
            if self._next == len(self._images):
                return None
            image = self._images[self._next]
            self._next += 1
            self._open[image.position] = image
            return image

    def answered(self, image: ImageToSend) -> None:
        """Its answer counts: it is not under way any more."""
        with self._lock:
            del self._open[image.position]

    def under_way(self) -> list[ImageToSend]:
        """Handed out, and not answered."""
        with self._lock:
            return list(self._open.values())

    @property
    def done(self) -> bool:
        """Every image is answered."""
        with self._lock:
            return self._next == len(self._images) and not self._open
