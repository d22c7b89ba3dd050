"""What is negotiated beside the presentation contexts: held against pynetdicom's codec and real pynetdicom peers."""

from __future__ import annotations

import logging
import socket
import struct
from dataclasses import replace

import pytest
from dicom_fakes import RecordingHandler, node, raw_peer, read_pdu, running_scp
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE, pdu_primitives
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_items import (
    AsynchronousOperationsWindowSubItem,
    ImplementationClassUIDSubItem,
    ImplementationVersionNameSubItem,
    MaximumLengthSubItem,
    SCP_SCU_RoleSelectionSubItem,
    SOPClassCommonExtendedNegotiationSubItem,
    SOPClassExtendedNegotiationSubItem,
    UserIdentitySubItemAC,
    UserIdentitySubItemRQ,
)
from pynetdicom.sop_class import _NON_PATIENT_OBJECT_CLASSES as NON_PATIENT_OBJECT_CLASSES

from actors.dicom import dimse, pdus
from actors.dicom.negotiation import STORAGE_INFORMATION, STORAGE_SERVICE, answer_user, choose_all, is_storage
from actors.dicom.pdus import AssociateAc, AssociateRq, ContextResult, InvalidPdu, ProposedContext
from actors.dicom.scu import VERIFICATION_CONTEXT, open_association
from actors.dicom.upper import fragments
from actors.dicom.userinfo import (
    JWT,
    NOTHING,
    PASSCODE,
    USERNAME,
    CommonExtended,
    ExtendedNegotiation,
    RoleSelection,
    UserIdentity,
    UserInformation,
)
from tests.peers import HOST

CT = ProposedContext(1, CTImageStorage, (ExplicitVRLittleEndian,))
UNKNOWN, QUERY_SERVICE = "1.2.840.10008.5.1.4.1.1.999.1", "1.2.840.10008.4.9"

uids = st.lists(st.integers(1, 10**9), min_size=2, max_size=6).map(lambda parts: ".".join(map(str, parts)))
names = st.text(st.sampled_from("ABCxyz019_-. /"), min_size=1, max_size=16).map(str.strip).filter(bool)


@st.composite
def user_information(draw: st.DrawFn, answer: bool) -> UserInformation:
    classes = draw(st.lists(uids, unique=True, min_size=3, max_size=6))
    identity = None
    if not answer and draw(st.booleans()):
        kind = draw(st.integers(1, 5))
        secondary = draw(st.binary(max_size=20)) if kind == PASSCODE else b""
        identity = UserIdentity(kind, draw(st.booleans()), draw(st.binary(min_size=1, max_size=40)), secondary)
    return UserInformation(
        max_pdu=draw(st.integers(0, 2**32 - 1)),
        implementation_class_uid=draw(uids),
        implementation_version=draw(names),
        operations=draw(st.none() | st.tuples(st.integers(0, 65535), st.integers(0, 65535))),
        roles=tuple(RoleSelection(uid, draw(st.booleans()), draw(st.booleans())) for uid in classes[:2]),
        extended=tuple(ExtendedNegotiation(uid, draw(st.binary(min_size=1, max_size=12))) for uid in classes[1:3]),
        common=() if answer else tuple(
            CommonExtended(uid, draw(uids), tuple(draw(st.lists(uids, max_size=3)))) for uid in classes[2:4]
        ),
        identity=identity,
        identity_answer=draw(st.none() | st.binary(max_size=20)) if answer else None,
    )  # fmt: skip


