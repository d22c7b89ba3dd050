"""The ready queries answer what they promise, alike on SQLite and PostgreSQL; own SQL can only read, and not for ever."""

import io
import json
import time
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from protocol.errors import LedgerError
from protocol.ledger.mining.asking import ask_own, ask_ready, document
from protocol.ledger.mining.ready import BY_NAME, QUERIES
from protocol.ledger.mining.sheet import safe, write_sheet
from protocol.ledger.mining.single import single_statement, without_values
from protocol.ledger.mining.spelling import Selection, spelled
from protocol.ledger.record import Ledger
from tests.ledger.ledger_events import EPOCH, NODE
from tests.ledger.mined_ledger import HOUR, MinedLedger

DAY, ZONE = 24 * HOUR, "Europe/Berlin"
ALL = Selection(0.0, 9e9)


@pytest.fixture
def made(open_ledger):
    return MinedLedger(open_ledger())


@pytest.fixture
def ask(url):
    def run(name, selection=ALL, **more):
        return document(ask_ready(url, BY_NAME[name], selection, ZONE, **more))

    return run


def local(seconds, form="%Y-%m-%d %H:%M:%S"):
    return datetime.fromtimestamp(seconds, ZoneInfo(ZONE)).strftime(form)


@pytest.mark.parametrize("name", [query.name for query in QUERIES])
def test_every_query_answers_an_empty_ledger_and_takes_every_selection(made, ask, name):
    assert ask(name) == []
    made.series(1, more={"CTDIvol": 7.0})
    everything = ask(name)
    assert ask(name, Selection(EPOCH - 1, EPOCH + 1, "ct1", "CT", NODE)) == everything
    for none in (
        Selection(0, EPOCH),
        Selection(0, 9e9, "ct2"),
        Selection(0, 9e9, "", "MR"),
        Selection(0, 9e9, node="x"),
    ):
        assert ask(name, none) == []


def test_series_per_hour_counts_local_hours(made, ask):
    for number, opened in enumerate((EPOCH, EPOCH + HOUR - 1, EPOCH + HOUR), 1):
        made.series(number, opened=opened)
    assert [(row["hour"], row["scanner"], row["series"], row["images"], row["gb"]) for row in ask("series-per-hour")] == [
        (local(EPOCH, "%Y-%m-%d %H:00"), "ct1", 2, 20, 0.02), (local(EPOCH + HOUR, "%Y-%m-%d %H:00"), "ct1", 1, 10, 0.01)]  # fmt: skip
    assert [(row["hour_of_day"], row["series"], row["days"]) for row in ask("busy-hours")] == [
        ("09", 2, 1),
        ("10", 1, 1),
    ]


def test_months_and_days_are_those_of_the_wall_also_when_the_clock_changes(made, ask):
    last_of_march = datetime(2027, 3, 31, 23, 30, tzinfo=ZoneInfo(ZONE)).timestamp()
    made.series(1, opened=last_of_march)
    made.series(2, opened=last_of_march + HOUR, ContrastBolusAgent="Ultravist")
    assert [(row["month"], row["series"], row["with_contrast"], row["percent"]) for row in ask("contrast")] == [
        ("2027-03", 1, 0, 0.0), ("2027-04", 1, 1, 100.0)]  # fmt: skip
    assert sorted({row["day"] for row in ask("volumes")}) == ["2027-03-31", "2027-04-01"]


def test_drift_shows_what_changed_and_when_and_nothing_else(made, ask):
    made.series(1)
    made.series(2, opened=EPOCH + DAY)
    made.series(3, opened=EPOCH + 2 * DAY, SliceThickness=3.0, SoftwareVersions="VA20")
    made.series(4, opened=EPOCH + 3 * DAY, SliceThickness=1.25, SeriesDescription="Another one")
    made.series(5, opened=EPOCH + 3 * DAY, source="ct2", KVP=80.0)
    found = [(row["parameter"], row["value"], row["series"], row["first_seen"]) for row in ask("protocol-drift")]
    assert found == [("slice_thickness", "5", 2, local(EPOCH)), ("slice_thickness", "3", 1, local(EPOCH + 2 * DAY)),
                     ("software", "VA10", 2, local(EPOCH)), ("software", "VA20", 1, local(EPOCH + 2 * DAY))]  # fmt: skip


def test_repeats_are_series_of_one_study_not_parts_of_one_series(made, ask):
    made.series(1, series="1.2.9")
    made.series(2, series="1.2.9", opened=EPOCH + 5)  # it came late
    made.series(3, study="1.3")
    assert ask("repeats") == []
    made.series(4, series="1.2.10", opened=EPOCH + 60)
    ((row),) = ask("repeats")
    assert (row["study_uid"], row["series_description"], row["times"]) == ("1.2", "Lung", 2)


