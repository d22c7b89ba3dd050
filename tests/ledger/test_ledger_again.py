"""Series adopted again after the spool was restored or rebuilt are counted once, and nothing waits for ever."""

import pytest
from sqlalchemy import event, text

from protocol.header.packed import pack_headers
from protocol.wire import events as e
from tests.ledger.ledger_events import EPOCH, example, record, wrap

OLD, OTHER, NEW = 101, 102, 900


def image(number, arrival, **more):
    return example(e.ImageReceived, receipt=f"{number:032x}", arrival=arrival, why=more.pop("why", "received"), **more)


def completed(arrival, **more):
    return example(
        e.ArrivalCompleted, arrival=arrival, calling_ae="CT1", study_uid="1.2", series_uid="1.2.3", images=2, **more
    )


def delivered(number, arrival):
    common = {"delivery": number, "arrival": arrival, "target": "pacs"}
    return [example(e.DeliveryCreated, **common), example(e.DeliveryCompleted, **common)]


def waiting(number, arrival):
    return [example(e.DeliveryCreated, delivery=number, arrival=arrival, target="ai")]


def phi(protocol):
    header = {"Modality": "CT", "ProtocolName": protocol}
    packed = pack_headers(header, [{}, {}], 10_000)
    origin = {"opened": EPOCH + 1.0, "called_ae": "S", "address": "", "source": None, "addendum_of": 0}
    return {"header": header, "first": {}, "columns": packed.columns, "count": 2, "dropped": [], "origin": origin}


class Story:
    """Events told to a ledger one after the other, in several batches."""

    def __init__(self, ledger):
        self.ledger, self.seq = ledger, 0

    def tell(self, *events, of=None):
        before, batch = (EPOCH if self.seq else 0, self.seq), []
        for one in events:
            self.seq += 1
            batch.append(wrap(one, self.seq, phi=of if isinstance(one, e.ArrivalCompleted) else None))
        assert record(self.ledger, batch, before).flagged == []


@pytest.fixture
def story(open_ledger):
    made = Story(open_ledger())
    made.tell(example(e.ArrivalOpened, arrival=OLD), image(1, OLD), image(2, OLD), image(3, OLD, why="received"))
    made.tell(example(e.ImageDuplicate, receipt=f"{9:032x}", arrival=OLD), completed(OLD), of=phi("Thorax"))
    made.tell(*delivered(1, OLD), *waiting(2, OLD))
    return made


def rows(connection, sql):
    return [tuple(row) for row in connection.execute(text(sql))]


ARRIVALS = "SELECT arrival, state FROM arrival ORDER BY 1"
DELIVERIES = "SELECT delivery, arrival, state, cause FROM delivery ORDER BY 1"
SERIES = "SELECT arrival, protocol, received, images FROM mine_series"


@pytest.mark.parametrize("why", ["adopted", "rebuilt"])
def test_a_series_that_came_again_out_of_its_files_goes_on_under_its_new_number(story, look, why):
    story.tell(example(e.ArrivalOpened, arrival=NEW), image(1, NEW, why=why), image(2, NEW, why=why))
    assert look(rows, ARRIVALS)[0][0] == OLD and look(rows, ARRIVALS)[0][1] != "deleted", "an image is missing still"
    story.tell(image(3, NEW, why=why))
    assert look(rows, ARRIVALS) == [(OLD, "deleted"), (NEW, "open")]
    ((_, reason),) = look(rows, f"SELECT arrival, reason FROM arrival WHERE arrival = {OLD}")
    assert f"it goes on as series {NEW}" in reason
    assert look(rows, DELIVERIES) == [(1, NEW, "delivered", None), (2, NEW, "cancelled", "rebuilt")]
    story.tell(completed(NEW), of=None if why == "rebuilt" else phi("Thorax"))
    assert look(rows, SERIES) == [(NEW, "Thorax", EPOCH + 1.0, 2)], "counted once, and at the time at which it came"
    assert look(rows, "SELECT arrival FROM header") == [(NEW,)]
    assert {row[1] for row in look(rows, "SELECT receipt, arrival FROM image WHERE mark IS NULL")} == {NEW}


