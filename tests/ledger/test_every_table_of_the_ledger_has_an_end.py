"""A ledger lives for years: of every table it is known who lets go of its rows, and when. A new table without an answer fails."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from actors.bookkeeper.ages import ages_at
from protocol.ledger.forgetting import CHUNK, Ages
from protocol.ledger.tables import metadata
from protocol.settings import load_settings
from protocol.wire import events as e
from tests.ledger.ledger_events import EPOCH, example
from tests.ledger.mined_ledger import MinedLedger

DAY = 86_400.0
LONG_AGO, LATER = EPOCH, EPOCH + 100 * DAY
# Emptied by forgetting.forget_rows once what a row is about is over; the test below sees it happen.
FORGOTTEN = {
    "alert", "alert_episode", "arrival", "arrival_rule", "association", "delivery", "delivery_image", "dose_event",
    "dose_report", "event", "header", "image", "quarantine", "series",
}  # fmt: skip
ELSEWHERE = {"cursor": "one row for each node and consumer"}


@pytest.fixture
def made(open_ledger):
    return MinedLedger(open_ledger())


@pytest.fixture
def count(look):
    return lambda: look(
        lambda c: {name: c.execute(select(func.count()).select_from(t)).scalar() for name, t in metadata.tables.items()}
    )


def past(made, arrival=1, time=LONG_AGO):
    """A series from its first image to its deletion, and everything that can happen around it."""
    here = {"arrival": arrival, "calling_ae": "CT1"}
    made.tell(example(e.AssociationOpened, association=f"a{arrival}", calling_ae="CT1"), time)
    made.series(arrival, opened=time, extra=["KVP"], doses=[{"events": [{"kind": "ct", "ctdivol": 5.0}]}])
    made.tell(example(e.ArrivalDecided, **here, outcome="route", rules=["all"]), time + 61)
    made.tell(example(e.ImagesSent, delivery=arrival, arrival=arrival, images=[[f"{arrival:030x}01", 0]]), time + 90)
    made.tell(example(e.AssociationClosed, association=f"a{arrival}", calling_ae="CT1", how="released"), time + 91)
    made.tell(example(e.ImageQuarantined, receipt=f"q{arrival}"), time + 92)
    made.tell(example(e.QuarantineDeleted, receipt=f"q{arrival}", calling_ae="CT1"), time + 93)
    made.tell(example(e.AlertRaised, alert=f"alert{arrival}", text="t"), time + 94)
    made.tell(example(e.AlertCleared, alert=f"alert{arrival}"), time + 95)
    made.tell(example(e.ArrivalDeleted, **here), time + 200)


def test_for_every_table_it_is_known_who_lets_go_of_its_rows():
    assert set(metadata.tables) == FORGOTTEN | set(ELSEWHERE), "say who lets go of the rows of a new table"


def forget_all(ledger, ages):
    for _ in range(50):
        if not ledger.forget(ages):
            return
    raise AssertionError("it never ends")


def test_what_is_over_and_old_is_all_gone_in_the_end(made, count):
    past(made)
    assert {name for name in FORGOTTEN if not count()[name]} == set(), "the test has to fill every table"
    forget_all(made.ledger, Ages(rows=LATER))
    assert {name: left for name, left in count().items() if left and name in FORGOTTEN} == {}


def test_what_is_not_over_or_not_old_keeps_its_rows(made, count, look):
    past(made, 1)
    past(made, 2, LATER)
    before = count()
    made.series(3)  # its images are still in the spool, however old
    made.tell(example(e.ImageQuarantined, receipt="kept"), LONG_AGO)
    made.tell(example(e.AlertRaised, alert="standing", text="t"), LONG_AGO)
    made.tell(example(e.AssociationOpened, association="open", calling_ae="CT1"), LONG_AGO)
    forget_all(made.ledger, Ages(rows=LATER))
    after = count()
    assert after["arrival"] == 2 and after["image"] == 4 and after["quarantine"] == 2 and after["alert"] == 2
    assert (
        after["alert_episode"] == 2
        and after["association"] == 2
        and after["delivery_image"] == before["delivery_image"] // 2
    )
    events = look(lambda c: set(c.execute(select(metadata.tables["event"].c.arrival)).scalars()))
    assert {2, 3} <= events and 1 not in events
    assert after == {**after, **count()} and made.ledger.forget(Ages(rows=LATER)) == 0


def test_a_large_series_goes_in_chunks_and_its_row_comes_last(made, count):
    made.series(1)
    for number in range(CHUNK + 10):
        made.tell(example(e.ImageReceived, arrival=1, receipt=f"r{number}"), LONG_AGO)
    made.tell(example(e.ArrivalDeleted, arrival=1), LONG_AGO)
    assert made.ledger.forget(Ages(rows=LATER)) == CHUNK and count()["arrival"] == 1
    assert made.ledger.forget(Ages(rows=LATER)) == 12 + 1 and count()["arrival"] == 0


def test_another_nodes_rows_are_left_alone(made, open_ledger, count):
    past(made)
    before = count()
    assert open_ledger("other").forget(Ages(LATER, LATER, LATER)) == 0
    assert {**count(), "cursor": 0} == {**before, "cursor": 0}


def test_who_the_patient_was_is_forgotten_by_age_and_the_rows_stay(made, look):
    made.series(1, extra=["PatientID"])
    made.series(2, opened=LATER, extra=["PatientID"])
    assert made.ledger.forget(Ages(patients=LATER)) == 1 and made.ledger.forget(Ages(patients=LATER)) == 0
    rows = look(lambda c: {row.arrival: row for row in c.execute(select(metadata.tables["arrival"]))})
    assert (rows[1].patient_id, rows[1].patient_folded, rows[1].accession, rows[1].headers) == (None,) * 4
    assert (
        rows[1].state == "delivered" and rows[2].patient_id == "P1" and rows[2].headers["PatientName"] == "SECRET^NAME"
    )
    tags = look(lambda c: {row.arrival: row.extra for row in c.execute(select(metadata.tables["series"]))})
    assert tags == {1: None, 2: {"PatientID": "P1"}}


def test_ages_follow_the_settings_and_never_run_before_the_spool(tmp_path):
    def ages(**settings):
        return ages_at(LATER, load_settings(tmp_path, settings, environ={}))

    assert ages() == Ages(LATER - 365 * DAY, None, None)
    assert ages(**{"ledger.rows_days": 1.0}).rows == LATER - 91 * DAY
    assert ages(**{"ledger.rows_days": 400.0, "ledger.patient_days": 30.0}) == Ages(
        LATER - 365 * DAY, LATER - 30 * DAY, LATER - 400 * DAY)  # fmt: skip
