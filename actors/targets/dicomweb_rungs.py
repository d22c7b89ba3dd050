"""The way to a DICOMweb server, step by step: its name, TCP, proxy and TLS if asked for, HTTP, login, STOW-RS.
It must not send an image, nor show what a query found: that is patient data.
"""

from __future__ import annotations

import socket
from collections.abc import Generator
from contextlib import closing

from actors.dicom.tls import peer_certificate
from actors.targets import store_response, stow, web
from actors.targets.http_connection import HttpConnection, Reply, Request
from actors.targets.interface import Rung
from actors.targets.web import Place
from protocol.errors import AssociationRejected, NetworkError
from protocol.routing.targets import DicomWebTarget

_LOGIN = (401, 403, 407)
_NO_SERVICE = (404, 405, 410, 501)


def rungs(settings: DicomWebTarget) -> Generator[Rung, None, None]:
    """See Target.rungs."""
    places: list[Place] = []
    yield Rung("name", lambda: _resolve(settings, places))
    server, first = places[0], places[-1]
    yield Rung("tcp", lambda: _reach(settings, first))
    if settings.proxy is not None and server.secure:
        yield Rung("proxy", lambda: _by_proxy(settings, server))
    if server.secure:
        yield Rung("tls", lambda: _secure(settings, server))
    asking = _Asking(settings, server)
    with closing(asking):
        yield Rung("http", asking.query)
        yield Rung("login", asking.login)
        yield Rung("store", asking.store)


def _resolve(settings: DicomWebTarget, places: list[Place]) -> str:
    places.extend(web.place_of(url) for url in (settings.url, settings.proxy) if url is not None)
    # Behind a proxy it is the proxy that has to know the server's name.
    found = socket.getaddrinfo(places[-1].host, places[-1].port, type=socket.SOCK_STREAM)
    return ", ".join(sorted({str(entry[4][0]) for entry in found}))


def _reach(settings: DicomWebTarget, place: Place) -> str:
    with socket.create_connection((place.host, place.port), settings.connect_timeout_s):
        return f"{place} is open"


def _by_proxy(settings: DicomWebTarget, place: Place) -> str:
    web.reach(settings, place).close()
    return f"the proxy connects to {place}"


def _secure(settings: DicomWebTarget, place: Place) -> str:
    with web.secure(settings, place, web.reach(settings, place)) as sock:
        shown = peer_certificate(sock)
        checked = "" if settings.tls is None or settings.tls.verify else ", NOT verified"
        if shown is None:
            return f"{sock.version()}, a certificate that cannot be read{checked}"
        return f"{sock.version()}, certificate of {shown.subject} until {shown.expires:%Y-%m-%d}{checked}"


class _Asking:
    """Two requests: a query for one study, and a STOW-RS request without any image in it."""

    def __init__(self, settings: DicomWebTarget, place: Place) -> None:
        self._settings, self._place = settings, place
        self._line: HttpConnection | None = None
        self._stored = Reply(0, {})

    def close(self) -> None:
        """End the connection."""
        if self._line is not None:
            self._line.close()

    def query(self) -> str:
        """QIDO-RS (PS3.18 section 10.6). Not every archive offers it, or to everybody; that it is HTTP is what counts."""
        line = web.line_of(self._settings, self._place, "/studies", "limit=1")
        status = self._ask(Request("GET", line, web.headers_of(self._settings, self._place))).status
        if 300 <= status < 400 or status >= 500 and status not in _NO_SERVICE:
            raise NetworkError(f"HTTP {status} to a query")
        if status in _LOGIN:
            return f"answers; HTTP {status} to a query"
        return f"answers; queries (QIDO-RS): {'yes' if status < 300 else f'no (HTTP {status})'}"

    def login(self) -> str:
        """Whether we may store."""
        settings = self._settings
        line = web.line_of(settings, self._place, "/studies")
        with stow.Multipart([]) as body:
            headers = [*web.headers_of(settings, self._place), ("Content-Type", body.media_type)]
            self._stored = self._ask(Request("POST", line, headers, body, body.length))
        if self._stored.status in _LOGIN:
            raise AssociationRejected(f"HTTP {self._stored.status}: the server does not accept who we are", False)
        ways = [name for name in ("token", "user") if getattr(settings, name) is not None]
        if settings.tls is not None and settings.tls.cert is not None:
            ways.append("certificate")
        return f"accepted ({' and '.join(ways)})" if ways else "not asked for"

    def store(self) -> str:
        """PS3.18 section 10.5: an empty request is refused by who offers it, unlike by who does not."""
        status = self._stored.status
        if status in _NO_SERVICE or 300 <= status < 400 or status >= 500:
            raise NetworkError(f"HTTP {status}: no STOW-RS at this URL")
        if status < 300 and self._stored.body.strip() and store_response.read(self._stored.body) is None:
            raise NetworkError(f"HTTP {status}, but no DICOMweb server answers at this URL")
        return f"STOW-RS is offered (HTTP {status} to a request without images)"

    def _ask(self, request: Request) -> Reply:
        if self._line is None or not self._line.is_idle():
            sock = web.dial(self._settings, self._place)
            self._line = HttpConnection(sock, self._settings.timeout_s, lambda: None)
        return self._line.exchange(request)
