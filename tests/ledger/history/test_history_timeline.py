"""Timelines, attempts, studies, patients, events and images: what people read about the past."""

import pytest

from protocol.errors import LedgerError
from protocol.ledger.history import EventFilter, attempts, events, image_history, timeline
from protocol.ledger.history.telling import Story, tell
from protocol.ledger.history.words import listed, seconds_words, status_words
from protocol.wire.messages import WARNING
from tests.ledger.history.told import EPOCH, RECEIPT, SOP
from tests.ledger.ledger_events import NODE


def test_a_timeline_tells_everything_in_order_with_gaps(look, history):
    told = look(timeline, NODE, 1)
    assert [entry.kind for entry in told] == [
        "association.opened", "arrival.opened", "image.first", "image.last", "image.duplicate", "image.quarantined",
        "association.closed", "arrival.completed", "arrival.decided", "delivery.created", "attempt.began", "attempt.ended",
        "attempt.began", "attempt.ended", "confirmation.asked", "confirmation.answered", "delivery.completed",
        "arrival.delivered", "arrival.deleted",
    ]  # fmt: skip
    assert [entry.gap_s for entry in told[:3]] == [None, 1.0, 1.0]
    titles = [entry.title for entry in told]
    assert titles[0] == "CT2 connected" and told[0].facts["address"] == "10.0.0.2"
    assert titles[3] == "The last of 2 images came in"
    assert titles[7] == "Complete with 2 images: its associations were released and it was quiet"
    assert titles[8] == "Decision: route to pacs by cardiac and archive" and told[8].facts["revision"] == 4
    assert titles[11] == "Attempt 1 to pacs failed: The target ended the connection in the middle of the work"
    assert told[11].facts["error"] == "peer went away" and told[11].severity == WARNING
    assert titles[13].startswith("Attempt 2 to pacs sent everything and waits for commitment: 1 image in ")
    assert told[13].facts["statuses"] == {"B000 some elements were changed": 1}


def test_every_act_of_a_person_is_told_with_who_and_why(look, history):
    (moved,) = [entry for entry in look(timeline, NODE, 2) if entry.kind == "delivery.redirected"]
    assert moved.title == "Delivery 12 goes to share instead of pacs"
    assert (moved.facts["by"], moved.facts["command"], moved.delivery, moved.target) == ("anna", 5, 12, "share")


def test_an_unknown_arrival_has_no_timeline(look, history):
    assert look(timeline, NODE, 99) == [] and look(timeline, "elsewhere", 1) == []


def test_a_story_of_odd_rows_is_told_all_the_same():
    """Whatever a future version or a damaged event left in the rows."""
    row = {"type": "arrival.decided", "time": 1.0, "data": {}, "severity": 9, "delivery": None}
    rows = [row, {**row, "data": None}, {**row, "type": "delivery.redirected"}, {**row, "type": "future.thing"},
            {**row, "type": "delivery.images.sent", "delivery": 1, "data": {"images": 5}}]  # fmt: skip
    assert len(tell(Story({"deliveries": []}, events=rows))) == 3


def test_attempts_have_begin_end_images_speed_and_cause(look, history):
    first, second = look(attempts, NODE, 11)
    assert (first.number, first.owner, first.outcome, first.images) == (1, "d0", "failed", 1)
    assert (first.seconds, first.bytes, first.megabytes_per_s) == (2.0, 1_000_000, 0.5)
    assert (first.cause, first.retry_at) == ("aborted", EPOCH + 60.0) and first.means and first.cure
    assert (second.outcome, second.statuses) == ("confirming", {0xB000: 1})
    (parked,) = look(attempts, NODE, 12)
    assert (parked.outcome, parked.cause) == ("parked", "processing_failed")
    (under_way,) = look(attempts, NODE, 13)
    assert (under_way.outcome, under_way.seconds, under_way.target) == ("sending", None, "ai1")
    assert look(attempts, NODE, 99) == []


