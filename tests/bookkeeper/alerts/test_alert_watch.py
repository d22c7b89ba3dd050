"""What is wrong with a node raises alerts, people are told as they should be, and a quiet night tells nobody."""

from __future__ import annotations

import json
import time

import pytest

from actors.bookkeeper.alerts.desk import LETTERS_S, watch_every_s
from actors.rhythm import REST_S
from protocol.errors import OutOfSpace
from protocol.fsops import Room
from protocol.settings.alerts import Alerts
from protocol.spool.arrivals import Verdict
from protocol.spool.letters import Item
from protocol.spool.sightings import note
from protocol.testing.images import TestImage
from tests.bookkeeper.alerts.alert_rig import DAY, HOUR, MINUTE, MONDAY, WEEK, AlertRig
from tests.certificates import Authority

# ---- targets and deliveries


def down(node: AlertRig, name: str = "pacs") -> None:
    node.spool.targets.leave_alone(name, node.now + 30, "connection refused by 10.1.2.3")


def test_a_target_that_stays_down_is_told_once_and_its_end_once(rig) -> None:
    node = rig()
    node.publish("pacs")
    node.series(1, "pacs")
    down(node)
    node.after(MINUTE)
    assert node.standing() == [], "a moment is no outage"
    node.after(3 * MINUTE)
    assert node.standing() == ["target.down.pacs"]
    alert = node.alert("target.down.pacs")
    assert (alert.severity, alert.about, alert.count) == ("critical", "target/pacs", 1)
    assert "1 delivery waits" in alert.text and "10.1.2.3" not in alert.text
    assert len(node.sent) == 1 and node.subjects()[0].startswith("[scanpost node1] CRITICAL: target pacs is down")
    node.spool.targets.answers("pacs")
    node.after(4 * MINUTE)
    assert len(node.sent) == 1 and node.standing() == ["target.down.pacs"], "it may be down again in a moment"
    node.after(3 * MINUTE)
    assert node.standing() == [] and len(node.sent) == 2 and "over: target pacs" in node.subjects()[1]
    assert len(node.events("alert.raised")) == len(node.events("alert.cleared")) == 1


def test_a_target_that_comes_and_goes_is_one_alert(rig) -> None:
    node = rig()
    node.publish("pacs")
    down(node)
    node.after(5 * MINUTE)
    for _ in range(6):
        node.spool.targets.answers("pacs")
        node.after(2 * MINUTE)
        down(node)
        node.after(2 * MINUTE)
    assert len(node.events("alert.raised")) == 1 and len(node.sent) == 1


def test_with_nothing_waiting_it_is_a_warning_and_becomes_critical_with_the_first_series(rig) -> None:
    node = rig()
    node.publish("pacs")
    down(node)
    node.after(10 * MINUTE)
    assert node.alert("target.down.pacs").severity == "warning" and len(node.sent) == 1
    node.series(1, "pacs")
    node.after(2 * MINUTE)
    assert node.alert("target.down.pacs").severity == "critical" and len(node.sent) == 2


def test_a_paused_target_is_not_down(rig) -> None:
    node = rig()
    node.publish("pacs")
    down(node)
    command = node.spool.commands.ask("target.pause", "ann", {"target": "pacs"})
    node.spool.targets.pause("pacs", "moved", "ann", None, command)
    node.after(10 * MINUTE)
    assert node.standing() == []


def test_five_hundred_failures_are_one_alert_and_one_mail(rig) -> None:
    node = rig()
    node.publish("pacs", "archive")
    for study in range(1, 51):
        node.series(study, "pacs")
    assert node.park() == 50
    node.after(2 * MINUTE)
    assert node.standing() == ["delivery.parked.pacs.images_refused"] and len(node.sent) == 1
    alert = node.alert("delivery.parked.pacs.images_refused")
    assert alert.count == 50 and alert.text.startswith("50 deliveries have used up all attempts to pacs")
    assert "peer's own words" not in node.texts() + alert.text
    for study in range(51, 60):
        node.series(study, "pacs")
    node.park()
    node.after(10 * MINUTE)
    assert node.alert(alert.key).count == 59 and len(node.sent) == 1, "more of it is no new mail"
    assert len(node.events("alert.updated")) == 1
    node.series(99, "archive")
    node.park("timeout")
    node.after(5 * MINUTE)
    assert len(node.sent) == 2, "another target and cause is"


