"""DICOM over TLS (PS3.15 section B.12, BCP 195: RFC 8996 and RFC 9325): contexts of both sides, reload, clear words.

It must not decide who may send what, and nothing here writes a DICOM byte.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import socket
import ssl
from pathlib import Path

from protocol.causes import Cause
from protocol.errors import AssociationAborted, AssociationRejected, ConfigurationError, PeerTimeout, TargetUnreachable
from protocol.records import record
from protocol.routing.secrets import resolve

# RFC 9325 section 4.2 for TLS 1.2: forward secrecy and authenticated encryption only. TLS 1.3 has its own list.
CIPHERS = ":".join(
    f"ECDHE-{signature}-{cipher}"
    for cipher in ("AES256-GCM-SHA384", "AES128-GCM-SHA256", "CHACHA20-POLY1305")
    for signature in ("ECDSA", "RSA")
)
_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE")
_NOTHING_IN_COMMON = ("NO_SHARED_CIPHER", "UNSUPPORTED_PROTOCOL", "ALERT_PROTOCOL_VERSION", "NO_PROTOCOLS_AVAILABLE")
_OUR_CERTIFICATE = (
    "ALERT_UNKNOWN_CA", "ALERT_BAD_CERTIFICATE", "ALERT_CERTIFICATE_", "ALERT_UNSUPPORTED_CERTIFICATE",
    "ALERT_ACCESS_DENIED", "ALERT_DECRYPT_ERROR",
)  # fmt: skip


@record
class ClientTls:
    """How to meet a TLS peer. Paths of PEM files; they are read anew for each connection.

    Attributes:
        ca: who signs the peer's certificate; None trusts what the machine trusts.
        cert, key: our own certificate, for a peer that wants one.
        verify: False takes any certificate: encrypted, but nobody knows by whom it is read.
        server_name: the name the peer's certificate must carry (RFC 9525); None is the host that is dialled.
        key_password: where the password of `key` is (protocol/routing/secrets), never the password.
    """

    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    verify: bool = True
    server_name: str | None = None
    key_password: str | None = None


@record
class Certificate:
    """What people ask of a certificate: `subject` as RFC 4514 text, `expires` in UTC."""

    subject: str
    expires: datetime.datetime


class ServerTls:
    """The server's side: a context that follows its files. `wrap` and `reload` may run in different threads."""

    def __init__(self, cert: Path, key: Path, ca: Path | None = None, require_client_cert: bool = True) -> None:
        """Raises ConfigurationError: a file cannot be used."""
        self._cert, self._key, self._ca, self._require = cert, key, ca, require_client_cert
        self._seen = self._signature()
        self._context, self.certificate = self._load()

    def wrap(self, sock: socket.socket) -> ssl.SSLSocket:
        """Take over an accepted socket; the handshake is left to whoever serves it. Raises OSError."""
        return self._context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)

    def reload(self) -> bool:
        """True if the files changed and connections from now on use the new ones.

        Raises:
            ConfigurationError: they changed and cannot be used; the old ones stay. Once for each change.
        """
        signature = self._signature()
        if signature == self._seen:
            return False
        self._seen = signature
        self._context, self.certificate = self._load()
        return True

    def _signature(self) -> list[tuple[int, ...] | None]:
        return [_stat(path) for path in (self._cert, self._key, self._ca) if path is not None]

    def _load(self) -> tuple[ssl.SSLContext, Certificate]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        _harden(context)
        # No tickets: a sender that closes without reading them would see its connection reset.
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE | ssl.OP_NO_TICKET
        context.num_tickets = 0
        where = f"receiver.tls.cert {self._cert}"
        try:
            _load_chain(context, self._cert, self._key)
            certificate = describe(ssl.PEM_cert_to_DER_cert(_first_certificate(self._cert)))
            if self._ca is not None:
                where = f"receiver.tls.ca {self._ca}"
                context.load_verify_locations(self._ca)
                context.verify_mode = ssl.CERT_REQUIRED if self._require else ssl.CERT_OPTIONAL
        except (OSError, ValueError) as exc:
            raise ConfigurationError(f"cannot be used ({_file_words(exc)})", where, "Give PEM files that fit") from exc
        return context, certificate


