"""Mail against a real SMTP server: plain, STARTTLS, TLS, login; refusals, silence, a server that never comes to an end."""

from __future__ import annotations

import ssl
from email import message_from_bytes
from email.policy import default
from typing import Any

import pytest

from actors.bookkeeper.alerts import mail
from actors.bookkeeper.alerts.calls import Refused
from actors.bookkeeper.alerts.trying import try_channel
from protocol.settings.alerts import Alerts, Smtp
from tests.bookkeeper.alerts.mute import mute_server
from tests.certificates import Authority
from tests.mailserver import Box, smtp_server
from tests.peers import HOST

MAIL = mail.Mail(
    "node1.1.7", ("ops@example.org", "ct@example.org"), "over: alles in Ordnung", "Grüße\n", 1_800_000_000.0
)


def settings(port: int, **more: Any) -> Smtp:
    return Smtp(
        **{
            "host": HOST,
            "port": port,
            "sender": "node@example.org",
            "to": ("ops@example.org",),
            "timeout_s": 5.0,
            **more,
        }
    )


def server_side(pair: Any) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert, pair.key)
    return context


def test_a_mail_arrives_as_it_was_meant() -> None:
    box = Box()
    with smtp_server(box) as port:
        mail.send(settings(port), MAIL)
    (envelope,) = box.taken
    assert envelope.rcpt_tos == ["ops@example.org", "ct@example.org"] and envelope.mail_from == "node@example.org"
    read = message_from_bytes(envelope.content, policy=default)
    assert read["Subject"] == "over: alles in Ordnung" and read["Message-ID"] == "<node1.1.7@example.org>"
    assert read["Auto-Submitted"] == "auto-generated" and read.get_content().strip() == "Grüße"


@pytest.mark.filterwarnings("ignore:Requiring AUTH")
@pytest.mark.parametrize("how", ["starttls", "tls"])
def test_a_mail_goes_encrypted_and_with_login(tmp_path, how: str) -> None:
    authority = Authority(tmp_path / "ca")
    secure, box = server_side(authority.issue("mail")), Box()
    (tmp_path / "password").write_text("s3cret\n")

    answer = pytest.importorskip("aiosmtpd.smtp", reason="install the extra test: aiosmtpd").AuthResult

    def who(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> Any:
        return answer(success=(data.login, data.password) == (b"node", b"s3cret"), handled=False)

    login = {"authenticator": who, "auth_required": True, "auth_require_tls": how == "starttls"}
    served = {"ssl_context": secure} if how == "tls" else {"tls_context": secure, "require_starttls": True}
    given = {"user": "node", "password_file": tmp_path / "password", "ca": authority.cert, how: True}
    with smtp_server(box, **served, **login) as port:
        mail.send(settings(port, **given), MAIL)
        (tmp_path / "password").write_text("wrong")
        with pytest.raises(Refused, match="login: 535") as refused:
            mail.send(settings(port, **given), MAIL)
    assert box.encrypted == [how == "starttls"], "of TLS from the first byte this server does not tell"
    assert len(box.taken) == 1 and not refused.value.retryable


def test_a_server_that_cannot_prove_who_it_is_gets_no_password(tmp_path) -> None:
    stranger, box = Authority(tmp_path / "other").issue("mail"), Box()
    ours = Authority(tmp_path / "ca")
    with (
        smtp_server(box, tls_context=server_side(stranger)) as port,
        pytest.raises(Refused, match="STARTTLS: .*certificate"),
    ):
        mail.send(settings(port, starttls=True, ca=ours.cert), MAIL)
    assert box.taken == []


def test_what_passes_and_what_does_not_is_told_apart() -> None:
    box = Box()
    with smtp_server(box) as port:
        box.answer = "451 later"
        with pytest.raises(Refused, match="message: 451 later") as refused:
            mail.send(settings(port), MAIL)
        assert refused.value.retryable
        box.answer = "554 never"
        with pytest.raises(Refused, match="554 never") as refused:
            mail.send(settings(port), MAIL)
        assert not refused.value.retryable
        box.refuse = {"ops@example.org": "550 unknown", "ct@example.org": "550 unknown"}
        with pytest.raises(Refused, match="2 recipients refused, 550 unknown"):
            mail.send(settings(port), MAIL)
        for answer in ("550 unknown", "450 greylisted"):
            box.answer, box.refuse = "250 ok", {"ct@example.org": answer}
            assert mail.send(settings(port), MAIL) == ["ct@example.org"]
    assert [one.rcpt_tos for one in box.taken] == [["ops@example.org"]] * 2, (
        "one wrong address keeps nobody else from it"
    )
    with pytest.raises(Refused, match="connection: ") as refused:
        mail.send(settings(port), MAIL)
    assert refused.value.retryable


@pytest.mark.slow
@pytest.mark.parametrize(
    "word", [b"", b"2", b"220-welcome\r\n"], ids=["silent", "a byte at a time", "a greeting without end"]
)
def test_a_server_that_never_comes_to_an_end_is_left(word: bytes) -> None:
    with mute_server(word) as port, pytest.raises(Refused):
        mail.send(settings(port, timeout_s=0.2), MAIL)


# ---- the test button


def test_the_button_says_each_step() -> None:
    box = Box()
    with smtp_server(box) as port:
        limits = Alerts(smtp=settings(port))
        steps = try_channel(limits, "node1", "mail")
        assert [(one.name, one.ok) for one in steps] == [("connection", True), ("message", True)]
        assert steps[1].text == "taken for 1 recipient"
        assert try_channel(limits, "node1", "mail:me@example.org")[1].ok
        box.answer = "554 go away"
        assert [(one.name, one.ok, one.text) for one in try_channel(limits, "node1", "mail")][1] == (
            "message",
            False,
            "554 go away",
        )
    assert [one.rcpt_tos for one in box.taken] == [["ops@example.org"], ["me@example.org"]]
    (failed,) = try_channel(limits, "node1", "mail")
    assert (failed.name, failed.ok) == ("connection", False)


@pytest.mark.parametrize(
    ("channel", "says"),
    [
        ("mail", "alerts.smtp.host"),
        ("webhook", "alerts.webhook.url"),
        ("pigeon", "a channel is"),
        ("mail:x", "name@host"),
    ],
)
def test_the_button_says_what_the_settings_lack(channel: str, says: str) -> None:
    (step,) = try_channel(Alerts(), "node1", channel)
    assert not step.ok and step.name == "settings" and says in step.text
