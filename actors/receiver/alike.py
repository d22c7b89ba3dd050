"""Images like the one before are taken by compiled code (_alike.c) where there is one: read, stored and answered without a
line of Python for each; their rows follow. It must not take what `whole` would judge otherwise: that is left to it.
"""

from __future__ import annotations

import errno
import importlib
import os
from array import array
from collections.abc import Sequence
from functools import partial
from typing import Any

from actors.dicom import fast
from actors.dicom.service import Taker, Way
from actors.dicom.statuses import SUCCESS
from actors.receiver.associations import Latest, Served
from actors.receiver.outcomes import Outcomes
from protocol.errors import DiskFailed, OutOfSpace, SpoolError
from protocol.fsops import RealNewFile, disk_errors
from protocol.header.alike import Likeness, Unlike
from protocol.spool.blanks import Lent
from protocol.spool.images import Saved
from protocol.spool.part10 import FileMeta

INTERFACE = 3
"""That of _alike.c: one that was compiled from other sources is not used."""
MOST = 32  # images of one call: taken without asking whether they still may be
COMPANY_S = 0.05  # for so long the row of an image waits for others
FEW = 4  # images that a likeness must have been good for, else the next one has to wait
LONGEST_WAIT = 256  # images
_LONGEST_ANSWER = 256  # bytes of a PDU
_LONGEST_UID = 64
_WHAT = {1: "write file", 2: "sync file", 3: "sync folder"}


def _load() -> tuple[Any, str]:
    if fast.helper is None:
        return None, fast.why_not
    try:
        found = importlib.import_module("actors.receiver._alike")
    except ImportError as exc:
        return None, "not built" if isinstance(exc, ModuleNotFoundError) else f"cannot be loaded: {exc}"
    if getattr(found, "INTERFACE", 0) != INTERFACE:
        return None, "of another version; install scanpost again to get it"
    return found, ""


helper, why_not = _load()
"""The module, or None and why. Tests put None in its place."""


def in_words() -> str:
    """For people: which way images are received."""
    if fast.helper is None or helper is not None:
        return fast.in_words()
    return f"{fast.in_words()}, images that are alike one by one ({why_not})"


class Loners:
    """Senders whose last association brought a single object: it pays to wait for another one before anything is made
    ready for its like. From any thread.
    """

    MOST = 500

    def __init__(self) -> None:
        self._known: set[str] = set()

    def __contains__(self, calling_ae: str) -> bool:
        return calling_ae in self._known

    def note(self, calling_ae: str, objects: int) -> None:
        """An association is over."""
        if objects > 1:
            self._known.discard(calling_ae)
        elif objects == 1:
            if len(self._known) >= self.MOST:
                self._known.clear()
            self._known.add(calling_ae)


class Course:
    """What an association knows of images alike: who takes them now, and how soon to look for a likeness again."""

    def __init__(self, alone: bool) -> None:
        """`alone`: probably only one object comes."""
        self.taker: Alike | None = None
        self._wait = self._left = int(alone)  # objects that pass before the next attempt

    def next(self, outcomes: Outcomes, served: Served, way: Way, pieces: Sequence[memoryview]) -> Taker | None:
        """After an object that was not taken as alike."""
        before, self.taker = self.taker, None
        if before is not None and before.only_late(way, served.latest):
            self.taker = before
            return before
        if before is not None:
            # One that was of use has a successor at once: another series has begun. Else later and later.
            self._wait = 0 if before.count >= FEW else min(2 * self._wait + 1, LONGEST_WAIT)
            self._left = self._wait
        if served.latest is None or not way.sop_class or way.max_send < _LONGEST_ANSWER:
            return None
        if self._left:
            self._left -= 1
            return None
        try:
            self.taker = Alike(outcomes, served, way, served.latest, pieces)
        except Unlike:
            self._wait = self._left = min(2 * self._wait + 1, LONGEST_WAIT)
        return self.taker


def taker(outcomes: Outcomes, loners: Loners, served: Served, way: Way, pieces: Sequence[memoryview]) -> Taker | None:
    """See ScpHandler."""
    if helper is None or not outcomes.images.native:
        return None
    if served.alike is None:
        served.alike = Course(served.peer.calling_ae in loners)
    found: Taker | None = served.alike.next(outcomes, served, way, pieces)
    return found


