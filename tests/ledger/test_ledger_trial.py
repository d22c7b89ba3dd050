"""Backtests over the ledger: pages, shares and helper processes come to the same, and nothing is locked."""

import threading
from dataclasses import replace

import pytest

from protocol.errors import LedgerUnavailable
from protocol.ledger import trial as trials
from protocol.ledger.engine import reader, reading
from protocol.ledger.headers import SHARES
from protocol.ledger.recorded import completed_count, count_of, recorded, recorded_arrival
from protocol.ledger.trial import Trial, run
from protocol.routing.backtest.whole import Cancelled
from protocol.routing.parse import build
from protocol.wire import events as e
from tests.ledger.ledger_events import EPOCH, NODE, example, record, wrap
from tests.ledger.test_ledger_headers import IMAGES, phi_of

WINDOW = (float(EPOCH), EPOCH + 86_400.0)
TARGETS = {"pacs": {"type": "dicom", "host": "h", "port": 104, "called_ae": "A"}}
DRAFT = build({"targets": TARGETS, "rules": [
    {"name": "thin", "when": "any_image(SliceThickness == 2)", "action": "route", "targets": ["pacs"]},
    {"name": "mr", "when": "Modality == 'MR'", "action": "hold"},
]}, "draft")  # fmt: skip
ACTIVE = build({"targets": TARGETS, "rules": [
    {"name": "thin", "when": "Modality == 'CT'", "action": "route", "targets": ["pacs"]}]}, "active")  # fmt: skip


def came(number, images=IMAGES, *, series=None, addendum_of=0, at=None, study=None):
    study = study or f"1.2.{number // 3}"
    event = example(e.ArrivalCompleted, arrival=number, calling_ae="CT1", study_uid=study,
                    series_uid=series or f"{study}.{number}", bytes=1000, images=len(images))  # fmt: skip
    received = EPOCH + 10.0 * number if at is None else at
    return [
        wrap(example(e.ArrivalOpened, arrival=number, calling_ae="CT1"), 2 * number, time=received),
        wrap(event, 2 * number + 1, phi=phi_of(images, opened=received, addendum_of=addendum_of), time=received + 5),
    ]


@pytest.fixture
def past(open_ledger):
    """30 arrivals, every third one MR; the last one is an addendum to the first, and one is of an earlier version."""
    events = []
    for number in range(1, 30):
        images = (
            [{**one, "Modality": "MR"} for one in IMAGES[: 1 + number % 2]]
            if number % 3 == 0
            else IMAGES[: number % 5 + 1]
        )
        events += came(number, images)
    events += came(30, [{**IMAGES[0], "SOPInstanceUID": "1.99"}], series="1.2.0.1", study="1.2.0", addendum_of=1)
    events[19] = wrap(example(e.ArrivalCompleted, arrival=10, calling_ae="CT1"), events[19].seq, phi={"header": {}})
    record(open_ledger(), events)


def whole(url, **more):
    return [one for page in recorded(reader(url), NODE, WINDOW, each_image=True, **more) for one in page]


def test_pages_of_any_size_hold_every_arrival_once_in_the_order_of_receipt(past, url):
    everything = whole(url)
    assert [one.arrival for one in everything] == [n for n in range(1, 31) if n != 10]
    for page in (1, 3, 29, 1000):
        assert whole(url, page=page) == everything


