"""What every kind of target promises to the dispatcher: open, send one image after the other, close.
It must not know deliveries, retries or the spool's tables: what an answer means for a delivery is decided elsewhere.

The promises, which the tests of every kind hold:

- `open` connects; when it returns, the target is there. What cannot work raises a NetworkError that says whether
  repeating can help.
- `send` returns the target's answer for exactly this image, and only after the target has taken responsibility for it
  (or has refused it). An image that only the target's limits or a damaged file keep back is an answer, not an error;
  the images behind it can still be sent.
- A NetworkError of `send` ends the session: the fate of that image is unknown, it has to be sent again.
- Every wait has a limit of its own; none is longer than `patience_s` without a call of `alive`.
- A session that was kept is asked by `again` whether it takes a further delivery's images. It must say no after any
  error, and notice without waiting that the other side ended it meanwhile.
- `close` and `abort` never raise: every answer that counts is already in.
- A target that marks a whole delivery (`Finishing`) does so again when it is told again.
- Waiting for the bandwidth cap is no silence: `alive` is called meanwhile.
- Bytes go out as they are in the spool, unless the settings of the target say otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import field
from typing import Any, Protocol, runtime_checkable

from actors.pace import Pace
from protocol.records import record
from protocol.spool.images import ImageFile

Alive = Callable[[], None]


@record
class Answer:
    """What became of one image. `status` as in PS3.7 Annex C, also for targets that speak no DICOM.

    `words` are ours and may be logged; `comment` may be the peer's free text and must not be. `retryable`: the target
    refused it for now; the very same image can be taken later. `cause` is one of protocol/causes.py where the status does
    not say enough. `everywhere`: it was refused for good by what may well keep every image back (a right that is missing,
    say); whether it does shows when the others are sent. `syntax`: the transfer syntax UID that the image was changed into
    for it; "": it went as it is stored.
    """

    status: int
    ok: bool
    words: str = ""
    comment: str = ""
    retryable: bool = False
    cause: str = ""
    syntax: str = ""
    everywhere: bool = False


@record
class Rung:
    """One step of the way to a target, for a person who wonders why nothing arrives.

    `climb` tells what was seen, in words without secrets; it raises OSError or ScanpostError with what is wrong.
    """

    name: str
    climb: Callable[[], str]
    contexts: list[dict[str, Any]] = field(default_factory=list)
    """Of DICOM, at the step `contexts`: what was said to each SOP class, see `dicom_contexts.answered`."""


class Session(Protocol):
    """An open connection, used by one thread."""

    def send(self, image: ImageFile, following: ImageFile | None = None) -> Answer:
        """Send one image; in the order of the images `open` was told of, each at most once. Raises NetworkError.

        `following` is what will most likely be sent next; it may be read while the answer is awaited.
        """

    def again(self, images: Sequence[ImageFile], alive: Alive) -> bool:
        """Whether this session, idle until now, takes these images as a new one would; if not, close it. Never waits."""

    def close(self) -> None:
        """End in order."""

    def abort(self) -> None:
        """End at once."""


class Target(Protocol):
    """A place to send to, made from the current settings for one attempt.

    `pace` is its bandwidth cap, set before `open` by who made it; its sessions ask it before each piece they send.
    """

    pace: Pace | None

    @property
    def patience_s(self) -> float:
        """The longest that anything here may go on without a sign of life, in seconds."""

    @property
    def sessions(self) -> int:
        """How many sessions one delivery's images may be spread over, at least 1."""

    @property
    def reuse_s(self) -> float:
        """How long a session may be kept for the next delivery, seconds; 0: it ends with its delivery."""

    def open(self, images: Sequence[ImageFile], alive: Alive) -> Session:
        """Connect, ready for these images (at least one); `alive` is called whenever something moved.

        Raises NetworkError.
        """

    def rungs(self) -> Generator[Rung, None, None]:
        """The way there step by step, without sending an image; the next is asked for only if the one before held.

        Closing the generator ends what it holds open.
        """


@runtime_checkable
class Probing(Protocol):
    """A target that can be asked whether it is there without sending an image."""

    def probe(self) -> str:
        """What was seen of it, in words that may be logged; also where it does not say, and a delivery has to find out.

        Raises NetworkError: it is not there, and a delivery would find the same. Takes at most `patience_s`.
        """


@runtime_checkable
class Proposing(Protocol):
    """A target whose test asks what it accepts: `lately` are the (SOP class UID, transfer syntax UID) that it got."""

    lately: Sequence[tuple[str, str]]


@runtime_checkable
class Finishing(Protocol):
    """A target that has something to do when the last image of a delivery is there, such as writing a marker."""

    @property
    def finishes(self) -> bool:
        """Whether these settings ask for it."""

    def finish(self, images: Sequence[ImageFile], alive: Alive) -> None:
        """All these images of a series are there, sent by this attempt or an earlier one, none was refused.

        Raises NetworkError: the delivery is tried again, with nothing left to send. After a crash it comes again.
        """