class Alike:
    """Takes what is like one object. Used by the thread of its association."""

    def __init__(
        self, outcomes: Outcomes, served: Served, way: Way, latest: Latest, pieces: Sequence[memoryview]
    ) -> None:
        """`pieces` are those of the latest object. Raises Unlike."""
        self._outcomes, self._served, self._way, self._latest = outcomes, served, way, latest
        self._policy, self.count = served.policy, 0
        command, terms = latest.command, served.terms
        if way.sop_class.rstrip(b"\0") != command.sop_class_uid.encode("ascii", "replace"):
            raise Unlike
        if len(way.sop_class) % 2 or len(way.sop_class) > _LONGEST_UID:
            raise Unlike
        self._likeness = like = Likeness(
            pieces[0], command.transfer_syntax_uid, latest.header.values,
            extra=self._policy.keywords, fallback_charset=terms.charset,
        )  # fmt: skip
        assert served.writer is not None
        self._origin, self._day = served.writer.origin, served.writer.today()
        before, after = served.writer.form(command.sop_class_uid, command.transfer_syntax_uid).around()
        most = outcomes.max_bytes if terms.max_bytes is None else min(terms.max_bytes, outcomes.max_bytes)
        try:
            self._plan = helper.plan(
                way.context_id, like.explicit, min(most, 2**62), like.head, like.stop, like.table, way.sop_class, before,
                after, served.id, f"{served.writer.images}{latest.folder}",
            )  # fmt: skip
        except OSError as exc:  # removed, or no descriptor is left
            raise Unlike from exc
        self._ahead = 2  # images of the next call
        self._owed = b""  # of the last answer
        self._late = False  # the message under way was handed on because rows waited, whatever it is

    def receive(
        self,
        fd: int,
        buffer: bytearray,
        start: int,
        end: int,
        max_pdu: int,
        busy_s: float,
        deadline: float,
        slowest: int,
    ) -> tuple[tuple[Any, ...], bool]:
        """See Taker."""
        limits = max_pdu, busy_s, deadline, slowest
        while True:
            state, took = self._receive(fd, buffer, start, end, limits)
            if state[0] != helper.AGAIN:
                return state, took
            start, end = state[2], state[3]

    def send_rest(self) -> None:
        """See Taker."""
        owed, self._owed = self._owed, b""
        if owed:
            self._way.send(owed)

    def _receive(
        self, fd: int, buffer: bytearray, start: int, end: int, limits: tuple[int, float, float, int]
    ) -> tuple[tuple[Any, ...], bool]:
        """Once, with what is so now."""
        room = self._room()
        lent, ahead = self._lent() if room else ([], 0)
        if not lent:
            max_pdu, *times = limits
            return fast.helper.receive(fd, buffer, True, start, end, 0, 0, False, 0, max_pdu, 0, 0.0, *times), False
        try:
            state, taken, files, self._owed, failed, number = helper.receive(
                self._plan, fd, buffer, start, end, *limits, self._outcomes.images.sync,
                b"".join([one.receipt for one in lent]), array("i", [one.fd for one in lent]), ahead, COMPANY_S, room,
                self._outcomes.failure.halt, self._policy.outdated,
            )  # fmt: skip
        except MemoryError as exc:  # what it took meanwhile is answered and cannot be told: the next start adopts it
            self._outcomes.failure.set(exc)
            raise
        self._late = bool(taken) and state[0] == fast.helper.MORE
        left = [Lent(lent[at].receipt, files[at]) for at in range(len(taken), len(lent))]
        if failed:  # with an error the names of the others may not be durable, either
            spoiled = len(left) if number else 1
            for one in left[:spoiled]:
                self._failed(one, _WHAT[failed], number)
            del left[:spoiled]
        self._served.writer.take_back(left)  # type: ignore[union-attr]
        if taken:
            self._taken(taken, lent)
        return state, bool(taken)

    def only_late(self, way: Way, latest: Latest | None) -> bool:
        """Whether the object that went the usual way may have been alike: it was not looked at."""
        return (
            self._late and latest is not None and latest.folder == self._latest.folder
            and (way.context_id, way.sop_class) == (self._way.context_id, self._way.sop_class)
            and self._served.policy is self._policy
        )  # fmt: skip

    def _room(self) -> int:
        """How many bytes may be taken now; 0: nothing, each object is to be asked about."""
        outcomes, served = self._outcomes, self._served
        writer, terms = served.writer, served.terms
        if any(outcomes.failure.halt) or outcomes.stopping.is_set() or outcomes.policy is not self._policy:
            return 0
        if served.left or terms.rejection or terms.max_images_per_s is not None or writer is None:
            return 0
        if writer.today() != self._day:
            return 0
        return outcomes.reserve.left()

    def _lent(self) -> tuple[list[Lent], int]:
        outcomes, writer = self._outcomes, self._served.writer
        assert writer is not None
        try:
            return writer.lend(self._latest.folder, self._ahead, sync=outcomes.images.sync)
        except DiskFailed as exc:
            outcomes.failure.set(exc)
        except (SpoolError, OSError) as exc:  # the next object will meet it, and say so
            outcomes.log.debug("none_made_ahead", association=self._served.id.hex(), error=type(exc).__name__)
        return [], 0

    def _taken(self, taken: Sequence[tuple[Any, ...]], lent: Sequence[Lent]) -> None:
        """They are answered: see to their rows."""
        outcomes, served = self._outcomes, self._served
        self.count += len(taken)
        self._ahead = min(max(self._ahead, 2 * len(taken)), MOST)
        resend = served.terms.resend
        ready = [partial(self._saved, one, file.receipt, resend) for one, file in zip(taken, lent, strict=False)]
        outcomes.reserve.taken(sum([one[1] for one in taken]), len(taken))
        try:
            outcomes.post(served, ready)
        except DiskFailed as exc:
            outcomes.failure.set(exc)
        except SpoolError as exc:  # of one before; as between two objects, the association goes on
            outcomes.log.error("image_failed", association=served.id.hex(), reason=str(exc))

    def _saved(self, taken: tuple[Any, ...], receipt: bytes, resend: bool) -> Saved:
        """One of them, as `commit` needs it. Raises DiskFailed: it cannot be made ready, and is left to the next start."""
        try:
            saved = self._described(taken, receipt, resend)
        except Exception as exc:
            raise DiskFailed(f"an acknowledged image cannot be described ({type(exc).__name__})") from exc
        command = self._latest.command._replace(sop_instance_uid=saved.meta.sop_instance_uid)
        self._outcomes.answered(self._served, command, SUCCESS, saved.meta.length)
        return saved

    def _described(self, taken: tuple[Any, ...], receipt: bytes, resend: bool) -> Saved:
        uid, length, digest, offset, received, changed = taken
        command, served, origin = self._latest.command, self._served, self._origin
        meta = FileMeta(
            command.sop_class_uid, uid, command.transfer_syntax_uid, origin.calling_ae, origin.called_ae, origin.address,
            receipt, origin.association, length, digest, offset, received,
        )  # fmt: skip
        return Saved(
            receipt, meta, served.source, f"{self._latest.folder}/{receipt.hex()}.dcm", self._likeness.values(changed),
            new=True, resend=resend, like=self._likeness.first, but=self._likeness.keys(changed),
        )  # fmt: skip

    def _failed(self, lent: Lent, what: str, number: int) -> None:
        """A file could not be used; its object goes the usual way, which tells, or the process ends."""
        outcomes, writer, file = self._outcomes, self._served.writer, RealNewFile.holding(lent.fd)
        assert writer is not None
        if lent.fd < 0:
            return
        try:
            with disk_errors(what):
                if number:
                    raise OSError(number, os.strerror(number))
        except DiskFailed as exc:
            outcomes.failure.set(exc)
            return
        except (OutOfSpace, OSError):
            outcomes.log.debug(
                "alike_not_written", association=self._served.id.hex(), errno=errno.errorcode.get(number, "")
            )
        finally:
            file.close()
        try:
            writer.drop(f"{self._latest.folder}/{lent.receipt.hex()}.dcm")
        except DiskFailed as exc:
            outcomes.failure.set(exc)
        except SpoolError:
            pass  # it has no seal, or its object comes again under another receipt: adoption finds it
