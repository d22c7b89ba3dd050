"""The timeline in words: order, gaps, days, attempts with and without the ledger, commitment, people, what is still to come."""

from datetime import UTC
from zoneinfo import ZoneInfo

from protocol.ledger.history import Attempt
from webgui.areas.series import words
from webgui.areas.series.timeline import Told, steps, with_days

ARRIVAL = {"addendum_of": 0, "images": 3, "bytes": 3_000_000, "closed": 1010.0, "why": "released", "state": "in_delivery",
           "since": 1010.0, "reason": ""}  # fmt: skip
DELIVERY = {"id": 5, "target": "pacs", "target_group": "", "priority": 1, "created": 1011.0, "first_tried": 1012.0,
            "claimed": 1012.0, "moved": None, "finished": None, "state": "retrying", "due": 2000.0, "error": "refused",
            "cause": "connection_refused", "attempts": 1, "sent": 0, "images": 3, "warnings": 0}  # fmt: skip
RECEIVED = {"first": 1000.0, "last": 1002.5}


def titles(told):
    return [step.title for step in steps(told)]


def test_what_happened_stands_in_order_with_the_gaps_between():
    found = steps(Told(ARRIVAL, reception=RECEIVED))
    assert [(step.title, step.gap) for step in found] == [
        ("First image", ""), ("Last image", "2.5 s"), ("Complete with 3 images", "7.5 s"),
    ]  # fmt: skip
    assert found[1].lines == ["3 images, 3.0 MB in 2.5 s, 1.2 MB/s"]


def test_only_the_first_of_a_day_has_its_date():
    found = steps(Told({**ARRIVAL, "closed": 1000.0 + 86_400}, reception=RECEIVED))
    assert [bool(step.day) for step in with_days(found, UTC)] == [True, False, True]


def test_days_and_times_are_those_of_the_zone_of_who_looks():
    (first, *_, last) = steps(Told(ARRIVAL, reception=RECEIVED))
    far = ZoneInfo("Etc/GMT-14")  # 14 hours ahead
    assert (first.clock(UTC), first.clock(far)) == ("00:16:40.000", "14:16:40.000")
    late = Told({**ARRIVAL, "closed": 11 * 3600.0}, reception=RECEIVED)
    assert [step.day for step in with_days(steps(late), UTC)] == ["Thursday, 01 January 1970", "", ""]
    assert [step.day for step in with_days(steps(late), far)][-1] == "Friday, 02 January 1970"


def test_small_figures_are_not_told_as_nothing():
    received = steps(Told(ARRIVAL | {"bytes": 14_000}, reception={"first": 1000.0, "last": 1000.0}))
    assert received[1].lines == ["3 images, 14.0 kB"]
    one = Attempt(5, "pacs", 1, 1012.0, ended=1013.0, outcome="delivered", images=3, bytes=14_000)
    told = steps(Told(ARRIVAL, deliveries=[DELIVERY], attempts=[one]))
    assert ["3 images in 1.0 s, 14.0 kB/s", "3 × 0000 Success"] in [step.lines for step in told]


def test_without_the_ledger_a_delivery_tells_its_last_failure_and_what_to_do_first():
    found = steps(Told(ARRIVAL, deliveries=[DELIVERY], reception=RECEIVED))
    failed = next(step for step in found if "failed" in step.title)
    assert (
        "no program listens at that port" in failed.title
        and failed.lines == ["refused"]
        and "Start the service" in failed.help
    )
    assert found[-1].title == "Next try at pacs" and found[-1].ahead


def test_with_the_ledger_every_attempt_is_told_with_rate_and_statuses():
    one = Attempt(5, "pacs", 1, 1012.0, ended=1014.0, outcome="failed", images=3, statuses={0xA700: 2}, bytes=4_000_000,
                  error="out of resources", cure="Make room.")  # fmt: skip
    found = steps(Told(ARRIVAL, deliveries=[DELIVERY], reception=RECEIVED, attempts=[one]))
    (told,) = [step for step in found if step.title.startswith("Attempt")]
    assert told.lines == [
        "3 images in 2.0 s, 2.0 MB/s",
        "1 × 0000 Success, 2 × A700 Out of resources",
        "out of resources",
    ]
    assert (told.level, told.help) == ("warn", "Make room.")
    assert not any("First attempt" in title for title in titles(Told(ARRIVAL, deliveries=[DELIVERY], attempts=[one])))


def test_commitment_people_and_the_end_are_told():
    asked = {"target": "pacs", "count": 3, "asked": 1020.0, "answered": 1030.0, "failed": 1}
    act = {
        "kind": "series.hold",
        "by": "ann",
        "reason": "wrong patient",
        "delivery": 0,
        "time": 1040.0,
        "outcome": "done",
    }
    refused = {**act, "kind": "queue.retry", "delivery": 5, "time": 1041.0, "outcome": "refused: it is being sent"}
    held = {**ARRIVAL, "state": "held", "since": 1042.0, "reason": "wrong patient"}
    assert titles(Told(held, confirmations=[asked], acts=[act, refused]))[1:] == [
        "pacs was asked to commit to 3 images", "pacs committed to all but 1", "ann held it",
        "ann retried the delivery 5", "Held: set aside until a person acts",
    ]  # fmt: skip
    kept = steps(Told({**ARRIVAL, "state": "delivered"}, kept_until=9_000_000.0))[-1]
    assert kept.ahead and kept.title.startswith("Kept here")


def test_words():
    assert [words.seconds(one) for one in (0, 0.02, 3.21, 59.6, 125, 7300, 200_000)] == [
        "0 s", "20 ms", "3.2 s", "1 min 00 s", "2 min 05 s", "2 h 01 min", "2 d 7 h",
    ]  # fmt: skip
    assert [words.status(one) for one in (0, 0xA701, 0xC123, 0xB123, 0x0999)] == [
        "0000 Success", "A701 Out of resources", "C123 Cannot understand", "B123 Stored with a warning", "0999 Refused",
    ]  # fmt: skip
    assert [words.person(one) for one in ("Doe^John^F", "Doe", "^John", "=X^Y", None)] == [
        "Doe, John F",
        "Doe",
        "John",
        "X, Y",
        "",
    ]
    assert [words.date(one) for one in ("19700131", "1970", None)] == ["1970-01-31", "1970", ""]