def as_theirs(user: UserInformation) -> list[object]:
    """The same as pynetdicom's sub-items, in the order of their types."""
    found: list[object] = []

    def add(item: object, **values: object) -> None:
        for name, value in values.items():
            setattr(item, name, value)
        found.append(item)

    add(MaximumLengthSubItem(), maximum_length_received=user.max_pdu)
    add(ImplementationClassUIDSubItem(), implementation_class_uid=user.implementation_class_uid)
    if user.operations is not None:
        invoked, performed = user.operations
        add(
            AsynchronousOperationsWindowSubItem(),
            maximum_number_operations_invoked=invoked, maximum_number_operations_performed=performed,
        )  # fmt: skip
    for role in user.roles:
        add(SCP_SCU_RoleSelectionSubItem(), sop_class_uid=role.sop_class_uid, scu_role=role.scu, scp_role=role.scp)
    add(ImplementationVersionNameSubItem(), implementation_version_name=user.implementation_version)
    for said in user.extended:
        add(
            SOPClassExtendedNegotiationSubItem(),
            sop_class_uid=said.sop_class_uid, service_class_application_information=said.information,
        )  # fmt: skip
    for known in user.common:
        add(
            SOPClassCommonExtendedNegotiationSubItem(),
            sop_class_uid=known.sop_class_uid, service_class_uid=known.service_class_uid,
            related_general_sop_class_identification=list(known.related),
        )  # fmt: skip
    if user.identity is not None:
        who = user.identity
        add(
            UserIdentitySubItemRQ(),
            user_identity_type=who.kind, positive_response_requested=int(who.wants_response),
            primary_field=who.primary, secondary_field=who.secondary,
        )  # fmt: skip
    if user.identity_answer is not None:
        add(UserIdentitySubItemAC(), server_response=user.identity_answer)
    return found


def their_bytes(user: UserInformation) -> bytes:
    return b"".join(item.encode() for item in as_theirs(user))  # type: ignore[attr-defined]


# -- as bytes ----------------------------------------------------------------------------------------------------


@given(user_information(answer=False))
def test_a_request_is_written_as_pynetdicom_writes_it_and_read_by_both(user: UserInformation) -> None:
    assert user.encode()[4:] == their_bytes(user)
    assert UserInformation.decode(their_bytes(user)) == user
    request = AssociateRq("PACS", "SENDER", (CT,), user.max_pdu, roles=user.roles, user=user)
    theirs = A_ASSOCIATE_RQ()
    theirs.decode(request.encode())
    again = AssociateRq.decode(theirs.encode()[6:])
    assert (again.user, again.roles, again.max_pdu, again.contexts) == (user, user.roles, user.max_pdu, (CT,))


@given(user_information(answer=True))
def test_an_acceptance_is_written_as_pynetdicom_writes_it_and_read_by_both(user: UserInformation) -> None:
    assert user.encode()[4:] == their_bytes(user)
    accept = AssociateAc((ContextResult(1, 0, CT.transfer_syntaxes[0]),), user.max_pdu, roles=user.roles, user=user)
    theirs = A_ASSOCIATE_AC()
    theirs.decode(accept.encode())
    again = AssociateAc.decode(theirs.encode()[6:])
    assert (again.user, again.roles, again.max_pdu) == (user, user.roles, user.max_pdu)


@given(user_information(answer=False), st.data())
def test_a_cut_or_changed_item_is_an_invalid_pdu_or_another_value(user: UserInformation, data: st.DataObject) -> None:
    raw = bytearray(user.encode()[4:])
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        UserInformation.decode(bytes(raw[: data.draw(st.integers(0, len(raw)))]))
    except InvalidPdu as exc:
        assert str(exc).isascii()


def test_what_is_missing_is_nothing_and_unknown_items_are_skipped() -> None:
    assert UserInformation.decode(b"") == NOTHING
    assert UserInformation.decode(b"\x7f\x00\x00\x02ab\x51\x00\x00\x04\0\0\1\0") == UserInformation(256, "", "")


def test_a_user_is_never_part_of_a_text() -> None:
    who = UserIdentity(PASSCODE, True, b"jane.doe", b"secret")
    request = AssociateRq("A", "B", (CT,), 0, user=UserInformation(identity=who, identity_answer=b"ticket"))
    text = repr(request) + repr(AssociateRq.decode(request.encode()[6:]))
    assert "jane" not in text and "secret" not in text and "ticket" not in text


# -- what is accepted --------------------------------------------------------------------------------------------


