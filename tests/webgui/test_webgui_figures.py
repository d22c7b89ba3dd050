"""From numbers to words and levels: pure functions."""

import copy
import dataclasses

import pytest
from webgui_fakes import STATUS

from protocol.spool.alerts import Alert
from webgui import words
from webgui.areas.dashboard.charts import RANGES, drawing, top_of
from webgui.attention import LEDGER_BEHIND, MOST, attention
from webgui.figures import Reading, topics
from webgui.outlook import STILL_S, Backlog, Mark, Outlook
from webgui.rates import HISTORY_S, MEAN_S, Rates


def changed(**changes):
    status = copy.deepcopy(STATUS)
    for path, value in changes.items():
        *folders, name = path.split("__")
        place = status
        for folder in folders:
            place = place.setdefault(folder, {})
        place[name] = value
    return status


def test_a_healthy_node_needs_no_attention():
    assert attention(STATUS, "") == {}


def test_of_thousands_of_things_the_worst_stand_there_and_the_others_are_counted():
    """One alert for each AE title that somebody invents: the page had ten megabytes."""
    targets = {f"t{number}": {"state": "failing", "fails": 3 if number == 7 else 1} for number in range(5000)}
    rows = topics(Reading(changed(targets=targets)), None)
    assert len(rows["attention"]) == MOST + 1
    first, *_, last = rows["attention"].items()
    assert first[0] == "target t7" and (last[0], last[1]["href"]) == ("more", "/alerts")
    assert f"{words.number(5000 - MOST)} further things" in last[1]["text"]
    assert words.number(5000) in rows["summary"]["all"]["chip"][0][1]
    orders = [row["order"] for row in rows["attention"].values()]
    assert orders == sorted(orders)


@pytest.mark.parametrize(
    ("changes", "key", "level", "words"),
    [
        ({"actors__router__state": "missing"}, "actor router", "bad", "scanpost restart router"),
        ({"actors__router__state": "failing"}, "actor router", "bad", "fails at its work"),
        ({"actors__router__state": "hung"}, "actor router", "bad", "no sign of life"),
        ({"images__received": 107}, "accounting", "bad", "7 images are not accounted for"),
        ({"disk__state": "reserve"}, "disk", "bad", "new images are refused"),
        ({"disk__wal_alert": True, "disk__wal_bytes": 90e6}, "wal", "warn", "90.0 MB"),
        ({"ready": False}, "ready", "bad", "cannot be received"),
        (
            {"ready": False, "draining": {"by": "ann", "reason": "new disk"}},
            "draining",
            "warn",
            "New images are refused: ann drains this node (new disk). It is ended on System",
        ),
        ({"targets__pacs__state": "failing", "targets__pacs__fails": 3}, "target pacs", "bad", "3 failed attempts"),
        ({"targets__pacs__state": "failing", "targets__pacs__fails": 1}, "target pacs", "warn", "last attempt"),
        ({"targets__pacs__state": "removed"}, "target pacs", "warn", "3 deliveries wait"),
        ({"targets__pacs__state": "paused", "targets__pacs__reason": "move"}, "target pacs", "held", "paused: move"),
        ({"deliveries__parked": 1}, "parked", "warn", "1 delivery has used up"),
        ({"images__held": 2, "images__open": 8}, "held", "held", "2 images are held"),
        ({"images__quarantined": 1, "images__open": 9}, "quarantined", "warn", "1 object"),
        ({"oldest_waiting_s": 7200.0}, "oldest", "warn", "2 h 00 min"),
        ({"outbox__bookkeeper_behind": LEDGER_BEHIND}, "ledger", "warn", "20\u202f000 events behind"),
        ({"problems": ["000002.json: bad"]}, "routing 0", "bad", "000002.json"),
    ],
)
def test_each_symptom_is_named_once_with_what_to_do(changes, key, level, words):
    found = attention(changed(**changes), "")
    assert list(found) == [key]
    assert found[key]["level"] == level
    assert words in found[key]["text"]


