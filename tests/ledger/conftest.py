"""Ledgers on both databases: a test that takes `url` runs once on SQLite and once on a real PostgreSQL server."""

import pytest

from tests.ledger.ledger_events import NODE
from tests.postgres import PostgresServer, session_ended


@pytest.fixture(scope="session")
def postgres(tmp_path_factory):
    server = PostgresServer(tmp_path_factory.mktemp("postgres"))
    yield server
    server.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.sqlite3'}"
    return request.getfixturevalue("postgres").emptied()


@pytest.fixture
def open_ledger(url):
    """Makes open ledgers on one database; closes them afterwards."""
    from protocol.ledger.record import Ledger

    made = []

    def make(node=NODE, **more):
        ledger = Ledger(url, node, **more)
        session_ended(url, node)
        made.append(ledger)
        ledger.open()
        return ledger

    yield make
    for ledger in made:
        ledger.close()


@pytest.fixture
def look(url):
    """Runs a function of queries.py (or any on a connection) and returns its answer."""
    from protocol.ledger.engine import reader, reading

    def ask(function, *arguments, **more):
        with reading(reader(url)) as connection:
            return function(connection, *arguments, **more)

    return ask
