"""Association PDUs and command sets as bytes: held against pynetdicom's codec, and against bytes that are wrong."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, JPEGBaseline8Bit
from pynetdicom.pdu import A_ABORT_RQ, A_ASSOCIATE_AC, A_ASSOCIATE_RJ, A_ASSOCIATE_RQ, A_RELEASE_RP, A_RELEASE_RQ

from actors.dicom import dimse, pdus
from actors.dicom.negotiation import choose, is_storage
from actors.dicom.pdus import AssociateAc, AssociateRq, ContextResult, InvalidPdu, ProposedContext, RoleSelection
from actors.dicom.upper import fragments
from actors.dicom.userinfo import UserInformation

REQUEST = AssociateRq(
    "PACS", "SENDER", (ProposedContext(1, CTImageStorage, (ExplicitVRLittleEndian, JPEGBaseline8Bit)),), 131072
)


def test_pynetdicom_reads_our_association_request() -> None:
    theirs = A_ASSOCIATE_RQ()
    theirs.decode(REQUEST.encode())
    assert theirs.called_ae_title == "PACS" and theirs.calling_ae_title == "SENDER"
    assert theirs.user_information.maximum_length == 131072
    (context,) = theirs.presentation_context
    assert context.context_id == 1
    assert context.abstract_syntax == CTImageStorage
    assert context.transfer_syntax == [ExplicitVRLittleEndian, JPEGBaseline8Bit]


def test_our_pdus_are_those_of_pynetdicom_byte_for_byte() -> None:
    user = UserInformation(implementation_class_uid="1.2.3", implementation_version="V")
    accept = AssociateAc((ContextResult(3, 0, ExplicitVRLittleEndian), ContextResult(5, 4, "1.2")), 65536, user=user)
    for ours, theirs in (
        (REQUEST.encode(), A_ASSOCIATE_RQ()),
        (accept.encode(), A_ASSOCIATE_AC()),
        (pdus.encode_reject(2, 3, 2), A_ASSOCIATE_RJ()),
        (pdus.RELEASE_RQ_PDU, A_RELEASE_RQ()),
        (pdus.RELEASE_RP_PDU, A_RELEASE_RP()),
        (pdus.encode_abort(2, 6), A_ABORT_RQ()),
    ):
        theirs.decode(ours)
        assert theirs.encode() == ours


def test_pynetdicom_reads_our_acceptance_and_rejection() -> None:
    accept = A_ASSOCIATE_AC()
    accept.decode(AssociateAc((ContextResult(3, 0, ExplicitVRLittleEndian),), 65536, bytes(64)).encode())
    (context,) = accept.presentation_context
    assert (context.context_id, context.result, context.transfer_syntax) == (3, 0, ExplicitVRLittleEndian)
    reject = A_ASSOCIATE_RJ()
    reject.decode(pdus.encode_reject(2, 3, 2))
    assert (reject.result, reject.source, reject.reason_diagnostic) == (2, 3, 2)


def test_a_request_survives_encoding_and_decoding() -> None:
    body = REQUEST.encode()[6:]
    titles = b"PACS".ljust(16) + b"SENDER".ljust(16) + bytes(32)
    assert AssociateRq.decode(body) == replace(REQUEST, titles=titles, user=UserInformation(131072))
    other = b"\0\3\0\0" + b"OTHER".ljust(16) + b"S" * 16 + b"x" * 32
    again = AssociateRq.decode(body).with_head(other + b"what follows is not read")
    assert (again.version, again.called_ae, again.calling_ae) == (3, "OTHER", "S" * 16)
    assert again.titles == other[4:] and again.contexts == REQUEST.contexts


def test_an_acceptance_survives_encoding_and_decoding_and_takes_other_titles() -> None:
    contexts = (ContextResult(3, 0, ExplicitVRLittleEndian), ContextResult(5, 4, ""))
    accept = AssociateAc(contexts, 65536, b"t" * 64, user=UserInformation(65536))
    assert AssociateAc.decode(accept.encode()[6:]) == accept
    titles = bytes(range(64))
    assert pdus.with_titles(accept.encode(), titles) == replace(accept, titles=titles).encode()


def test_a_head_alone_proposes_and_accepts_nothing() -> None:
    for decode in (AssociateRq.decode, AssociateAc.decode):
        assert decode(bytes(68)).contexts == ()
        with pytest.raises(InvalidPdu):
            decode(bytes(67))


def test_ae_titles_padded_with_nul_and_unknown_items_are_accepted() -> None:
    body = bytearray(REQUEST.encode()[6:])
    body[20:36] = b"MR1\0\0".ljust(16, b"\0")
    body += b"\x77\x00\x00\x02ab"
    again = AssociateRq.decode(bytes(body))
    assert again.calling_ae == "MR1" and again.contexts == REQUEST.contexts


def test_control_characters_in_an_ae_title_cannot_forge_a_log_line() -> None:
    body = bytearray(REQUEST.encode()[6:])
    body[20:36] = b"A\nB\x1b[31m\xff".ljust(16)
    assert AssociateRq.decode(bytes(body)).calling_ae == "A?B?[31m?"


@given(st.binary(max_size=300))
def test_any_bytes_are_either_a_request_or_an_invalid_pdu(noise: bytes) -> None:
    for body in (noise, REQUEST.encode()[6:74] + noise):
        for decoder in (AssociateRq.decode, AssociateAc.decode, dimse.decode):
            try:
                decoder(body)
            except InvalidPdu:
                pass


@pytest.mark.parametrize("cut", [1, 10, 67, 80, 120])
def test_a_request_cut_off_is_an_invalid_pdu(cut: int) -> None:
    with pytest.raises(InvalidPdu):
        AssociateRq.decode(REQUEST.encode()[6:][:cut])


def test_a_presentation_context_that_is_cut_off_is_an_invalid_pdu() -> None:
    for decode, kind in ((AssociateRq.decode, b"\x20"), (AssociateAc.decode, b"\x21")):
        (context,) = decode(bytes(68) + kind + b"\0\0\4\5\0\0\0").contexts
        assert context in (ProposedContext(5, "", ()), ContextResult(5, 0, ""))
        with pytest.raises(InvalidPdu, match="presentation context"):
            decode(bytes(68) + kind + b"\0\0\3\5\0\0")


def test_a_command_survives_encoding_and_decoding() -> None:
    command = dimse.decode(dimse.store_request(7, CTImageStorage, "1.2.3"))
    assert command.field == dimse.C_STORE_RQ and command.has_data_set
    assert command.number(dimse.MESSAGE_ID) == 7
    assert (command.uid(dimse.AFFECTED_CLASS), command.uid(dimse.AFFECTED_INSTANCE)) == (CTImageStorage, "1.2.3")


def test_a_response_repeats_odd_uids_byte_for_byte() -> None:
    request = dimse.Command(
        {0x0100: b"\x01\x00", 0x0110: b"\x05\x00", 0x0800: b"\x01\x00", 0x0002: b"1.2 ", 0x1000: b"../../evil\0\0"}
    )
    answer = dimse.decode(dimse.response_to(request, 0xA700))
    assert answer.elements[0x1000] == b"../../evil\0\0" and answer.elements[0x0002] == b"1.2 "
    assert answer.number(dimse.STATUS) == 0xA700 and answer.number(dimse.ANSWERED_ID) == 5


@given(st.integers(0, 200), st.integers(8, 64))
def test_fragments_carry_every_byte_once_and_end_with_the_last_mark(length: int, max_send: int) -> None:
    data = bytes(index % 251 for index in range(length))
    stream = b"".join(bytes(part) for part in fragments(5, data, False, True, max_send))
    found, controls = b"", []
    while stream:
        body_length = int.from_bytes(stream[2:6], "big")
        assert stream[0] == pdus.P_DATA and body_length <= max_send
        body, stream = stream[6 : 6 + body_length], stream[6 + body_length :]
        assert int.from_bytes(body[:4], "big") == body_length - 4 and body[4] == 5
        controls.append(body[5])
        found += body[6:]
    assert found == data
    assert controls[-1] == 2 and not any(controls[:-1])


@pytest.mark.parametrize(
    ("uid", "expected"),
    [
        (CTImageStorage, True),
        ("1.2.840.10008.5.1.4.38.1", False),  # hanging protocol, which has no study
        ("1.2.840.10008.5.1.4.1.1.200.1", False),  # CT defined procedure protocol, which has none either
        ("1.2.840.10008.5.1.4.1.1.200.2", True),  # CT performed procedure protocol, which has
        ("1.3.12.2.1107.5.9.1", True),  # a manufacturer's private class
        ("1.2.840.10008.5.1.4.1.1.12.77", True),  # retired, nameless in the registry
        ("1.2.840.10008.1.20.1", False),  # storage commitment
        ("1.2.840.10008.5.1.4.1.2.2.1", False),  # query
        ("1.2.840.10008.3.1.2.3.3", False),  # performed procedure step
        ("", False),
    ],
)
def test_storage_classes_known_private_and_unknown_are_told_from_other_services(uid: str, expected: bool) -> None:
    assert is_storage(uid) is expected


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (("1.2.840.10008.1.2", "1.2.840.10008.1.2.1"), "1.2.840.10008.1.2.1"),
        (("1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.1"), "1.2.840.10008.1.2.4.70"),
        (("1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.70"), "1.2.840.10008.1.2.1"),
        (("1.2.840.10008.1.2.2", "1.2.840.10008.1.2"), "1.2.840.10008.1.2"),
        (("1.2.840.113619.5.2", "1.2.840.10008.1.2"), "1.2.840.10008.1.2"),
        (("1.2.840.113619.5.2",), "1.2.840.113619.5.2"),
    ],
)
def test_the_choice_of_transfer_syntax(offered: tuple[str, ...], chosen: str) -> None:
    result = choose(ProposedContext(1, CTImageStorage, offered))
    assert (result.result, result.transfer_syntax) == (pdus.ACCEPTED, chosen)


def test_a_context_that_cannot_carry_a_dataset_is_refused() -> None:
    assert choose(ProposedContext(1, CTImageStorage, ("1.2.840.10008.1.2.7.1",))).result == 4
    assert choose(ProposedContext(1, CTImageStorage, ())).result == 4
    assert choose(ProposedContext(1, "1.2.840.10008.5.1.4.1.2.2.1", ("1.2.840.10008.1.2",))).result == 3


ROLES = (RoleSelection(CTImageStorage, True, True), RoleSelection("1.2.840.10008.1.20.1", False, True))


def test_pynetdicom_reads_our_role_selection_both_ways() -> None:
    asked = A_ASSOCIATE_RQ()
    asked.decode(AssociateRq("PACS", "SENDER", REQUEST.contexts, 0, roles=ROLES).encode())
    accepted = A_ASSOCIATE_AC()
    accepted.decode(AssociateAc((ContextResult(3, 0, ExplicitVRLittleEndian),), 0, bytes(64), ROLES).encode())
    for theirs in (asked, accepted):
        seen = {uid: (item.scu_role, item.scp_role) for uid, item in theirs.user_information.role_selection.items()}
        assert seen == {CTImageStorage: (1, 1), "1.2.840.10008.1.20.1": (0, 1)}


def test_role_selection_survives_encoding_and_decoding() -> None:
    assert AssociateRq.decode(AssociateRq("A", "B", (), 0, roles=ROLES).encode()[6:]).roles == ROLES
    assert AssociateAc.decode(AssociateAc((), 0, bytes(64), ROLES).encode()[6:]).roles == ROLES
    assert AssociateRq.decode(REQUEST.encode()[6:]).roles == ()


def test_a_role_selection_that_is_cut_off_is_an_invalid_pdu() -> None:
    body = REQUEST.encode()[6:74]
    for item in (b"", b"\0\x05" + b"1.2.3\1", b"\0\x04" + b"1.2.3\1\1"):
        information = b"\x54\0" + len(item).to_bytes(2, "big") + item
        with pytest.raises(InvalidPdu, match="role selection"):
            AssociateRq.decode(body + b"\x50\0" + len(information).to_bytes(2, "big") + information)


@pytest.mark.parametrize("value", [b"", b"\1", b"\1\0", b"\1\0\0", b"\1\0\0\4joe", b"\1\0\0\3joe", b"\1\0\0\3joe\0\1"])
def test_a_user_identity_that_is_cut_off_is_refused(value: bytes) -> None:
    """PS3.7 section D.3.3.7: type, whether an answer is wanted, and two fields with their lengths."""
    whole = item(0x58, b"\1\0\0\3joe\0\0")
    assert UserInformation.decode(whole).identity is not None
    with pytest.raises(InvalidPdu, match="a user identity item is cut off"):
        UserInformation.decode(item(0x58, value))


def item(kind: int, value: bytes) -> bytes:
    return bytes((kind, 0)) + len(value).to_bytes(2, "big") + value
