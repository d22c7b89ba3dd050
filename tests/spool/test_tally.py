"""The figures that the database keeps itself are those of its rows, whatever is done to arrivals and deliveries."""

import random
import sqlite3

import pytest

from protocol.spool import open_spool, schema, tallying
from protocol.spool.schema import MIGRATIONS, SCHEMA_VERSION

ARRIVAL = {"series_key": b"", "study_uid": "1", "series_uid": "1", "calling_ae": "A", "called_ae": "B", "address": "", "state": "open",
           "opened": 1, "last_image": 1, "since": 1}  # fmt: skip
DELIVERY = {"arrival": 1, "decision": 1, "target": "pacs", "priority": 1, "due": 1, "state": "waiting", "images": 1, "bytes": 1,
            "created": 1}  # fmt: skip
STATES = ("open", "closed", "in_delivery", "held", "delivered", "deleted")


def insert(tx, table, row):
    tx.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", tuple(row.values()))


def change(tx, chance, number):
    """One thing that may happen to an arrival or a delivery."""
    id = chance.randrange(1, 30)
    kind = chance.randrange(8)
    if kind == 0:
        insert(
            tx,
            "arrival",
            ARRIVAL | {"series_key": b"%d" % number, "state": chance.choice(STATES), "images": 3, "superseded": 1},
        )
    elif kind == 1:
        insert(tx, "delivery", DELIVERY | {"target": chance.choice("ab"), "target_group": chance.choice(("", "g"))})
    elif kind == 2:
        tx.execute("UPDATE arrival SET images = images + 5, positions = positions + 5 WHERE id = ?", (id,))
    elif kind == 3:
        tx.execute("UPDATE arrival SET superseded = superseded + 1 WHERE id = ?", (id,))
    elif kind == 4:
        tx.execute("UPDATE arrival SET state = ?, images = images - 1 WHERE id = ?", (chance.choice(STATES), id))
    elif kind == 5:
        moved = (chance.choice(("waiting", "sending", "delivered")), chance.choice("ab"), chance.choice(("", "g")), id)
        tx.execute("UPDATE delivery SET state = ?, target = ?, target_group = ? WHERE id = ?", moved)
    elif kind == 6:
        tx.execute("UPDATE delivery SET state = 'parked' WHERE id > ?", (id,))
    else:
        tx.execute(f"DELETE FROM {chance.choice(('arrival', 'delivery'))} WHERE id = ?", (id,))


@pytest.fixture
def spool(tmp_path):
    spool = open_spool(tmp_path, create=True)
    with spool.database.write() as tx:
        tx.execute("DELETE FROM sqlite_sequence")  # ids from 1
    yield spool
    spool.close()


def both(spool):
    with spool.database.read() as connection:
        return tallying.kept(connection), tallying.counted(connection)


@pytest.mark.parametrize("seed", range(5))
def test_the_figures_kept_are_those_counted_after_whatever_happens(spool, seed):
    chance = random.Random(seed)
    for number in range(300):
        with spool.database.write() as tx:
            change(tx, chance, number)
    kept, counted = both(spool)
    assert kept == counted and kept.arrivals and kept.deliveries
    assert spool.accounting.recounted() == []


def test_what_was_rolled_back_was_not_counted(spool):
    with pytest.raises(RuntimeError), spool.database.write() as tx:
        insert(tx, "delivery", DELIVERY)
        raise RuntimeError
    assert both(spool)[0] == tallying.Tally()


def test_a_target_that_is_gone_leaves_no_figures(spool):
    with spool.database.write() as tx:
        insert(tx, "delivery", DELIVERY)
        tx.execute("UPDATE delivery SET state = 'cancelled'")
        tx.execute("DELETE FROM delivery")
        assert tx.execute("SELECT count(*) FROM tally").fetchone()[0] == 0


def test_figures_that_are_wrong_are_told_and_counted_anew(spool):
    with spool.database.write() as tx:
        insert(tx, "delivery", DELIVERY)
        tx.execute("UPDATE tally SET count = 7")
    (problem,) = spool.accounting.problems()
    assert "scanpost spool recount" in problem.line
    with spool.database.write() as tx:
        tallying.recount(tx)
    assert spool.accounting.problems() == [] and spool.accounting.figures().deliveries["waiting"] == 1


def test_the_oldest_of_a_queue_is_the_one_made_first(spool):
    with spool.database.write() as tx:
        for created, state in ((5, "waiting"), (7, "waiting"), (2, "parked"), (1, "delivered")):
            insert(tx, "delivery", DELIVERY | {"created": created, "state": state})
    assert spool.targets.queue() == {"pacs": {"waiting": 2, "parked": 1, "oldest": 2.0, "oldest_waiting": 5.0}}


def test_an_older_spool_is_counted_when_it_is_brought_up_to_date():
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.row_factory = sqlite3.Row
    connection.executescript(";".join([schema.TABLES, *(MIGRATIONS[version] for version in range(2, 6))]))
    insert(connection, "arrival", ARRIVAL | {"images": 4, "state": "delivered"})
    insert(connection, "delivery", DELIVERY)
    for version in range(6, SCHEMA_VERSION + 1):
        connection.executescript(MIGRATIONS[version])
    assert tallying.kept(connection) == tallying.counted(connection) != tallying.Tally()
