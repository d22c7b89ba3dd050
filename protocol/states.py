"""States of associations, arrivals, deliveries and commands, and the steps allowed between them, as data.
It must not import anything but the error tree: every actor, page and test agrees on this file.

ARCHITECTURE.md draws these tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from protocol.errors import StepRefused


class AssociationState(StrEnum):
    """How an incoming association stands (PS3.8 section 7)."""

    OPEN = "open"
    RELEASED = "released"
    ABORTED = "aborted"  # also: connection lost, or its worker died


class ArrivalState(StrEnum):
    """Where a series stands; an image has the state of its arrival."""

    OPEN = "open"  # images may still join
    CLOSED = "closed"  # complete, not yet decided
    WAITING = "waiting"  # decided to wait for its study
    HELD = "held"  # set aside whole, waits for a person
    IN_DELIVERY = "in_delivery"  # at least one delivery is unfinished
    DELIVERED = "delivered"  # every delivery finished, at least one reached its target
    DISCARDED = "discarded"  # no rule wanted it, or all deliveries were cancelled; kept for its retention
    DELETED = "deleted"  # its files are gone


class DeliveryState(StrEnum):
    """Where one arrival stands on its way to one target."""

    WAITING = "waiting"  # may be claimed when due
    SENDING = "sending"  # a slot owns it
    RETRYING = "retrying"  # failed, will be tried again when due
    CONFIRMING = "confirming"  # all sent, storage commitment asked (PS3.4 Annex J)
    PARKED = "parked"  # used up its attempts, or images were refused for good; waits for a person
    HELD = "held"  # set aside with a reason; waits for a person
    DELIVERED = "delivered"
    CANCELLED = "cancelled"


class CommitmentState(StrEnum):
    """Where a scanner's request for storage commitment stands (PS3.4 Annex J)."""

    WAITING = "waiting"  # not every image is where it has to be
    ANSWERED = "answered"  # what to report is known and kept
    REPORTED = "reported"  # the scanner took the report
    GIVEN_UP = "given_up"  # it could not be reported in time; waits for a person


class CommandState(StrEnum):
    """What became of an act of a person."""

    NEW = "new"
    DONE = "done"
    FAILED = "failed"


class Priority(StrEnum):
    """Order among deliveries that are due. The database keeps the rank."""

    URGENT = "urgent"
    NORMAL = "normal"
    OFFPEAK = "offpeak"

    @property
    def rank(self) -> int:
        """0 is served first."""
        return list(Priority).index(self)


A = ArrivalState
D = DeliveryState

ARRIVAL_STEPS: Mapping[ArrivalState, frozenset[ArrivalState]] = {
    A.OPEN: frozenset({A.CLOSED, A.HELD}),
    A.CLOSED: frozenset({A.WAITING, A.HELD, A.IN_DELIVERY, A.DISCARDED}),
    A.WAITING: frozenset({A.HELD, A.IN_DELIVERY, A.DISCARDED}),
    A.HELD: frozenset({A.CLOSED, A.WAITING, A.IN_DELIVERY, A.DISCARDED}),
    A.IN_DELIVERY: frozenset({A.DELIVERED, A.DISCARDED, A.HELD, A.CLOSED}),
    A.DELIVERED: frozenset({A.IN_DELIVERY, A.CLOSED, A.DELETED, A.HELD}),
    A.DISCARDED: frozenset({A.IN_DELIVERY, A.CLOSED, A.DELETED, A.HELD}),
    A.DELETED: frozenset(),
}

DELIVERY_STEPS: Mapping[DeliveryState, frozenset[DeliveryState]] = {
    D.WAITING: frozenset({D.SENDING, D.HELD, D.CANCELLED}),
    D.SENDING: frozenset({D.WAITING, D.DELIVERED, D.RETRYING, D.CONFIRMING, D.PARKED, D.HELD}),
    D.RETRYING: frozenset({D.SENDING, D.WAITING, D.HELD, D.PARKED, D.CANCELLED}),
    D.CONFIRMING: frozenset({D.DELIVERED, D.RETRYING, D.PARKED, D.HELD, D.CANCELLED}),
    D.PARKED: frozenset({D.WAITING, D.HELD, D.CANCELLED}),
    D.HELD: frozenset({D.WAITING, D.PARKED, D.CANCELLED}),
    D.DELIVERED: frozenset({D.WAITING}),  # what it left to a newer version comes back, or its target moved
    D.CANCELLED: frozenset({D.WAITING}),
}

C = CommitmentState

COMMITMENT_STEPS: Mapping[CommitmentState, frozenset[CommitmentState]] = {
    C.WAITING: frozenset({C.ANSWERED}),
    C.ANSWERED: frozenset({C.REPORTED, C.GIVEN_UP}),
    C.REPORTED: frozenset({C.ANSWERED}),  # the scanner asks again with the same transaction UID
    C.GIVEN_UP: frozenset({C.ANSWERED}),
}

DELIVERY_CLAIMABLE = frozenset({D.WAITING, D.RETRYING})
DELIVERY_FINISHED = frozenset({D.DELIVERED, D.CANCELLED})
ARRIVAL_DELETABLE = frozenset({A.DELIVERED, A.DISCARDED})
ARRIVAL_UNDECIDED = frozenset({A.OPEN, A.CLOSED})


def check_arrival_step(before: ArrivalState, after: ArrivalState) -> None:
    """Raise StepRefused unless an arrival may go from `before` to `after`."""
    if after not in ARRIVAL_STEPS[before]:
        raise StepRefused(f"an arrival cannot go from {before} to {after}")


def check_delivery_step(before: DeliveryState, after: DeliveryState) -> None:
    """Raise StepRefused unless a delivery may go from `before` to `after`."""
    if after not in DELIVERY_STEPS[before]:
        raise StepRefused(f"a delivery cannot go from {before} to {after}")


def arrival_state_from(deliveries: Mapping[DeliveryState, int]) -> ArrivalState:
    """State of a decided arrival, from how many of its deliveries are in which state.

    The first that applies: an unfinished delivery, a delivered one, else discarded.
    """
    if any(count for state, count in deliveries.items() if state not in DELIVERY_FINISHED):
        return A.IN_DELIVERY
    if deliveries.get(D.DELIVERED, 0):
        return A.DELIVERED
    return A.DISCARDED