def test_dose_gives_medians(made, ask):
    for number, dose in enumerate((4.0, 5.0, 20.0), 1):
        made.series(number, more={"CTDIvol": dose})
    made.series(4)
    made.series(5, ProtocolName="No dose at all")
    (row,) = ask("dose")
    assert (row["told_by"], row["times"], row["median_ctdivol"], row["max_ctdivol"]) == ("images", 4, 5.0, 20.0)
    assert row["median_dlp"] is None and row["median_kvp"] == 120.0


def test_delays_and_volumes_count_what_was_delivered(made, ask):
    made.series(1, opened=EPOCH + 600)
    made.series(2, opened=EPOCH + 900, target=None)
    (row,) = ask("delays")
    assert (row["target"], row["deliveries"], row["median_coming_in"], row["median_to_deliver"]) == (
        "pacs",
        1,
        60.0,
        60.0,
    )
    assert row["median_scan_to_arrival"] == 300.0
    assert [(one["target"], one["series"]) for one in ask("volumes")] == [("(received)", 2), ("pacs", 1)]


def test_software_says_since_when(made, ask):
    made.series(1)
    made.series(2, opened=EPOCH + DAY, SoftwareVersions="VA20")
    assert [(row["software"], row["first_seen"]) for row in ask("software")] == [
        ("VA10", local(EPOCH)), ("VA20", local(EPOCH + DAY))]  # fmt: skip


def test_more_rows_than_wanted_are_cut_and_said(made, url):
    made.series(1)
    made.series(2, opened=EPOCH + HOUR)
    answer = ask_ready(url, BY_NAME["series-per-hour"], ALL, ZONE, limit=1)
    assert len(answer.rows) == 1 and answer.cut


def test_a_zone_that_is_none_never_reaches_the_database():
    for zone in ("'; DROP TABLE event; --", "No/Where", ""):
        with pytest.raises((ValueError, OSError, LookupError)):
            spelled(QUERIES[0].sql, "postgresql", zone, ALL)


# ---- somebody's own SQL -------------------------------------------------------------------------------------------
def test_sums_of_counts_are_whole_numbers_on_either_database(made, url, ask):
    made.series(1)
    assert all(type(row["images"]) is int for row in ask("series-per-hour"))
    (row,) = document(ask_own(url, "SELECT sum(images) AS n, avg(images) AS a FROM mine_series"))
    assert (type(row["n"]), type(row["a"])) == (int, float)
    if url.startswith("postgresql"):
        large = "SELECT 12345678901234567890::numeric AS n, ARRAY[1.5, 2]::numeric[] AS l, ARRAY[to_timestamp(0)] AS t"
        (row,) = json.loads(json.dumps(document(ask_own(url, large))))
        assert (row["n"], row["l"], row["t"][0][:19]) == (12345678901234567890, [1.5, 2], "1970-01-01T00:00:00")


def test_own_sql_reads_the_views_with_percent_signs_and_casts(made, url):
    made.series(1)
    answer = ask_own(url, "SELECT scanner, 7 % 4 AS rest FROM mine_series WHERE protocol LIKE 'Th%' -- yes; no\n;")
    assert (answer.columns, answer.rows, answer.cut) == (("scanner", "rest"), (("ct1", 3),), False)
    assert ask_own(url, "SELECT arrival FROM mine_series UNION ALL SELECT 2 ORDER BY 1", limit=1).cut


def test_as_json_no_column_is_lost_and_no_number_is_none_that_json_has(open_ledger, url):
    open_ledger()
    infinite = "CAST('Infinity' AS double precision)" if "postgresql" in url else "1e999"
    found = document(ask_own(url, f"SELECT 1 AS n, 2 AS n, 3 AS n_2, 4 AS n, {infinite} AS endless"))
    assert found == [{"n": 1, "n_3": 2, "n_2": 3, "n_4": 4, "endless": None}]
    json.dumps(found, allow_nan=False)


def test_who_tries_to_change_something_is_told_why_not(open_ledger, url):
    open_ledger()
    said = 'syntax error at or near "DELETE"' if "postgresql" in url else "only reading is allowed"
    with pytest.raises(LedgerError, match=said):
        ask_own(url, "DELETE FROM series")