def test_a_delivery_that_waits_too_long(rig) -> None:
    node = rig(**{"alerts.repeat_h": []})
    node.publish("pacs", "archive", archive={"schedule": {"start": "20:00", "end": "06:00"}})
    node.series(1, "pacs", "archive")
    node.after(3.9 * HOUR, step=300)
    assert node.standing() == []
    node.after(0.5 * HOUR, step=60)
    assert node.standing() == ["delivery.late.pacs"], "the other one waits for its hours"


def failing(node: AlertRig, cause: str) -> None:
    for _ in range(3):
        node.spool.deliveries.retry(node.world.claim(), node.now, "the peer's own words", cause)


def test_a_dead_target_that_a_person_resumes_is_not_said_to_be_there(rig) -> None:
    node = rig()
    node.publish("pacs")
    node.series(1, "pacs")
    failing(node, "connection_refused")
    down(node)
    node.after(5 * MINUTE)
    assert node.standing() == ["target.down.pacs"]
    node.spool.targets.resume("pacs", "ann", node.spool.commands.ask("target.resume", "ann", {"target": "pacs"}))
    node.after(MINUTE)
    assert node.standing() == ["target.degraded.pacs", "target.down.pacs"]
    node.after(10 * MINUTE)
    assert node.standing() == ["target.degraded.pacs"]
    assert node.alert("target.degraded.pacs").text.startswith("3 attempts in a row at pacs failed (The machine answers")


def test_while_a_target_is_told_to_be_down_no_alert_says_that_it_is_there(rig) -> None:
    node = rig()
    node.publish("pacs")
    node.series(1, "pacs")
    failing(node, "processing_failed")
    down(node)
    node.after(5 * MINUTE)
    node.spool.targets.answers("pacs")
    node.after(MINUTE)
    assert node.alert("target.degraded.pacs").text.startswith("3 attempts in a row at pacs failed")
    node.after(10 * MINUTE)
    assert node.alert("target.degraded.pacs").text.startswith("target pacs is there, but")


def test_a_target_that_is_there_and_fails(rig) -> None:
    node = rig()
    node.publish("pacs")
    node.series(1, "pacs")
    failing(node, "processing_failed")
    node.after(MINUTE)
    assert node.standing() == ["target.degraded.pacs"]
    text = node.alert("target.degraded.pacs").text
    assert text.startswith("target pacs is there, but 3 attempts in a row failed")
    assert "Storing failed inside the target" in text and "own words" not in text


# ---- arrivals, quarantine


def test_held_series_and_quarantined_objects_are_told_by_source(rig) -> None:
    node = rig()
    node.series(1, outcome="hold")
    node.series(2, outcome="hold")
    node.world.send(node.world.connect("MR 2"), TestImage(study=9), reason="cannot be read")
    node.after(2 * MINUTE)
    assert node.standing() == ["arrival.held.CT1", "quarantine.MR 2"]
    assert node.alert("arrival.held.CT1").count == 2 and node.alert("quarantine.MR 2").about == "source/MR 2"
    assert len(node.sent) == 1 and node.subjects() == ["[scanpost node1] 2 alerts"]
    node.after(DAY + HOUR, step=600)
    assert node.standing() == ["arrival.held.CT1"], "a day after the last object"


def test_what_a_person_holds_on_purpose_has_words_of_its_own_and_is_no_warning(rig) -> None:
    node = rig()
    stuck, kept = node.series(1, outcome="hold"), node.series(2, "pacs")
    command = node.spool.commands.ask("series.hold", "anna", {"ids": [kept], "reason": "second reading"})
    node.spool.arrivals.hold(kept, "second reading", command)
    node.after(2 * MINUTE)
    assert node.standing() == ["arrival.aside.CT1", "arrival.held.CT1"]
    assert (node.alert("arrival.held.CT1").count, node.alert("arrival.held.CT1").severity) == (1, "warning")
    aside = node.alert("arrival.aside.CT1")
    assert aside.severity == "info" and f"the newest is {kept}" in aside.text and "second reading" not in aside.text
    node.spool.arrivals.release(kept, node.spool.commands.ask("series.release", "anna", {"ids": [kept]}))
    node.after(10 * MINUTE)
    assert node.standing() == ["arrival.held.CT1"]
    assert str(stuck) in node.alert("arrival.held.CT1").text


