"""Which ports the receiver serves, and how: from the settings alone, so that parent and workers agree by a number.
It must not open anything.
"""

from __future__ import annotations

from typing import NamedTuple

from actors.dicom.scp import ScpConfig
from actors.dicom.tls import ServerTls
from protocol.settings.model import Listener, Receiver

REJECTED_MEANWHILE = 128  # associations that linger after their rejection; the handler counts those that are open
NO_LIMIT = 1 << 62  # the handler refuses what is too large, and records it


class Port(NamedTuple):
    """One port; `tls` says whether it speaks nothing else."""

    config: ScpConfig
    tls: bool


def ports_of(settings: Receiver) -> list[Port]:
    """All ports, the main one first, that of TLS last."""
    main = Listener(
        host=settings.host, port=settings.port, ae_title=settings.ae_title,
        accept_any_called_ae=settings.accept_any_called_ae, called_ae_titles=settings.called_ae_titles,
    )  # fmt: skip
    found = [_port(settings, listener, listener.tls) for listener in (main, *settings.listeners)]
    if settings.tls.enabled:
        found.append(_port(settings, main.model_copy(update={"port": settings.tls.port}), True))
    return found


def server_tls(settings: Receiver) -> ServerTls | None:
    """The certificate of the TLS port. Raises ConfigurationError: a file cannot be used."""
    tls = settings.tls
    if tls.cert is None or tls.key is None:
        return None
    return ServerTls(tls.cert, tls.key, tls.ca, tls.require_client_cert)


def _port(settings: Receiver, listener: Listener, tls: bool) -> Port:
    config = ScpConfig(
        host=listener.host, port=listener.port, ae_title=listener.ae_title, max_pdu=settings.max_pdu,
        acse_timeout_s=settings.acse_timeout_s, idle_timeout_s=settings.idle_timeout_s,
        max_associations=settings.max_associations + REJECTED_MEANWHILE, max_object_bytes=NO_LIMIT,
        accept_any_called_ae=listener.accept_any_called_ae, called_aes=frozenset(listener.called_ae_titles),
    )  # fmt: skip
    return Port(config, tls)
