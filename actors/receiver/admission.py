"""Who may send and whether there is room: known and unknown sources, and the first reserve of disk.
It must not store or record anything; it answers.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path

from actors.receiver.terms import Terms, terms_of
from protocol.clock import Clock
from protocol.errors import OutOfSpace
from protocol.fsops import FsOps
from protocol.header.wanted import compile_wanted
from protocol.routing.model import RoutingConfiguration
from protocol.routing.sources import Source, in_networks, source_for
from protocol.routing.targets import DicomTarget
from protocol.routing.versions import Version

LOOK_AGAIN_S = 1.0
_FEW = 1000  # inodes above that: files of several associations may be made at once
_NEAR = (
    10**9
)  # bytes above the reserve that are given out one object at a time: several associations may take some at once
MIN_INODES = 10_000  # an image takes one, and one for its folder; the rest is for database and cleaner
SAME_NOTICE_S = 1.0
NOTICES_PER_S = 20
_KEPT_NOTICES = 1000


class Policy:
    """One revision of the routing configuration, as far as receiving needs it. Any thread may ask: nothing changes but
    `outdated`.

    `keywords` are the elements that rules read beyond the default set; `unusable` says why they are not scanned.
    `charsets` are the character sets of objects that name none, by source. `reporters` are AE titles of targets that
    are asked for storage commitment. The byte of `outdated` is set once another one is in force: compiled code looks at it.
    """

    def __init__(self, version: Version, unknown_sources: str, *, refuse_unreadable: bool = False) -> None:
        self.revision = version.number
        self.outdated = bytearray(1)
        self._sources = version.configuration.sources
        self._reject_unknown, self._refuse_unreadable = unknown_sources == "reject", refuse_unreadable
        self.charsets = charsets_of(self._sources)
        self.reporters = reporters_of(version.configuration)
        self.unusable = ""
        self.keywords: frozenset[int | str] = frozenset(version.configuration.keywords)
        try:
            compile_wanted(self.keywords)  # known before the first image, and kept for all
        except ValueError as exc:
            # A version written by a program that knows more elements: receiving must go on.
            self.keywords, self.unusable = frozenset(), str(exc)

    def terms(self, calling_ae: str, address: str, subject: str = "") -> Terms:
        """Whether this peer may open an association, and how what it sends is taken."""
        name = source_for(self._sources, calling_ae, address, subject).name
        return terms_of(
            name, None if name is None else self._sources[name], reject_unknown=self._reject_unknown,
            refuse_unreadable=self._refuse_unreadable,
        )  # fmt: skip


def charsets_of(sources: Mapping[str, Source]) -> dict[str, str]:
    """Character sets of objects that name none, by source."""
    return {name: source.charset for name, source in sources.items() if source.charset}


def reporters_of(configuration: RoutingConfiguration) -> frozenset[str]:
    """AE titles by which targets report storage commitment, in associations of their own (PS3.4 section J.3.3)."""
    targets = configuration.targets.values()
    return frozenset(one.called_ae for one in targets if isinstance(one, DicomTarget) and one.commitment is not None)


class Doors:
    """Which addresses may connect at all, before DICOM is spoken (`receiver.allow`); an empty list: all of them."""

    def __init__(self, allow: tuple[str, ...]) -> None:
        self._networks = tuple(ip_network(network) for network in allow)
        self._turned_away: deque[str] = deque(maxlen=NOTICES_PER_S)

    def open_to(self, address: str) -> bool:
        """Whether a connection from there is kept. Quick: it is asked by the thread that accepts."""
        if not self._networks or in_networks(address, self._networks):
            return True
        self._turned_away.append(address)
        return False

    def turned_away(self) -> list[str]:
        """Addresses that found the door closed since the last call, as far as they are remembered."""
        return [self._turned_away.popleft() for _ in range(len(self._turned_away))]


class Reserve:
    """The first reserve of disk: below it the receiver refuses, while database and cleaner go on.

    Looks at the disk once a second and subtracts in between what it let in.
    """

    def __init__(self, fs: FsOps, folder: Path, reserve_bytes: int, clock: Clock) -> None:
        self._fs, self._folder, self._reserve, self._clock = fs, folder, reserve_bytes, clock
        self._lock = threading.Lock()
        self._bytes = 0
        self._inodes: int | None = None
        self._next_look = float("-inf")

    def take(self, size: int, *, files: int = 1) -> None:
        """Let `size` bytes in, in so many new files. Raises OutOfSpace: refuse with A700."""
        with self._lock:
            self._look()
            short = self._short(size, files)
            if short:
                raise OutOfSpace(short)
            self._bytes -= size
            if self._inodes is not None:
                self._inodes -= files

    def left(self) -> int:
        """How many bytes may be let in now without asking for each object, in a few files; 0: ask."""
        with self._lock:
            self._look()
            few = self._inodes is not None and self._inodes < _FEW
            return 0 if few or self._bytes < _NEAR else self._bytes

    def taken(self, size: int, files: int) -> None:
        """So much was let in after `left` was asked."""
        with self._lock:
            self._bytes -= size
            if self._inodes is not None:
                self._inodes -= files

    def short(self) -> str:
        """Why nothing can be let in now, or an empty text."""
        with self._lock:
            self._look()
            return self._short(0, 1)

    def _look(self) -> None:
        now = self._clock.monotonic()
        if now < self._next_look:
            return
        room = self._fs.room(self._folder)
        self._bytes = room.bytes - self._reserve
        self._inodes = None if room.inodes is None else room.inodes - MIN_INODES
        self._next_look = now + LOOK_AGAIN_S

    def _short(self, size: int, files: int) -> str:
        if self._bytes < size:
            return "the reserve of disk space is reached"
        if self._inodes is not None and self._inodes < files:
            return "the reserve of inodes is reached"
        return ""


class Notices:
    """Keeps a flood of refused peers out of the outbox: the same notice once a second, and so many of all together."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._last: OrderedDict[tuple[str, ...], float] = OrderedDict()
        self._left = float(NOTICES_PER_S)
        self._counted = clock.monotonic()
        self.suppressed = 0

    def wanted(self, *what: str) -> bool:
        """Whether to record this one."""
        with self._lock:
            now = self._clock.monotonic()
            self._left = min(float(NOTICES_PER_S), self._left + (now - self._counted) * NOTICES_PER_S)
            self._counted = now
            if self._left < 1 or now - self._last.get(what, float("-inf")) < SAME_NOTICE_S:
                self.suppressed += 1
                return False
            self._left -= 1
            self._last[what] = now
            self._last.move_to_end(what)
            if len(self._last) > _KEPT_NOTICES:
                self._last.popitem(last=False)
            return True