def test_what_the_rules_hold_again_after_a_person_let_it_go_is_a_warning(rig) -> None:
    node = rig()
    one = node.series(1, outcome="hold")
    node.spool.arrivals.release(one, node.spool.commands.ask("series.release", "anna", {"ids": [one]}))
    node.after(MINUTE)
    node.spool.arrivals.decide(one, Verdict("hold", 1, [], reason="test"))
    node.after(2 * MINUTE)
    assert node.standing() == ["arrival.held.CT1"]


# ---- programs


def test_a_program_that_is_gone_or_fails_or_restarts(rig) -> None:
    node = rig()
    node.after(5 * MINUTE)
    assert node.standing() == []
    node.end("router")
    node.after(30)
    assert node.standing() == []
    node.start("router", pid=101)
    node.after(2 * MINUTE)
    node.end("cleaner")
    node.start("receiver", "failing")
    node.after(2 * MINUTE)
    assert node.standing() == ["actor.down.cleaner", "actor.failing.receiver"]
    node.start("cleaner")
    node.start("receiver")
    node.after(7 * MINUTE)
    assert node.standing() == []
    for pid in (102, 103, 104):
        node.start("router", pid=pid)
        node.after(MINUTE)
    assert node.standing() == ["actor.restarting.router"]


def test_a_program_that_holds_its_lock_and_gives_no_sign_of_life(rig) -> None:
    node = rig()
    node.after(MINUTE)
    node.hung.add("router")
    node.after(50)
    node.world.clock.jump_wall(HOUR)  # what is old is no question to this clock
    node.after(5, step=5)
    assert node.standing() == []
    node.after(MINUTE)
    assert node.standing() == ["actor.hung.router"]
    alert = node.alert("actor.hung.router")
    assert (alert.severity, alert.about) == ("critical", "actor/router")
    assert "no sign of life since 2027-01-15 08:01" in alert.text and "scanpost restart router" in alert.text
    node.hung.clear()
    node.after(7 * MINUTE)
    assert node.standing() == [] and len(node.sent) == 2
    node.start("cleaner", "recovering")
    node.hung.add("cleaner")
    node.after(10 * MINUTE)
    assert node.standing() == [], "it may have much to finish"
    node.hung.clear()
    node.start("cleaner")
    node.after(MINUTE)
    node.world.clock.advance(8 * HOUR)
    node.desk.round()
    assert node.standing() == [], "the machine slept, and we look first"


def test_the_web_page_counts_once_it_ran(rig) -> None:
    node = rig()
    node.start("webgui")
    node.after(MINUTE)
    node.end("webgui")
    node.after(2 * MINUTE)
    assert node.standing() == ["actor.down.webgui"]


# ---- disk, certificates


def test_a_disk_that_fills_up_is_told_hours_before(rig) -> None:
    node = rig(**{"alerts.disk_h": 6.0})
    free = 100e9
    for _ in range(18):
        node.world.disk.set_room(Room(int(free), None))
        node.after(10 * MINUTE, step=300)
        free -= 2.5e9  # 15 GB an hour, above a reserve of 5 GB
    assert node.standing() == ["disk.soon"]
    assert "images will be refused at about 20" in node.alert("disk.soon").text
    node.world.disk.set_room(Room(int(400e9), None))
    node.after(2 * HOUR, step=300)
    assert node.standing() == []


def test_a_reader_that_does_not_let_go_is_told_by_the_log_that_grows(rig, monkeypatch) -> None:
    node = rig()
    monkeypatch.setattr(node.spool.database, "wal_bytes", lambda: 90 << 20)
    node.after(14 * MINUTE)
    assert node.standing() == [], "a backup may take so long"
    node.after(3 * MINUTE)
    assert node.standing() == ["spool.wal"] and "larger than 64 MB" in node.alert("spool.wal").text
    monkeypatch.undo()
    node.after(7 * MINUTE)
    assert node.standing() == [] and len(node.sent) == 2