@pytest.mark.parametrize("statement", [
    "DELETE FROM series", "UPDATE arrival SET state = 'x'", "DROP VIEW mine_series", "CREATE TABLE t (a INTEGER)",
    "WITH gone AS (DELETE FROM series RETURNING arrival) SELECT * FROM gone", "SELECT * FROM nothing", "not SQL",
    "SELECT 1; DELETE FROM series", "COMMIT; DELETE FROM series", "", " ; ", "SELECT 1 /* not closed",
    "ATTACH DATABASE '/tmp/x.db' AS x", "PRAGMA query_only = OFF", "COMMIT", "VACUUM",
    "INSERT INTO series (node, arrival) VALUES ('n', 99)",
])  # fmt: skip
def test_own_sql_cannot_change_anything(made, url, look, statement):
    made.series(1)
    with pytest.raises(LedgerError) as refused:
        ask_own(url, statement)
    assert "\n" not in str(refused.value)
    assert look(lambda c: c.execute(text("SELECT count(*) FROM series")).scalar()) == 1


def test_a_query_that_takes_too_long_is_ended(open_ledger, url):
    open_ledger()
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    with pytest.raises(LedgerError, match=r"longer than 0\.2 s"):
        ask_own(url, endless, timeout_s=0.2)


HUGE = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "


@pytest.mark.parametrize("statement, said", [
    ("SELECT randomblob(1000000000)", "too big"),
    ("SELECT " + ", ".join(["zeroblob(30000000) || ''"] * 30), "memory"),
    (HUGE + "SELECT sum(length(randomblob(10000000))) FROM n", "longer than 0.5 s"),
    (HUGE + "SELECT hex(zeroblob(1000000)) FROM n", "larger than 256 MB"),
])  # fmt: skip
def test_a_query_whose_answer_is_huge_is_ended_in_time_and_within_bounds(tmp_path, statement, said):
    url = f"sqlite:///{tmp_path / 'ledger.sqlite3'}"
    Ledger(url, NODE).open()
    began = time.monotonic()
    with pytest.raises(LedgerError, match=said):
        ask_own(url, statement, timeout_s=30 if "256" in said else 0.5)
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("sql", [
    r"SELECT '\'; DELETE FROM series; --'", "SELECT /* /* */ ; DELETE FROM series --*/ 1", "SELECT 1 AS a$b$; DELETE FROM s $b$",
    "SELECT 'a''; b'; x", 'SELECT ";"; x', "SELECT E'\\'; x'", "SELECT 'open; x",
])  # fmt: skip
def test_a_second_statement_cannot_be_hidden(sql):
    with pytest.raises(LedgerError):
        single_statement(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT ';' AS a",
        'SELECT 1 AS "a;b"',
        "SELECT $$;$$",
        "SELECT $t$ ; $t$",
        "SELECT 1 -- ; x",
        "SELECT /* ; */ 1;  ",
    ],
)
def test_a_semicolon_within_text_is_none(sql):
    assert single_statement(sql).strip() == sql.strip().rstrip(";")


# ---- sheets -------------------------------------------------------------------------------------------------------
@given(st.text())
def test_no_cell_begins_like_a_formula(value):
    assert not safe(value).startswith(("=", "+", "-", "@", "\t", "\r"))


def test_a_sheet_holds_text_as_text_and_numbers_as_numbers():
    file = io.StringIO(newline="")
    assert write_sheet(file, ["a", "b"], [['=HYPERLINK("x")', -5.5], [None, "a,b"]]) == 2
    assert file.getvalue() == 'a,b\r\n"\'=HYPERLINK(""x"")",-5.5\r\n,"a,b"\r\n'


@pytest.mark.parametrize("sql, shown", [
    ("SELECT count(*)  FROM phi_series\n WHERE patient_id = '4711'", "SELECT count(*) FROM phi_series WHERE patient_id = '?'"),
    ("SELECT 1 FROM arrival WHERE patient_id = 4711 -- Jane Doe", "SELECT ? FROM arrival WHERE patient_id = ?"),
    ('SELECT "arrival", "Doe^Jane" FROM t1', "SELECT \"arrival\", '?' FROM t1"),
    ("SELECT $$Doe$$, /* Jane */ 0x1F", "SELECT '?', ?"),
    ("SELECT 'Doe", "(not readable as SQL)"),
    ("SELECT \"doe 'x", "(not readable as SQL)"),
])  # fmt: skip
def test_what_was_asked_is_told_without_its_values(sql, shown):
    assert without_values(sql) == shown


@given(st.text(max_size=200))
def test_no_statement_is_too_odd_to_be_told(sql):
    assert len(without_values(sql)) <= 2000
