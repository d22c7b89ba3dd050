"""pynetdicom as peer of the tests: the answer to a request reaches the one who asked, whatever the threads do meanwhile.

Each association of pynetdicom has a thread of its own for what the other side asks. While `send_...` waits for its
answer that thread must stand still, else it takes the answer and drops it ("Received unexpected ... service message"),
and the request fails when its time is up. pynetdicom tells that it stands by a variable which the thread puts back only
some lines after it was let go: a second request in between believes it. Here the thread is standing exactly as long as
it waits at its checkpoint.
"""

from __future__ import annotations

import threading
from typing import Any

from pynetdicom.association import Association


class Checkpoint:
    """Stands for the event at which the thread of an association is stopped; `standing` is true while it is."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._open = True
        self.standing = False

    def set(self) -> None:
        with self._changed:
            self._open = True
            self._changed.notify_all()

    def clear(self) -> None:
        with self._changed:
            self._open = False

    def is_set(self) -> bool:
        return self._open

    def wait(self) -> None:
        with self._changed:
            self.standing = True
            self._changed.wait_for(self.is_set)
            self.standing = False


def keep_requests_in_turn() -> None:
    """For all associations of this process from now on."""
    begin = Association.__init__

    def with_checkpoint(self: Association, *args: Any, **kwargs: Any) -> None:
        begin(self, *args, **kwargs)
        assert isinstance(self._reactor_checkpoint, threading.Event), (
            "pynetdicom works otherwise now: see whether this is needed"
        )
        self._reactor_checkpoint = Checkpoint()  # type: ignore[assignment]

    def stands(self: Association) -> bool:
        # Its own thread asks when a handler of the test sends; nobody has to wait for a thread that ends.
        return self._kill or threading.current_thread() is self or self._reactor_checkpoint.standing  # type: ignore[attr-defined]

    Association.__init__ = with_checkpoint  # type: ignore[method-assign]
    Association._is_paused = property(stands, lambda self, value: None)  # type: ignore[assignment,method-assign]
