"""PostgreSQL as sites have it: other encodings, zones, languages and settings than ours. Nothing is lost and nobody is stopped."""

import pytest
from sqlalchemy import select

from protocol.ledger.engine import reader, reading
from protocol.ledger.history import Filter, search_arrivals
from protocol.ledger.queries import flagged
from protocol.ledger.tables import arrival
from protocol.wire import events as e
from tests.bookkeeper.office import Office, expected, stored
from tests.ledger.ledger_events import NODE, example

NAMES = ("M\u00fcller^J\u00f6rg", "\u5c71\u7530^\u592a\u90ce", "Plain^Name")


@pytest.fixture
def office_of(tmp_path):
    made = []

    def make(url):
        made.append(Office(tmp_path / "home", url))
        return made[-1]

    yield make
    for office in made:
        office.close()


def complete(office, number, name):
    with office.spool.database.write() as tx:
        event = example(e.ArrivalCompleted, arrival=number, study_uid=f"1.{number}", modality="CT")
        tx.emit(event, phi={"header": {"PatientName": name, "PatientID": f"P{number}"}})


def ask(url, function, *arguments):
    with reading(reader(url)) as connection:
        return function(connection, *arguments)


def names(connection):
    return list(connection.execute(select(arrival.c.patient_folded).order_by(arrival.c.arrival)).scalars())


@pytest.mark.parametrize("encoding, kept", [("UTF8", 3), ("SQL_ASCII", 3), ("LATIN1", 2)])
def test_names_in_a_database_of_another_encoding_are_kept_or_flagged_and_said(postgres, office_of, encoding, kept):
    office = office_of(postgres.database(f"ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"))
    for number, name in enumerate(NAMES, 1):
        complete(office, number, name)
    office.work(office.hire())
    assert ask(office.url, stored) == expected(office.outbox())
    assert sum(name in [one.casefold() for one in NAMES] for name in ask(office.url, names)) == kept
    assert len(ask(office.url, flagged, NODE)) == 3 - kept
    alerts = office.spool.notices.alerts("ledger.encoding")
    assert bool(alerts) == (encoding != "UTF8") and all(encoding in text for text in alerts.values())


def test_zone_language_and_strictness_of_the_server_change_nothing(postgres, office_of):
    url = postgres.database()
    name = url.partition("/test")[2].partition("?")[0]
    for setting in ("timezone = 'Asia/Kolkata'", "datestyle = 'German, DMY'", "lc_numeric = 'C'", "intervalstyle = 'sql_standard'",
                    "standard_conforming_strings = off", "backslash_quote = off", "extra_float_digits = 0",
                    "default_transaction_isolation = 'serializable'", "row_security = off", "search_path = 'public'"):  # fmt: skip
        postgres.execute(f"ALTER DATABASE test{name} SET {setting}")
    office = office_of(url)
    complete(office, 1, "Quote'd \\ back^Name")
    office.happen(3)
    office.work(office.hire())
    assert ask(url, stored) == expected(office.outbox()) and ask(url, flagged, NODE) == []
    (row,) = ask(url, search_arrivals, NODE, Filter(q="quote'd")).rows
    assert row["patient_folded"] == "quote'd \\ back^name"
    moments = {one.time for one in office.outbox()}
    assert row["completed"] in moments, "times keep every digit"


def test_a_role_that_may_write_but_own_nothing_is_told_what_it_lacks(postgres, office_of):
    url = postgres.database()
    postgres.execute("DO $$ BEGIN CREATE ROLE guest LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    postgres.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC, guest", url)
    office = office_of(url.replace("postgres@", "guest@"))
    office.happen(2)
    bookkeeper = office.hire()
    for _ in range(3):
        bookkeeper.one_pass([])
        office.clock.advance(31)
    (down,) = [one for one in office.outbox() if one.type == "ledger.down"]
    assert "permission denied for schema public" in down.data["error"] and "42501" in down.data["error"]
    postgres.execute("GRANT CREATE ON SCHEMA public TO guest", url)
    office.work(bookkeeper)
    assert ask(office.url, stored) == expected(office.outbox())


def test_very_long_names_are_kept_as_far_as_they_fit(postgres, office_of):
    office = office_of(postgres.database())
    complete(office, 1, "N" * 5000)
    with office.spool.database.write() as tx:
        tx.emit(example(e.DeliveryParked, delivery=1, arrival=1, target="t" * 500, error="e" * 200_000))
        tx.emit(example(e.AlertRaised, alert="a" * 400, text="x" * 100_000))
    office.work(office.hire())
    assert ask(office.url, stored) == expected(office.outbox())
    assert ask(office.url, names) == ["n" * 255] or len(ask(office.url, flagged, NODE)) > 0
