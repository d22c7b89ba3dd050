"""Connections that have not sent their association request yet: so many, and who gives way to a new one.
It must not touch a socket; whoever accepts ends the one that is named.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Generic, TypeVar

Held = TypeVar("Held")


class Waiting(Generic[Held]):
    """Not for several threads at once."""

    def __init__(self) -> None:
        self._held: dict[Held, str] = {}  # in the order of their coming
        self._addresses: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[Held]:
        return iter(list(self._held))

    def add(self, one: Held, address: str, most: int) -> Held | None:
        """Let one wait; who gives way, if `most` are waiting already: the oldest of the address that has most of them.

        So a flood from one address costs that address its own connections, and a scanner elsewhere none.
        """
        victim = None
        if len(self._held) >= most:
            crowded = max(self._addresses.values())
            victim = next(held for held, its in self._held.items() if self._addresses[its] == crowded)
            self.remove(victim)
        self._held[one] = address
        self._addresses[address] += 1
        return victim

    def remove(self, one: Held) -> None:
        """It waits no more. Repeatable."""
        address = self._held.pop(one, None)
        if address is None:
            return
        self._addresses[address] -= 1
        if not self._addresses[address]:
            del self._addresses[address]
