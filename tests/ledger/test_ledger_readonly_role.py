"""The role for dashboards reads the views and nothing else; every query of the shipped dashboard runs as that role."""

import json
import re
from pathlib import Path

import psycopg2
import pytest

from protocol.ledger.engine import writer
from protocol.ledger.migrate import upgrade
from protocol.ledger.record import Ledger
from protocol.ledger.tables import metadata
from tests.ledger.ledger_events import EPOCH, NODE
from tests.ledger.mined_ledger import MinedLedger

DEPLOY = Path(__file__).parents[2] / "deploy"
VIEWS = (
    "mine_series",
    "mine_studies",
    "mine_deliveries",
    "mine_images_per_hour",
    "mine_dose_reports",
    "mine_dose_events",
)
DASHBOARD = json.loads((DEPLOY / "grafana" / "mining.json").read_text())
VARIABLES = {one["name"]: one for one in DASHBOARD["templating"]["list"] if one["type"] == "query"}
QUERIES = {panel["title"]: target["rawSql"] for panel in DASHBOARD["panels"] for target in panel["targets"]}
_FILTER = re.compile(r"\$__timeFilter\(((?:[^()]|\([^()]*\))*)\)")


@pytest.fixture(scope="module")
def ask(postgres):
    """Asks as the role scanpost_reader, in a database with some history."""
    url = postgres.database()
    upgrade(writer(url))
    for _ in range(2):  # it can be run again
        postgres.execute((DEPLOY / "postgresql" / "readonly.sql").read_text(), url)
    ledger = Ledger(url, NODE)
    ledger.open()
    made = MinedLedger(ledger)
    made.series(1, more={"CTDIvol": 5.0})
    made.series(2, opened=EPOCH + 600, SliceThickness=1.0, ContrastBolusAgent="Ultravist", more={"CTDIvol": 7.0})
    made.series(3, opened=EPOCH + 700, Modality="SR", doses=[{"totals": {"dlp_total": 9.0}, "events": [
        {"kind": "ct", "event_uid": "1.2.7", "protocol": "Thorax", "ctdivol": 5.0, "dlp": 9.0}]}])  # fmt: skip
    ledger.close()
    connection = psycopg2.connect(url.replace("postgres@", "scanpost_reader@", 1))
    connection.autocommit = True

    def run(statement):
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []

    yield run
    connection.close()


def test_the_role_reads_every_mine_view(ask):
    assert [bool(ask(f"SELECT * FROM {view}")) for view in VIEWS] == [True] * len(VIEWS)


@pytest.mark.parametrize("name", [*metadata.tables, "phi_series", "phi_tags", "alembic_version"])
def test_the_role_reads_no_table_and_no_patient_data(ask, name):
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        ask(f'SELECT * FROM "{name}"')


@pytest.mark.parametrize("statement", [
    "INSERT INTO mine_images_per_hour VALUES ('x')", "DELETE FROM series", "CREATE TABLE t (a int)", "CREATE TEMP TABLE t (a int)",
    "DROP VIEW mine_series", "CREATE VIEW v AS SELECT 1", "SELECT pg_read_file('/etc/passwd')",
])  # fmt: skip
def test_the_role_changes_nothing_even_if_it_asks_to_write(ask, statement):
    ask("SET default_transaction_read_only = off")
    with pytest.raises((psycopg2.errors.InsufficientPrivilege, psycopg2.errors.ObjectNotInPrerequisiteState)):
        ask(statement)


@pytest.mark.parametrize("title", QUERIES)
def test_every_panel_of_the_dashboard_shows_something(ask, title):
    sql = _FILTER.sub(r"\1 BETWEEN '2027-01-01' AND '2027-02-01'", QUERIES[title])
    for name, variable in VARIABLES.items():
        found = [row[0] for row in ask(variable["query"])]
        assert found
        sql = re.sub(rf"\${name}\b", ", ".join(f"'{value}'" for value in found), sql)
    assert "$" not in sql
    rows = ask(sql)
    assert rows


def test_panels_have_titles_and_places_of_their_own():
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids) == len(QUERIES)
    assert all(view in " ".join(QUERIES.values()) for view in VIEWS)
