"""Writes tests/ledger/frozen/NNNN.sql: a ledger of that schema number with rows in every table, as SQLite's dump.
Run `python -m tests.ledger.freeze 0004` when a step of the migrations is released; what is frozen is never written again.
"""

import sqlite3
import sys
import tempfile
from pathlib import Path

from sqlalchemy import JSON, BigInteger, Boolean, Double, Float, Integer, LargeBinary, MetaData, Table, select

from protocol.ledger.engine import writer
from protocol.ledger.migrate import upgrade

FROZEN = Path(__file__).parent / "frozen"
ROWS = 3
LISTS = {"rules": ["everything", "archive"], "targets": ["pacs"], "dropped": ["ImageType"]}


def load(path, target):
    """The frozen ledger as a SQLite file."""
    connection = sqlite3.connect(target)
    connection.executescript(path.read_text("utf-8"))
    connection.close()


def tables_of(engine):
    """The tables that are there, as they are there."""
    found = MetaData()
    found.reflect(engine)
    return {name: table for name, table in found.tables.items() if name != "alembic_version"}


def rows_of(engine, tables=None):
    """{table: rows}, in the order of their keys."""
    with engine.connect() as connection:
        return {
            name: [dict(row._mapping) for row in connection.execute(select(table).order_by(*table.primary_key))]
            for name, table in (tables or tables_of(engine)).items()
        }  # fmt: skip


def value(table: Table, column, number):
    """Something that fits, different in each row where it is a key or a name."""
    kind = column.type
    if column.name == "node":
        return "node1"
    if isinstance(kind, JSON):
        return LISTS.get(column.name, {"PatientID": f"P{number}", "deep": [1, 2.5, None, "ä"]})
    if isinstance(kind, LargeBinary):
        return bytes([0, 255, number])
    if isinstance(kind, Boolean):
        return True
    if isinstance(kind, Double | Float):
        return 1_800_000_000.25 + number
    if isinstance(kind, BigInteger | Integer):
        return 13 if column.name == "severity" else number
    return "archive" if column.name == "rule" else f"{column.name}{number}"[: kind.length]


def freeze(revision, path):
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "ledger.sqlite3"
        engine = writer(f"sqlite:///{place}")
        upgrade(engine, revision)
        tables = tables_of(engine)
        with engine.begin() as connection:
            for table in tables.values():
                made = [
                    {column.name: value(table, column, number) for column in table.c} for number in range(1, ROWS + 1)
                ]
                connection.execute(table.insert(), made)
        engine.dispose()
        connection = sqlite3.connect(place)
        path.write_text("\n".join(connection.iterdump()) + "\n", "utf-8")
        connection.close()


def main(revisions):
    FROZEN.mkdir(exist_ok=True)
    for revision in revisions:
        path = FROZEN / f"{revision}.sql"
        if path.exists():
            print(f"{path.name} is frozen already")
            continue
        freeze(revision, path)
        print(f"{path.name} written")


if __name__ == "__main__":
    main(sys.argv[1:])