def test_a_rebuilt_series_keeps_what_was_known_though_all_is_told_at_once(story, look):
    images = [image(number, NEW, why="rebuilt") for number in (1, 2, 3)]
    story.tell(example(e.ArrivalOpened, arrival=NEW), *images, completed(NEW, modality="CT"))
    assert look(rows, SERIES) == [(NEW, "Thorax", EPOCH + 1.0, 2)]
    assert look(rows, "SELECT scanner, modality FROM mine_series") == [("CT1", "CT")]
    story.tell(example(e.ArrivalOpened, arrival=NEW + 1), completed(NEW + 1, modality="MR"))
    assert look(rows, "SELECT modality FROM mine_series ORDER BY arrival") == [("CT",), ("MR",)]


def test_two_arrivals_of_a_series_become_one(story, look):
    story.tell(example(e.ArrivalOpened, arrival=OTHER), image(4, OTHER), completed(OTHER), of=phi("Thorax"))
    story.tell(*(image(number, NEW, why="rebuilt") for number in (1, 2, 3, 4)))
    story.tell(completed(NEW))
    assert look(rows, ARRIVALS) == [(OLD, "deleted"), (OTHER, "deleted"), (NEW, "closed")]
    assert [row[0] for row in look(rows, SERIES)] == [NEW]


def test_what_had_ended_after_the_backup_is_under_way_again_and_what_is_not_stays(story, look):
    story.tell(example(e.ArrivalDelivered, arrival=OLD), example(e.ArrivalOpened, arrival=OTHER))
    held = {"cause": "rebuilt", "reason": "restored from a backup"}
    for number, arrival in ((2, OLD), (3, OTHER)):
        story.tell(example(e.DeliveryHeld, delivery=number, arrival=arrival, target="ai", **held))
    assert look(rows, ARRIVALS) == [(OLD, "in_delivery"), (OTHER, "open")]
    story.tell(example(e.ArrivalDelivered, arrival=OLD), example(e.DeliveryHeld, arrival=OLD, cause="timeout"))
    assert look(rows, ARRIVALS)[0] == (OLD, "delivered")


def test_what_was_released_and_sent_while_the_ledger_was_away_stays_sent(story, look):
    story.tell(example(e.ArrivalDelivered, arrival=OLD))
    one = {"delivery": 2, "arrival": OLD, "target": "ai"}
    held = example(e.DeliveryHeld, **one, cause="rebuilt", reason="restored from a backup")
    story.tell(held, example(e.DeliveryCompleted, **one), example(e.ArrivalDelivered, arrival=OLD))
    assert look(rows, ARRIVALS) == [(OLD, "delivered")]


def test_a_part_whose_images_came_again_as_repetitions_ends_as_well(story, look):
    """It was sent twice on purpose: a rebuild finds the bytes twice and gives one of them a row."""
    story.tell(example(e.ArrivalOpened, arrival=OTHER), image(4, OTHER), completed(OTHER), of=phi("Thorax"))
    again = [image(number, NEW, why="rebuilt") for number in (1, 2, 3)]
    story.tell(*again, example(e.ImageDuplicate, receipt=f"{4:032x}", arrival=NEW, twin=f"{1:032x}"), completed(NEW))
    assert look(rows, ARRIVALS) == [(OLD, "deleted"), (OTHER, "deleted"), (NEW, "closed")]
    assert [row[0] for row in look(rows, SERIES)] == [NEW]


def test_what_is_adopted_after_a_crash_ends_nothing(story, look):
    story.tell(image(1, OLD, why="adopted"), image(7, OTHER, why="adopted"))
    assert "deleted" not in {row[1] for row in look(rows, ARRIVALS)}
    assert [row[0] for row in look(rows, SERIES)] == [OLD]


def test_images_that_came_again_are_found_one_by_one_however_many_the_ledger_has(story, url):
    """A SQLite without statistics takes the index of arrivals for the narrower one, as soon as the arrival is asked for."""
    if not url.startswith("sqlite"):
        pytest.skip("its statistics come by themselves")
    asked = []

    def told(connection, cursor, statement, values, *more):
        asked.append((statement, values))

    event.listen(story.ledger._engine, "before_cursor_execute", told)
    story.tell(*(image(number, NEW, why="adopted") for number in range(1, 600)))
    event.remove(story.ledger._engine, "before_cursor_execute", told)
    connection = story.ledger._connection
    plans = [row[3] for statement, values in asked if statement.startswith("SELECT image.")
             for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)]  # fmt: skip
    connection.rollback()
    assert len(plans) == 2 and all("(node=? AND receipt=?)" in plan for plan in plans), plans
