"""A row that somebody deleted or altered behind the program's back is found, and the image is named."""

import pytest

from protocol.spool import open_spool
from protocol.spool.accounting import IMAGE_STATES
from protocol.spool.arrivals import Verdict
from protocol.spool.places import day_of
from protocol.testing.images import TestImage
from protocol.testing.spoolworld import SpoolWorld
from tests.spool.test_way_of_a_series import incoming, receive

DAY_S = 86_400.0


@pytest.fixture
def spool(tmp_path):
    spool = open_spool(tmp_path, create=True)
    yield spool
    spool.close()


@pytest.fixture
def images(spool):
    """Receipts of three images of one arrival, and one of another."""
    found = receive(spool, *(incoming(f"1.2.3.{n}") for n in (1, 2, 3)), incoming("1.2.4.1", series="1.2.4"))
    assert spool.accounting.balance(files=True) == []
    return [one.receipt.hex() for one in found]


def behind_the_back(spool, statement, *receipts):
    with spool.database.write() as tx:
        tx.execute(statement, [bytes.fromhex(one) for one in receipts])


def test_a_deleted_row_is_named_by_what_the_outbox_remembers(spool, images):
    behind_the_back(spool, "DELETE FROM image WHERE receipt = ?", images[1])
    for file in spool.places.images.rglob(f"{images[1]}.dcm"):
        file.unlink()
    (problem,) = spool.accounting.problems()
    assert problem.receipts == (images[1],) and "3 images were received, there are rows of 2" in problem.text
    assert images[1] in problem.line and spool.accounting.balance() == [problem.line]


def test_a_deleted_row_is_named_by_its_file_when_its_event_is_gone(spool, images):
    behind_the_back(spool, "DELETE FROM image WHERE receipt = ?", images[0])
    with spool.database.write() as tx:
        tx.execute("DELETE FROM event")
    assert [one.receipts for one in spool.accounting.problems()] == [(images[0],)]


def come_while_ahead(world):
    """After another one that came under a clock that was ahead: no folder is of an earlier day than the newest row."""
    world.clock.jump_wall(40 * DAY_S)
    world.receive(TestImage(study=2))
    world.clock.jump_wall(-40 * DAY_S)
    return world.send(world.connect(), TestImage())[0]


def come_and_the_clock_is_set(world):
    """The clock is put forward between its file and its row."""
    saved = world.spool.images.save(world.incoming(world.connect(), TestImage()))
    world.clock.jump_wall(40 * DAY_S)
    return world.spool.images.commit([saved])[0]


@pytest.mark.parametrize("come", [come_while_ahead, come_and_the_clock_is_set])
def test_a_deleted_row_is_named_by_its_file_in_whatever_folder_the_clock_put_it(tmp_path, come):
    world = SpoolWorld(tmp_path)
    receipt = come(world)
    with world.spool.database.write() as tx:
        file = tx.one("DELETE FROM image WHERE receipt = ? RETURNING file", (receipt.receipt,))["file"]
        tx.execute("DELETE FROM event")
    assert not file.startswith(day_of(world.spool.arrivals.get(receipt.arrival)["opened"]))
    assert [one.receipts for one in world.spool.accounting.problems()] == [(receipt.receipt.hex(),)]
    world.close()


def test_an_altered_row_is_named(spool, images):
    behind_the_back(spool, "UPDATE image SET bytes = bytes + 1 WHERE receipt = ?", images[2])
    (problem,) = spool.accounting.problems()
    assert problem.receipts == (images[2],) and "counters" in problem.text


def test_an_image_marked_superseded_by_nothing_is_named(spool, images):
    behind_the_back(spool, "UPDATE image SET superseded = x'00' WHERE receipt = ?", images[2])
    assert [one.receipts for one in spool.accounting.problems()] == [(images[2],)]


def test_a_deleted_arrival_shows_in_the_totals_and_names_its_images(spool, images):
    arrival = spool.arrivals.open_ones()[0].id
    with spool.database.write() as tx:
        tx.execute("DELETE FROM arrival WHERE id = ?", (arrival,))
    total, orphans = spool.accounting.problems()
    assert total.text == "4 images received, but 1 accounted for"
    assert set(orphans.receipts) == set(images[:3]) and orphans.arrival == arrival
    assert [one.text for one in spool.accounting.totals()] == [total.text]


def test_a_state_that_was_altered_is_found_in_its_arrival(spool, images):
    arrival = spool.arrivals.open_ones()[0].id
    spool.arrivals.close(arrival, "released")
    with spool.database.write() as tx:
        tx.execute("UPDATE arrival SET state = 'in_delivery' WHERE id = ?", (arrival,))
    assert spool.accounting.balancing.arrival(arrival)[0].text.endswith("in delivery without any delivery")


def test_pages_meet_every_arrival_once(spool):
    for number in range(7):
        receive(spool, incoming(f"1.3.{number}.1", series=f"1.3.{number}"))
    arrivals = [one.id for one in spool.arrivals.open_ones()]
    with spool.database.write() as tx:
        tx.execute("UPDATE arrival SET bytes = bytes + 1")
    found, after, pages = [], 0, 0
    while True:
        problems, after = spool.accounting.balancing.page(after, 3)
        found += [one.arrival for one in problems]
        pages += 1
        if not after:
            break
    assert sorted(found) == sorted(arrivals) and pages == 3


def test_the_sheet_adds_up_by_source_and_by_day(spool, images):
    for one in spool.arrivals.open_ones()[:1]:
        spool.arrivals.close(one.id, "released")
        spool.arrivals.decide(one.id, Verdict("discard", 1))
    receive(spool, incoming("1.2.4.1", series="1.2.4", data=b"another version"))
    sheet = spool.accounting.sheet()
    wanted = dict.fromkeys(IMAGE_STATES, 0) | {"discarded": 3, "open": 1, "quarantined": 1}
    assert sheet.figures.images == wanted and sheet.figures.received == 5
    assert sheet.sources == {"SCANNER": wanted} and list(sheet.days.values()) == [wanted]


def test_a_file_of_the_same_length_with_other_bytes_is_named_when_contents_are_read(spool, images):
    (file,) = spool.places.images.rglob(f"{images[1]}.dcm")
    file.write_bytes(b"\0" * file.stat().st_size)  # as some file systems leave it after a power cut
    assert spool.accounting.balance(files=True) == []
    (said,) = spool.accounting.balance(contents=True)
    assert images[1] in said and "other bytes" in said


def test_a_delivered_series_whose_deliveries_are_gone_is_told(spool, images):
    arrival = spool.arrivals.open_ones()[0].id
    with spool.database.write() as tx:
        tx.execute("UPDATE arrival SET state = 'delivered' WHERE id = ?", (arrival,))
    assert f"arrival {arrival} is delivered, and no delivery of it is" in spool.accounting.balance()


def test_a_file_that_the_cleaner_removes_while_it_is_looked_for_is_not_missing(spool, images, monkeypatch):
    arrival = spool.arrivals.open_ones()[0].id
    real = spool.fs.size

    def size(path):
        with spool.database.write() as tx:
            tx.execute("UPDATE arrival SET state = 'deleted' WHERE id = ?", (arrival,))
        path.unlink()
        return real(path)

    monkeypatch.setattr(spool.accounting._fs, "size", size)
    named = [one.text for one in spool.accounting.problems(files=True) if "no file" in one.text]
    assert len(named) == 1 and images[3] in named[0]
