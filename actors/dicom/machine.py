"""The state machine of the DICOM upper layer as data: states, events, actions and transitions of PS3.8 section 9.2.

It must not send or wait: a connection asks it which PDU may come now and what the answer is. Data transfer (DT-1, DT-2)
never asks: in ESTABLISHED a P-DATA-TF is always right and changes nothing.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from actors.dicom import pdus


class State(IntEnum):
    """PS3.8 tables 9-1 to 9-5, by their numbers (Sta1 to Sta13)."""

    IDLE = 1
    AWAITING_REQUEST = 2  # connected to us, ARTIM runs
    DECIDING = 3  # the request is with our acceptor
    CONNECTING = 4
    AWAITING_ANSWER = 5  # our request is with the peer
    ESTABLISHED = 6
    AWAITING_RELEASE = 7  # we asked for release
    RELEASE_ASKED = 8  # the peer asked for release
    COLLIDED_REQUESTOR_TO_ANSWER = 9  # both asked; the requestor of the association answers first
    COLLIDED_ACCEPTOR_AWAITS = 10
    COLLIDED_REQUESTOR_AWAITS = 11
    COLLIDED_ACCEPTOR_TO_ANSWER = 12
    AWAITING_CLOSE = 13  # our last word is said, ARTIM runs


class Event(IntEnum):
    """PS3.8 tables 9-6 to 9-9, by their numbers (Evt1 to Evt19)."""

    ASSOCIATE_REQUESTED = 1  # by us, as is all that ends in -ED
    TRANSPORT_CONFIRMED = 2
    GOT_ASSOCIATE_AC = 3
    GOT_ASSOCIATE_RJ = 4
    TRANSPORT_INDICATED = 5
    GOT_ASSOCIATE_RQ = 6
    ACCEPTED = 7
    REJECTED = 8
    DATA_REQUESTED = 9
    GOT_DATA = 10
    RELEASE_REQUESTED = 11
    GOT_RELEASE_RQ = 12
    GOT_RELEASE_RP = 13
    RELEASE_CONFIRMED = 14
    ABORT_REQUESTED = 15
    GOT_ABORT = 16
    TRANSPORT_CLOSED = 17
    ARTIM_EXPIRED = 18
    GOT_INVALID_PDU = 19


PDU_EVENTS = {
    pdus.ASSOCIATE_RQ: Event.GOT_ASSOCIATE_RQ,
    pdus.ASSOCIATE_AC: Event.GOT_ASSOCIATE_AC,
    pdus.ASSOCIATE_RJ: Event.GOT_ASSOCIATE_RJ,
    pdus.P_DATA: Event.GOT_DATA,
    pdus.RELEASE_RQ: Event.GOT_RELEASE_RQ,
    pdus.RELEASE_RP: Event.GOT_RELEASE_RP,
    pdus.ABORT: Event.GOT_ABORT,
}
"""The event that a PDU of a known type is; all others are GOT_INVALID_PDU."""


class Action(NamedTuple):
    """One action: the PDU type it sends (None: none), the source of its A-ABORT, and the state after it.

    AE-6 names the state if the request is acceptable so far (else the answer is REJECTED's), AR-8 that of the
    association's requestor (its acceptor goes to COLLIDED_ACCEPTOR_AWAITS).
    """

    name: str
    words: str
    after: State
    sends: int | None = None
    abort_source: int | None = None


_USER, _PROVIDER = 0, 2

_S = State
ACTIONS = {
    action.name: action
    for action in (
        Action("AE-1", "ask for a transport connection", _S.CONNECTING),
        Action("AE-2", "send A-ASSOCIATE-RQ", _S.AWAITING_ANSWER, pdus.ASSOCIATE_RQ),
        Action("AE-3", "tell that the peer accepted", _S.ESTABLISHED),
        Action("AE-4", "tell that the peer rejected, close", _S.IDLE),
        Action("AE-5", "accept the transport connection, start ARTIM", _S.AWAITING_REQUEST),
        Action("AE-6", "stop ARTIM, tell of the request", _S.DECIDING),
        Action("AE-7", "send A-ASSOCIATE-AC", _S.ESTABLISHED, pdus.ASSOCIATE_AC),
        Action("AE-8", "send A-ASSOCIATE-RJ, start ARTIM", _S.AWAITING_CLOSE, pdus.ASSOCIATE_RJ),
        Action("DT-1", "send P-DATA-TF", _S.ESTABLISHED, pdus.P_DATA),
        Action("DT-2", "hand over data", _S.ESTABLISHED),
        Action("AR-1", "send A-RELEASE-RQ", _S.AWAITING_RELEASE, pdus.RELEASE_RQ),
        Action("AR-2", "tell that the peer asks for release", _S.RELEASE_ASKED),
        Action("AR-3", "tell that the release is confirmed, close", _S.IDLE),
        Action("AR-4", "send A-RELEASE-RP, start ARTIM", _S.AWAITING_CLOSE, pdus.RELEASE_RP),
        Action("AR-5", "stop ARTIM", _S.IDLE),
        Action("AR-6", "hand over data that overtook the release", _S.AWAITING_RELEASE),
        Action("AR-7", "send P-DATA-TF", _S.RELEASE_ASKED, pdus.P_DATA),
        Action("AR-8", "tell that both ask for release", _S.COLLIDED_REQUESTOR_TO_ANSWER),
        Action("AR-9", "send A-RELEASE-RP", _S.COLLIDED_REQUESTOR_AWAITS, pdus.RELEASE_RP),
        Action("AR-10", "tell that the release is confirmed", _S.COLLIDED_ACCEPTOR_TO_ANSWER),
        Action("AA-1", "send A-ABORT of the user, start ARTIM", _S.AWAITING_CLOSE, pdus.ABORT, _USER),
        Action("AA-2", "stop ARTIM, close", _S.IDLE),
        Action("AA-3", "tell of the peer's abort, close", _S.IDLE),
        Action("AA-4", "tell that the connection is lost", _S.IDLE),
        Action("AA-5", "stop ARTIM", _S.IDLE),
        Action("AA-6", "ignore the PDU", _S.AWAITING_CLOSE),
        Action("AA-7", "send A-ABORT", _S.AWAITING_CLOSE, pdus.ABORT, _PROVIDER),
        Action("AA-8", "send A-ABORT of the provider, tell, start ARTIM", _S.AWAITING_CLOSE, pdus.ABORT, _PROVIDER),
    )
}
"""PS3.8 tables 9-6 to 9-9, right-hand side."""

# PS3.8 table 9-10: a row for each event, a column for each state; "." is what cannot happen.
_TABLE = """
 Evt Sta1 Sta2 Sta3 Sta4 Sta5 Sta6 Sta7 Sta8 Sta9 Sta10 Sta11 Sta12 Sta13
   1 AE-1 .    .    .    .    .    .    .    .    .     .     .     .
   2 .    .    .    AE-2 .    .    .    .    .    .     .     .     .
   3 .    AA-1 AA-8 .    AE-3 AA-8 AA-8 AA-8 AA-8 AA-8  AA-8  AA-8  AA-6
   4 .    AA-1 AA-8 .    AE-4 AA-8 AA-8 AA-8 AA-8 AA-8  AA-8  AA-8  AA-6
   5 AE-5 .    .    .    .    .    .    .    .    .     .     .     .
   6 .    AE-6 AA-8 .    AA-8 AA-8 AA-8 AA-8 AA-8 AA-8  AA-8  AA-8  AA-7
   7 .    .    AE-7 .    .    .    .    .    .    .     .     .     .
   8 .    .    AE-8 .    .    .    .    .    .    .     .     .     .
   9 .    .    .    .    .    DT-1 .    AR-7 .    .     .     .     .
  10 .    AA-1 AA-8 .    AA-8 DT-2 AR-6 AA-8 AA-8 AA-8  AA-8  AA-8  AA-6
  11 .    .    .    .    .    AR-1 .    .    .    .     .     .     .
  12 .    AA-1 AA-8 .    AA-8 AR-2 AR-8 AA-8 AA-8 AA-8  AA-8  AA-8  AA-6
  13 .    AA-1 AA-8 .    AA-8 AA-8 AR-3 AA-8 AA-8 AR-10 AR-3  AA-8  AA-6
  14 .    .    .    .    .    .    .    AR-4 AR-9 .     .     AR-4  .
  15 .    .    AA-1 AA-2 AA-1 AA-1 AA-1 AA-1 AA-1 AA-1  AA-1  AA-1  .
  16 .    AA-2 AA-3 .    AA-3 AA-3 AA-3 AA-3 AA-3 AA-3  AA-3  AA-3  AA-2
  17 .    AA-5 AA-4 AA-4 AA-4 AA-4 AA-4 AA-4 AA-4 AA-4  AA-4  AA-4  AR-5
  18 .    AA-2 .    .    .    .    .    .    .    .     .     .     AA-2
  19 .    AA-1 AA-8 .    AA-8 AA-8 AA-8 AA-8 AA-8 AA-8  AA-8  AA-8  AA-7
"""
TRANSITIONS: dict[tuple[Event, State], Action] = {
    (Event(int(row[0])), state): ACTIONS[name]
    for row in (line.split() for line in _TABLE.strip().splitlines()[1:])
    for state, name in zip(State, row[1:], strict=True)
    if name != "."
}


_SENT = {
    pdus.ASSOCIATE_RQ: (Event.ASSOCIATE_REQUESTED, Event.TRANSPORT_CONFIRMED),
    pdus.ASSOCIATE_AC: (Event.ACCEPTED,),
    pdus.ASSOCIATE_RJ: (Event.REJECTED,),
    pdus.RELEASE_RQ: (Event.RELEASE_REQUESTED,),
    pdus.RELEASE_RP: (Event.RELEASE_CONFIRMED,),
}
"""What a PDU of ours carries out. Connecting and P-DATA-TF change nothing by themselves."""


class Machine:
    """Where one association stands; used by the connection's thread only. Who sends the request is its requestor.

    In AWAITING_CLOSE our sending side is shut already, so what the table calls AA-7 there is an AA-6 for us.
    """

    def __init__(self) -> None:
        self.state = State.IDLE
        self._requestor = False

    def listen(self) -> None:
        """A connection that was opened to us is read from for the first time."""
        if self.state is State.IDLE:
            self.did(Event.TRANSPORT_INDICATED)

    def did(self, event: Event) -> Action | None:
        """Take a step; None (and no step) if the table has none, as for an abort when all is over."""
        action = TRANSITIONS.get((event, self.state))
        if action is not None:
            self.state = action.after
            if action.name == "AE-1":
                self._requestor = True
            elif action.name == "AR-8" and not self._requestor:
                self.state = State.COLLIDED_ACCEPTOR_AWAITS
        return action

    def sent(self, kind: int) -> None:
        """A PDU of this type of ours goes out."""
        for event in _SENT.get(kind, ()):
            self.did(event)

    def received(self, kind: int) -> Action | None:
        """A PDU of this type has come whole."""
        return self.did(PDU_EVENTS.get(kind, Event.GOT_INVALID_PDU))

    def expect(self, kind: int) -> None:
        """Raises InvalidPdu: a PDU of this type may not come now. `abort` has the answer, the one for an invalid PDU."""
        action = TRANSITIONS.get((PDU_EVENTS.get(kind, Event.GOT_INVALID_PDU), self.state))
        if action is None or action.abort_source is not None:
            words = self.state.name.lower().replace("_", " ")
            raise pdus.InvalidPdu(f"PDU type {kind:02X} in the state '{words}'", pdus.UNEXPECTED_PDU)

    def abort(self, invalid: int | None = None) -> tuple[int, int] | None:
        """(source, reason) of the A-ABORT that has to go out now, or None if there is none to send.

        `invalid` is the reason (PS3.8 table 9-26) if a PDU of the peer's is why; else ending is our user's wish.
        """
        if self.state is State.AWAITING_CLOSE:
            return None
        if invalid is not None and self.state is State.DECIDING:
            self.state = State.AWAITING_REQUEST  # the request could not be read, so it was none
        action = self.did(Event.ABORT_REQUESTED if invalid is None else Event.GOT_INVALID_PDU)
        if action is None or action.abort_source is None:
            return None
        # The reason says something only if the provider is the source.
        return action.abort_source, (invalid or 0) if action.abort_source == _PROVIDER else 0
