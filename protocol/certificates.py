"""When the certificates end that this node shows and trusts: its own and those that targets' settings name.
It must not judge whether they are good for anything; connections find out.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from protocol.records import record
from protocol.routing.model import RoutingConfiguration

if TYPE_CHECKING:
    from protocol.settings import Settings

LIMIT_BYTES = 4 << 20


@record
class File:
    """A PEM file; `name` says whose, such as "webgui" or "target.pacs.ca". `authorities`: any that is left will do."""

    name: str
    path: Path
    about: str = ""
    authorities: bool = False


@record
class Ending:
    """When it ends (seconds UTC), or why that cannot be known."""

    file: File
    ends: float | None
    error: str = ""


def files(settings: Settings, configuration: RoutingConfiguration) -> list[File]:
    """All that are named anywhere."""
    named = [
        ("webgui", settings.webgui.tls.cert, "", False),
        ("receiver", settings.receiver.tls.cert, "", False),
        ("receiver.ca", settings.receiver.tls.ca, "", True),
        ("mail.ca", settings.alerts.smtp.ca, "", True),
        ("webhook.ca", settings.alerts.webhook.ca, "", True),
    ]
    for name, target in configuration.targets.items():
        tls, about = getattr(target, "tls", None), f"target/{name}"
        named.append((f"target.{name}", getattr(tls, "cert", None), about, False))
        named.append((f"target.{name}.ca", getattr(tls, "ca", None) or getattr(target, "ca", None), about, True))
    return [File(name, Path(path), about, authorities) for name, path, about, authorities in named if path]


def ending(file: File) -> Ending:
    """Read it. Of a chain the first to end counts, of authorities the last."""
    from cryptography import x509  # only nodes that use TLS pay for it

    try:
        with open(file.path, "rb") as pem:
            found = x509.load_pem_x509_certificates(pem.read(LIMIT_BYTES))
    except OSError as exc:
        return Ending(file, None, exc.strerror or type(exc).__name__)
    except ValueError:
        return Ending(file, None, "it holds no certificate")
    ends = [one.not_valid_after_utc.timestamp() for one in found]
    return Ending(file, max(ends) if file.authorities else min(ends))


def endings(settings: Settings, configuration: RoutingConfiguration) -> dict[str, float]:
    """{"webgui", "receiver" or "target.NAME": when its own certificate ends}; those that cannot be read are left out."""
    read = [ending(file) for file in files(settings, configuration) if not file.authorities]
    return {one.file.name: one.ends for one in read if one.ends is not None}
