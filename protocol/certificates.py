"""When the certificates that this node shows end: its own two and those that targets' settings name.
It must not judge whether they are good for anything; connections find out.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from protocol.routing.model import RoutingConfiguration

if TYPE_CHECKING:
    from protocol.settings import Settings

LIMIT_BYTES = 4 << 20


def endings(settings: Settings, configuration: RoutingConfiguration) -> dict[str, float]:
    """{"webgui", "receiver" or "target.NAME": when its certificate ends, seconds UTC}; those that cannot be read are left out."""
    named = {"webgui": settings.webgui.tls.cert, "receiver": settings.receiver.tls.cert}
    for name, target in configuration.targets.items():
        named[f"target.{name}"] = getattr(getattr(target, "tls", None), "cert", None)
    found = {name: ending(Path(path)) for name, path in named.items() if path}
    return {name: ends for name, ends in found.items() if ends is not None}


def ending(path: Path) -> float | None:
    """When the first certificate of a chain (PEM) ends, seconds UTC; None if there is none to be read."""
    from cryptography import x509  # only nodes that use TLS pay for it

    try:
        with open(path, "rb") as pem:
            chain = x509.load_pem_x509_certificates(pem.read(LIMIT_BYTES))
    except (OSError, ValueError):
        return None
    return min(one.not_valid_after_utc.timestamp() for one in chain)
