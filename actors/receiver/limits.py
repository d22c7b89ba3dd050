"""How many associations at once, and how many images a second: counted over all ports and worker processes in one place.
It must not know configuration, sockets or DICOM; whoever asks brings the limits, and who it is, as plain values.

These objects belong to the process that accepts connections. A worker asks for each association with one short message
(see `Limits.enter`), and for each image of a source that has a rate (`Pace.delay`); dying takes back all it had.
"""

from __future__ import annotations

import threading
from collections import Counter

from protocol.clock import Clock
from protocol.records import record

BURST_S = 1.0
"""A source may send as many images at once as its rate allows in this time; after that they are spaced."""


@record
class _Held:
    worker: str
    source: str | None
    address: str


class Limits:
    """Associations that are open now. From any thread.

    Args:
        most: associations at once.
        per_address: of these, from one address; 0: no limit of its own.
    """

    def __init__(self, most: int, per_address: int = 0) -> None:
        self._most, self._per_address = most, per_address
        self._lock = threading.Lock()
        self._held: dict[bytes, _Held] = {}
        self._sources: Counter[str] = Counter()
        self._addresses: Counter[str] = Counter()
        self._shut = ""

    def __len__(self) -> int:
        return len(self._held)

    def shut(self, reason: str) -> None:
        """Let nobody in for this reason, except who answers us; an empty text: as usual again. What is open stays open."""
        self._shut = reason

    def enter(
        self, association: bytes, source: str | None, address: str, *, source_most: int | None = None, worker: str = "",
        answers: bool = False,
    ) -> str | None:  # fmt: skip
        """Count an association in, or say why it must wait: it is to be rejected transiently.

        Args:
            source_most: at once from this source (routing.json); None: no limit of its own.
            worker: who serves it, for `lost`.
            answers: it is expected: a target that was asked for storage commitment reports in an association of its own.
        """
        with self._lock:
            shut = "" if answers else self._shut
            reason = shut or self._full(source, address, source_most)
            if reason is None:
                self._held[association] = _Held(worker, source, address)
                self._addresses[address] += 1
                if source is not None:
                    self._sources[source] += 1
            return reason

    def _full(self, source: str | None, address: str, source_most: int | None) -> str | None:
        if source is not None and source_most is not None and self._sources[source] >= source_most:
            return f"source '{source}' has {self._sources[source]} associations open, its limit"
        if self._per_address and self._addresses[address] >= self._per_address:
            return f"{address} has {self._addresses[address]} associations open, the limit of an address"
        if len(self._held) >= self._most:
            return f"{len(self._held)} associations are open, the limit of the receiver"
        return None

    def leave(self, association: bytes) -> None:
        """It is over. One that did not enter, or left already, changes nothing."""
        with self._lock:
            self._leave(association)

    def lost(self, worker: str) -> int:
        """The worker died: none of its associations is open any more; how many there were."""
        with self._lock:
            its = [association for association, held in self._held.items() if held.worker == worker]
            for association in its:
                self._leave(association)
            return len(its)

    def _leave(self, association: bytes) -> None:
        held = self._held.pop(association, None)
        if held is None:
            return
        for counter, key in ((self._addresses, held.address), (self._sources, held.source)):
            if key is not None:
                counter[key] -= 1
                if not counter[key]:
                    del counter[key]  # addresses are the peers' to choose


class Pace:
    """Spaces the images of a source by making their senders wait for the answer; nothing is refused. From any thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._due: dict[str, float] = {}

    def delay(self, source: str, per_s: float) -> float:
        """Count one image; the seconds that its answer has to wait, so that on average `per_s` come in a second.

        A bucket of BURST_S * per_s tokens, kept as the moment when it is full again.
        """
        with self._lock:
            now = self._clock.monotonic()
            due = max(self._due.get(source, now), now)
            self._due[source] = due + 1 / per_s
            return max(0.0, due - now - BURST_S)
