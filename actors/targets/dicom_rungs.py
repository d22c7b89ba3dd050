"""The way to a DICOM node, step by step: its name, TCP, TLS if asked for, association, contexts and C-ECHO.
It must not send an image, nor know of deliveries.
"""

from __future__ import annotations

import socket
from collections.abc import Generator, Sequence

from actors.dicom.dialling import connect
from actors.dicom.scu import VERIFICATION_CONTEXT, Association, Context, Node, open_association
from actors.dicom.tls import ClientTls, dial, peer_certificate
from actors.targets.interface import Rung
from protocol.errors import NetworkError
from protocol.routing.syntaxes import name_of

_CT = "1.2.840.10008.5.1.4.1.1.2"
CT_IMAGE_STORAGE = (_CT, "1.2.840.10008.1.2.1")


def rungs(node: Node, syntaxes: Sequence[str] = ()) -> Generator[Rung, None, None]:
    """See Target.rungs. `syntaxes`: UIDs of transfer syntaxes that the target is set to be sent, if it is."""
    yield Rung("name", lambda: _resolve(node))
    yield Rung("tcp", lambda: _connect(node))
    tls = node.tls
    if tls is not None:
        yield Rung("tls", lambda: _secure(node, tls))
    opened: list[Association] = []
    contexts = [(_CT, syntax) for syntax in syntaxes] or [CT_IMAGE_STORAGE]
    yield Rung("association", lambda: _associate(node, contexts, opened))
    with opened[0] as association:
        yield Rung("contexts", lambda: _accepted(association, contexts, bool(syntaxes)))
        yield Rung("echo", lambda: _echo(association))


def _resolve(node: Node) -> str:
    found = socket.getaddrinfo(node.host, node.port, type=socket.SOCK_STREAM)
    return ", ".join(sorted({str(entry[4][0]) for entry in found}))


def _connect(node: Node) -> str:
    with socket.create_connection((node.host, node.port), node.connect_timeout_s):
        return f"{node.host}:{node.port} is open"


def _secure(node: Node, tls: ClientTls) -> str:
    with dial(connect(node.host, node.port, node.connect_timeout_s), tls, node.host, node.acse_timeout_s) as sock:
        shown = peer_certificate(sock)
        checked = "" if tls.verify else ", NOT verified"
        if shown is None:
            return f"{sock.version()}, a certificate that cannot be read{checked}"
        return f"{sock.version()}, certificate of {shown.subject} until {shown.expires:%Y-%m-%d}{checked}"


def _associate(node: Node, contexts: Sequence[Context], opened: list[Association]) -> str:
    opened.append(open_association(node, [VERIFICATION_CONTEXT, *contexts]))
    return f"{node.calling_ae} -> {node.called_ae} accepted"


def _accepted(association: Association, contexts: Sequence[Context], named: bool) -> str:
    taken = [syntax for sop_class, syntax in contexts if association.accepts(sop_class, syntax)]
    if not taken:
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
