"""Where the bookkeeper begins to read: the ledger's cursor held against the outbox, and what is odd about it.
It must not read what follows, nor tell anybody.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from protocol.ledger.entries import identity_of
from protocol.ledger.record import CONSUMER
from protocol.spool.outbox import Cursor, Outbox

AHEAD_ALERT, GAP_ALERT = "ledger.ahead", "ledger.gap"
AHEAD = (
    "the spool is older than what the ledger has of it, or another node of this name writes there; its events are read from"
    " the first"
)
GAP = "the ledger is older than the outbox remembers; its history has a hole"


class Beginning(NamedTuple):
    """What is read next stands behind `at`; an alert with its text, or ""."""

    at: Cursor
    alert: str = ""
    text: str = ""


def beginning(outbox: Outbox, at: Cursor, last: Collection[str]) -> Beginning:
    """`at` is the ledger's cursor, `last` the ids of the events that it has there."""
    oldest, confirmed = outbox.oldest(), outbox.confirmed(CONSUMER)
    if at > outbox.head() or _is_another(outbox, at, last):
        return Beginning(Cursor(0, 0), AHEAD_ALERT, AHEAD)  # what the ledger has it knows by its id
    if at > (confirmed or Cursor(0, 0)):  # a former process died before it could say so
        outbox.confirm(CONSUMER, at)
    elif confirmed is not None and confirmed > at and oldest.seq > at.seq + 1:  # numbers go on through all epochs
        return Beginning(at, GAP_ALERT, GAP)
    return Beginning(at)


def _is_another(outbox: Outbox, at: Cursor, last: Collection[str]) -> bool:
    """Whether the outbox has another event in this place than the ledger. An older copy of the spool that was put in place by
    hand counts on from there, and soon beyond the ledger's cursor: what it told in between would never be read.
    """
    found = outbox.read(Cursor(at.epoch, at.seq - 1), 1)
    if not last or not found or (found[0].epoch, found[0].seq) != at:
        return False
    return identity_of(found[0]) not in last
