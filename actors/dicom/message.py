"""DIMSE messages while they come in: what is known of one, and where its dataset goes.

It must not read or wait; reading.py does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from actors.dicom import dimse
from protocol.errors import AssociationAborted


class PeerAborted(AssociationAborted):
    """The peer sent an A-ABORT."""


class ReleaseRequested(Exception):
    """The peer sent an A-RELEASE-RQ; not an error."""


class Sink(Protocol):
    """Takes a dataset while it comes in. It must not raise: what goes wrong is told at the end."""

    def write(self, pieces: list[memoryview], last: bool) -> None:
        """The next bytes, in pieces that are valid during this call only; `last` with the end of the dataset.

        With `last` the last pieces stay valid until the next message is read.
        """


@dataclass(slots=True)
class Message:
    """One DIMSE message. `dataset` is None if the command has none, it exceeded the limit (`oversized`), it went into a
    `sink`, or it came in one go: then it lies in `pieces`, which are valid until the next message is read.
    """

    context_id: int
    command: dimse.Command
    dataset: bytearray | None = None
    oversized: bool = False
    sink: Sink | None = None
    pieces: list[memoryview] | None = None


ChooseSink = Callable[[Message], Sink | None]
"""Asked when a command with a dataset has come: where its bytes are to go, or None to collect them in the message."""


@dataclass(slots=True)
class Part:
    """How far a dataset has come: what is not handed on yet, and the fragment under way."""

    pieces: list[memoryview] = field(default_factory=list)
    left: int = 0
    last: bool = False
    context_id: int = 0


class Collected:
    """The sink of a dataset that goes into its message."""

    def __init__(self, message: Message, most: int) -> None:
        self._message, self._most = message, most

    def write(self, pieces: list[memoryview], last: bool) -> None:
        message = self._message
        if message.dataset is not None and len(message.dataset) + sum(map(len, pieces)) > self._most:
            message.dataset, message.oversized = None, True
        if message.dataset is not None:
            message.dataset += b"".join(pieces)
