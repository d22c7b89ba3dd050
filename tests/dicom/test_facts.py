"""What an association agreed on, for the log: all that helps, nothing that a peer may write freely, no identity."""

from __future__ import annotations

from actors.dicom import pdus
from actors.dicom.facts import facts
from actors.dicom.pdus import AssociateAc, AssociateRq, ContextResult, ProposedContext
from actors.dicom.userinfo import USERNAME, ExtendedNegotiation, RoleSelection, UserIdentity, UserInformation

CT, IMPLICIT, JPEG = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2", "1.2.840.10008.1.2.4.50"


def test_contexts_pdu_lengths_and_user_information_are_told_without_secrets_and_free_text():
    user = UserInformation(
        implementation_class_uid="1.2.3", operations=(1, 1), extended=(ExtendedNegotiation(CT, b"MUELLER"),),
        identity=UserIdentity(USERNAME, False, b"anna", b"secret"),
    )  # fmt: skip
    request = AssociateRq(
        "SCANPOST", "CT1",
        (ProposedContext(1, CT, (IMPLICIT, JPEG)), ProposedContext(3, "MUELLER^EVA", ("odd text",))),
        16384, roles=(RoleSelection(CT, True, False),), user=user,
    )  # fmt: skip
    told = facts(request, AssociateAc((ContextResult(1, pdus.ACCEPTED, IMPLICIT), ContextResult(3, 3, "")), 65536))
    assert told == {
        "contexts": [f"1 {CT} = {IMPLICIT}", "3 (no UID) refused (abstract syntax); offered (no UID)"],
        "accepted": 1, "refused": 1, "their_max_pdu": 16384, "our_max_pdu": 65536, "implementation": "1.2.3",
        "operations": [1, 1], "roles": [f"{CT} scu=True scp=False"], "extended": [CT], "identity_type": USERNAME,
    }  # fmt: skip
