"""A moving window of failed log-ins, per name and address. It must not know passwords or who really exists.

In memory of this process, and filled from the audit at its start: a restart forgives nothing. Bounded, so that a flood of
names cannot fill memory.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict, deque
from collections.abc import Iterable

from protocol.clock import Clock

WINDOW_S = 900.0
PER_NAME_AND_ADDRESS = 5
"""Failures of one name from one address: guessing stops here, without locking the person out elsewhere."""
PER_ADDRESS = 30
"""Failures from one address, whatever the names."""
NETWORK_BITS = 64
"""Of IPv6, so many bits are one address here: everybody there has 2^64 of them to choose from (RFC 4291, 2.5.4)."""
PER_NAME = 100
"""Failures of one name from everywhere: high, since it locks the person out too."""
MAX_KEYS = 10_000
_TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")
"""A translator in front tells whose IPv4 address it is in the last 32 bits (RFC 6052)."""


Key = tuple[str, str, str]


class LoginLimiter:
    """Counts attempts that were not successful; says how long to wait."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures: OrderedDict[Key, deque[float]] = OrderedDict()

    def wait_s(self, name: str, address: str) -> float:
        """Seconds until another attempt is allowed; 0: now."""
        return max(self._wait(key, limit) for key, limit in _limits(name, address))

    def fail(self, name: str, address: str) -> None:
        """Note an attempt, before its password is checked: parallel guesses must count at once."""
        self._note(name, address, self._clock.monotonic())

    def remember(self, refused: Iterable[tuple[str, str, float]]) -> None:
        """Take over failures of an earlier process: (name, address, seconds since 1970), the oldest first."""
        for name, address, time in refused:
            self._note(name, address, self._clock.monotonic() - max(0.0, self._clock.now() - time))

    def _note(self, name: str, address: str, time: float) -> None:
        for key, limit in _limits(name, address):
            times = self._failures.setdefault(key, deque(maxlen=limit))
            times.append(time)
            self._failures.move_to_end(key)
        while len(self._failures) > MAX_KEYS:
            self._failures.popitem(last=False)

    def succeed(self, name: str, address: str) -> None:
        """Take back the attempt noted before the check; forget the failures of this name from this address."""
        own, *others = [key for key, _ in _limits(name, address)]
        self._failures.pop(own, None)
        for key in others:
            if self._failures.get(key):
                self._failures[key].pop()

    def _wait(self, key: Key, limit: int) -> float:
        times = self._failures.get(key, deque())
        if len(times) < limit:
            return 0.0
        return max(0.0, times[0] + WINDOW_S - self._clock.monotonic())


def _place(address: str) -> str:
    """What counts as one address; text that is none counts as it is."""
    text = address.strip()
    if text.startswith("["):  # some proxies tell the port, too: another one for each connection
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    if found in _TRANSLATED:
        return str(ipaddress.IPv4Address(int(found) & 0xFFFFFFFF))
    return str(ipaddress.ip_network((found, NETWORK_BITS), strict=False))


def _limits(name: str, address: str) -> tuple[tuple[Key, int], ...]:
    name, address = name[:64], _place(address)
    return (
        (("both", name, address), PER_NAME_AND_ADDRESS),
        (("address", "", address), PER_ADDRESS),
        (("name", name, ""), PER_NAME),
    )
