"""The seam through which a test sees, counts and interrupts every effect that is no file operation.
The product passes NO_EFFECTS; it must never do anything on its own.
"""

from __future__ import annotations

from typing import Protocol


class Effects(Protocol):
    """Told immediately before and after each effect: ``commit.before``, ``commit.after``, ``ledger.before`` ..."""

    def step(self, name: str) -> None:
        """May raise, as if the process died here."""


class NoEffects:
    """Nobody is watching."""

    def step(self, name: str) -> None:
        return


NO_EFFECTS = NoEffects()