def dial(sock: socket.socket, tls: ClientTls, host: str, timeout_s: float) -> ssl.SSLSocket:
    """Shake hands over a connected socket; on any error the socket is closed.

    Raises:
        TargetUnreachable: our own files cannot be used.
        AssociationRejected: one side refused the other's certificate or protocol. People mend that: retryable.
        PeerTimeout: no end of the handshake within `timeout_s`; AssociationAborted: the connection ended.
    """
    try:
        context = client_context(tls)
    except ConfigurationError as exc:
        sock.close()
        raise TargetUnreachable(str(exc), cause=Cause.CONFIGURATION) from exc
    wrapped: ssl.SSLSocket | None = None
    try:
        sock.settimeout(timeout_s)
        name = tls.server_name or host
        wrapped = context.wrap_socket(sock, server_hostname=name, do_handshake_on_connect=False)
        wrapped.do_handshake()
        return wrapped
    except BaseException as exc:
        (wrapped or sock).close()
        if isinstance(exc, TimeoutError):
            raise PeerTimeout(f"no end of the TLS handshake within {timeout_s:g} s") from exc
        if isinstance(exc, (ssl.SSLError, ValueError)) and not isinstance(exc, ssl.SSLEOFError):
            raise AssociationRejected(words(exc), cause=Cause.TLS) from exc
        if isinstance(exc, OSError):
            raise AssociationAborted(words(exc)) from exc
        raise


def client_context(tls: ClientTls) -> ssl.SSLContext:
    """Raises ConfigurationError: a file cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _harden(context)
    where = f"tls.ca {tls.ca}"
    try:
        if not tls.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        elif tls.ca is not None:
            context.load_verify_locations(tls.ca)
        else:
            context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        if tls.cert is not None:
            where = f"tls.cert {tls.cert}"
            password = "" if tls.key_password is None else resolve(tls.key_password, os.environ).get_secret_value()
            _load_chain(context, Path(tls.cert), Path(tls.key or tls.cert), password)
    except (OSError, ValueError) as exc:
        raise ConfigurationError(f"cannot be used ({_file_words(exc)})", where, "Give PEM files that fit") from exc
    return context


def words(exc: Exception) -> str:
    """Why TLS failed, for a person. Nothing of what the peer sent is in it but the number of its alert."""
    reason = getattr(exc, "reason", None) or ""
    said = reason.lower().replace("_", " ")
    if isinstance(exc, ssl.SSLCertVerificationError):
        return f"TLS: the peer's certificate is refused: {exc.verify_message}"
    ended = isinstance(exc, ssl.SSLEOFError | ssl.SSLZeroReturnError)  # which of the two depends on the OpenSSL
    if ended or not isinstance(exc, ssl.SSLError):
        how = "ended" if ended else getattr(exc, "strerror", None) or type(exc).__name__
        return f"TLS: the connection broke: {how}"
    if any(part in reason for part in _NO_TLS):
        return "TLS: the peer speaks no TLS"
    if "PEER_DID_NOT_RETURN_A_CERTIFICATE" in reason:
        return "TLS: the peer shows no certificate"
    if "CERTIFICATE_REQUIRED" in reason:
        return "TLS: the peer wants a certificate of ours"
    if any(part in reason for part in _OUR_CERTIFICATE):
        return f"TLS: the peer refuses our certificate ({said})"
    if any(part in reason for part in _NOTHING_IN_COMMON):
        return f"TLS: no version or cipher in common ({said})"
    if "ALERT_HANDSHAKE_FAILURE" in reason:
        return "TLS: the peer ended the handshake; it may want a certificate of ours, or has no cipher in common"
    return f"TLS: {said or type(exc).__name__}"


def peer_certificate(sock: ssl.SSLSocket) -> Certificate | None:
    """The certificate the peer showed, None if it showed none (or one that cannot be read)."""
    encoded = sock.getpeercert(binary_form=True)
    if encoded is None:
        return None
    with contextlib.suppress(ValueError):
        return describe(encoded)
    return None


def describe(encoded: bytes) -> Certificate:
    """Subject and end of a DER certificate. Raises ValueError."""
    from cryptography import x509  # only nodes that use TLS pay for it

    certificate = x509.load_der_x509_certificate(encoded)
    subject = certificate.subject.rfc4514_string()
    return Certificate("".join(c if c.isprintable() else "?" for c in subject), certificate.not_valid_after_utc)


def _harden(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 8996 forbids the older ones
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    # A single scanner's certificate may stand in the file of authorities: what is named there is trusted.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN


def _load_chain(context: ssl.SSLContext, cert: Path, key: Path, password: str = "") -> None:
    # The empty password keeps OpenSSL from asking for one at the terminal.
    context.load_cert_chain(cert, key, password=password)


def _first_certificate(path: Path) -> str:
    text = path.read_text(encoding="ascii", errors="replace")
    begin, end = text.find(ssl.PEM_HEADER), text.find(ssl.PEM_FOOTER)
    if not 0 <= begin < end:
        raise ValueError("no certificate in it")
    return text[begin : end + len(ssl.PEM_FOOTER)]


def _file_words(exc: Exception) -> str:
    if isinstance(exc, ssl.SSLError):
        return (exc.reason or "not PEM").lower().replace("_", " ")
    return getattr(exc, "strerror", None) or str(exc)


def _stat(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
