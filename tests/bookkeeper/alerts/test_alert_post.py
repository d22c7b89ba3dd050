"""Letters are carried until they are taken: through outages, restarts, clocks set back, and whoever hangs."""

from __future__ import annotations

import threading
from datetime import UTC
from typing import Any

import pytest

from actors.bookkeeper.alerts.calls import Refused
from actors.bookkeeper.alerts.post import Post, next_due
from actors.bookkeeper.alerts.words import clock_words
from protocol.errors import OutOfSpace
from protocol.spool.letters import Item, Letter
from tests.bookkeeper.alerts.alert_rig import DAY, HOUR, MINUTE, AlertRig


def tell(node: AlertRig, text: str, recipient: str = "mail") -> None:
    node.spool.letters.tell([], [Item(recipient, {"kind": "test", "text": text})])


def test_what_comes_within_a_minute_is_one_letter(rig) -> None:
    node = rig()
    tell(node, "one")
    node.after(50)
    tell(node, "two")
    assert node.sent == []
    node.after(20)
    assert len(node.sent) == 1 and "one" in node.texts() and "two" in node.texts()
    tell(node, "three")
    node.after(2 * MINUTE)
    assert len(node.sent) == 2 and node.spool.letters.piles() == [] and node.spool.letters.waiting() == []


def test_an_outage_of_hours_loses_nothing_and_ends_with_two_mails_not_two_hundred(rig) -> None:
    node = rig()
    node.away("mail")
    for number in range(60):
        tell(node, f"number {number};")
        node.after(5 * MINUTE, step=60)
    assert node.sent == [] and "channel.mail" in node.standing()
    assert 8 <= len(node.tried) <= 15, "tried with growing waits, at most an hour"
    assert len({one.id for one in node.tried}) == 1
    node.away()
    node.after(3 * HOUR, step=60)
    assert len(node.sent) == 3, "what was under way, what had come meanwhile, and that the channel works again"
    assert [node.texts().count(f"number {number};") for number in range(60)] == [1] * 60
    assert node.sent[0].id == node.tried[0].id and node.standing() == []


def test_an_outage_of_mail_is_told_by_the_other_channel(rig) -> None:
    node = rig(**{"alerts.webhook.url": "http://hook.example.org/"})
    node.away("mail")
    tell(node, "hello")
    node.after(20 * MINUTE)
    assert "mails with alerts are not taken since" in node.texts("webhook") and node.texts("mail") == ""


def test_a_restart_forgets_no_letter(rig) -> None:
    node = rig()
    node.away("mail")
    tell(node, "hello")
    node.after(2 * MINUTE)
    tell(node, "another")
    node.hire()
    node.away()
    node.after(10 * MINUTE)
    assert len(node.sent) == 2 and node.sent[0].id == node.tried[0].id


def test_a_letter_that_nobody_takes_is_given_up_after_a_week_and_says_so(rig) -> None:
    node = rig()
    node.away("mail")
    tell(node, "hello")
    node.after(8 * DAY, step=1800)
    (event,) = [one for one in node.events("letter.given_up") if one.data["items"] == 1]
    assert event.data["channel"] == "mail" and "hello" not in str(event.data)


def test_what_is_refused_for_good_holds_up_the_next_ones_for_a_day_at_most(rig) -> None:
    node = rig()
    bad: list[int] = []

    def refuse(letter: Letter) -> None:
        bad[:] = bad or [letter.id]
        if letter.id == bad[0]:
            raise Refused("message: 554 no", retryable=False)

    node.refuse = refuse
    tell(node, "poison")
    node.after(2 * MINUTE)
    tell(node, "good")
    node.after(23 * HOUR, step=600)
    assert "good" not in node.texts()
    node.after(3 * HOUR, step=600)
    assert "good" in node.texts() and "poison" not in node.texts()


def test_one_recipient_that_is_away_keeps_no_other_waiting(rig) -> None:
    node = rig()
    node.away("webhook:http://chat.example.org/x")
    tell(node, "chat", "webhook:http://chat.example.org/x")
    tell(node, "mail")
    tell(node, "ward", "mail:ward@example.org")
    node.after(2 * MINUTE)
    assert sorted(one.recipient for one in node.sent) == ["mail", "mail:ward@example.org"]


