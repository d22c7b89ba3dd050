"""The way to a DICOM node, step by step: its name, TCP, TLS if asked for, association, contexts and C-ECHO;
and the short way of a probe. It must not send an image, nor know of deliveries.
"""

from __future__ import annotations

import socket
from collections.abc import Generator, Sequence

from actors.dicom.dialling import connect
from actors.dicom.pdus import ACCEPTED
from actors.dicom.scu import MAX_CONTEXTS, VERIFICATION_CONTEXT, Association, Context, Node, open_association
from actors.dicom.tls import ClientTls, dial, peer_certificate
from actors.targets.dicom_contexts import answered, proposed
from actors.targets.interface import Rung
from protocol.addresses import with_port
from protocol.errors import AssociationAborted, AssociationRejected, NetworkError, PeerTimeout
from protocol.routing.syntaxes import name_of

_CT = "1.2.840.10008.5.1.4.1.1.2"
CT_IMAGE_STORAGE = (_CT, "1.2.840.10008.1.2.1")


def rungs(node: Node, syntaxes: Sequence[str] = (), lately: Sequence[Context] = ()) -> Generator[Rung, None, None]:
    """See Target.rungs. `syntaxes`: UIDs of transfer syntaxes that the target is set to be sent, if it is; `lately`: what it
    got lately, to be asked for beside the common SOP classes."""
    yield Rung("name", lambda: _resolve(node))
    yield Rung("tcp", lambda: _connect(node))
    tls = node.tls
    if tls is not None:
        yield Rung("tls", lambda: _secure(node, tls))
    opened: list[Association] = []
    contexts = [(_CT, syntax) for syntax in syntaxes] or [CT_IMAGE_STORAGE]
    asked = proposed(syntaxes, lately)
    yield Rung("association", lambda: _associate(node, contexts, asked, opened))
    with opened[0] as association:
        said = answered(asked, lately, association.results)
        yield Rung("contexts", lambda: _accepted(association, contexts, bool(syntaxes)), said)
        yield Rung("echo", lambda: _echo(association))


def probe(node: Node) -> str:
    """Whether the node is there, by C-ECHO (PS3.4 annex A); see Probing.probe.

    Not every storage SCP takes Verification, though PS3.4 asks for it, and one may refuse the title that we ask by where
    it takes those that are passed: who refuses us, and not for now only, is there all the same.
    Raises NetworkError.
    """
    try:
        association = open_association(node, [VERIFICATION_CONTEXT, CT_IMAGE_STORAGE])
    except AssociationRejected as exc:
        if exc.for_now:
            raise
        return f"{exc}; whether it takes images is for the next delivery to find out"
    with association:
        if not association.accepts(*VERIFICATION_CONTEXT):
            return "it is there, and does not take C-ECHO"
        try:
            return f"C-ECHO answered 0x{association.echo():04X}"
        except PeerTimeout as exc:
            raise PeerTimeout(f"{exc} to C-ECHO (if it never gives one, set the target's `probe` to false)") from exc
        except AssociationAborted:
            return "it is there, and aborts at C-ECHO"


def _resolve(node: Node) -> str:
    found = socket.getaddrinfo(node.host, node.port, type=socket.SOCK_STREAM)
    return ", ".join(sorted({str(entry[4][0]) for entry in found}))


def _connect(node: Node) -> str:
    with socket.create_connection((node.host, node.port), node.connect_timeout_s):
        return f"{with_port(node.host, node.port)} is open"


def _secure(node: Node, tls: ClientTls) -> str:
    with dial(connect(node.host, node.port, node.connect_timeout_s), tls, node.host, node.acse_timeout_s) as sock:
        shown = peer_certificate(sock)
        checked = "" if tls.verify else ", NOT verified"
        if shown is None:
            return f"{sock.version()}, a certificate that cannot be read{checked}"
        return f"{sock.version()}, certificate of {shown.subject} until {shown.expires:%Y-%m-%d}{checked}"


def _associate(node: Node, contexts: Sequence[Context], asked: list[Context], opened: list[Association]) -> str:
    """Propose all; to a peer that breaks off at so many, only the few that are needed. Then `asked` is emptied."""
    few = list(dict.fromkeys([VERIFICATION_CONTEXT, *contexts]))
    accepted = f"{node.calling_ae} -> {node.called_ae} accepted"
    all_of_them = list(dict.fromkeys([*few, *asked]))[:MAX_CONTEXTS]
    try:
        opened.append(open_association(node, all_of_them))
    except AssociationAborted:
        opened.append(open_association(node, few))
        asked.clear()
        return f"{accepted}; it breaks off where {len(all_of_them)} contexts are proposed"
    return accepted


def _accepted(association: Association, contexts: Sequence[Context], named: bool) -> str:
    taken = [syntax for sop_class, syntax in contexts if association.accepts(sop_class, syntax)]
    if not taken:
        others = [one[1] for one, said in association.results.items() if one[0] == _CT and said == ACCEPTED]
        if others:
            return f"CT image storage is accepted, but only in {', '.join(map(name_of, others))}"
        return "CT image storage is not accepted (other SOP classes may be)"
    if not named:
        return "CT image storage accepted"
    missing = [name_of(syntax) for _, syntax in contexts if syntax not in taken]
    return f"CT image storage accepted in {', '.join(map(name_of, taken))}" + (
        f"; not in {', '.join(missing)}" if missing else ""
    )


def _echo(association: Association) -> str:
    status = association.echo()
    if status != 0:
        raise NetworkError(f"C-ECHO answered 0x{status:04X}")
    return "C-ECHO answered 0x0000"
