"""What is answered to a proposal that came before is what would be worked out anew, and nobody's name is kept for it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    MRImageStorage,
)

from actors.dicom import agreement
from actors.dicom.agreement import Agreements, agree
from actors.dicom.commitment import SOP_CLASS as COMMITMENT
from actors.dicom.dimse import VERIFICATION
from actors.dicom.pdus import AssociateAc, AssociateRq, InvalidPdu, ProposedContext, RoleSelection, with_titles
from actors.dicom.userinfo import PASSCODE, CommonExtended, UserIdentity, UserInformation

CLASSES = [str(uid) for uid in (CTImageStorage, MRImageStorage, VERIFICATION, COMMITMENT)]
CLASSES += ["1.2.840.10008.5.1.4.1.2.2.1", "1.2.3.4", ""]
SYNTAXES = [str(uid) for uid in (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, JPEG2000Lossless)]
CONTEXTS = st.builds(
    ProposedContext, st.sampled_from(range(1, 256, 2)), st.sampled_from(CLASSES),
    st.lists(st.sampled_from([*SYNTAXES, "1.2.3"]), max_size=4).map(tuple),
)  # fmt: skip
USERS = st.sampled_from(
    [
        UserInformation(),
        UserInformation(operations=(1, 1)),
        UserInformation(common=(CommonExtended("1.2.3.4", "1.2.840.10008.4.2"),)),
        UserInformation(identity=UserIdentity(PASSCODE, True, b"jane.doe", b"secret")),
    ]
)
PROPOSALS = st.lists(CONTEXTS, max_size=6).map(tuple)
TITLES = st.sampled_from(["CT1", "MR2", "A"])


def body(titles: tuple[str, str], contexts: tuple[ProposedContext, ...], user: UserInformation, max_pdu: int) -> bytes:
    roles = (RoleSelection(COMMITMENT, True, True),) if len(contexts) % 2 else ()
    return AssociateRq(*titles, contexts, max_pdu, roles=roles, user=user).encode()[6:]


@given(
    st.lists(PROPOSALS, min_size=1, max_size=3),
    st.lists(
        st.tuples(
            st.integers(0, 2), TITLES, TITLES, USERS, st.sampled_from([0, 16384]), st.booleans(),
            st.sampled_from([16384, 131072]),
        ),
        max_size=12,
    ),
)  # fmt: skip
def test_whoever_proposed_it_before_the_answer_is_as_if_worked_out_anew(proposals, talks) -> None:
    agreements = Agreements()
    for number, called, calling, user, theirs, offered, ours in talks:
        raw = body((called, calling), proposals[number % len(proposals)], user, theirs)
        services = (COMMITMENT,) if offered else ()
        request, fresh = agreements.decode(raw), AssociateRq.decode(raw)
        assert request == fresh and request.items == fresh.items
        found, wanted = agreements.of(request, services, ours), agree(fresh, services, ours)
        assert found == wanted
        sent = AssociateAc.decode(with_titles(found.pdu, request.titles)[6:])
        assert (sent.titles, sent.contexts, sent.max_pdu) == (raw[4:68], wanted.answer.contexts, ours)
        assert dict(found.contexts) == {
            one.context_id: (abstract, one.transfer_syntax)
            for one in sent.contexts if one.result == 0
            for abstract in [[c.abstract_syntax for c in fresh.contexts if c.context_id == one.context_id][-1]]
        }  # fmt: skip


def test_a_proposal_is_worked_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    worked: list[str] = []
    real = agreement.agree
    monkeypatch.setattr(agreement, "agree", lambda request, *rest: worked.append("") or real(request, *rest))
    agreements = Agreements()
    contexts = (ProposedContext(1, CLASSES[0], tuple(SYNTAXES)),)
    for calling in ("CT1", "MR2", "CT1"):
        raw = body(("PACS", calling), contexts, UserInformation(), 16384)
        assert agreements.of(agreements.decode(raw), (), 16384).contexts == {1: (CLASSES[0], SYNTAXES[1])}
    assert len(worked) == 1
    agreements.of(agreements.decode(raw), (COMMITMENT,), 16384)
    agreements.of(agreements.decode(raw), (), 131072)
    assert len(worked) == 3, "what we offer counts, too"


def test_who_names_a_user_is_not_remembered_nor_what_is_no_proposal_of_the_standard() -> None:
    agreements = Agreements()
    jane = UserInformation(identity=UserIdentity(PASSCODE, True, b"jane.doe", b"secret"))
    many = tuple(ProposedContext(1, "1.2.3", ()) for _ in range(129))
    long = tuple(ProposedContext(number, "1.2.3", ("1." * 30 + "1",) * 9) for number in range(1, 129, 2))
    for contexts, user in (((), jane), (many, UserInformation()), (long, UserInformation())):
        raw = body(("PACS", "CT1"), contexts, user, 0)
        assert agreements.of(agreements.decode(raw), (), 16384) == agree(AssociateRq.decode(raw), (), 16384)
    assert vars(agreements) == vars(Agreements())
    with pytest.raises(InvalidPdu, match="too short"):
        agreements.decode(b"\0" * 67)
    with pytest.raises(InvalidPdu, match="cut off"):
        agreements.decode(bytes(68) + b"\x20")


def test_however_many_different_proposals_come_a_few_are_kept() -> None:
    agreements = Agreements()
    for number in range(10 * agreement.MOST):
        raw = body(("PACS", "CT1"), (ProposedContext(1, f"1.2.3.{number}", ()),), UserInformation(), 16384)
        assert agreements.of(agreements.decode(raw), (), 16384).contexts == {}
    assert 0 < sum(map(len, vars(agreements).values())) <= 2 * agreement.MOST
