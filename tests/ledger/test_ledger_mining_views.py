"""The views for data mining, on both databases: stable names, no patient in those that are named mine_."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from tests.ledger.ledger_events import EPOCH
from tests.ledger.mined_ledger import HOUR, MinedLedger

MINE = ("mine_series", "mine_studies", "mine_deliveries", "mine_images_per_hour")


@pytest.fixture
def filled(open_ledger):
    made = MinedLedger(open_ledger())
    made.series(1, extra=["0019,xx0C ACME", "KVP"], more={"0019,xx0C ACME": "mode 5"})
    made.series(2, opened=EPOCH + 600, Modality="SR")
    made.series(3, opened=EPOCH + HOUR, study="1.3", source="ct2", target=None, ContrastBolusAgent="Ultravist")
    return made


@pytest.fixture
def rows(look):
    def ask(statement):
        return look(lambda connection: [dict(row._mapping) for row in connection.execute(text(statement))])

    return ask


def test_each_completed_arrival_is_one_row_with_its_times(filled, rows):
    first, _, third = rows("SELECT * FROM mine_series ORDER BY arrival")
    assert (first["scanner"], first["modality"], first["kvp"], first["state"]) == ("ct1", "CT", 120.0, "delivered")
    assert first["received"] == EPOCH and first["received_at"] in (
        "2027-01-15T08:00:00Z",
        datetime(2027, 1, 15, 8, tzinfo=UTC),
    )
    assert first["acquisition_time"] == datetime(2027, 1, 15, 8, 5, tzinfo=UTC).timestamp()
    assert (third["scanner"], third["contrast"], third["contrast_agent"]) == ("ct2", 1, "Ultravist")


def test_studies_deliveries_and_hours_add_up(filled, rows):
    one, other = rows("SELECT * FROM mine_studies ORDER BY study_uid")
    assert (one["series"], one["images"], one["modalities"], one["contrast"]) == (2, 20, "CT SR", 0)
    assert (other["series"], other["contrast"]) == (1, 1)
    first, _ = rows("SELECT * FROM mine_deliveries ORDER BY delivery")
    assert (first["target"], first["state"], first["after_completion_s"], first["wait_s"]) == (
        "pacs",
        "delivered",
        60.0,
        59.0,
    )
    assert first["scan_to_delivered_s"] == EPOCH + 120 - first["acquisition_time"]
    hours = rows("SELECT hour, scanner, modality, series, images FROM mine_images_per_hour ORDER BY hour, modality")
    assert [(one["hour"] - EPOCH, one["scanner"], one["modality"], one["images"]) for one in hours] == [
        (0, "ct1", "CT", 10), (0, "ct1", "SR", 10), (HOUR, "ct2", "CT", 10)]  # fmt: skip


def test_no_view_but_those_named_phi_says_who_it_was(filled, rows):
    for view in MINE:
        assert not any(
            word in repr(rows(f"SELECT * FROM {view}")) for word in ("SECRET", "'P1'", "'A1'", "19760203", "mode 5")
        )
    assert [row["patient_id"] for row in rows("SELECT * FROM phi_series")] == ["P1"] * 3
    assert {row["tag"]: row["value"] for row in rows("SELECT * FROM phi_tags")} in (
        {"0019,xx0C ACME": "mode 5", "KVP": "120.0"}, {"0019,xx0C ACME": "mode 5", "KVP": "120"})  # fmt: skip
