"""What two sides of an association agreed on, as plain values for a log.
It must not quote what a peer may write freely: what is no UID is not shown, nor anything of a user's identity.
"""

from __future__ import annotations

from typing import Any

from actors.dicom import pdus
from actors.dicom.pdus import AssociateAc, AssociateRq
from protocol.header.uids import valid_uid

MOST_CONTEXTS = 128  # as many as there can be (PS3.8 section 9.3.2.2)
NO_UID = "(no UID)"
_REFUSED = {1: "user", 2: "no reason", 3: "abstract syntax", 4: "transfer syntaxes"}  # PS3.8 table 9-18


def facts(request: AssociateRq, answer: AssociateAc) -> dict[str, Any]:
    """`contexts`: each as "id abstract-syntax = transfer-syntax", or why it was refused; PDU lengths in bytes, 0: unlimited;
    of the user information (PS3.7 Annex D.3.3) what was asked for.
    """
    asked = {context.context_id: context for context in request.contexts}
    lines = []
    for result in answer.contexts[:MOST_CONTEXTS]:
        context = asked.get(result.context_id)
        abstract = uid(context.abstract_syntax) if context is not None else NO_UID
        if result.result == pdus.ACCEPTED:
            lines.append(f"{result.context_id} {abstract} = {uid(result.transfer_syntax)}")
        else:
            offered = " ".join(uid(one) for one in (context.transfer_syntaxes if context is not None else ()))
            why = _REFUSED.get(result.result, str(result.result))
            lines.append(f"{result.context_id} {abstract} refused ({why}); offered {offered}")
    user = request.user
    return {
        "contexts": lines,
        "accepted": sum(result.result == pdus.ACCEPTED for result in answer.contexts),
        "refused": sum(result.result != pdus.ACCEPTED for result in answer.contexts),
        "their_max_pdu": request.max_pdu,
        "our_max_pdu": answer.max_pdu,
        "implementation": uid(user.implementation_class_uid),
        "operations": list(user.operations) if user.operations is not None else None,
        "roles": [f"{uid(role.sop_class_uid)} scu={role.scu} scp={role.scp}" for role in request.roles],
        "extended": [uid(one.sop_class_uid) for one in user.extended],
        "identity_type": user.identity.kind if user.identity is not None else None,
    }


def uid(text: str) -> str:
    """A UID as it is; what is none could be any text."""
    return text if valid_uid(text) else NO_UID
