"""Dose reports in the ledger: rows, views and ready queries on both databases, each irradiation counted once."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from protocol.dose import read_report
from protocol.ledger.erasing import LedgerEraser
from protocol.ledger.mining.asking import ask_own, ask_ready, document
from protocol.ledger.mining.doses import dose_rows
from protocol.ledger.mining.ready import BY_NAME
from protocol.ledger.mining.spelling import Selection
from protocol.ledger.tables import dose_event, dose_report
from protocol.wire import events as e
from tests.dose.dose_reports import EXPLICIT, ct, ct_event, projection, written
from tests.ledger.ledger_events import EPOCH, NODE, example, wrap
from tests.ledger.mined_ledger import MinedLedger

SR = {"Modality": "SR", "ProtocolName": "Report", "StudyDescription": "CT chest"}


@pytest.fixture
def made(open_ledger):
    return MinedLedger(open_ledger())


@pytest.fixture
def ask(url):
    def run(name, **selected):
        selection = Selection(EPOCH - 1, EPOCH + 86_400, **selected)
        return document(ask_ready(url, BY_NAME[name], selection, "Europe/Berlin", limit=100, timeout_s=20))

    return run


@pytest.fixture
def rows(url):
    return lambda sql: document(ask_own(url, sql, limit=100, timeout_s=20))


def told(*reports):
    return [read_report(written(one), EXPLICIT) for one in reports]


def test_a_report_and_its_irradiations_have_rows_with_their_times(made, rows):
    made.series(1, doses=told(projection()), **SR)
    (one,) = rows("SELECT * FROM mine_dose_reports")
    assert (one["kind"], one["events"], one["dose_area_total"], one["flags"]) == ("projection", 4, 40.0, None)
    assert one["study_description"] == "CT chest" and one["scanner"] == "ct1"
    events = rows("SELECT * FROM mine_dose_events ORDER BY event")
    assert [event["plane"] for event in events] == ["b", "a", "b", "a"]
    assert events[0]["started"] == 1772360100.5 and events[0]["started_at"].startswith("2026-03-01T10:15:00")


def test_an_irradiation_that_is_reported_again_counts_once_and_as_told_last(made, ask, rows):
    first, again = ct((1,), total=250.0), ct((ct_event(1, dlp=260.0), ct_event(2)), total=510.0, sop_uid="1.2.88.2")
    made.series(1, doses=told(first), **SR)
    made.series(2, doses=told(again), opened=EPOCH + 60, **SR)
    assert [row["dlp"] for row in rows("SELECT dlp FROM mine_dose_events ORDER BY event")] == [260.0, 250.0]
    (study,) = ask("dose-studies")
    assert (study["studies"], study["median_dlp"], study["median_irradiations"]) == (1, 510.0, 2.0)
    assert study["procedure"] == "CT chest" and study["modality"] == "CT"
    assert [row["dlp_total"] for row in ask("dose-reports")] == [250.0, 510.0]


def test_dose_gives_medians_of_irradiations_without_localizers_beside_those_of_images(made, ask):
    events = [ct_event(n, ctdivol=dose) for n, dose in enumerate((4.0, 6.0, 20.0))]
    made.series(1, doses=told(ct((*events, ct_event(9, ctdivol=0.1, dlp=2.0, spiral=False)), total=752.0)), **SR)
    made.series(2, more={"CTDIvol": 5.0})
    images, reports = ask("dose", modality="CT")
    assert (reports["told_by"], reports["times"], reports["median_ctdivol"], reports["max_ctdivol"]) == (
        "reports",
        3,
        6.0,
        20.0,
    )
    assert (images["told_by"], images["times"], images["median_ctdivol"]) == ("images", 1, 5.0)


def test_projection_has_the_modality_of_the_images_of_its_study(made, ask):
    made.series(1, doses=told(projection()), **SR)
    made.series(2, Modality="XA")
    made.series(3, study="1.3", Modality="CT")
    assert [row["modality"] for row in ask("dose-reports")] == ["XA"]
    assert ask("dose-reports", modality="CT") == []


def test_what_is_wrong_stands_beside_the_report(made, ask):
    made.series(1, doses=told(ct(total=900.0)), **SR)
    made.series(2, doses=[read_report(b"nonsense", EXPLICIT)], **SR)
    assert [row["flags"] for row in ask("dose-reports")] == ["sum", "unreadable"]


def test_erasing_a_patient_leaves_doses_without_whom_they_are_of(made, url, look):
    made.series(1, doses=told(ct()), **SR)
    eraser = LedgerEraser(url, NODE)
    eraser.erase([1], ["1.2"])
    eraser.close()
    (report,) = look(lambda c: c.execute(select(dose_report)).fetchall())
    events = look(lambda c: c.execute(select(dose_event)).fetchall())
    assert (report.study_uid, report.sop_uid, report.dlp_total) == (None, None, 500.0) and report.erased
    assert [(one.event_uid, one.started, one.dlp) for one in events] == [(None, None, 250.0)] * 2


_ODD = st.recursive(
    st.none() | st.text(max_size=5) | st.integers() | st.floats() | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["events", "totals", "flags", "kind", "started", "dlp", "dlp_total", "zone", "device"]), inner),
    max_leaves=8,
)  # fmt: skip


@given(_ODD)
def test_no_form_of_what_is_told_raises(doses):
    event = wrap(example(e.ArrivalCompleted), 1)
    for phi in ({"mining": {"doses": doses}}, {"mining": {"doses": [doses, {"events": [doses]}]}}, {"mining": doses}):
        list(dose_rows(dataclasses.replace(event, phi=phi), "ct1", 1.0))
