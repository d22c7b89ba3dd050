"""The way to a target, step by step, for a person who wonders why nothing arrives. It sends no image."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from actors.dicom.dialling import connect
from actors.dicom.scu import VERIFICATION_CONTEXT, Node, open_association
from actors.dicom.tls import dial, peer_certificate
from actors.targets.dicom import node_of
from protocol.errors import NetworkError
from protocol.routing.targets import DicomTarget

CT_IMAGE_STORAGE = ("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1")


@dataclass(frozen=True)
class Step:
    """One rung: its name, whether it held, seconds it took, and what was seen."""

    name: str
    ok: bool
    seconds: float
    text: str


def climb(target: object) -> list[Step]:
    """Try name, TCP, TLS if asked for, association, contexts and C-ECHO (PS3.4 annex A) until one fails."""
    if not isinstance(target, DicomTarget):
        return [Step("type", False, 0.0, f"targets of type {getattr(target, 'type', '?')} cannot be tested yet")]
    node = node_of(target)
    steps: list[Step] = []
    for name, rung in (("name", _resolve), ("tcp", _connect), ("tls", _secure), ("association", _associate)):
        begun = time.monotonic()
        try:
            text = rung(node, steps)
        except (OSError, NetworkError) as exc:
            steps.append(Step(name, False, time.monotonic() - begun, str(exc)))
            return steps
        if text is not None:
            steps.append(Step(name, True, time.monotonic() - begun, text))
    return steps


def _resolve(node: Node, steps: list[Step]) -> str:
    found = socket.getaddrinfo(node.host, node.port, type=socket.SOCK_STREAM)
    return ", ".join(sorted({str(entry[4][0]) for entry in found}))


def _connect(node: Node, steps: list[Step]) -> str:
    with socket.create_connection((node.host, node.port), node.connect_timeout_s):
        return f"{node.host}:{node.port} is open"


def _secure(node: Node, steps: list[Step]) -> str | None:
    if node.tls is None:
        return None
    with dial(connect(node.host, node.port, node.connect_timeout_s), node.tls, node.host, node.acse_timeout_s) as sock:
        shown = peer_certificate(sock)
        checked = "" if node.tls.verify else ", NOT verified"
        if shown is None:
            return f"{sock.version()}, a certificate that cannot be read{checked}"
        return f"{sock.version()}, certificate of {shown.subject} until {shown.expires:%Y-%m-%d}{checked}"


def _associate(node: Node, steps: list[Step]) -> str | None:
    def timed(name: str, rung: Callable[[], tuple[bool, str]]) -> None:
        begun = time.monotonic()
        ok, text = rung()
        steps.append(Step(name, ok, time.monotonic() - begun, text))

    begun = time.monotonic()
    with open_association(node, [VERIFICATION_CONTEXT, CT_IMAGE_STORAGE]) as association:
        steps.append(
            Step("association", True, time.monotonic() - begun, f"{node.calling_ae} -> {node.called_ae} accepted")
        )
        timed("contexts", lambda: (True, "CT image storage accepted" if association.accepts(*CT_IMAGE_STORAGE)
                                   else "CT image storage is not accepted (other SOP classes may be)"))  # fmt: skip
        timed("echo", lambda: ((status := association.echo()) == 0, f"C-ECHO answered 0x{status:04X}"))
    return None
