"""The sessions of one attempt: one in the caller's thread, or several, each in a thread of its own.
It must not touch the spool: what it hears it tells, one after the other, in the thread that called.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from actors.dispatcher.supply import Supply
from actors.targets.interface import Answer, Session, Target
from protocol.errors import AssociationAborted, NetworkError
from protocol.spool.deliveries import ImageToSend
from protocol.spool.images import ImageFile

UNHEARD = 32  # answers
LOOK_EVERY_S = 0.1  # how soon several sessions hear that they are to stop

Heard = Callable[[ImageToSend, Answer], None]


@dataclass
class Lines:
    """Sends what `supply` has through sessions to `target`; used once.

    `ending` is asked between images and may be slow to say yes, never to answer. `idle` are sessions kept from an earlier
    delivery; `good` are those that can be kept, when it is over.
    """

    target: Target
    files: Sequence[ImageFile]
    supply: Supply
    heard: Heard
    ending: Callable[[], bool]
    alive: Callable[[], None]
    idle: list[Session] = field(default_factory=list)
    good: list[Session] = field(default_factory=list)
    note: Callable[[str, dict[str, Any]], None] = lambda action, values: None  # for the log; called in any thread
    # What broke a session, and the image that it was sending, if any; one step each, as several may break at once.
    broken: list[tuple[BaseException, ImageToSend | None]] = field(default_factory=list)

    def run(self, count: int) -> NetworkError | None:
        """Until all is sent, it is to end, or a session broke: its error. Raises what `heard` and the target raise."""
        if count > 1:
            return _Several(self, count).run()
        try:
            self.serve(self.heard, self.ending, self.alive, lambda: True)
        except NetworkError as exc:
            return exc
        return None

    def serve(
        self, heard: Heard, ending: Callable[[], bool], alive: Callable[[], None], enter: Callable[[], bool]
    ) -> None:
        """One session's work. `enter` says whether it is still needed when it is open."""
        session, kept = self._session(alive)
        self.note("session_open", {"kept": kept})
        if not enter():
            session.close()
            return
        image = at = self.supply.take()
        try:
            while image is not None and not ending():
                at, following = image, self.supply.take()
                file, next_file = image.file, None if following is None else following.file
                try:
                    answer = session.send(file, next_file)
                except AssociationAborted:
                    if not kept:
                        raise
                    # It ended just when we wanted to go on with it; that is no fault of the target's.
                    session.abort()
                    self.note("kept_session_was_over", {})
                    at = None  # what goes wrong while it is opened anew has nothing to do with the image
                    session = self.target.open(self.files, alive)
                    at = image
                    answer = session.send(file, next_file)
                kept = False
                heard(image, answer)
                image = following
        except BaseException as exc:
            self.broken.append((exc, at))
            session.abort()
            raise
        self.good.append(session)

    def broken_at(self, error: BaseException) -> ImageToSend | None:
        """The image that was being sent when this broke its session."""
        return next((at for one, at in self.broken if one is error), None)

    def _session(self, alive: Callable[[], None]) -> tuple[Session, bool]:
        """(a session for these images, whether it was kept from before)."""
        while True:
            try:
                session = self.idle.pop()  # one step: other threads take from here, too
            except IndexError:
                return self.target.open(self.files, alive), False
            if session.again(self.files, alive):
                return session, True
            session.close()


class _Several:
    """Lines in threads of their own. A line that is still connecting when all is sent is not waited for."""

    def __init__(self, lines: Lines, count: int) -> None:
        self._lines = lines
        # Short, so that answers that nobody has recorded yet are few when the process dies.
        self._told: queue.Queue[tuple[ImageToSend, Answer] | None] = queue.Queue(UNHEARD)
        self._stirred = False
        self._lock = threading.Lock()  # of all below: what is decided by one thread must not change meanwhile
        self._connecting, self._sending = count, 0
        self._entered = self._over = False
        self._halt = False
        self._refused: NetworkError | None = None  # a session that could not be opened
        self._broken: BaseException | None = None

    def run(self) -> NetworkError | None:
        for number in range(self._connecting):
            threading.Thread(target=self._line, name=f"line-{number}", daemon=True).start()
        try:
            while not self._is_over():
                if not self._halt and self._lines.ending():
                    self._halt = True
                self._hear(LOOK_EVERY_S)
            while self._hear(None):  # each told its answers before it left
                pass
        except Exception:
            self._halt = True
            while not self._is_over():  # each finishes its image; every wait of theirs has a limit
                self._told.get()
            raise
        finally:
            self._halt = self._over = True
        if self._broken is not None and not isinstance(self._broken, NetworkError):
            raise self._broken
        # That the target takes fewer associations than it is set to is no failure.
        return self._broken or (None if self._entered else self._refused)

    def _is_over(self) -> bool:
        """Nobody sends, and nobody has to begin any more; from then on nobody may."""
        with self._lock:
            if not self._sending and (self._halt or not self._connecting or self._lines.supply.done):
                self._over = True
            return self._over

    def _hear(self, wait_s: float | None) -> bool:
        """One message, in the caller's thread; False if there is none."""
        try:
            told = self._told.get(block=wait_s is not None, timeout=wait_s)
        except queue.Empty:
            return False
        self._stirred = False
        self._lines.alive()
        if told is not None:
            self._lines.heard(*told)
        return True

    # ---- in the lines' threads --------------------------------------------------------------------------------------
    def _line(self) -> None:
        entered, error = False, None

        def enter() -> bool:
            nonlocal entered
            with self._lock:
                if self._over or self._halt:
                    return False
                entered = self._entered = True
                self._connecting -= 1
                self._sending += 1
                return True

        try:
            self._lines.serve(lambda *told: self._tell(told), lambda: self._halt, self._stir, enter)
        except BaseException as exc:
            error = exc
        with self._lock:
            if entered:
                self._sending -= 1
            else:
                self._connecting -= 1
            if isinstance(error, NetworkError) and not entered:
                self._refused = self._refused or error
            elif error is not None:
                self._broken, self._halt = self._broken or error, True
        self._tell(None)

    def _stir(self) -> None:
        if not self._stirred:
            self._stirred = True
            self._tell(None)

    def _tell(self, told: tuple[ImageToSend, Answer] | None) -> None:
        while not self._over:  # then nobody listens
            try:
                self._told.put(told, timeout=LOOK_EVERY_S)
                return
            except queue.Full:
                continue
