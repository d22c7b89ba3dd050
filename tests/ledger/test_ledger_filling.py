"""Series that came before the mining tables get their rows from the header values that were kept."""

import pytest
from sqlalchemy import delete, select, text

from protocol.ledger.engine import writer
from protocol.ledger.erasing import LedgerEraser
from protocol.ledger.mining import filling
from protocol.ledger.standing import standing
from protocol.ledger.tables import series
from tests.ledger.ledger_events import EPOCH, NODE
from tests.ledger.mined_ledger import MinedLedger


@pytest.fixture
def made(open_ledger):
    return MinedLedger(open_ledger())


@pytest.fixture
def rows(look):
    return lambda: {row.arrival: row._asdict() for row in look(lambda c: c.execute(select(series)).fetchall())}


def forget_rows(url, condition="1 = 1"):
    with writer(url).begin() as connection:
        connection.execute(delete(series).where(text(condition)))


def fill_all(ledger):
    found = []
    while not found or not found[-1].done:
        found.append(ledger.fill_mining("UTC"))
    return found


def test_rows_made_later_are_those_that_the_events_would_have_made(made, url, rows):
    for number in range(1, 6):
        made.series(
            number, opened=EPOCH + number, study=f"1.{number}", ProtocolName=f"P{number}", ContrastBolusAgent="x"
        )
    before = rows()
    forget_rows(url)
    assert [one.made for one in fill_all(made.ledger)] == [5]
    assert rows() == before and before[3]["protocol"] == "P3" and before[3]["contrast"] == 1
    assert made.ledger.fill_mining("UTC") == (True, 5, 0)


def test_rows_that_are_there_keep_what_only_the_object_told(made, url, rows):
    made.series(1, more={"CTDIvol": 5.0})
    made.series(2, more={"CTDIvol": 5.0})
    forget_rows(url, "arrival = 2")
    fill_all(made.ledger)
    assert [rows()[number]["ctdivol"] for number in (1, 2)] == [5.0, None]


def test_a_patient_who_was_erased_and_what_is_not_complete_get_none(made, url, rows):
    from protocol.wire import events as e
    from tests.ledger.ledger_events import example

    for number in (1, 2):
        made.series(number, study=f"1.{number}")
    made.tell(example(e.ArrivalOpened, arrival=3, calling_ae="CT1"), EPOCH)
    eraser = LedgerEraser(url, NODE)
    eraser.erase([1], ["1.1"])
    eraser.close()
    forget_rows(url)
    fill_all(made.ledger)
    assert set(rows()) == {2}


def test_where_header_values_were_forgotten_the_row_tells_what_is_left(made, url, rows):
    from protocol.ledger.forgetting import Ages

    made.series(1)
    while made.ledger.forget(Ages(headers=EPOCH + 86_400)):
        pass
    forget_rows(url)
    fill_all(made.ledger)
    row = rows()[1]
    assert (row["modality"], row["calling_ae"], row["images"], row["protocol"]) == ("CT", "CT1", 10, None)


def test_another_nodes_series_are_left_to_its_own_bookkeeper(made, open_ledger, url, rows):
    made.series(1)
    forget_rows(url)
    other = open_ledger("other")
    assert other.fill_mining("UTC") == (True, 0, 0) and rows() == {}
    made.ledger.fill_mining("UTC")
    assert set(rows()) == {1}


def test_it_goes_in_chunks_and_says_how_far_it_is(made, url, rows, monkeypatch):
    monkeypatch.setattr(filling.fill, "__defaults__", (2,))
    for number in range(1, 6):
        made.series(number)
    forget_rows(url)
    assert made.ledger.fill_mining("UTC") == (False, 2, 2) and len(rows()) == 2
    assert standing(url)["mining"] == [{"node": NODE, "done": False, "upto": 2}]
    assert [one["consumer"] for one in standing(url)["cursors"]] == ["bookkeeper"]
    fill_all(made.ledger)
    assert standing(url)["mining"][0]["done"] and len(rows()) == 5