def test_what_needs_acting_comes_first():
    found = attention(changed(deliveries__parked=1, actors__router__state="missing"), "")
    assert [row["level"] for row in found.values()] == ["bad", "warn"]
    assert [row["order"] for row in found.values()] == [0, 1]


@pytest.mark.parametrize(("count", "unit"), [(0, "deliveries"), (1, "delivery"), (2, "deliveries")])
def test_tiles_count_one_as_one(count, unit):
    status = changed(deliveries__parked=count, images__held=count)
    rows = topics(Reading(status=status), None)["kpi"]
    assert (rows["parked"]["unit"], rows["held"]["unit"]) == (unit, "image" if count == 1 else "images")


def test_a_drain_stands_above_all_else():
    found = attention(changed(actors__router__state="missing", draining={"by": "ann"}), "")
    assert list(found) == ["draining", "actor router"]


def test_an_unreadable_spool_is_a_symptom_even_before_the_first_figures():
    rows = topics(Reading(error="gone"), None)
    assert "gone" in rows["attention"]["spool"]["text"]
    assert rows["summary"]["all"]["level"] == "bad"


def test_every_level_goes_with_a_word():
    for rows in topics(Reading(STATUS, at=1.8e9), None).values():
        for row in rows.values():
            for value in row.values():
                if isinstance(value, list):
                    assert all(level and word for level, word in value)


@pytest.mark.parametrize(("seconds", "level"), [(None, "ok"), (30, "ok"), (600, "warn"), (3600, "bad")])
def test_the_oldest_delivery_turns_slow_and_then_stuck(seconds, level):
    rows = topics(Reading(changed(oldest_waiting_s=seconds)), None)
    assert rows["kpi"]["oldest"]["level"] == level


def test_a_rate_is_the_mean_of_the_last_seconds():
    rates = Rates()
    rates.add(0, 100, 0)
    assert rates.now is None
    for second in range(1, 31):
        rates.add(second, 100 + 5 * second, 0)
    assert rates.now.received == pytest.approx(5)
    for second in range(31, 31 + int(MEAN_S) + 1):
        rates.add(second, 250, 0)
    assert rates.now.received == 0


def test_counters_that_go_back_make_no_negative_rate_and_no_fall_of_the_total():
    rates = Rates()
    for at, sent in ((0, 0), (1, 50), (2, 10), (3, 20)):
        rates.add(at, 0, sent)
        assert rates.now is None or rates.now.sent >= 0
    assert rates.sent_total == 60


def test_history_is_bounded():
    rates = Rates()
    for second in range(1000):
        rates.add(second, second, 0)
    assert len(rates.history) <= HISTORY_S + 1


def test_the_chart_ends_at_the_right_edge_fits_its_box_and_marks_configurations():
    rows = {"100": {"in": 0.0, "out": 30.0, "q": {}}, "400": {"in": 45.0, "out": 0.0, "q": {"pacs": 4, "ai": None}}}
    drawn = drawing(rows, RANGES["10min"], [Mark(250.0, 42, "bob"), Mark(-900.0, 41, "ann")])
    assert (drawn["top"], drawn["deepest"]) == ("50 images/s", "5 deliveries")
    assert drawn["in"].split()[-1] == "600.0,9.6"
    assert drawn["out"].split()[0] == "300.0,32.4"
    assert drawn["queues"] == [("pacs", "600.0,17.2"), ("ai", "")]
    assert drawn["marks"] == [(450.0, "version 42 by bob")]
    assert drawing({}, RANGES["10min"], [])["in"] == ""


def test_of_an_alert_a_page_says_what_is_wrong_and_no_command_of_a_terminal():
    assert words.alert("a person set aside 2 series of CT1; to let go: `scanpost series release ID`") == (
        "A person set aside 2 series of CT1"
    )
    within = "webgui is not running; start it: `scanpost restart webgui`; its log: log/webgui.log"
    assert words.alert(within) == "Webgui is not running; start it: scanpost restart webgui; its log: log/webgui.log"