def test_an_unknown_class_is_stored_unless_it_says_that_it_is_of_another_service() -> None:
    assert is_storage(UNKNOWN)
    assert is_storage(UNKNOWN, CommonExtended(UNKNOWN, STORAGE_SERVICE))
    assert is_storage(UNKNOWN, CommonExtended(UNKNOWN, "", (CTImageStorage,)))
    assert not is_storage(UNKNOWN, CommonExtended(UNKNOWN, QUERY_SERVICE))
    assert not is_storage(UNKNOWN, CommonExtended(UNKNOWN, QUERY_SERVICE, ("1.2.840.10008.5.1.4.1.2.2.1", "9.9")))


@pytest.mark.parametrize("uid", sorted(NON_PATIENT_OBJECT_CLASSES.values()))
def test_objects_without_a_patient_are_refused_at_negotiation(uid: str) -> None:
    proposed = ProposedContext(3, uid, (ExplicitVRLittleEndian,))
    assert [one.result for one in choose_all((CT, proposed))] == [pdus.ACCEPTED, pdus.ABSTRACT_SYNTAX_NOT_SUPPORTED]
    assert not is_storage(UNKNOWN, CommonExtended(UNKNOWN, "", (uid,)))


def test_what_is_said_of_a_class_counts_for_that_class_and_not_against_the_registry() -> None:
    contexts = (
        CT,
        ProposedContext(3, UNKNOWN, CT.transfer_syntaxes),
        ProposedContext(5, "1.2.3", CT.transfer_syntaxes),
    )
    common = [CommonExtended(CTImageStorage, QUERY_SERVICE), CommonExtended(UNKNOWN, QUERY_SERVICE)]
    assert [result.result for result in choose_all(contexts, common=common)] == [0, 3, 0]


def test_an_answer_says_only_what_was_asked_for() -> None:
    silent = answer_user(NOTHING, {CTImageStorage})
    assert (silent.operations, silent.extended, silent.common, silent.identity_answer) == (None, (), (), None)
    asked = UserInformation(
        operations=(0, 5),
        extended=(ExtendedNegotiation(CTImageStorage, b"\2\0\0\0\0\0"), ExtendedNegotiation("1.2.840.10008.1.1", b"x")),
        common=(CommonExtended(CTImageStorage, STORAGE_SERVICE),),
    )
    answer = answer_user(asked, {CTImageStorage})
    assert answer.operations == (1, 1) and answer.common == ()
    assert answer.extended == (ExtendedNegotiation(CTImageStorage, STORAGE_INFORMATION),)


@pytest.mark.parametrize(
    ("kind", "wants", "answer"),
    [(USERNAME, True, b""), (PASSCODE, True, b""), (USERNAME, False, None), (JWT, True, None), (9, True, None)],
)
def test_a_user_is_confirmed_if_it_asks_and_a_name_is_all_there_is(
    kind: int, wants: bool, answer: bytes | None
) -> None:
    asked = UserInformation(identity=UserIdentity(kind, wants, b"jane"))
    assert answer_user(asked, set()).identity_answer == answer


def test_another_protocol_or_application_is_rejected_as_the_standard_says() -> None:
    request = AssociateRq("SCANPOST", "RAW", (CT,), 16384)
    for other, answer in (
        (b"\0\2" + request.encode()[8:], (1, 2, 2)),  # PS3.8 table 9-21
        (replace(request, application_context="1.2.3").encode()[6:], (1, 1, 2)),
        (b"\0\3" + request.encode()[8:], None),  # of several versions ours is one
    ):
        handler = RecordingHandler()
        with running_scp(handler) as port, socket.create_connection((HOST, port), timeout=60) as sock:
            sock.sendall(struct.pack(">BxI", pdus.ASSOCIATE_RQ, len(other)) + other)
            kind, body = read_pdu(sock)
        if answer is None:
            assert kind == pdus.ASSOCIATE_AC
        else:
            assert (kind, body) == (pdus.ASSOCIATE_RJ, bytes((0, *answer)))
            assert not handler.opened_ids


# -- with real peers ---------------------------------------------------------------------------------------------


