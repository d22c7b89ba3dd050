"""The bandwidth cap of one target: how long its next bytes have to wait, agreed by all sessions of all processes of a host.
It must not read or send anything; whoever sends asks it before each piece, and without a cap nobody asks.

The agreement is a leaky bucket in a small file: how many bytes are booked beyond what the rate has let out by now, and
when that was (CLOCK_MONOTONIC, which all processes of a host share). Booking is one read and one write under `flock`.
Who dies after booking has wasted the time of one piece and owes nobody anything.
"""

from __future__ import annotations

import fcntl
import math
import os
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path

from protocol.records import record

BURST_S = 0.1  # what may go at once, in seconds of the rate: a sleep that took too long is made up for
PIECE_S = 0.1
SMALLEST_PIECE_BYTES, LARGEST_PIECE_BYTES = 1024, 1 << 20
STEP_S = 0.5  # between two signs of life while waiting
_LONGEST_DEBT_S = 3600.0  # more than all sessions of a target can book; then the file says nothing true
_TRIES, _TRY_S = 200, 0.002  # for the lock; a holder that was stopped must not hold up others

_ENTRY = struct.Struct("<qd")
_CHECK = struct.Struct("<I")


@record
class Bucket:
    """Bytes booked beyond what was let out, at a time in nanoseconds."""

    at_ns: int = 0
    level: float = 0.0


def book(bucket: Bucket, now_ns: int, rate: float, size: int) -> tuple[Bucket, float]:
    """Book `size` bytes at `rate` bytes per second: the bucket afterwards, and for how many seconds they have to wait. Pure.

    `size` is one piece at most: sessions that book more could owe honestly what counts as absurd here.
    Over any time what goes out is at most rate * time + BURST_S * rate, or + one piece where that is more. A bucket from
    the future (another boot, a clock that was set) or with an absurd debt counts as empty.
    """
    level = bucket.level
    if bucket.at_ns > now_ns or not 0 <= level <= rate * _LONGEST_DEBT_S:
        level = 0.0
    left = max(0.0, level - (now_ns - bucket.at_ns) / 1e9 * rate) if level else 0.0
    return Bucket(now_ns, left + size), max(0.0, (left + size) / rate - BURST_S)


class Pace:
    """Of one target. It holds nothing open, so it may be used by several threads and forgotten at any time."""

    def __init__(
        self, file: Path, rate: float, now_ns: Callable[[], int] = time.monotonic_ns,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:  # fmt: skip
        """`rate` is bytes per second; `file` is made when it is first needed."""
        self._file, self._rate, self._now_ns, self._sleep = file, rate, now_ns, sleep
        self._own = Bucket()
        self.piece = min(max(int(rate * PIECE_S), SMALLEST_PIECE_BYTES), LARGEST_PIECE_BYTES)
        """How many bytes to ask for at a time, at most: then a peer hears from us as often as can be."""

    def wait(self, size: int, alive: Callable[[], None]) -> None:
        """Return when `size` more bytes may go out; `alive` is called meanwhile."""
        left_s = self.take(size)
        while left_s > 0:
            step_s = min(left_s, STEP_S)
            self._sleep(step_s)
            left_s -= step_s
            alive()

    def take(self, size: int) -> float:
        """Book `size` bytes: the seconds after which they may go out. Never raises."""
        try:
            fd = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)
        except OSError:
            self._own, wait_s = book(self._own, self._now_ns(), self._rate, size)
            return wait_s  # a full disk must not stop deliveries; this process at least keeps to the cap
        try:
            _lock(fd)
            bucket, wait_s = book(_read(fd), self._now_ns(), self._rate, size)
            self._own = bucket
            entry = _ENTRY.pack(bucket.at_ns, bucket.level)
            os.pwrite(fd, entry + _CHECK.pack(zlib.crc32(entry)), 0)
        except OSError:
            self._own, wait_s = book(self._own, self._now_ns(), self._rate, size)
        finally:
            os.close(fd)
        return wait_s


def pace_of(run: Path, target: str, mbit_s: float | None) -> Pace | None:
    """The cap of a target (its name as the configuration checks it), in 10^6 bits per second; None: it has none."""
    return None if mbit_s is None else Pace(run / f"bandwidth-{target}", mbit_s * 125_000)


def _lock(fd: int) -> None:
    for _ in range(_TRIES):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            time.sleep(_TRY_S)


def _read(fd: int) -> Bucket:
    found = os.pread(fd, _ENTRY.size + _CHECK.size, 0)
    entry, check = found[: _ENTRY.size], found[_ENTRY.size :]
    if len(check) != _CHECK.size or zlib.crc32(entry) != _CHECK.unpack(check)[0]:
        return Bucket()  # new, or torn by a power cut
    at_ns, level = _ENTRY.unpack(entry)
    return Bucket(at_ns, level) if math.isfinite(level) else Bucket()
