"""A ledger of every schema number that was ever released comes to the newest tables, and keeps its rows."""

import json

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import JSON, create_engine

from protocol.ledger.engine import reader, writer
from protocol.ledger.history import Filter, search_arrivals
from protocol.ledger.migrate import NEWEST, revision, upgrade
from protocol.ledger.tables import metadata
from tests.ledger.freeze import FROZEN, ROWS, load, rows_of, tables_of

FILES = sorted(FROZEN.glob("*.sql"))


def test_every_step_up_to_the_last_frozen_one_is_frozen():
    numbers = [path.stem for path in FILES]
    assert numbers[:3] == ["0001", "0002", "0003"] and numbers == [f"{at:04d}" for at in range(1, len(numbers) + 1)]


@pytest.fixture
def thawed(url, tmp_path):
    """Puts a frozen ledger into the database of the test; returns its rows as they were."""

    def thaw(path):
        place = tmp_path / f"{path.stem}.sqlite3"
        load(path, place)
        old = create_engine(f"sqlite:///{place}")
        rows = rows_of(old)
        if url.startswith("sqlite"):
            place.rename(url.removeprefix("sqlite:///"))
            return rows
        engine = writer(url)
        upgrade(engine, path.stem)
        with engine.begin() as connection:
            for name, table in tables_of(engine).items():
                if rows[name]:
                    connection.execute(table.insert(), rows[name])
        return rows

    return thaw


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_frozen_ledger_becomes_the_newest_one_and_keeps_its_rows(thawed, url, path):
    before = thawed(path)
    assert all(len(rows) == ROWS for rows in before.values())
    upgrade(writer(url))
    with reader(url).connect() as connection:
        assert revision(connection) == NEWEST
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        found = search_arrivals(connection, "node1", Filter(rule="archive")).rows
        assert [row["arrival"] for row in found] == [3, 2, 1] and found[0]["deliveries"][0]["target"] == "target3"
    after = rows_of(writer(url))
    for name, rows in before.items():
        for old, new in zip(rows, after[name], strict=True):
            assert {column: plain(name, column, new[column]) for column in old} == {
                column: plain(name, column, value) for column, value in old.items()}  # fmt: skip


def plain(table, column, value):
    """JSON columns are text where SQLite is reflected without their type."""
    known = metadata.tables[table].c.get(column)
    is_json = known is not None and isinstance(known.type, JSON)
    return json.loads(value) if is_json and isinstance(value, str) else value