def negotiation(**fields: object) -> list[object]:
    """pynetdicom's primitives for everything that can be negotiated."""
    identity = pdu_primitives.UserIdentityNegotiation()
    identity.user_identity_type = 2
    identity.positive_response_requested = True
    identity.primary_field, identity.secondary_field = b"jane.doe", b"secret"
    extended = pdu_primitives.SOPClassExtendedNegotiation()
    extended.sop_class_uid = CTImageStorage
    extended.service_class_application_information = b"\x02\x00\x00\x00\x00\x00"
    common = pdu_primitives.SOPClassCommonExtendedNegotiation()
    common.sop_class_uid, common.service_class_uid = UNKNOWN, STORAGE_SERVICE
    common.related_general_sop_class_identification = [CTImageStorage]
    window = pdu_primitives.AsynchronousOperationsWindowNegotiation()
    window.maximum_number_operations_invoked = window.maximum_number_operations_performed = 8
    return [identity, extended, common, window]


def test_pynetdicom_negotiates_everything_and_gets_its_answers(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "actors")
    handler = RecordingHandler()
    entity = AE("PYNET")
    entity.implementation_version_name = "THEIRS_1"
    for uid in (CTImageStorage, UNKNOWN, "1.2.840.10008.1.1"):
        entity.add_requested_context(uid, ExplicitVRLittleEndian)
    with running_scp(handler) as port:
        association = entity.associate(HOST, port, ext_neg=negotiation())
        assert association.is_established
        assert {context.abstract_syntax for context in association.accepted_contexts} == {
            CTImageStorage, UNKNOWN, "1.2.840.10008.1.1",
        }  # fmt: skip
        acceptor = association.acceptor
        assert acceptor.user_identity.server_response == b""
        assert acceptor.sop_class_extended == {CTImageStorage: STORAGE_INFORMATION}
        assert acceptor.asynchronous_operations == (1, 1)
        assert association.send_c_echo().Status == 0
        association.release()
        handler.wait(lambda: handler.closed_ids)
    (peer,) = handler.peers
    assert peer.implementation_version == "THEIRS_1"
    assert peer.implementation_class_uid == entity.implementation_class_uid
    assert "jane" not in caplog.text and "secret" not in caplog.text


def test_a_sender_gets_to_know_who_its_target_is() -> None:
    def serve(sock: socket.socket) -> None:
        read_pdu(sock)
        user = UserInformation(0, "1.2.3", "THEIRS_2", operations=(1, 1), identity_answer=b"unasked")
        accept = AssociateAc((ContextResult(1, 0, VERIFICATION_CONTEXT[1]),), 16384, user=user)
        sock.sendall(accept.encode())
        read_pdu(sock)
        sock.sendall(pdus.RELEASE_RP_PDU)

    with raw_peer(serve) as port:
        assert open_association(node(port), [VERIFICATION_CONTEXT]).release()


# -- the command and its context ---------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [10, 3_000_000])
def test_an_object_of_another_class_than_its_context_is_refused_and_the_next_one_stored(size: int) -> None:
    handler = RecordingHandler()

    def store(sop_class: str, dataset: bytes) -> bytes:
        command = dimse.store_request(1, sop_class, "1.2.3")
        parts = fragments(1, command, True, True, 16384) + fragments(1, dataset, False, True, 16384)
        return b"".join(bytes(part) for part in parts)

    def status(sock: socket.socket) -> int:
        return dimse.decode(read_pdu(sock)[1][6:]).number(dimse.STATUS)

    with running_scp(handler) as port, socket.create_connection((HOST, port), timeout=60) as sock:
        sock.sendall(AssociateRq("SCANPOST", "RAW", (CT,), 16384).encode())
        assert read_pdu(sock)[0] == pdus.ASSOCIATE_AC
        sock.sendall(store("1.2.840.10008.5.1.4.1.1.4", bytes(size)))
        assert status(sock) == 0x0122
        sock.sendall(store(CTImageStorage, b"data"))
        assert status(sock) == 0
        sock.sendall(store("31", b"slip"))
        assert status(sock) == 0
    assert handler.datasets == [b"data", b"slip"]