def test_a_clock_that_was_a_year_ahead_puts_no_letter_off(rig) -> None:
    node = rig()
    node.world.clock.jump_wall(365 * DAY)
    node.away("mail")
    tell(node, "hello")
    node.after(2 * MINUTE)
    tell(node, "second")
    node.world.clock.jump_wall(-365 * DAY)
    node.away()
    node.after(MINUTE)
    assert len(node.sent) >= 1 and "hello" in node.texts()
    node.after(5 * MINUTE)
    assert "second" in node.texts()


def test_an_error_of_our_own_is_not_tried_each_second(rig) -> None:
    node = rig()

    def refuse(letter: Letter) -> None:
        raise KeyError("text")

    node.refuse = refuse
    tell(node, "hello")
    node.after(30 * MINUTE)
    assert 3 <= len(node.tried) <= 8
    assert node.spool.letters.waiting()[0].error == "internal error: KeyError"


def test_what_was_taken_is_not_sent_again_although_the_disk_is_full(rig, monkeypatch) -> None:
    node = rig()
    tell(node, "hello")
    real = node.spool.letters.sent

    def full(id: int, left: Any) -> None:
        raise OutOfSpace()

    monkeypatch.setattr(node.spool.letters, "sent", full)
    node.after(5 * MINUTE)
    assert len(node.tried) == 1
    monkeypatch.setattr(node.spool.letters, "sent", real)
    node.after(MINUTE)
    assert len(node.tried) == 1 and node.spool.letters.waiting() == []


@pytest.mark.parametrize("attempts", range(12))
def test_waits_grow_up_to_an_hour(attempts: int) -> None:
    letter = Letter(1, "mail", "waiting", 1000.0, 0.0, attempts, "", None, {})
    assert next_due(letter, 1000.0, False, 7 * DAY, 1.0) == 1000.0 + min(30 * 2**attempts, 3600)
    assert next_due(letter, 1000.0 + 7 * DAY, False, 7 * DAY, 1.0) is None
    assert next_due(letter, 1000.0 + DAY, True, 7 * DAY, 1.0) is None


def test_a_channel_that_hangs_blocks_neither_the_others_nor_the_round(rig) -> None:
    """With threads: one server never answers; the other's letter goes, and each round comes back at once."""
    node = rig()
    over, taken = threading.Event(), []

    def carry(letter: Letter) -> None:
        if letter.recipient == "mail":
            over.wait(30)
        taken.append(letter.recipient)

    post = Post(node.context, clock_words(UTC), carry=carry)
    for recipient in ("mail", "webhook"):
        tell(node, "hello", recipient)
    node.world.clock.advance(2 * MINUTE)
    post.round()
    webhook = (
        next(hand for hand, letter in post._hands.values() if letter.recipient == "webhook") if post._hands else None
    )
    if webhook is not None:
        assert webhook.wait(30)
    post.round()
    assert taken == ["webhook"] and [one.recipient for one in node.spool.letters.waiting()] == ["mail"] and post.busy
    over.set()
    post.wait(30)
    assert taken == ["webhook", "mail"] and node.spool.letters.waiting() == []


def test_whom_a_letter_was_not_taken_for_gets_one_of_their_own_that_keeps_nobody_waiting(rig) -> None:
    node = rig()
    node.left = {"mail": ["mail:new@example.org"]}
    node.away("mail:new@example.org")
    tell(node, "first")
    node.after(2 * MINUTE)
    tell(node, "second")
    node.after(20 * MINUTE)
    assert node.texts("mail").count("first") == node.texts("mail").count("second") == 1
    assert "channel.mail" in node.standing(), "people learn that somebody is not reached"
    node.left = {}
    node.away()
    node.after(3 * HOUR, step=60)
    late = node.texts("mail:new@example.org")
    assert late.count("first") == late.count("second") == 1
    assert "channel.mail" not in node.standing() and node.spool.letters.waiting() == []