def test_what_an_alert_tells_stands_once_and_can_be_taken_care_of():
    alert = Alert("target.down.pacs", "target/pacs", "critical", "target pacs is down", 3, "watch", 1.0, 1.0)
    status = changed(targets__pacs__state="failing", targets__pacs__fails=3, deliveries__parked=2)
    found = attention(status, "", [alert])
    assert [row["alert"] for row in found.values()] == ["target.down.pacs", ""]
    assert list(found) == ["alert target.down.pacs", "parked"]
    assert found["alert target.down.pacs"]["since"] == words.Moment(1.0, "since ")
    over = attention(status, "", [dataclasses.replace(alert, gone=2.0)])
    assert over["alert target.down.pacs"]["since"] == words.Moment(2.0, "over since ")
    taken = dataclasses.replace(alert, acknowledged=2.0)
    assert list(attention(status, "", [taken])) == ["parked"]


@pytest.mark.parametrize(("net", "words"), [(0.0, ""), (-5.0, ""), (79e9, "5.0 days left"), (1.0, "")])
def test_the_disk_says_how_long_it_lasts_if_it_fills(net, words):
    row = topics(Reading(STATUS, outlook=Outlook(net_bytes_day=net)), None)["disk"]["spool"]
    assert row["note"] == words


def test_a_queue_nobody_looked_at_is_a_gap_not_zero():
    backlog = Backlog()
    backlog.add(105.0, {"pacs": 3, "quiet": 0})
    backlog.add(105.0 + STILL_S + 20, {"pacs": 5})
    late = int(105 + STILL_S + 20) // 10 * 10
    assert backlog.series(10, [90, 100, 110, late]) == {"pacs": [None, 3, None, 5]}
    for second in range(0, 100_000, 10):
        backlog.add(second, {"pacs": 1})
    assert all(len(seen) <= Backlog.KEPT[width] for width, seen in backlog._seen.items())


def test_a_queue_that_stood_still_is_as_long_as_before():
    backlog = Backlog()
    backlog.add(105.0, {"pacs": 3})
    backlog.add(125.0, {"pacs": 5})
    assert backlog.series(10, [90, 100, 110, 120]) == {"pacs": [None, 3, 3, 5]}


def test_programs_of_a_kind_stand_together():
    status = changed(**{"actors__dispatcher-0": {"state": "ready"}, "actors__dispatcher 2": {"state": "missing"}})
    rows = topics(Reading(status), None)["programs"]
    assert list(rows) == ["receiver", "router", "dispatcher"]
    assert rows["dispatcher"]["chip"] == [["bad", "1/2 missing"]]


@pytest.mark.parametrize(("values", "top"), [([], 1), ([0.0], 1), ([1.0], 1), ([1.1], 2), ([4], 5), ([51], 100)])
def test_the_scale_of_the_chart_moves_in_steps(values, top):
    assert top_of(values) == top


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (words.number(1234567), "1\u202f234\u202f567"),
        (words.number(None), "–"),
        (words.rate(0), "0"),
        (words.rate(12.34), "12.3"),
        (words.rate(123.4), "123"),
        (words.duration(0), "0 s"),
        (words.duration(185), "3 min 05 s"),
        (words.duration(7800), "2 h 10 min"),
        (words.duration(360000), "4 d 4 h"),
        (words.duration(-5), "0 s"),
        (words.uptime(3599), "59 min"),
        (words.size(999), "999 B"),
        (words.size(1536e6), "1.5 GB"),
        (words.size(2.5e12), "2.5 TB"),
        (words.size(400e12), "400 TB"),
        (words.count(1, "image"), "1 image"),
        (words.count(2, "delivery", "deliveries"), "2 deliveries"),
        (words.utc_time(0), "1970-01-01 00:00:00 UTC"),
    ],
)
def test_words(text, expected):
    assert text == expected
