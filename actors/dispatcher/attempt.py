"""One attempt of a delivery: connect, send what is left, record the answers in groups.
It must not decide what comes after it (retry.py does) and never moves the delivery on: its slot does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from actors.dispatcher.lines import Lines
from actors.dispatcher.supply import Supply
from actors.targets.interface import Answer, Session, Target
from protocol.causes import of_status
from protocol.clock import Clock
from protocol.errors import AssociationRejected, SpoolError, TargetBusy
from protocol.records import record
from protocol.spool.deliveries import Claim, Deliveries, ImageResult, ImageToSend

GROUP_S = 0.1
GROUP_IMAGES = 64
MOST_ALIKE = 20  # images in a row that are kept back by what may keep back all: then it does
DONE, STOPPED, FAILED = "done", "stopped", "failed"


@record
class Outcome:
    """How an attempt ended: `done` (every image was answered), `stopped` (told to) or `failed`.

    `answered` counts images that the target answered for, whatever it said. `refused` is words -> how many images, and
    `transcoded` transfer syntax UID -> how many were changed into it.
    `after_s`: the target asked not to be tried again for so long. `cause`: of the failure, else of most refusals.
    `through` counts images that are settled with this target now. `last` are those that go last next time: those that were
    being sent when it broke off, or that the target refused for now, or those that were kept back and may be the only ones.
    """

    how: str
    answered: int = 0
    refused: tuple[tuple[str, int], ...] = ()
    error: str = ""
    retryable: bool = True
    after_s: float = 0.0
    cause: str = ""
    transcoded: tuple[tuple[str, int], ...] = ()
    through: int = 0
    last: tuple[ImageToSend, ...] = ()


class Attempt:
    """Used once."""

    def __init__(
        self,
        deliveries: Deliveries,
        claim: Claim,
        target: Target,
        clock: Clock,
        *,
        stopping: Callable[[], bool] = lambda: False,
        alive: Callable[[], None] = lambda: None,
        moved: Callable[[int], None] = lambda sent: None,
        reached: Callable[[], None] = lambda: None,
        idle: Sequence[Session] = (),
        note: Callable[[str, dict[str, Any]], None] = lambda action, values: None,
    ) -> None:
        """`moved` hears how many images of the delivery are through, `reached` once that the target answers, `note` each step,
        for the log and from any thread: no patient data, no words of the peer.

        `idle`: sessions of an earlier delivery to the same target. After `run` the sessions in `good` can be kept.
        """
        self._deliveries, self._claim, self._target, self._clock = deliveries, claim, target, clock
        self._stopping, self._alive, self._moved, self._reached = stopping, alive, moved, reached
        self._idle, self._log_step = list(idle), note
        self.good: list[Session] = []
        self._supply = Supply(claim.images)
        self._answered = self._through = 0
        self._refused: Counter[str] = Counter()
        self._causes: Counter[str] = Counter()  # of the refused
        self._transcoded: Counter[str] = Counter()
        self._pending: list[ImageResult] = []
        self._enough = self._enough_cause = ""  # why no more images are to be sent, if the target said so
        self._enough_at: tuple[ImageToSend, ...] = ()
        # Refused since the last that went through, perhaps like all others.
        self._doubted: list[tuple[ImageToSend, Answer]] = []
        self._refused_at: dict[str, int] = {}  # words -> position of the first such image
        self._confirmed_at = clock.monotonic()

    def run(self) -> Outcome:
        """Raises NotOwner (somebody else has the delivery now) and what else the spool raises; never a NetworkError."""
        images = [image.file for image in self._claim.images]
        lines = Lines(self._target, images, self._supply, self._hear, self._ending, self._alive, self._idle, self.good,
                      note=self._log_step)  # fmt: skip
        if not images:
            return self._end(DONE)  # all was confirmed before its last owner died
        if self._stopping():
            return self._end(STOPPED)
        try:
            error = lines.run(min(self._target.sessions, len(images)))
        except (SpoolError, MemoryError):
            raise
        except Exception:
            self._confirm()
            raise
        barred = self._barred()
        self._confirm()
        if barred:
            return barred
        if error is not None:
            at = lines.broken_at(error)
            # Who is too busy, or does not let us in, means no image; another one is to go first next time all the same.
            named = at is not None and not isinstance(error, TargetBusy | AssociationRejected)
            words = f"{error} (image {at.position} of the arrival)" if at and named else str(error)
            # A target that dies of one image breaks the sessions of others: nobody knows which it was, and the rest must not wait.
            last = tuple(image for _, image in lines.broken if image is not None)
            return replace(self._end(FAILED, words, error.retryable, error.after_s, error.cause), last=last)
        if self._enough:
            return replace(self._end(FAILED, self._enough, True, cause=self._enough_cause), last=self._enough_at)
        return self._end(DONE if self._supply.done else STOPPED)

    @property
    def left_idle(self) -> list[Session]:
        """Sessions of an earlier delivery that were not needed."""
        return self._idle

    def _ending(self) -> bool:
        return bool(self._enough) or len(self._doubted) >= MOST_ALIKE or self._stopping()

    def _barred(self) -> Outcome | None:
        """How it ended if no image went through for what was refused last, or so many in a row were. Else each was refused by
        itself; or nobody knows, since it broke off before others were tried: then they are sent again.
        """
        count = len(self._doubted)
        if count < MOST_ALIKE and (self._through or len(self._claim.images) < self._claim.total):
            self._settle_doubted()
            return None
        if not count or (count < MOST_ALIKE and count < len(self._claim.images)):
            return None
        first, answer = self._doubted[0]
        named = f"image {first.position} of the arrival" + (f" and {count - 1} more" if count > 1 else "")
        last = tuple(image for image, _ in self._doubted)
        return replace(self._end(FAILED, f"{answer.words} ({named})", False, cause=cause_of(answer)), last=last)

    def _settle_doubted(self) -> None:
        """They were refused one by one: others go through."""
        for image, answer in self._doubted:
            self._settle(image, answer)
        self._doubted.clear()

    def _hear(self, image: ImageToSend, answer: Answer) -> None:
        self._log_step("image_answered", {
            "position": image.position, "sop_instance": image.file.sop_instance_uid, "bytes": image.file.bytes,
            "status": f"{answer.status:04X}", "ok": answer.ok, "cause": "" if answer.ok else cause_of(answer),
            "to": answer.syntax or image.file.transfer_syntax_uid,
        })  # fmt: skip
        if answer.everywhere and not answer.ok:
            self._doubted.append((image, answer))
            return
        self._count()
        if answer.ok and self._doubted:
            self._answered += len(self._doubted)
            self._settle_doubted()
        if answer.retryable and not answer.ok:
            if not self._enough:
                self._enough = f"{answer.words} (image {image.position} of the arrival)"
                self._enough_cause, self._enough_at = cause_of(answer), (image,)
            return
        self._settle(image, answer)

    def _settle(self, image: ImageToSend, answer: Answer) -> None:
        self._supply.answered(image)
        self._through += 1
        self._note(image, answer)

    def _count(self) -> None:
        self._answered += 1
        if self._answered == 1:
            self._reached()

    def _note(self, image: ImageToSend, answer: Answer) -> None:
        if not answer.ok:
            self._refused[answer.words] += 1
            self._refused_at.setdefault(answer.words, image.position)
            self._causes[cause_of(answer)] += 1
        elif answer.syntax:
            self._transcoded[answer.syntax] += 1
        result = ImageResult(
            image.position, image.file.receipt, answer.status, answer.ok, answer.comment, bool(answer.syntax),
            image.file.bytes,
        )  # fmt: skip
        self._pending.append(result)
        # Counted from the last group, not from the first pending one: a slow target's images are recorded one by one.
        late = self._clock.monotonic() - self._confirmed_at >= GROUP_S
        if late or len(self._pending) >= GROUP_IMAGES:
            self._confirm()
        self._moved(self._claim.total - len(self._claim.images) + self._answered)

    def _confirm(self) -> None:
        if self._pending:
            self._deliveries.confirm(self._claim, self._pending, self._supply.under_way())
            self._pending = []
        self._confirmed_at = self._clock.monotonic()

    def _end(
        self, how: str, error: str = "", retryable: bool = True, after_s: float = 0.0, cause: str = ""
    ) -> Outcome:  # fmt: skip
        cause = cause or next((name for name, _ in self._causes.most_common(1)), "")
        transcoded = tuple(self._transcoded.most_common())
        refused = tuple(
            (f"{words} (image {self._refused_at[words]} of the arrival)" if count == 1 else words, count)
            for words, count in self._refused.most_common()
        )
        return Outcome(how, self._answered, refused, error, retryable, after_s, cause, transcoded, self._through)


def cause_of(answer: Answer) -> str:
    """Why an image was refused, as one of protocol/causes.py."""
    return answer.cause or of_status(answer.status)
