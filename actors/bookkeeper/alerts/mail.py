"""Letters as mail (RFC 5321, RFC 5322), by the settings' server. It must not decide when, nor repeat anything.

It runs in a thread of its own; every wait has a limit, and the whole of it has one: `Deadline` shuts the connection.
"""

from __future__ import annotations

import smtplib
import socket
import ssl
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

from actors.bookkeeper.alerts.calls import Deadline, Refused, Rung, trust
from actors.bookkeeper.alerts.words import plain
from protocol.addresses import with_port
from protocol.records import record

if TYPE_CHECKING:
    from protocol.settings.alerts import Smtp

TIMES_TIMEOUT = 4
"""The whole of it may take so many times as long as one answer."""


@record
class Mail:
    """A message to be sent. `id` is the same each time that it is sent; `created` in seconds UTC."""

    id: str
    to: Sequence[str]
    subject: str
    text: str
    created: float


def message(mail: Mail, sender: str) -> EmailMessage:
    """The message as it goes out. Whatever a text holds, it is one header each and plain text."""
    made = EmailMessage(policy=SMTP)
    made["From"] = sender
    made["To"] = ", ".join(mail.to)
    # An encoded word (RFC 2047) in it would be decoded while the header is folded, line breaks and all.
    made["Subject"] = plain(mail.subject, 200).replace("=?", "= ?")
    made["Date"] = format_datetime(datetime.fromtimestamp(mail.created, UTC))
    made["Message-ID"] = f"<{mail.id}@{sender.partition('@')[2]}>"
    made["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's holiday notice shall answer
    made.set_content(mail.text)
    return made


def send(settings: Smtp, mail: Mail) -> list[str]:
    """Hand it over to the server; for which addresses it was not taken, while it was for others. Raises Refused; then it may
    have got there all the same, if the answer was lost.
    """
    call = _Call(settings, mail)
    for rung in _rungs(settings, call):
        try:
            rung.climb()
        except (OSError, smtplib.SMTPException, ValueError) as exc:
            raise Refused(f"{rung.name}: {words(exc)}", retryable=not permanent(exc)) from exc
    return call.left


def rungs(settings: Smtp, mail: Mail) -> list[Rung]:
    """The way to the server step by step, with this message at the end. Any step raises OSError, SMTPException, ValueError."""
    return _rungs(settings, _Call(settings, mail))


def _rungs(settings: Smtp, call: _Call) -> list[Rung]:
    steps: list[tuple[str, Callable[[], str]]] = [("connection", call.connect)]
    if settings.starttls:
        steps.append(("STARTTLS", call.starttls))
    if settings.user:
        steps.append(("login", call.login))
    steps.append(("message", call.hand_over))
    return [Rung(name, call.guarded(step)) for name, step in steps]


def words(exc: Exception) -> str:
    """What went wrong, in one line, for people; it may hold the server's words."""
    if isinstance(exc, smtplib.SMTPRecipientsRefused):
        code, said = next(iter(exc.recipients.values()))
        return f"{len(exc.recipients)} recipients refused, {code} {_text(said)}"
    if isinstance(exc, smtplib.SMTPResponseException):
        return f"{exc.smtp_code} {_text(exc.smtp_error)}"
    if isinstance(exc, TimeoutError):
        return "no answer in time"
    return plain(str(exc) or type(exc).__name__)


def permanent(exc: Exception) -> bool:
    """Whether the server says that repeating does not help (RFC 5321 section 4.2.1: 5yz)."""
    if isinstance(exc, smtplib.SMTPRecipientsRefused):
        return all(code >= 500 for code, _ in exc.recipients.values())
    return isinstance(exc, smtplib.SMTPResponseException) and 500 <= exc.smtp_code < 600


def _text(said: bytes | str) -> str:
    return plain(said.decode("utf-8", "replace") if isinstance(said, bytes) else said)


class _Watched:
    """Its socket is known before the server has said a word: one whose greeting never ends is no progress either."""

    def __init__(self, deadline: Deadline, **how: Any) -> None:
        self._deadline = deadline
        super().__init__(**how)

    def _get_socket(self, *where: Any) -> Any:
        connection = super()._get_socket(*where)  # type: ignore[misc]  # smtplib's own place for this
        self._deadline.watch(connection)
        return connection


class _Plain(_Watched, smtplib.SMTP):
    pass


class _Secure(_Watched, smtplib.SMTP_SSL):
    pass


class _Call:
    """One conversation with the server."""

    def __init__(self, settings: Smtp, mail: Mail) -> None:
        self._settings, self._mail = settings, mail
        self._deadline = Deadline(settings.timeout_s * TIMES_TIMEOUT)
        self._smtp: smtplib.SMTP | None = None
        self.left: list[str] = []
        """Addresses for which the server did not take it, while it did for others."""

    def guarded(self, step: Callable[[], str]) -> Callable[[], str]:
        """A step that leaves nothing open if it fails."""

        def climb() -> str:
            try:
                return step()
            except BaseException:
                self._end()
                raise

        return climb

    def connect(self) -> str:
        settings = self._settings
        common: dict[str, Any] = {"host": settings.host, "port": settings.port, "timeout": settings.timeout_s,
                                  "local_hostname": socket.gethostname() or "localhost"}  # fmt: skip
        self._deadline.begin()
        if settings.tls:
            self._smtp = _Secure(self._deadline, context=trust(settings.ca), **common)
        else:
            self._smtp = _Plain(self._deadline, **common)
        self._smtp.ehlo_or_helo_if_needed()
        return f"{with_port(settings.host, settings.port)} answers{', over TLS' if settings.tls else ''}"

    def starttls(self) -> str:
        smtp = self._open()
        smtp.starttls(context=trust(self._settings.ca))
        self._deadline.watch(smtp.sock)
        smtp.ehlo()
        version = smtp.sock.version() if isinstance(smtp.sock, ssl.SSLSocket) else ""
        return f"encrypted, {version}"

    def login(self) -> str:
        file = self._settings.password_file
        assert file is not None, "the settings have seen to it"
        password = file.read_text("utf-8").rstrip("\r\n")
        self._open().login(self._settings.user, password)
        return f"logged in as {self._settings.user}"

    def hand_over(self) -> str:
        smtp, settings = self._open(), self._settings
        refused = smtp.send_message(message(self._mail, settings.sender), settings.sender, list(self._mail.to))
        self._end()
        self.left = sorted(refused)
        taken = len(self._mail.to) - len(refused)
        left = f", {len(refused)} refused: {', '.join(self.left)}" if refused else ""
        return f"taken for {taken} recipient{'s' * (taken != 1)}{left}"

    def _open(self) -> smtplib.SMTP:
        assert self._smtp is not None, "the steps are taken in their order"
        return self._smtp

    def _end(self) -> None:
        if self._smtp is not None:
            try:
                self._smtp.quit()
            except (OSError, smtplib.SMTPException):
                self._smtp.close()
            self._smtp = None
        self._deadline.end()
