"""The ledger's tables are made and brought up to date by steps, on both databases."""

import threading

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text

from protocol.errors import LedgerError, LedgerUnavailable
from protocol.ledger import engine as engines
from protocol.ledger import migrate
from protocol.ledger.engine import normalised, reader, writer
from protocol.ledger.migrate import revision, take_steps, upgrade
from protocol.ledger.tables import metadata


def test_steps_lead_from_nothing_to_the_tables_the_program_knows(url):
    upgrade(writer(url))
    with reader(url).connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        assert {"event_arrival", "event_serious", "event_flagged"} <= {
            index["name"] for index in inspect(connection).get_indexes("event")
        }


def test_upgrading_twice_changes_nothing(url):
    upgrade(writer(url))
    with reader(url).connect() as connection:
        first = revision(connection)
    upgrade(writer(url))
    with reader(url).connect() as connection:
        assert revision(connection) == first is not None


def test_two_programs_that_start_together_both_find_the_tables(url):
    failures = []

    def start():
        try:
            upgrade(writer(url))
        except Exception as exc:
            failures.append(exc)

    threads = [threading.Thread(target=start) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failures == []


def test_a_ledger_of_a_newer_program_is_refused_in_one_line(url):
    engine = writer(url)
    upgrade(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(LedgerError, match="newer scanpost") as refused:
        upgrade(engine)
    assert "\n" not in str(refused.value)


def test_reading_does_not_change_and_does_not_make_a_ledger(url, tmp_path):
    upgrade(writer(url))
    with reader(url).connect() as connection, pytest.raises(Exception, match="read-?only"):
        connection.execute(text("DELETE FROM event"))
    missing = tmp_path / "missing.sqlite3"
    with pytest.raises(LedgerUnavailable):
        upgrade(reader(f"sqlite:///{missing}"))
    assert not missing.exists()


def test_the_file_is_for_its_owner_only(tmp_path):
    upgrade(writer(f"sqlite:///{tmp_path / 'ledger.sqlite3'}"))
    assert (tmp_path / "ledger.sqlite3").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("given", ["postgresql://u@h/d", "postgres://u@h/d", "postgresql+psycopg2://u@h/d"])
def test_postgresql_urls_get_the_driver(given):
    assert normalised(given).drivername == "postgresql+psycopg2"


@pytest.mark.parametrize("given", ["mysql://h/d", "no url", "sqlite://", "sqlite:///:memory:"])
def test_other_databases_are_refused(given):
    with pytest.raises(LedgerError):
        normalised(given)


@pytest.mark.parametrize("place", ["missing/ledger.sqlite3", "file/ledger.sqlite3"])
def test_a_ledger_in_a_folder_that_is_none_counts_as_away(tmp_path, place):
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerUnavailable, match=r"ledger\.sqlite3"):
        upgrade(writer(f"sqlite:///{tmp_path / place}"))


def test_a_step_that_takes_longer_than_a_statement_may_is_brought_to_its_end(postgres, monkeypatch):
    """As an index over tens of millions of rows does."""
    monkeypatch.setitem(engines.SESSION, "writer", ("statement_timeout = '500ms'", "lock_timeout = '10s'"))
    engine = writer(postgres.emptied())

    def slow(connection, to):
        connection.exec_driver_sql("SELECT pg_sleep(1)")
        take_steps(connection, to)

    monkeypatch.setattr(migrate, "take_steps", slow)
    with engine.connect() as connection:
        with connection.begin():
            migrate.upgrade_on(connection)
        assert revision(connection) == migrate.NEWEST
        assert connection.exec_driver_sql("SHOW statement_timeout").scalar_one() == "500ms", "it holds for all else"