def test_a_bookkeeper_that_starts_says_of_nothing_that_it_is_over_before_it_can_tell(rig, monkeypatch) -> None:
    """How fast the disk fills up it knows after an hour, that the log stays large after a quarter of one."""
    node = rig(**{"alerts.disk_h": 6.0, "alerts.repeat_h": []})
    monkeypatch.setattr(node.spool.database, "wal_bytes", lambda: 90 << 20)
    free = [100e9]

    def fill(minutes: int) -> None:
        for _ in range(minutes // 5):
            free[0] -= 1.25e9  # 15 GB an hour, above a reserve of 5 GB
            node.world.disk.set_room(Room(int(free[0]), None))
            node.after(5 * MINUTE, step=60)

    fill(120)
    assert node.standing() == ["disk.soon", "spool.wal"]
    node.hire()
    for _ in range(14):
        fill(5)
        assert node.standing() == ["disk.soon", "spool.wal"]
    assert "over" not in node.texts()
    node.hire()
    monkeypatch.undo()
    node.after(2 * HOUR, step=60)  # nobody writes any more
    assert node.standing() == []


def test_a_disk_of_images_that_is_gone_keeps_nobody_from_hearing_which_program_fails_over_it(rig, monkeypatch) -> None:
    node = rig()

    def gone(path) -> Room:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(node.spool.fs, "room", gone)
    node.start("cleaner", "failing")
    node.after(3 * MINUTE)
    assert node.standing() == ["actor.failing.cleaner"]


@pytest.mark.parametrize(
    ("days", "severity"), [(29.0, "info"), (6.0, "warning"), (0.5, "critical"), (-1.0, "critical"), (200.0, None)]
)
def test_a_certificate_that_ends(rig, tmp_path, days: float, severity: str | None) -> None:
    pair = Authority(tmp_path / "ca").issue("node", days=days)
    node = rig(**{"webgui.tls.cert": str(pair.cert), "webgui.tls.key": str(pair.key)})
    node.world.clock.advance(time.time() - node.now)
    node.after(2 * MINUTE)
    assert node.standing() == ([] if severity is None else ["certificate.webgui"])
    if severity is not None:
        assert node.alert("certificate.webgui").severity == severity
        node.after(3 * HOUR, step=300)
        assert len(node.sent) == (1 if severity == "info" else 2), "what has time is not repeated"


def test_a_certificate_of_a_target_that_cannot_be_read(rig, tmp_path) -> None:
    node = rig()
    (tmp_path / "ca.pem").write_text("nothing")
    tls = {"ca": str(tmp_path / "ca.pem"), "cert": str(tmp_path / "gone.pem"), "key": str(tmp_path / "gone.key")}
    node.publish("pacs", pacs={"tls": tls})
    node.after(2 * MINUTE)
    assert node.standing() == ["certificate.target.pacs", "certificate.target.pacs.ca"]
    assert "No such file" in node.alert("certificate.target.pacs").text
    assert "holds no certificate" in node.alert("certificate.target.pacs.ca").text


# ---- sources


def weeks(node: AlertRig, number: int) -> None:
    """A scanner that works from 8 to 18 on weekdays."""
    for hour in range(24 * 7 * number):
        weekday, clock = (hour // 24) % 7, hour % 24
        if weekday < 5 and 8 <= clock < 18:
            node.world.clock.advance(MONDAY + hour * HOUR + 60 - node.now)
            node.world.receive(TestImage(study=1, instance=1), calling_ae="CT1")
            with node.spool.database.write() as tx:
                note(tx, "CT1", "10.0.0.1", "SCANPOST", "", None)
            node.after(10)


@pytest.mark.slow
def test_a_source_that_falls_silent_at_work_is_told_and_nights_and_weekends_are_not(rig) -> None:
    node = rig()
    node.world.clock.jump_wall(MONDAY - node.now)
    weeks(node, 3)
    assert node.sent == []
    node.after(MONDAY + 3 * WEEK + 8.5 * HOUR - node.now, step=600)
    assert node.events("alert.raised") == [], "a weekend and the Monday's first half hour"
    node.after(5 * HOUR, step=600)
    assert node.standing() == ["source.silent.CT1"] and node.alert("source.silent.CT1").about == "source/CT1"
    assert "2027-01-29 18:00" in node.alert("source.silent.CT1").text


# ---- a quiet night


@pytest.mark.slow
def test_a_quiet_healthy_day_and_weekend_tell_nobody_and_write_nothing(rig) -> None:
    node = rig()
    node.publish("pacs")
    node.world.clock.jump_wall(MONDAY + 4 * DAY + 15 * HOUR - node.now)  # a Friday afternoon
    for study in range(1, 4):
        node.series(study, "pacs")
        node.deliver()
        node.after(20 * MINUTE, step=60)
    before = node.spool.outbox.head()
    node.after(3 * DAY, step=120)
    assert node.sent == [] and node.standing() == [] and node.spool.outbox.head() == before
    assert [line for line in node.log.lines if line[0] in ("error", "critical")] == []


# ---- acknowledged, silenced, repeated


@pytest.mark.slow
def test_reminders_come_at_growing_distance_until_somebody_acknowledges(rig) -> None:
    node = rig()
    node.series(1, outcome="hold")
    times = []
    for _ in range(12 * 60):
        node.after(10 * MINUTE, step=300)
        times += [round((node.now - MONDAY) / HOUR)] * (len(node.sent) - len(times))
    waits = [after - before for before, after in zip(times, times[1:], strict=False)]
    assert waits[:4] == [1, 4, 24, 24] and "still: " in node.subjects()[1]
    node.spool.alerts.acknowledge("arrival.held.CT1", "ann", "asked the ward")
    before = len(node.sent)
    node.after(3 * DAY, step=600)
    assert len(node.sent) == before


def test_what_is_silenced_is_told_when_the_silence_ends_if_it_still_stands(rig) -> None:
    node = rig()
    node.spool.alerts.silence("source/CT1", node.now + 2 * HOUR, "ann", "the scanner is serviced")
    node.series(1, outcome="hold")
    node.series(2, outcome="hold")
    node.after(1.9 * HOUR, step=60)
    assert node.standing() == ["arrival.held.CT1"] and node.sent == []
    node.after(0.2 * HOUR, step=60)
    assert len(node.sent) == 1


def test_what_an_actor_raises_is_told_like_everything_else(rig) -> None:
    node = rig()
    node.spool.notices.raise_alert("clock", "cleaning pauses: the clock jumped by +3.0 hours")
    node.after(2 * MINUTE)
    assert "the clock jumped" in node.subjects()[0]
    for _ in range(5):
        node.spool.notices.clear_alert("clock")
        node.after(MINUTE)
        node.spool.notices.raise_alert("clock", "cleaning pauses: the clock jumped by +3.0 hours")
        node.after(MINUTE)
    assert len(node.sent) == 1, "an actor that wavers fills no mailbox"
    node.spool.notices.clear_alert("clock")
    node.after(7 * MINUTE)
    assert len(node.sent) == 2 and node.standing() == []


def test_what_was_never_told_is_not_said_to_be_over(rig) -> None:
    node = rig()
    node.spool.alerts.silence("*", node.now + HOUR, "ann")
    node.spool.notices.raise_alert("clock", "x")
    node.after(MINUTE)
    node.spool.notices.clear_alert("clock")
    node.after(2 * HOUR, step=60)
    assert node.sent == []


def test_without_a_channel_nothing_is_told_and_who_sets_one_up_hears_of_all_that_stands(rig) -> None:
    node = rig(**{"alerts.smtp.host": ""})
    node.series(1, outcome="hold")
    node.after(DAY, step=600)
    assert node.standing() == ["arrival.held.CT1"] and node.spool.letters.piles() == []
    node.set()
    node.hire()
    node.after(2 * MINUTE)
    assert len(node.sent) == 1


def test_what_reports_an_event_without_an_end_stands_for_a_day(rig) -> None:
    node = rig()
    node.spool.notices.report("ledger.gap", "its history has a hole")
    node.after(23 * HOUR, step=600)
    assert node.standing() == ["ledger.gap"]
    node.after(2 * HOUR, step=600)
    assert node.standing() == []


def test_a_part_that_fails_stops_no_other(rig, monkeypatch) -> None:
    node = rig()
    monkeypatch.setattr(node.spool.watching, "held", lambda: 1 / 0)
    node.spool.notices.raise_alert("clock", "x")
    node.spool.letters.tell([], [Item("mail", {"kind": "test", "text": "hello"})])
    node.after(2 * MINUTE)
    assert len(node.sent) == 1 and "hello" in node.texts()
    failed = [line for line in node.log.lines if line[1] == "alerts_failed"]
    assert 3 <= len(failed) <= 5 and failed[0][2]["part"] == "watch"


def test_who_looks_for_trouble_and_cannot_is_trouble_itself(rig, monkeypatch) -> None:
    node = rig()
    real = node.spool.watching.held
    monkeypatch.setattr(node.spool.watching, "held", lambda: 1 / 0)
    node.after(3 * MINUTE)
    assert node.standing() == ["alerts.failed.watch"] and "log/bookkeeper.log" in node.subjects()[0]
    monkeypatch.setattr(node.spool.watching, "held", real)
    node.after(10 * MINUTE)
    assert node.standing() == [] and len(node.sent) == 2


def test_a_thousand_invented_senders_are_no_thousand_alerts(rig) -> None:
    node = rig()
    for number in range(60):
        node.world.send(
            node.world.connect(f"X{number}"), TestImage(study=9, instance=number + 1), reason="cannot be read"
        )
    node.after(2 * MINUTE)
    assert len(node.standing()) == 21 and node.alert("quarantine.others").count == 40 and len(node.sent) == 1


def test_a_full_disk_keeps_nobody_from_looking(rig, monkeypatch) -> None:
    node = rig()
    real = node.spool.alerts.apply

    def full(steps) -> None:
        if steps:
            raise OutOfSpace()

    monkeypatch.setattr(node.spool.alerts, "apply", full)
    node.series(1, outcome="hold")
    node.after(5 * MINUTE)
    assert {line[1] for line in node.log.lines} == {"alerts_not_recorded"} and node.standing() == []
    monkeypatch.setattr(node.spool.alerts, "apply", real)
    node.after(3 * MINUTE)
    assert len(node.sent) == 1


def test_the_page_has_a_channel_tested_by_a_command(rig) -> None:
    node = rig(**{"alerts.smtp.host": ""})
    id = node.spool.commands.ask("alerts.test", "ann", {"channel": "mail"}, "bookkeeper")
    node.after(1)
    assert node.desk._tester.wait(30)
    node.after(3)
    answered = node.spool.commands.find(id)
    answer = json.loads(answered.answer)
    assert answered.state == "failed" and answer["ok"] is False and answer["steps"][0]["name"] == "settings"


def test_no_patient_s_data_is_in_any_alert_event_log_or_letter(rig) -> None:
    """known-failures 45"""
    node = rig()
    node.publish("pacs")
    for study in range(1, 4):
        node.series(study, "pacs")
    node.park("timeout")
    node.series(4, outcome="hold")
    node.world.send(node.world.connect(), TestImage(study=9), reason="cannot be read")
    down(node)
    node.after(10 * MINUTE)
    assert len(node.standing()) == 4
    everything = [node.spool.alerts.all(), node.sent, node.log.lines]
    everything += [one.data for kind in ("raised", "updated") for one in node.events(f"alert.{kind}")]
    assert "Test^Image" not in str(everything) and "T1" not in str(everything).replace("CT1", "")


@pytest.mark.parametrize(
    ("limits", "every_s"),
    [({}, 10.0), ({"target_down_s": 3.0}, 3.0), ({"clear_after_s": 0.0}, 1.0), ({"actor_down_s": 20.0}, 10.0)],
)
def test_it_is_looked_as_often_as_the_shortest_limit_asks(limits, every_s) -> None:
    assert watch_every_s(Alerts(**limits)) == every_s


def test_between_rounds_it_rests_as_limits_allow_and_not_for_long_while_a_letter_waits(rig) -> None:
    node = rig()
    node.after(MINUTE)
    assert node.desk.patience_s == REST_S
    node.away("mail")
    node.end("router")
    node.after(4 * MINUTE)
    assert node.tried and not node.sent and node.desk.patience_s == LETTERS_S
    node.away()
    node.start("router")
    node.after(HOUR)
    assert len(node.sent) >= 1 and node.desk.patience_s == REST_S
    node.set(**{"alerts.actor_down_s": 2.0})
    node.hire()
    node.desk.round()
    assert node.desk.patience_s == 2.0