def test_shares_divide_the_arrivals_without_cutting_a_study(past, url):
    parts = [whole(url, shares=(at * SHARES // 4, (at + 1) * SHARES // 4)) for at in range(4)]
    assert sorted(one.arrival for part in parts for one in part) == [one.arrival for one in whole(url)]
    studies = [{one.study_uid for one in part} for part in parts]
    assert sum(map(len, studies)) == len(set().union(*studies))


def test_an_addendum_brings_the_earlier_arrivals_of_its_series(past, url, look):
    late = whole(url)[-1]
    assert [one.arrival for one in late.earlier] == [1] and late.earlier[0].columns == whole(url)[0].columns
    assert look(recorded_arrival, NODE, 30) == late and look(recorded_arrival, NODE, 10) is None
    window = (EPOCH + 300.0, EPOCH + 301.0)  # the first arrival lies before it
    ((only,),) = recorded(reader(url), NODE, window, each_image=False)
    assert [one.arrival for one in only.earlier] == [1] and only.earlier[0].columns


def test_what_differs_between_images_is_read_only_if_somebody_looks_at_images(past, url):
    rows = [one for page in recorded(reader(url), NODE, WINDOW, each_image=False) for one in page]
    assert all(one.columns is None for one in rows[:-1]) and any(one.columns for one in whole(url))


def test_arrivals_are_counted_with_and_without_header_values(past, look):
    assert look(count_of, NODE, WINDOW) == 29 and look(completed_count, NODE, WINDOW) == 30


def test_a_backtest_tells_what_both_configurations_make_of_the_past(past, url):
    seen = []
    document = run(Trial(url, NODE, WINDOW, DRAFT, ACTIVE, "UTC"), progress=lambda done, of: seen.append((done, of)))
    assert (document["arrivals"], document["without_headers"], document["damaged"]) == (29, 1, 0)
    assert {one["rule"]: one["matched"] for one in document["draft"]["rules"]} == {"thin": 29, "mr": 9}
    assert document["active"]["targets"]["pacs"]["series"] == 20
    assert document["difference"]["arrivals"]["newly_held"]["count"] == 9
    assert seen[-1] == (29, 29)


@pytest.mark.slow
def test_helper_processes_come_to_the_same(past, url):
    one = Trial(url, NODE, WINDOW, DRAFT, ACTIVE, "UTC")
    alone, together = run(one, processes=1), run(one, processes=3)
    for document in (alone, together):
        for listed in document["difference"]["arrivals"].values():
            listed["arrivals"].sort(key=lambda one: one["arrival"])
        for found in document["difference"]["rules"].values():
            for listed in found.values():
                listed["arrivals"].sort()
    assert alone == together


@pytest.mark.slow
def test_a_ledger_that_goes_away_under_a_helper_is_one_error(past, url, monkeypatch):
    one = Trial(url, NODE, WINDOW, DRAFT)
    monkeypatch.setattr(
        trials.Trial, "to_line", lambda self: LINE(replace(self, url="sqlite:////nowhere/none.sqlite3"))
    )
    monkeypatch.setattr(trials._Work, "take", taken_by_helpers_only(trials._Work.take))
    with pytest.raises(LedgerUnavailable):
        run(one, processes=2)


LINE = Trial.to_line


def taken_by_helpers_only(take):
    return lambda self: None if threading.current_thread() is threading.main_thread() else take(self)


def test_a_trial_survives_the_way_to_a_helper():
    one = Trial("sqlite:////x", NODE, WINDOW, DRAFT, ACTIVE, "Europe/Berlin")
    assert Trial.from_line(one.to_line()) == one and "\n" not in one.to_line()
    assert Trial.from_line(replace(one, active=None).to_line()).active is None
    asked = replace(one, spans={"EchoNumbers": [[1.5, 2.5], [3.5]]})
    assert Trial.from_line(asked.to_line()) == asked


@pytest.mark.slow
def test_cancelling_ends_the_helpers(past, url):
    with pytest.raises(Cancelled):
        run(Trial(url, NODE, WINDOW, DRAFT), processes=2, cancelled=lambda: True)


def test_the_bookkeeper_can_write_between_two_pages(past, url, open_ledger):
    pages = recorded(reader(url), NODE, WINDOW, each_image=True, page=5)
    next(pages)
    other = open_ledger("other")
    record(other, [wrap(example(e.ActorStopped), 1, id="x")])
    assert sum(len(page) for page in pages) == 24


def test_a_ledger_that_is_not_there_is_one_error(tmp_path):
    with pytest.raises(LedgerUnavailable), reading(reader(f"sqlite:///{tmp_path / 'none'}")) as connection:
        count_of(connection, NODE, WINDOW)
