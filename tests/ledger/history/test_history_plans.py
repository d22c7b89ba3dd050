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
    rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).fetchall()
    return any(row[3].endswith("INDEX event_time (node=?)") for row in rows)


def plans_of(engine, question, look=lambda *asked: set(full_scans(*asked)) & LARGE):
    """(statement, what is found in its plan) of everything that a question asks."""
    asked = []
    with reading(engine) as connection:
        hooks.listen(
            connection, "before_cursor_execute", lambda c, cur, statement, values, *_: asked.append((statement, values))
        )
        question(connection)
        listened = list(asked)
        return [(statement, look(connection, statement, values)) for statement, values in listened]


@pytest.mark.slow
def test_no_question_of_a_page_reads_a_large_table_from_end_to_end(url):
    fill(writer(url), ARRIVALS, EACH)
    engine = reader(url)
    bad = {
        name: found for name, question in questions(ARRIVALS, EACH).items()
        if (found := [plan for plan in plans_of(engine, question) if plan[1]])
    }  # fmt: skip
    assert bad == {}
    if engine.dialect.name == "sqlite":
        found = {name for name, question in questions(ARRIVALS, EACH).items()
                 if any(plan[1] for plan in plans_of(engine, question, walks_all_events))}  # fmt: skip
        assert found == {"events: newest"}
    assert plans_of(engine, lambda c: c.exec_driver_sql("SELECT count(digest) FROM image").fetchall())[-1][1] == {
        "image"
    }