EVENTS = [
    (EventFilter(types="delivery.attempt."), {"delivery.attempt.failed"}),
    (EventFilter(types="arrival.held"), {"arrival.held"}),
    (EventFilter(severity=17), {"delivery.parked"}),
    (EventFilter(severity=13, arrival=4), {"arrival.held"}),
    (EventFilter(delivery=13), {"delivery.created", "delivery.claimed"}),
    (EventFilter(subject="delivery/13"), {"delivery.created", "delivery.claimed"}),
    (EventFilter(since=EPOCH + 36.0), {"arrival.decided", "arrival.held"}),
    (EventFilter(until=EPOCH + 3.0), {"association.opened", "arrival.opened"}),
    (EventFilter(types="nothing."), set()),
    (EventFilter(subject=f"image/{SOP}"), {"image.received", "image.duplicate"}),
    (EventFilter(subject=f"image/{SOP}", types="image.received"), {"image.received"}),
    (EventFilter(types="image.", until=EPOCH + 4.5), {"image.received"}),
    (EventFilter(types="image.", arrival=1), {"image.received", "image.duplicate"}),
    (EventFilter(types="image.", arrival=2), set()),
    (EventFilter(subject="arrival/1", types="arrival.opened"), {"arrival.opened"}),
]  # fmt: skip


def test_events_are_found_by_type_object_severity_and_time(look, history):
    found = [(asked, {row["type"] for row in look(events, NODE, asked).rows}) for asked, _ in EVENTS]
    assert found == EVENTS


@pytest.mark.parametrize("fields", [{}, {"types": "delivery."}, {"arrival": 1}])
def test_pages_of_events_show_each_once_the_newest_first(look, history, fields):
    wanted = [one.id for one in reversed(history) if one.type.startswith(fields.get("types", ""))
              and one.data.get("arrival") == fields.get("arrival", one.data.get("arrival"))]  # fmt: skip
    seen, mark = [], None
    while True:
        page = look(events, None, EventFilter(**fields), mark, 7)
        seen += [row["id"] for row in page.rows]
        mark = page.next
        if mark is None:
            break
    assert seen == wanted


def test_no_event_gives_patient_data(look, history):
    rows = look(events, NODE, EventFilter()).rows
    assert rows and not any({"phi", "raw"} & set(row) for row in rows)


def test_a_mark_of_a_search_for_arrivals_is_none_for_events(look, history):
    with pytest.raises(LedgerError, match="another search"):
        look(events, NODE, EventFilter(), "WyJvcGVuZWQiLDEuMCwibiIsMV0")


def test_an_image_tells_where_it_came_from_went_to_and_when_it_went(look, history):
    first, twin = look(image_history, NODE, sop_uid=SOP)
    assert first["association"]["calling_ae"] == "CT2" and first["arrival"]["state"] == "deleted"
    assert first["deleted"] == first["arrival"]["deleted"] is not None
    (sent,) = first["deliveries"]
    assert (sent["target"], sent["status"], sent["state"]) == ("pacs", 0, "delivered")
    assert twin["image"]["mark"] == "duplicate" and twin["image"]["twin"] == RECEIPT and twin["deliveries"] == []
    aside = look(image_history, NODE, receipt="d" * 32)[0]
    assert aside["quarantine"]["reason"] == "no UID" and aside["association"]["calling_ae"] == "CT2"


def test_words():
    assert [seconds_words(one) for one in (0.04, 12, 75, 3600, 7500, 90_061)] == [
        "0.0 s", "12 s", "1 min 15 s", "1 h", "2 h 5 min", "1 d 1 h"]  # fmt: skip
    assert [status_words(one) for one in (0, 0xA700, 0xC123, 0xB555, 0x0110, 0x0999)] == [
        "0000 success", "A700 out of resources", "C123 cannot understand", "B555 warning", "0110 processing failure",
        "0999 refused"]  # fmt: skip
    assert [listed(one) for one in (None, [], ["a"], ["a", "b"], ["a", "b", "c"])] == [
        "nothing", "nothing", "a", "a and b", "a, b and c"]  # fmt: skip
