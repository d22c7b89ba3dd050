"""From the settings of a DICOMweb target to a connected socket and to what each request says of itself.
It must not ask the server anything, and never reads a proxy out of the environment.
"""

from __future__ import annotations

import base64
import os
import socket
import ssl
from urllib.parse import quote, urlsplit

from actors.dicom import tls
from actors.dicom.dialling import connect
from actors.targets.http_connection import HttpConnection, Request
from protocol.addresses import in_brackets, with_port
from protocol.causes import Cause
from protocol.errors import AssociationRejected, NetworkError, RoutingError, TargetUnreachable
from protocol.records import record
from protocol.routing.secrets import resolve
from protocol.routing.targets import DicomWebTarget, TargetTls
from protocol.version import IMPLEMENTATION_VERSION

DICOM_JSON = "application/dicom+json"

_SAFE = "%/:=&?~+!$,;'@()*"  # what stays as a person wrote it, RFC 3986 section 2.2


@record
class Place:
    """Where a URL leads (RFC 9110 section 4.2); `path` has no slash at its end. All of it can stand in a request."""

    secure: bool
    host: str
    port: int
    path: str
    query: str

    @property
    def authority(self) -> str:
        """Host and port for the field Host; the port only if it is not the usual one."""
        usual = self.port == (443 if self.secure else 80)
        return in_brackets(self.host) if usual else with_port(self.host, self.port)

    def __str__(self) -> str:
        return with_port(self.host, self.port)


def place_of(url: str) -> Place:
    """Raises TargetUnreachable: there is no host or port that one could ask for."""
    try:
        parts = urlsplit(url)
        host, secure = parts.hostname or "", parts.scheme == "https"
        port = parts.port or (443 if secure else 80)
        if not host.isascii():
            host = host.encode("idna").decode()
    except ValueError as exc:
        raise TargetUnreachable("the url of the target names no host", False, Cause.CONFIGURATION) from exc
    if not host or not host.isprintable():
        raise TargetUnreachable("the url of the target names no host", False, Cause.CONFIGURATION)
    return Place(secure, host, port, quote(parts.path.rstrip("/"), _SAFE), quote(parts.query, _SAFE))


def dial(settings: DicomWebTarget, place: Place) -> socket.socket:
    """Connect, by way of the proxy if there is one, and shake hands.

    Raises:
        TargetUnreachable: name, route, port, our own files; AssociationRejected: by TLS or by the proxy.
        AssociationAborted, PeerTimeout.
    """
    sock = reach(settings, place)
    return secure(settings, place, sock) if place.secure else sock


def reach(settings: DicomWebTarget, place: Place) -> socket.socket:
    """A TCP connection to the server, or through the proxy to it. Raises as `dial`."""
    if settings.proxy is None:
        return connect(place.host, place.port, settings.connect_timeout_s)
    proxy = place_of(settings.proxy)
    sock = connect(proxy.host, proxy.port, settings.connect_timeout_s)
    if not place.secure:
        return sock  # it is asked with the whole URL, RFC 9112 section 3.2.2
    line = HttpConnection(sock, settings.timeout_s, lambda: None)
    reply = line.exchange(Request("CONNECT", str(place), [("Host", str(place))]), with_body=False)
    if not 200 <= reply.status < 300:
        line.close()
        words = f"HTTP {reply.status}: the proxy {proxy} does not connect us to {place}"
        cause = Cause.LOGIN_FAILED if reply.status == 407 else Cause.REJECTED
        raise AssociationRejected(words, reply.status not in (403, 407), cause)
    return line.release()


def secure(settings: DicomWebTarget, place: Place, sock: socket.socket) -> ssl.SSLSocket:
    """TLS over a connected socket, which is closed on any error. Raises as `actors.dicom.tls.dial`."""
    try:
        return tls.dial(sock, client_tls(settings.tls), place.host, settings.timeout_s)
    except NetworkError as exc:
        raise type(exc)(f"{place}: {exc}", exc.retryable, exc.cause) from exc


def client_tls(settings: TargetTls | None) -> tls.ClientTls:
    """Who we are and whom we trust; without settings those that the machine trusts."""
    if settings is None:
        return tls.ClientTls()
    return tls.ClientTls(
        settings.ca, settings.cert, settings.key, settings.verify, settings.server_name, settings.key_password
    )


def line_of(settings: DicomWebTarget, place: Place, resource: str, query: str = "") -> str:
    """What stands in the request line for a resource below the server's base."""
    asked = "&".join(part for part in (place.query, query) if part)
    path = f"{place.path}{resource}" + (f"?{asked}" if asked else "")
    by_proxy = settings.proxy is not None and not place.secure
    return f"http://{place.authority}{path}" if by_proxy else path


def headers_of(settings: DicomWebTarget, place: Place) -> list[tuple[str, str]]:
    """What every request says. Secrets are read each time: tokens are renewed while deliveries go on.

    Raises TargetUnreachable: a secret cannot be had, or not be written down in a header.
    """
    headers = [
        ("Host", place.authority),
        ("User-Agent", IMPLEMENTATION_VERSION),
        ("Accept", DICOM_JSON),
        ("Accept-Encoding", "identity"),
    ]
    try:
        if settings.token is not None:
            token = resolve(settings.token, os.environ).get_secret_value()
            if not token.isascii() or " " in token:
                words = f"{settings.token}: a bearer token is ASCII text without spaces"
                raise TargetUnreachable(words, cause=Cause.CONFIGURATION)
            headers.append(("Authorization", f"Bearer {token}"))
        elif settings.user is not None and settings.password is not None:
            password = resolve(settings.password, os.environ).get_secret_value()
            pair = base64.b64encode(f"{settings.user}:{password}".encode()).decode()
            headers.append(("Authorization", f"Basic {pair}"))
    except RoutingError as exc:
        raise TargetUnreachable(str(exc), cause=Cause.CONFIGURATION) from exc
    return headers
