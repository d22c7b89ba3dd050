"""Settings of alerts: what is refused, with its cure."""

from __future__ import annotations

import pytest

from protocol.errors import SettingsError
from protocol.recipients import fault, is_address, is_url
from protocol.settings import load_settings

MAIL = {"alerts.smtp.host": "h", "alerts.smtp.sender": "a@example.org", "alerts.smtp.to": ["b@example.org"]}


def test_nothing_is_sent_unless_somebody_says_where(tmp_path) -> None:
    alerts = load_settings(tmp_path, environ={}).alerts
    assert alerts.smtp.host == "" and alerts.webhook.url is None and not alerts.patient_names
    assert alerts.repeat_h == (1.0, 4.0, 24.0)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"alerts.smtp.to": []}, "somebody to send to"),
        ({"alerts.smtp.to": ["b@example.org\nBcc: c@example.org"]}, "no mail address"),
        ({"alerts.smtp.to": ["B <b@example.org>"]}, "without a display name"),
        ({"alerts.smtp.sender": "a@example.org, c@example.org"}, "no mail address"),
        ({"alerts.smtp.tls": True, "alerts.smtp.starttls": True}, "exclude each other"),
        ({"alerts.smtp.user": "node"}, "password_file belong together"),
        ({"alerts.webhook.url": "ftp://example.org/"}, "http:// or https://"),
        ({"alerts.webhook.url": "https://user:secret@example.org/"}, "token_file"),
        ({"alerts.repeat_h": [0]}, "alerts.repeat_h"),
        ({"alerts.group_s": -1}, "alerts.group_s"),
    ],
)
def test_what_cannot_work_is_refused_with_a_cure(tmp_path, more, says) -> None:
    with pytest.raises(SettingsError) as refused:
        load_settings(tmp_path, {**MAIL, **more}, environ={})
    assert says in str(refused.value) and "secret" not in str(refused.value)


@pytest.mark.parametrize("text", ["a@b", "first.last+tag@mail.example.org", "müller@klinik.example"])
def test_mail_addresses(text: str) -> None:
    assert is_address(text) and fault(f"mail:{text}") == ""


@pytest.mark.parametrize(
    "text",
    ["", "a", "a@", "@b", "a b@c", "a@b c", "a@b,c@d", "a@b\n", "a@b\r\nX: y", "a@b\x00", "<a@b>", '"a"@b', "a@b;c"],
)
def test_no_mail_addresses(text: str) -> None:
    assert not is_address(text) and "name@host" in fault(f"mail:{text}")


@pytest.mark.parametrize("text", ["https://h", "http://h:8080/x?y=1", "https://[fd00::1]/x"])
def test_urls(text: str) -> None:
    assert is_url(text)


@pytest.mark.parametrize(
    "text",
    [
        "h",
        "https://",
        "https://u:p@h/",
        "https://h/a b",
        "https://h/\r\nX: y",
        "javascript:x",
        "https://h/#x",
        "https://h\\@evil/",
    ],
)
def test_no_urls(text: str) -> None:
    assert not is_url(text) and "u:p" not in fault(f"webhook:{text}")
