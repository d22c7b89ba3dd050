"""The state machine is the standard's, and both sides answer every PDU type in every state they can be in by it."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable

import pytest
from dicom_fakes import RecordingHandler, node, raw_peer, read_all, read_pdu, running_scp
from hypothesis import given
from hypothesis import strategies as st
from pynetdicom import fsm

from actors.dicom import dimse, pdus
from actors.dicom.machine import ACTIONS, PDU_EVENTS, TRANSITIONS, Event, Machine, State
from actors.dicom.pdus import ACCEPTED, AssociateAc, AssociateRq, ContextResult, ProposedContext
from actors.dicom.scu import VERIFICATION_CONTEXT, Association, open_association
from actors.dicom.upper import fragments
from protocol.errors import AssociationRejected, NetworkError
from tests.peers import HOST

CONTEXT = ProposedContext(1, VERIFICATION_CONTEXT[0], VERIFICATION_CONTEXT[1:])


def data(command: bytes) -> bytes:
    return b"".join(bytes(part) for part in fragments(1, command, True, True, 16384))


ECHO = data(dimse.echo_request(1))
ECHO_ANSWER = data(dimse.response_to(dimse.decode(dimse.echo_request(1)), 0))
PDUS = {
    pdus.ASSOCIATE_RQ: AssociateRq("SCANPOST", "RAW", (CONTEXT,), 16384).encode(),
    pdus.ASSOCIATE_AC: AssociateAc((ContextResult(1, ACCEPTED, VERIFICATION_CONTEXT[1]),), 16384).encode(),
    pdus.ASSOCIATE_RJ: pdus.encode_reject(1, 1, 1),
    pdus.P_DATA: ECHO,
    pdus.RELEASE_RQ: pdus.RELEASE_RQ_PDU,
    pdus.RELEASE_RP: pdus.RELEASE_RP_PDU,
    pdus.ABORT: pdus.encode_abort(0, 0),
    0x08: struct.pack(">BxI", 8, 4) + bytes(4),
    0xFF: struct.pack(">BxI", 0xFF, 0),
}
each_pdu = pytest.mark.parametrize("kind", PDUS, ids=lambda kind: f"{kind:02X}")


def abort_by_table(state: State, kind: int) -> bytes:
    """The A-ABORT that table 9-10 wants for this PDU in this state; empty if none."""
    action = TRANSITIONS[PDU_EVENTS.get(kind, Event.GOT_INVALID_PDU), state]
    if action.abort_source is None:
        return b""
    code = pdus.UNEXPECTED_PDU if kind in PDU_EVENTS else pdus.UNRECOGNISED_PDU
    return pdus.encode_abort(action.abort_source, code if action.abort_source == 2 else 0)


# -- the table ---------------------------------------------------------------------------------------------------


def test_the_table_is_that_of_pynetdicom() -> None:
    ours = {(f"Evt{event}", f"Sta{state}"): action.name for (event, state), action in TRANSITIONS.items()}
    assert ours == fsm.TRANSITION_TABLE
    assert len(Event) == len(fsm.EVENTS) and len(State) == len(fsm.STATES)


def test_every_action_leads_where_that_of_pynetdicom_leads() -> None:
    for name, (_, _, after) in fsm.ACTIONS.items():
        assert f"Sta{ACTIONS[name].after}" == (after if isinstance(after, str) else after[0])
    machine = Machine()
    machine.state = State.AWAITING_RELEASE
    machine.received(pdus.RELEASE_RQ)
    assert f"Sta{machine.state}" == fsm.ACTIONS["AR-8"][2][1]


def test_an_acceptor_that_collides_answers_last() -> None:
    machine = Machine()
    machine.state = State.ESTABLISHED
    steps = [machine.did(Event.RELEASE_REQUESTED), machine.received(pdus.RELEASE_RQ)]
    assert machine.did(Event.RELEASE_CONFIRMED) is None
    steps += [machine.received(pdus.RELEASE_RP), machine.did(Event.RELEASE_CONFIRMED)]
    assert [step and step.name for step in steps] == ["AR-1", "AR-8", "AR-10", "AR-4"]
    assert machine.state is State.AWAITING_CLOSE


def test_a_requestor_that_collides_answers_first() -> None:
    machine = Machine()
    machine.sent(pdus.ASSOCIATE_RQ)
    machine.received(pdus.ASSOCIATE_AC)
    machine.sent(pdus.RELEASE_RQ)
    machine.received(pdus.RELEASE_RQ)
    assert machine.state is State.COLLIDED_REQUESTOR_TO_ANSWER
    machine.sent(pdus.RELEASE_RP)
    assert machine.state is State.COLLIDED_REQUESTOR_AWAITS
    machine.received(pdus.RELEASE_RP)
    assert machine.state is State.IDLE


def test_an_abort_before_an_association_stands_is_the_users() -> None:
    """Whether the request could not be read, or our acceptor does not want to go on with it."""
    for reason in (None, pdus.INVALID_PARAMETER):
        machine = Machine()
        machine.listen()
        machine.received(pdus.ASSOCIATE_RQ)
        assert machine.abort(reason) == (0, 0)
        assert machine.state is State.AWAITING_CLOSE


def test_nothing_is_sent_to_a_peer_that_is_not_reached_yet() -> None:
    machine = Machine()
    machine.did(Event.ASSOCIATE_REQUESTED)
    assert machine.abort() is None
    assert machine.state is State.IDLE


def may_come(machine: Machine, kind: int) -> bool:
    try:
        machine.expect(kind)
    except pdus.InvalidPdu as exc:
        assert exc.code == pdus.UNEXPECTED_PDU
        return False
    return True


@given(st.booleans(), st.lists(st.sampled_from(Event) | st.integers(0, 255)))
def test_no_order_of_events_leaves_the_table_or_aborts_twice(requestor: bool, events: list[Event | int]) -> None:
    machine = Machine()
    machine.sent(pdus.ASSOCIATE_RQ) if requestor else machine.listen()
    for event in events:
        before = machine.state
        expected = None if isinstance(event, Event) else may_come(machine, event)
        action = machine.did(event) if isinstance(event, Event) else machine.received(event)
        assert (machine.state is before) if action is None else True
        if expected is not None:
            assert expected == (action is not None and action.abort_source is None)
        if machine.state is State.AWAITING_CLOSE:
            assert machine.abort() is None and machine.abort(1) is None


# -- as acceptor -------------------------------------------------------------------------------------------------


@pytest.fixture
def handler() -> RecordingHandler:
    return RecordingHandler()


def connect(port: int) -> socket.socket:
    return socket.create_connection((HOST, port), timeout=60)


@each_pdu
def test_sta2_a_peer_that_only_connected(handler: RecordingHandler, kind: int) -> None:
    with running_scp(handler) as port, connect(port) as sock:
        sock.sendall(PDUS[kind])
        if kind == pdus.ASSOCIATE_RQ:
            assert read_pdu(sock)[0] == pdus.ASSOCIATE_AC
            sock.sendall(PDUS[pdus.ABORT])
        assert read_all(sock) == abort_by_table(State.AWAITING_REQUEST, kind)


@each_pdu
def test_sta6_an_open_association(handler: RecordingHandler, kind: int) -> None:
    with running_scp(handler) as port, connect(port) as sock:
        sock.sendall(PDUS[pdus.ASSOCIATE_RQ])
        assert read_pdu(sock)[0] == pdus.ASSOCIATE_AC
        sock.sendall(PDUS[kind])
        if kind == pdus.P_DATA:
            assert read_pdu(sock)[0] == pdus.P_DATA
            sock.sendall(PDUS[pdus.ABORT])
        answer = pdus.RELEASE_RP_PDU if kind == pdus.RELEASE_RQ else abort_by_table(State.ESTABLISHED, kind)
        assert read_all(sock) == answer
        handler.wait(lambda: handler.closed_ids)
    assert handler.endings == ["released" if kind == pdus.RELEASE_RQ else "aborted"]


@each_pdu
def test_sta13_after_our_last_word(handler: RecordingHandler, kind: int) -> None:
    handler.on_requested = lambda peer: "unknown source"
    with running_scp(handler) as port, connect(port) as sock:
        sock.sendall(PDUS[pdus.ASSOCIATE_RQ])
        assert read_pdu(sock) == (pdus.ASSOCIATE_RJ, bytes((0, 1, 1, 3)))
        sock.sendall(PDUS[kind])
        sock.shutdown(socket.SHUT_WR)
        assert read_all(sock) == b""
    assert not handler.opened_ids


def test_a_release_that_comes_together_with_its_last_message_is_answered_after_it(handler: RecordingHandler) -> None:
    with running_scp(handler) as port, connect(port) as sock:
        sock.sendall(PDUS[pdus.ASSOCIATE_RQ] + ECHO + pdus.RELEASE_RQ_PDU)
        assert [read_pdu(sock)[0] for _ in range(3)] == [pdus.ASSOCIATE_AC, pdus.P_DATA, pdus.RELEASE_RP]
        assert read_all(sock) == b""


# -- as requestor ------------------------------------------------------------------------------------------------


class Heard:
    """What a raw acceptor gets to hear after it said something; `until` brings the association into its state."""

    def __init__(self, until: Callable[[socket.socket], None], say: bytes) -> None:
        self._until, self._say = until, say
        self.after = b""

    def __call__(self, sock: socket.socket) -> None:
        self._until(sock)
        sock.sendall(self._say)
        try:
            self.after = read_all(sock)
        except OSError:  # a close with unread bytes resets
            pass


def requested(sock: socket.socket) -> None:
    assert read_pdu(sock)[0] == pdus.ASSOCIATE_RQ


def accepted(sock: socket.socket) -> None:
    requested(sock)
    sock.sendall(PDUS[pdus.ASSOCIATE_AC])
    assert read_pdu(sock)[0] == pdus.P_DATA


def release_asked(sock: socket.socket) -> None:
    requested(sock)
    sock.sendall(PDUS[pdus.ASSOCIATE_AC])
    assert read_pdu(sock)[0] == pdus.RELEASE_RQ


def collided(sock: socket.socket) -> None:
    release_asked(sock)
    sock.sendall(pdus.RELEASE_RQ_PDU)
    assert read_pdu(sock)[0] == pdus.RELEASE_RP


@each_pdu
def test_sta5_the_answer_to_our_request(kind: int) -> None:
    heard = Heard(requested, PDUS[kind] + (PDUS[pdus.RELEASE_RP] if kind == pdus.ASSOCIATE_AC else b""))
    with raw_peer(heard) as port:
        if kind == pdus.ASSOCIATE_AC:
            assert open_association(node(port), [VERIFICATION_CONTEXT]).release()
        else:
            with pytest.raises(AssociationRejected if kind == pdus.ASSOCIATE_RJ else NetworkError):
                open_association(node(port), [VERIFICATION_CONTEXT])
    released = pdus.RELEASE_RQ_PDU if kind == pdus.ASSOCIATE_AC else b""
    assert heard.after == released + abort_by_table(State.AWAITING_ANSWER, kind)


@each_pdu
def test_sta6_while_we_wait_for_an_answer(kind: int) -> None:
    said = ECHO_ANSWER + PDUS[pdus.RELEASE_RP] if kind == pdus.P_DATA else PDUS[kind]
    heard = Heard(accepted, said)
    with raw_peer(heard) as port:
        association = open_association(node(port), [VERIFICATION_CONTEXT])
        if kind == pdus.P_DATA:
            assert association.echo() == 0
            assert association.release()
        else:
            with pytest.raises(NetworkError):
                association.echo()
            assert not association.usable
    if kind == pdus.P_DATA:
        assert heard.after == pdus.RELEASE_RQ_PDU
    elif kind == pdus.RELEASE_RQ:  # AR-2; instead of confirming we abort, since an answer is owed to us (Evt15, AA-1)
        assert heard.after == pdus.encode_abort(0, 0)
    else:
        assert heard.after == abort_by_table(State.ESTABLISHED, kind)


@each_pdu
def test_sta7_after_we_asked_for_release(kind: int) -> None:
    ends = b"" if kind not in (pdus.P_DATA, pdus.RELEASE_RQ) else PDUS[pdus.RELEASE_RP]
    heard = Heard(release_asked, PDUS[kind] + ends)
    with raw_peer(heard) as port:
        released = open_association(node(port), [VERIFICATION_CONTEXT]).release()
    assert released == (kind in (pdus.RELEASE_RP, pdus.P_DATA, pdus.RELEASE_RQ))
    answer = pdus.RELEASE_RP_PDU if kind == pdus.RELEASE_RQ else abort_by_table(State.AWAITING_RELEASE, kind)
    assert heard.after == answer


@each_pdu
def test_sta11_after_both_asked_and_we_answered_first(kind: int) -> None:
    heard = Heard(collided, PDUS[kind])
    with raw_peer(heard) as port:
        released = open_association(node(port), [VERIFICATION_CONTEXT]).release()
    assert released == (kind == pdus.RELEASE_RP)
    assert heard.after == abort_by_table(State.COLLIDED_REQUESTOR_AWAITS, kind)


def test_an_abort_of_our_own_says_user_and_comes_once() -> None:
    heard = Heard(requested, PDUS[pdus.ASSOCIATE_AC])
    with raw_peer(heard) as port:
        association: Association = open_association(node(port), [VERIFICATION_CONTEXT])
        association.abort()
        association.abort()
    assert heard.after == pdus.encode_abort(0, 0)
