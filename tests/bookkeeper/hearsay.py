"""Negative control: a bookkeeper that inserts what it hears on the bus and never reads the outbox.
Whole-system tests that hold with it prove nothing. `python -m tests.bookkeeper.hearsay` runs it in the real one's place.
"""

from __future__ import annotations

import sys
from typing import ClassVar

from actors.base import Actor, run
from protocol.errors import LedgerError
from protocol.ledger.record import Ledger
from protocol.wire.messages import Envelope


class HearsayBookkeeper(Actor):
    """Looks right as long as nobody dies."""

    NAME: ClassVar[str] = "bookkeeper"

    def __init__(self, context, *, ledger=None):
        super().__init__(context)
        settings = context.settings
        self._ledger = ledger or Ledger(settings.ledger.url, settings.node.name)
        self._at = None

    def one_pass(self, nudges):
        heard = [Envelope.from_map(nudge.data) for nudge in nudges if nudge.lane == "events"]
        heard = [envelope for envelope in heard if envelope.root == "ev" and envelope.seq]
        try:
            if self._at is None:
                self._at = self._ledger.open().position
            if heard:
                after = (heard[-1].epoch, heard[-1].seq)
                self._ledger.record(heard, self._at, after)
                self._at = after
        except LedgerError:
            self._at = None  # and what was heard is gone
        return 1.0

    def stop(self):
        self._ledger.close()


if __name__ == "__main__":
    sys.exit(run(HearsayBookkeeper, sys.argv[1:]))
