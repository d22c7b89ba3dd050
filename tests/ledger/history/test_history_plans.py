"""No page of the history reads a whole table: the plans of its questions, on a ledger that is filled and analysed."""

import json
import re

import pytest
from sqlalchemy import event as hooks

from bench.questions import questions
from bench.years import fill
from protocol.ledger.engine import reader, reading, writer
from protocol.ledger.tables import metadata

ARRIVALS, EACH = 6000, 4
LARGE = set(metadata.tables) & {
    "event", "arrival", "arrival_rule", "association", "image", "delivery", "delivery_image", "header",
}  # fmt: skip


def full_scans(connection, statement, values):
    """The large tables that the plan of a statement reads from end to end."""
    if connection.dialect.name == "postgresql":
        (plan,) = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", values).scalar_one()
        return re.findall(r'"Seq Scan".{0,120}?"Relation Name": "(\w+)"', json.dumps(plan))
    rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).fetchall()
    return [found[1] for row in rows if (found := re.fullmatch(r"SCAN (?:TABLE )?(\w+)( AS \w+)?", row[3]))]


def walks_all_events(connection, statement, values):
    """Whether SQLite finds events by their node alone, to spare itself a sort."""
    if connection.dialect.name != "sqlite":
        return False
    rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).fetchall()
    return any(row[3].endswith("INDEX event_time (node=?)") for row in rows)


def plans_of(engine, question):
    """(statement, (tables read from end to end, whether all events are walked)) of everything that a question asks."""
    asked = []
    with reading(engine) as connection:
        hooks.listen(
            connection, "before_cursor_execute", lambda c, cur, statement, values, *_: asked.append((statement, values))
        )
        question(connection)
        return [
            (one[0], (set(full_scans(connection, *one)), walks_all_events(connection, *one))) for one in list(asked)
        ]


# A good part of so few arrivals is wanted at once: then a table may well be read in its own order.
MANY = {"page of 1,000"}


@pytest.mark.slow
def test_no_question_of_a_page_reads_a_large_table_from_end_to_end(url):
    engine = reader(url)
    sqlite = engine.dialect.name == "sqlite"
    arrivals = ARRIVALS // 4 if sqlite else ARRIVALS
    fill(writer(url), arrivals, EACH)
    bad, walking = {}, set()
    for name, question in questions(arrivals, EACH).items():
        for statement, (scans, walks) in plans_of(engine, question):
            if scans & LARGE and not (name in MANY and not sqlite):
                bad[name] = statement
            if walks:
                walking.add(name)
    assert bad == {}
    assert walking == ({"events: newest"} if sqlite else set())
    assert plans_of(engine, lambda c: c.exec_driver_sql("SELECT count(digest) FROM image").fetchall())[-1][1][0] == {
        "image"
    }
