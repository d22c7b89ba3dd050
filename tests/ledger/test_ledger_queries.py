"""What pages and commands read from the ledger."""

import pytest

from protocol.errors import LedgerUnavailable
from protocol.ledger.engine import reader, reading
from protocol.ledger.queries import arrival_story, counts, delivery_images, image_history, recent_arrivals
from protocol.wire import events as e
from tests.ledger.ledger_events import NODE, example, record, wrap, wrap_all

A, B, C, D = (letter * 32 for letter in "abcd")
SERIES = {"arrival": 1, "calling_ae": "CT1"}
PACS = {"delivery": 11, "arrival": 1, "target": "pacs"}


@pytest.fixture
def told(open_ledger):
    """Two images of a series (one of them twice), a newer version, a quarantined object, one delivery in two attempts."""
    header = {"header": {"PatientID": "P1", "PatientName": "DOE^JANE"}}
    story = [
        example(e.AssociationOpened, association="f" * 32, calling_ae="CT1"),
        example(e.ArrivalOpened, **SERIES),
        example(e.ImageReceived, receipt=A, association="f" * 32, sop_uid="1.2.1", **SERIES),
        example(e.ImageReceived, receipt=B, association="f" * 32, sop_uid="1.2.2", **SERIES),
        example(e.ImageDuplicate, receipt=C, association="f" * 32, sop_uid="1.2.1", twin=A, **SERIES),
        example(e.ImageQuarantined, receipt=D, association="f" * 32, reason="no UID"),
        example(e.AssociationClosed, association="f" * 32, how="released", images=3),
        example(e.ArrivalCompleted, images=2, **SERIES),
        example(e.ArrivalDecided, outcome="route", targets=["pacs"], **SERIES),
        example(e.DeliveryCreated, **PACS),
        example(e.DeliveryClaimed, **PACS, attempt=1),
        example(e.ImagesSent, **PACS, images=[[A, 0]]),
        example(e.AttemptFailed, **PACS, attempt=1, error="connection lost", retry_at=5.0),
        example(e.DeliveryClaimed, **PACS, attempt=2),
        example(e.ImagesSent, **PACS, images=[[B, 0xB000]]),
        example(e.DeliveryCompleted, **PACS, warnings=1),
        example(e.ArrivalDelivered, **SERIES),
        example(e.ArrivalOpened, arrival=2, calling_ae="MR1"),
        example(e.ImageReceived, receipt="e" * 32, arrival=2, sop_uid="1.3.1"),
        example(e.ImageSuperseded, receipt="e" * 32, arrival=2, sop_uid="1.3.1", newer="9" * 32),
        example(e.ImageReceived, receipt="9" * 32, arrival=2, sop_uid="1.3.1"),
    ]
    batch = wrap_all(*story)
    batch[7] = wrap(story[7], 8, phi=header)
    record(open_ledger(), batch)
    return batch


def test_the_history_of_an_image_has_each_step_once(told, look):
    (history,) = look(image_history, NODE, receipt=B)
    assert history["image"]["sop_uid"] == "1.2.2" and history["quarantine"] is None
    (sent,) = history["deliveries"]
    assert (sent["target"], sent["status"], sent["state"], sent["attempts"]) == ("pacs", 0xB000, "delivered", 2)
    types = [event["type"] for event in history["events"]]
    assert types.count("image.received") == 1 and types[0] == "arrival.opened" and types[-1] == "arrival.delivered"


def test_a_sop_instance_uid_finds_every_object_that_came_with_it(told, look):
    first, twin = look(image_history, NODE, sop_uid="1.2.1")
    assert (first["receipt"], twin["receipt"], twin["image"]["twin"]) == (A, C, A)
    assert [event["type"] for event in twin["events"] if event["receipt"]] == ["image.duplicate"]
    older, newer = look(image_history, NODE, sop_uid="1.3.1")
    assert (older["image"]["mark"], older["image"]["twin"], newer["image"]["mark"]) == ("superseded", "9" * 32, None)


def test_a_quarantined_object_has_a_history_too(told, look):
    (history,) = look(image_history, NODE, receipt=D)
    assert history["image"] is None and history["quarantine"]["reason"] == "no UID"
    assert [event["type"] for event in history["events"]] == ["image.quarantined"]


def test_what_is_not_there_is_no_error(told, look):
    assert look(image_history, NODE, receipt="0" * 32) == look(image_history, NODE, sop_uid="9.9") == []
    assert look(arrival_story, NODE, 99) is None and look(arrival_story, "other node", 1) is None
    assert look(recent_arrivals, "other node") == []


def test_an_arrival_tells_its_whole_story_in_order(told, look):
    story = look(arrival_story, NODE, 1)
    assert (story["state"], story["images"], story["patient_id"]) == ("delivered", 2, "P1")
    assert [row["receipt"] for row in story["image_rows"]] == [A, B, C]
    assert [(row["target"], row["state"]) for row in story["deliveries"]] == [("pacs", "delivered")]
    assert [row["state"] for row in story["associations"]] == ["released"]
    assert [event["seq"] for event in story["events"]] == [2, 3, 4, 5, *range(8, 18)]
    assert all("phi" not in event for event in story["events"])
    assert [row["status"] for row in look(delivery_images, NODE, 11)] == [0, 0xB000]


def test_recent_arrivals_come_newest_first_and_can_be_filtered(told, look):
    assert [row["arrival"] for row in look(recent_arrivals, NODE)] == [2, 1]
    assert [row["arrival"] for row in look(recent_arrivals, NODE, limit=1)] == [2]
    assert [row["arrival"] for row in look(recent_arrivals, NODE, state="delivered")] == [1]
    assert [row["arrival"] for row in look(recent_arrivals, NODE, calling_ae="MR1")] == [2]


def test_counts_are_those_that_doctor_compares_with_the_spool(told, look):
    found = look(counts, NODE)
    assert found["images"] == {**dict.fromkeys(found["images"], 0), "delivered": 2, "open": 1}
    assert (found["superseded"], found["duplicates"], found["quarantined"]) == (1, 1, 1)
    assert found["arrivals"]["open"] == found["arrivals"]["delivered"] == found["deliveries"]["delivered"] == 1
    assert (found["events"], found["flagged"]) == (len(told), 0)


def test_objects_whose_beginning_the_ledger_never_saw_are_counted_as_unknown(open_ledger, look):
    record(open_ledger(), wrap_all(example(e.ImageReceived, arrival=5), first=40))
    assert look(counts, NODE)["images"]["unknown"] == 1


def test_a_ledger_that_is_away_is_one_error(tmp_path):
    for url in (f"sqlite:///{tmp_path / 'none.sqlite3'}", f"postgresql://u@/d?host={tmp_path}"):
        with pytest.raises(LedgerUnavailable) as away, reading(reader(url)) as connection:
            recent_arrivals(connection, NODE)
        assert "\n" not in str(away.value)


@pytest.mark.parametrize("place", ["none.sqlite3", "no folder/ledger.sqlite3"])
def test_a_ledger_file_that_nobody_made_yet_is_named_with_what_makes_it(tmp_path, place):
    with pytest.raises(LedgerUnavailable) as missing, reading(reader(f"sqlite:///{tmp_path / place}")):
        pass
    assert str(missing.value) == f"there is no ledger at {tmp_path / place} yet; `scanpost up` makes one"
    assert not (tmp_path / place).exists()
