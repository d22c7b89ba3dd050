"""Letters in words: grouped, without patient data in a subject, and harmless whatever a value holds."""

from __future__ import annotations

import unicodedata
from datetime import UTC
from email import message_from_bytes
from email.policy import SMTP

from hypothesis import given
from hypothesis import strategies as st

from actors.bookkeeper.alerts.mail import Mail, message
from actors.bookkeeper.alerts.words import clock_words, letter_of, plain
from protocol.routing.notify import fill
from protocol.spool.letters import Item

WHEN = clock_words(UTC)


def alert(
    key: str, what: str = "raised", severity: str = "warning", text: str = "something", time: float = 1e9
) -> Item:
    body = {"kind": "alert", "what": what, "key": key, "severity": severity, "text": text, "raised": 1e9, "time": time}
    return Item("mail", body)


def rule(arrival: int, on: str = "failed", **more: object) -> Item:
    body = {"kind": "rule", "rule": "stroke", "on": on, "arrival": arrival, "target": "pacs", "cause": "timeout"}
    return Item("mail", {**body, **more})


def test_one_alert_is_its_own_subject() -> None:
    letter = letter_of([alert("target.down.pacs", severity="critical", text="target pacs is down")], "node1", WHEN)
    assert letter["subject"] == "[scanpost node1] CRITICAL: target pacs is down" and letter["count"] == 1
    assert "New:\n  CRITICAL target pacs is down (target.down.pacs, since 2001-09-09 01:46)" in letter["text"]


def test_many_are_counted_and_the_worst_stands_first() -> None:
    items = [alert("a"), alert("b", severity="critical"), alert("c", "cleared"), *(rule(one) for one in range(1, 4))]
    letter = letter_of(items, "node1", WHEN)
    assert letter["subject"] == "[scanpost node1] 2 alerts, 1 critical; 1 over; 3 series not delivered"
    text = letter["text"]
    assert text.index("(b,") < text.index("(a,") < text.index("Over:") < text.index("(c,") < text.index("Rules:")


def test_of_one_alert_the_last_word_counts() -> None:
    items = [
        alert("a", text="5 deliveries"),
        alert("a", "again", text="7 deliveries"),
        alert("a", "cleared", time=1e9 + 60),
    ]
    letter = letter_of(items, "node1", WHEN)
    assert letter["text"].count("(a,") == 1 and "over since 2001-09-09 01:47" in letter["text"]
    assert letter["subject"] == "[scanpost node1] over: something" and letter["count"] == 3


def test_a_hundred_parked_deliveries_are_one_line() -> None:
    letter = letter_of([rule(number) for number in range(1, 101)], "node1", WHEN)
    (line,) = [one for one in letter["text"].splitlines() if "stroke" in one]
    assert line.startswith("  rule stroke: 100 series not delivered to pacs (The target took the connection")
    assert line.endswith("19, 20 and 80 more")


def test_texts_of_a_rule_stand_below_it_and_never_in_the_subject() -> None:
    letter = letter_of([rule(7, text="Meier^Anna is there")], "node1", WHEN)
    assert "    Meier^Anna is there" in letter["text"] and "Meier" not in letter["subject"]


def test_a_letter_stays_readable_however_much_there_is() -> None:
    letter = letter_of([alert(f"key{number}") for number in range(500)], "node1", WHEN)
    assert len(letter["text"].splitlines()) < 120 and "and 400 more" in letter["text"] and len(letter["items"]) == 500


NASTY = st.text(st.characters(), max_size=80) | st.sampled_from(
    ["a\r\nBcc: everybody@example.org", "a\n\nbody", "\u202eevil", "\x00\x1b[2J", "<!channel>", "{PatientName}", "=?utf-8?q?=0A?=",
     "\u2028next", "\udcff", "a\x85b"]
)  # fmt: skip


@given(NASTY)
def test_a_value_becomes_one_harmless_line(value: str) -> None:
    text = plain(value)
    assert len(text) <= 200 and len(text.splitlines()) <= 1
    assert not any(unicodedata.category(one) in ("Cc", "Cs", "Zl", "Zp") or one in "\u202e\u2066<>" for one in text)


@given(NASTY, NASTY)
def test_no_text_becomes_a_header_or_a_recipient_of_a_mail(subject: str, text: str) -> None:
    body = letter_of([alert("a", text=text), Item("mail", {"kind": "test", "text": text})], subject, WHEN)
    made = message(
        Mail("node.1.2", ["ops@example.org"], subject + body["subject"], body["text"], 1e9), "node@example.org"
    )
    read = message_from_bytes(made.as_bytes(policy=SMTP), policy=SMTP)
    assert sorted(read.keys()) == sorted(made.keys()) and "Bcc" not in read and read["To"] == "ops@example.org"
    assert [*made.keys()] == ["From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "Content-Type",
                              "Content-Transfer-Encoding", "MIME-Version"]  # fmt: skip


@given(NASTY)
def test_a_value_is_never_read_as_a_placeholder(value: str) -> None:
    assert fill("{source}|{target}", {"source": value, "target": "t"}) == f"{value}|t"
