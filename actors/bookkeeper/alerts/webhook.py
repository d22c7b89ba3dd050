"""Letters as HTTP POST of JSON, signed. It must not decide when, nor repeat anything, nor follow a redirection.

The signature is HMAC-SHA256 (RFC 2104) with the secret over the timestamp, a full stop and the body, as hexadecimal digits;
docs/alerts.md shows how a receiver checks it.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from actors.bookkeeper.alerts.calls import Deadline, Refused, Rung, trust
from actors.bookkeeper.alerts.words import plain
from protocol.records import record
from protocol.version import version

if TYPE_CHECKING:
    from protocol.settings.alerts import Webhook

ID, TIMESTAMP, SIGNATURE = "X-Scanpost-Id", "X-Scanpost-Timestamp", "X-Scanpost-Signature"
ANSWER_BYTES = 65_536
TIMES_TIMEOUT = 3
PATIENT = frozenset({408, 425, 429})
"""Of 4xx those that pass (RFC 9110 section 15.5, RFC 6585 section 4, RFC 8470 section 5.2)."""


@record
class Post:
    """What is posted. `id` is the same each time that it is."""

    id: str
    url: str
    body: Mapping[str, Any]


def signature(secret: bytes, timestamp: str, body: bytes) -> str:
    """The value of the header X-Scanpost-Signature."""
    return "sha256=" + hmac.new(secret, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def headers(settings: Webhook, post: Post, body: bytes, now: float) -> dict[str, str]:
    """All headers of a request; `now` in seconds UTC. Raises OSError: a file of the settings cannot be read."""
    made = {"Content-Type": "application/json", "User-Agent": f"scanpost/{version()}", ID: post.id,
            TIMESTAMP: str(int(now)), "Connection": "close"}  # fmt: skip
    if settings.secret_file is not None:
        made[SIGNATURE] = signature(_secret(settings.secret_file), made[TIMESTAMP], body)
    # A token is for the settings' own URL, not for whatever a rule names.
    if settings.token_file is not None and post.url == settings.url:
        made["Authorization"] = f"Bearer {_secret(settings.token_file).decode('ascii')}"
    return made


def _secret(file: Path) -> bytes:
    secret = file.read_bytes().strip()
    if not secret or not secret.isascii() or len(secret.split()) > 1:
        raise ValueError(f"{file.name} is empty, or more than one word of ASCII")
    return secret


def send(settings: Webhook, post: Post, clock: Callable[[], float] = time.time) -> None:
    """Post it. Raises Refused; then it may have got there all the same, if the answer was lost."""
    for rung in rungs(settings, post, clock):
        try:
            rung.climb()
        except (OSError, http.client.HTTPException, ValueError) as exc:
            raise Refused(f"{rung.name}: {words(exc)}") from exc


def rungs(settings: Webhook, post: Post, clock: Callable[[], float] = time.time) -> list[Rung]:
    """The way there step by step, with the post at the end."""
    call = _Call(settings, post, clock)
    return [Rung("connection", call.connect), Rung("request", call.request)]


def words(exc: Exception) -> str:
    """What went wrong, in one line, without the URL (it may hold a secret) and without the server's words."""
    if isinstance(exc, TimeoutError):
        return "no answer in time"
    if isinstance(exc, Refused):
        return str(exc)
    if isinstance(exc, http.client.HTTPException):
        return f"the answer is no HTTP ({type(exc).__name__})"
    return plain(str(exc) or type(exc).__name__)


class _Call:
    """One request."""

    def __init__(self, settings: Webhook, post: Post, clock: Callable[[], float]) -> None:
        self._settings, self._post, self._clock = settings, post, clock
        self._deadline = Deadline(settings.timeout_s * TIMES_TIMEOUT)
        self._connection: http.client.HTTPConnection | None = None

    def connect(self) -> str:
        parts, timeout_s = urlsplit(self._post.url), self._settings.timeout_s
        assert parts.hostname is not None, "the settings have seen to it"
        self._deadline.begin()
        try:
            if parts.scheme == "https":
                secure = trust(self._settings.ca)
                self._connection = http.client.HTTPSConnection(
                    parts.hostname, parts.port, timeout=timeout_s, context=secure
                )
            else:
                self._connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout_s)
            self._connection.connect()
            self._deadline.watch(self._connection.sock)
        except BaseException:
            self._end()
            raise
        return f"{parts.hostname} answers{', over TLS' if parts.scheme == 'https' else ''}"

    def request(self) -> str:
        try:
            return self._request()
        finally:
            self._end()

    def _request(self) -> str:
        assert self._connection is not None, "the steps are taken in their order"
        parts = urlsplit(self._post.url)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        body = json.dumps(self._post.body, ensure_ascii=True).encode()
        self._connection.request("POST", path, body, headers(self._settings, self._post, body, self._clock()))
        answer = self._connection.getresponse()
        answer.read(ANSWER_BYTES)
        if not 200 <= answer.status < 300:
            lasting = 400 <= answer.status < 500 and answer.status not in PATIENT
            raise Refused(f"answered {answer.status}", retryable=not lasting)
        signed = ", signed" if self._settings.secret_file is not None else ""
        return f"taken with status {answer.status}{signed}"

    def _end(self) -> None:
        self._deadline.end()
        if self._connection is not None:
            self._connection.close()
            self._connection = None
