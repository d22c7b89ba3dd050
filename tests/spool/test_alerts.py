"""What stands, who takes care of it, what is silenced; letters wait for company and are kept until they are taken."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from protocol.clock import ManualClock
from protocol.errors import NotFound, StepRefused
from protocol.spool import Spool, database, open_spool
from protocol.spool.alerting import Symptom
from protocol.spool.alerts import Step
from protocol.spool.letters import Item, Told
from protocol.spool.outbox import Cursor

DOWN = Symptom("target.down.pacs", "target pacs is down", "critical", "target/pacs")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def spool(tmp_path: Path, clock: ManualClock):
    opened = open_spool(tmp_path, clock=clock, create=True)
    yield opened
    opened.close()


def events(spool: Spool, kind: str) -> list[dict]:
    return [dict(one.data) for one in spool.outbox.read(Cursor(0, 0)) if one.type == kind]


def test_an_alert_of_an_actor_stands_until_the_actor_says_that_it_is_over(spool: Spool) -> None:
    assert spool.notices.raise_alert("rule.failed.odd", "rule odd cannot be evaluated")
    assert not spool.notices.raise_alert("rule.failed.odd", "rule odd cannot be evaluated")
    (alert,) = spool.alerts.list()
    assert (alert.key, alert.about, alert.state, alert.severity) == ("rule.failed.odd", "rule/odd", "open", "warning")
    assert spool.notices.clear_alert("rule.failed.odd") and not spool.notices.clear_alert("rule.failed.odd")
    assert spool.alerts.list() == [] and spool.alerts.get("rule.failed.odd").state == "cleared"
    assert [one.key for one in spool.alerts.list(cleared_within_s=60)] == ["rule.failed.odd"]
    assert len(events(spool, "alert.raised")) == len(events(spool, "alert.cleared")) == 1


def test_new_words_of_a_standing_alert_are_kept_once_a_minute(spool: Spool, clock: ManualClock) -> None:
    spool.notices.raise_alert("disk", "4.0 GB are free")
    clock.advance(5)
    spool.notices.raise_alert("disk", "3.9 GB are free")
    assert spool.notices.alerts() == {"disk": "4.0 GB are free"} and events(spool, "alert.updated") == []
    clock.advance(60)
    assert not spool.notices.raise_alert("disk", "3.1 GB are free"), "it is not raised again"
    assert spool.notices.alerts() == {"disk": "3.1 GB are free"}
    (told,) = events(spool, "alert.updated")
    assert told["text"] == "3.1 GB are free" and told["raised"] == clock.now() - 65


def test_new_words_are_kept_though_the_last_ones_came_while_the_clock_was_ahead(
    spool: Spool, clock: ManualClock
) -> None:
    clock.jump_wall(86_400)
    spool.notices.raise_alert("spool.lock", "process 1 held it")
    clock.jump_wall(-86_400)
    spool.notices.raise_alert("spool.lock", "process 2 held it")
    assert [one.text for one in spool.alerts.list()] == ["process 2 held it"]


def test_what_has_no_end_of_its_own_ends_when_it_is_acknowledged(spool: Spool, clock: ManualClock) -> None:
    spool.notices.report("ledger.gap", "its history has a hole")
    spool.notices.report("ledger.gap", "its history has a hole")
    (alert,) = spool.alerts.list()
    assert (alert.count, alert.severity) == (2, "critical") and alert.ends == clock.now() + 86_400
    assert spool.alerts.acknowledge("ledger.gap", "ann", "known").state == "cleared"
    assert len(events(spool, "alert.raised")) == 1


def test_acknowledged_by_whom_until_it_becomes_worse(spool: Spool) -> None:
    soon = Symptom("certificate.webgui", "it ends in 7 days", "warning")
    spool.alerts.apply([Step("raise", soon)])
    alert = spool.alerts.acknowledge("certificate.webgui", "ann", "new one is ordered")
    assert (alert.state, alert.by, alert.note) == ("acknowledged", "ann", "new one is ordered")
    spool.alerts.apply([Step("update", Symptom(soon.key, "it ends in 6 days", "warning"))])
    assert spool.alerts.get(soon.key).state == "acknowledged"
    spool.alerts.apply([Step("update", Symptom(soon.key, "it ends today", "critical"))])
    assert spool.alerts.get(soon.key).state == "open"
    (told,) = events(spool, "alert.acknowledged")
    assert told["by"] == "ann"


def test_what_is_over_cannot_be_acknowledged_and_what_never_was_is_said(spool: Spool) -> None:
    with pytest.raises(NotFound, match="no alert 'x'"):
        spool.alerts.acknowledge("x", "ann")
    spool.alerts.apply([Step("raise", DOWN), Step("clear", DOWN)])
    with pytest.raises(StepRefused, match="over already"):
        spool.alerts.acknowledge(DOWN.key, "ann")


@pytest.mark.parametrize(
    ("pattern", "covered"),
    [("target.down.pacs", True), ("target.*", True), ("target/pacs", True), ("target/*", True), ("*", True),
     ("target", False), ("source/pacs", False), ("TARGET/PACS", False), ("target.down.pac", False)],
)  # fmt: skip
def test_a_silence_covers_what_its_pattern_says(spool: Spool, clock: ManualClock, pattern: str, covered: bool) -> None:
    spool.alerts.apply([Step("raise", DOWN)])
    silence = spool.alerts.silence(pattern, clock.now() + 3600, "ann", "it is being moved")
    assert spool.alerts.silences() == [silence]
    assert (spool.alerts.get(DOWN.key).state == "silenced") == covered
    clock.advance(3600)
    assert spool.alerts.get(DOWN.key).state == "open" and spool.alerts.silences() == []
    assert spool.alerts.tidy(0) == 1
    assert [one["by"] for one in events(spool, "alert.unsilenced")] == [""]


@pytest.mark.parametrize("pattern", ["arrival.held.CT[1]", "source/CT[1]", "source/CT[?]"])
def test_a_silence_takes_brackets_of_an_ae_title_as_they_are(spool: Spool, clock: ManualClock, pattern: str) -> None:
    held = Symptom("arrival.held.CT[1]", "held", "warning", "source/CT[1]")
    spool.alerts.apply([Step("raise", held), Step("raise", DOWN)])
    spool.alerts.silence(pattern, clock.now() + 3600, "ann")
    assert spool.alerts.get(held.key).state == "silenced" and spool.alerts.get(DOWN.key).state == "open"


def test_a_silence_is_ended_by_a_person(spool: Spool, clock: ManualClock) -> None:
    silence = spool.alerts.silence("*", clock.now() + 60, "ann")
    spool.alerts.unsilence(silence.id, "bob")
    assert spool.alerts.silences() == [] and events(spool, "alert.unsilenced")[0]["by"] == "bob"
    with pytest.raises(NotFound):
        spool.alerts.unsilence(silence.id, "bob")


@pytest.mark.parametrize(
    ("pattern", "ahead_s"), [("", 60), ("a\nb", 60), ("x" * 501, 60), ("*", 0), ("*", 400 * 86_400)]
)
def test_an_odd_silence_is_refused(spool: Spool, clock: ManualClock, pattern: str, ahead_s: float) -> None:
    with pytest.raises(StepRefused):
        spool.alerts.silence(pattern, clock.now() + ahead_s, "ann")
    assert spool.alerts.silences() == []


def test_the_worst_comes_first_and_what_is_taken_care_of_last(spool: Spool, clock: ManualClock) -> None:
    for key, severity in (("a", "info"), ("b", "critical"), ("c", "warning"), ("d", "critical"), ("e", "critical")):
        spool.alerts.apply([Step("raise", Symptom(key, key, severity))])
        clock.advance(1)
    spool.alerts.acknowledge("d", "ann")
    spool.alerts.silence("e", clock.now() + 60, "ann")
    assert [one.key for one in spool.alerts.list()] == ["b", "c", "a", "d", "e"]


def test_cleared_alerts_are_let_go_once_people_know(spool: Spool, clock: ManualClock) -> None:
    spool.alerts.apply([Step("raise", DOWN)])
    spool.letters.tell([Told(DOWN.key, "critical")], [Item("mail", {"kind": "raised"})])
    spool.alerts.apply([Step("clear", DOWN)])
    clock.advance(1000)
    assert spool.alerts.tidy(clock.now()) == 0, "they were told that it stands"
    spool.letters.tell([Told(DOWN.key, "critical", over=True)], [Item("mail", {"kind": "cleared"})])
    assert spool.alerts.tidy(clock.now()) == 1 and spool.alerts.all() == []


# ---- letters


def test_items_become_one_letter_which_is_kept_until_it_is_taken(spool: Spool, clock: ManualClock) -> None:
    for number in range(3):
        spool.letters.tell([], [Item("mail", {"number": number}), Item("webhook", {"number": number})])
        clock.advance(1)
    mail, webhook = spool.letters.piles()
    assert (mail.recipient, mail.size, mail.oldest) == ("mail", 3, clock.now() - 3) and webhook.size == 3
    items = spool.letters.items("mail")
    assert [one.body["number"] for one in items] == [0, 1, 2]
    id = spool.letters.seal(items, {"count": 3, "text": "all"})
    assert [pile.recipient for pile in spool.letters.piles()] == ["webhook"]
    spool.letters.failed(id, "connection refused", clock.now() + 30)
    (letter,) = spool.letters.waiting()
    assert (letter.id, letter.attempts, letter.error, letter.due) == (id, 1, "connection refused", clock.now() + 30)
    assert letter.body == {"count": 3, "text": "all"} and letter.channel == "mail"
    spool.letters.sent(id)
    spool.letters.sent(id)
    assert spool.letters.waiting() == [] and spool.letters.list()[0].state == "sent"
    assert spool.letters.list()[0].body == {"count": 3}, "the text is forgotten"
    assert events(spool, "letter.sent") == [{"letter": id, "channel": "mail", "items": 3, "attempts": 2}]
    assert spool.letters.tidy(clock.now() + 1) == 1 and spool.letters.list() == []


def test_what_a_letter_is_given_up_for_is_an_event_without_the_server_s_words(spool: Spool) -> None:
    spool.letters.tell([], [Item("mail:a@example.org", {})])
    id = spool.letters.seal(spool.letters.items("mail:a@example.org"), {"count": 1})
    spool.letters.give_up(id, "550 no such user")
    assert events(spool, "letter.given_up") == [{"letter": id, "channel": "mail", "items": 1, "attempts": 1}]
    assert spool.letters.list()[0].error == "550 no such user" and spool.letters.waiting() == []


def test_items_of_events_and_how_far_they_were_seen_are_one(spool: Spool) -> None:
    spool.letters.happened(Cursor(7, 9), [Item("mail:a@example.org", {"kind": "failed"})])
    assert spool.outbox.confirmed("notifier") == Cursor(7, 9)
    with pytest.raises(TypeError):
        spool.letters.happened(Cursor(7, 10), [Item("mail:a@example.org", {"kind": object()})])
    assert spool.outbox.confirmed("notifier") == Cursor(7, 9)


def test_words_about_an_erased_patient_are_taken_out_of_what_is_still_to_be_sent(spool: Spool) -> None:
    ops = "mail:ops@example.org"
    spool.letters.tell([], [Item(ops, {"arrival": 7, "text": "Meier"}), Item(ops, {"arrival": 8, "text": "Schmidt"})])
    items = spool.letters.items(ops)
    spool.letters.seal(items[:1], {"subject": "s", "text": "Meier", "count": 1, "items": [dict(items[0].body)]})
    spool.letters.tell([], [Item(ops, {"arrival": 7, "text": "Meier"})])
    assert spool.letters.forget({7}) == 2 and spool.letters.forget({7}) == 0
    everything = str([*spool.letters.items(ops), *spool.letters.waiting()])
    assert "Meier" not in everything and "Schmidt" in everything and "were erased" in everything


def test_alerts_of_an_earlier_version_still_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "SCHEMA_VERSION", 4)
    spool = open_spool(tmp_path, create=True)
    spool.close()
    monkeypatch.undo()
    with sqlite3.connect(spool.places.database) as connection:
        connection.execute("INSERT INTO meta VALUES ('notice:alert:disk', 'no room'), ('notice:revision', '7')")
    connection.close()
    spool = open_spool(tmp_path)
    assert spool.notices.alerts() == {"disk": "no room"} and spool.notices.standing() == {"revision": "7"}
    assert spool.notices.clear_alert("disk")
    spool.close()
