"""`scanpost patient erase`: one patient goes from spool, outbox and ledger at once, nobody else, and never what is undelivered."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from rules_node import NODE, Home

from protocol.accounts import Accounts
from protocol.header.scan import Header
from protocol.ledger.compare import compare
from protocol.ledger.record import Ledger
from protocol.spool import database as spool_database
from protocol.spool.deliveries import ImageResult
from protocol.spool.images import Incoming
from protocol.spool.outbox import Cursor

Run = Callable[..., Result]
WORDS = ("SECRET-ID", "SECRET^NAME", "SECRET-ACC", "1.2.1.1", "1.2.2.1")
ERASE = ("patient", "erase", "--patient-id", "SECRET-ID", "--reason", "asked for")


@pytest.fixture(autouse=True)
def named(home: Home, tmp_path: Path) -> None:
    (tmp_path / "config").mkdir(exist_ok=True)
    (tmp_path / "config" / "scanpost.toml").write_text(f'[node]\nname = "{NODE}"\n')


def deliver(home: Home) -> None:
    owner = home.spool.workers.enter("dispatcher", "0").owner
    while claim := home.spool.deliveries.claim(owner, {"pacs": 1, "ai": 1}, 9e9):
        home.spool.deliveries.confirm(
            claim, [ImageResult(image.position, image.file.receipt, 0, True) for image in claim.images]
        )
        home.spool.deliveries.complete(claim)


def carry(home: Home) -> None:
    """What the bookkeeper does, as far as it is not done."""
    ledger = Ledger(f"sqlite:///{home.folder / 'ledger.sqlite3'}", NODE)
    at = ledger.open().position
    batch = home.spool.outbox.read(Cursor(*at), 10_000)
    if batch:
        ledger.record(batch, at, (batch[-1].epoch, batch[-1].seq))
    ledger.close()


@pytest.fixture
def delivered(home: Home) -> Home:
    mine = {"Modality": "MR", "StudyDescription": "cardiac", "PatientID": "SECRET-ID", "AccessionNumber": "SECRET-ACC"}
    home.series(**mine, IssuerOfPatientID="HOSP")
    home.series(**mine)
    home.series(**{**mine, "PatientID": "P2", "AccessionNumber": "A2", "PatientName": "Other^Name"})
    deliver(home)
    carry(home)
    return home


def traces(folder: Path) -> dict[str, list[str]]:
    """Where in the two databases a word about the patient is left, whatever the table."""
    found: dict[str, list[str]] = {}
    for file in (folder / "spool" / "spool.sqlite3", folder / "ledger.sqlite3"):
        with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as connection:
            tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            for table in tables:
                rows = repr(connection.execute(f'SELECT * FROM "{table}"').fetchall()).casefold()
                words = [word for word in WORDS if word.casefold() in rows]
                if words:
                    found[f"{file.name}:{table}"] = words
    return found


def test_nothing_of_the_patient_is_left_and_the_books_balance(delivered: Home, run: Run, tmp_path: Path) -> None:
    assert {
        "spool.sqlite3:event",
        "spool.sqlite3:arrival",
        "ledger.sqlite3:arrival",
        "ledger.sqlite3:series",
    } <= traces(tmp_path).keys()
    files = len(list(delivered.spool.places.images.glob("*/*/*.dcm")))
    assert "erased: 2 series" in run(*ERASE, "--yes").stderr
    carry(delivered)
    assert traces(tmp_path) == {}
    assert len(list(delivered.spool.places.images.glob("*/*/*.dcm"))) == files - 4
    assert delivered.spool.accounting.balance(files=True) == []
    assert compare(f"sqlite:///{tmp_path / 'ledger.sqlite3'}", NODE, delivered.spool.accounting) == []
    with sqlite3.connect(tmp_path / "ledger.sqlite3") as connection:
        rows = connection.execute(
            "SELECT patient_id, erased IS NOT NULL, state, images FROM arrival ORDER BY arrival"
        ).fetchall()
        assert rows == [(None, 1, "deleted", 2), (None, 1, "deleted", 2), ("P2", 0, "delivered", 2)]
        assert connection.execute("SELECT count(*) FROM image").fetchone() == (6,), "the accounting keeps every image"
    assert "nothing is known" in run(*ERASE, "--yes").stderr


def test_the_act_is_on_record_without_the_patient(delivered: Home, run: Run, tmp_path: Path) -> None:
    run(*ERASE, "--yes")
    accounts = Accounts(tmp_path / "accounts.sqlite3")
    last, first = accounts.audit_trail(2)
    accounts.close()
    assert (first.action, last.action, last.who) == ("patient erase begun", "patient erase", "cli:anna")
    assert (
        last.after["reason"] == "asked for" and len(last.after["arrivals"]) == 2 and "SECRET" not in repr((first, last))
    )


def test_what_is_undelivered_stops_it_and_nothing_is_touched(delivered: Home, run: Run, tmp_path: Path) -> None:
    id = delivered.series(Modality="MR", StudyDescription="cardiac", PatientID="SECRET-ID")
    carry(delivered)
    before = traces(tmp_path), len(list(delivered.spool.places.images.glob("*/*/*.dcm")))
    said = run(*ERASE, "--yes", code=1).stderr
    assert f"arrival {id}: it is in_delivery" in said and "nothing was erased" in said and "SECRET" not in said
    assert (traces(tmp_path), len(list(delivered.spool.places.images.glob("*/*/*.dcm")))) == before


def test_a_dry_run_a_study_and_an_issuer_limit_it(delivered: Home, run: Run, tmp_path: Path) -> None:
    def would(*words: str) -> tuple[int, int]:
        document = json.loads(run(*ERASE, "--dry-run", "--json", *words).stdout)
        return len(document["spool"]), len(document["ledger"])

    before = traces(tmp_path)
    assert would() == (2, 2) and would("--study", "1.2.2") == (1, 1) and would("--study", "1.2.3") == (0, 0)
    assert would("--issuer", "HOSP") == (1, 1) and would("--issuer", "ELSE") == (0, 0)
    assert "left out: their issuer is not known" in run(*ERASE, "--dry-run", "--issuer", "HOSP").stderr
    assert traces(tmp_path) == before
    run(*ERASE, "--study", "1.2.2", "--yes")
    assert would() == (1, 1)
    assert run(*ERASE, input="n\n", code=1) and would() == (1, 1)


def test_an_arrival_with_images_of_two_patients_is_left_to_a_person(delivered: Home, run: Run) -> None:
    for at, patient in ((1, "SECRET-ID"), (2, "P9")):
        header = Header(
            {
                "StudyInstanceUID": "1.9",
                "SeriesInstanceUID": "1.9.1",
                "SOPInstanceUID": f"1.9.1.{at}",
                "PatientID": patient,
            }
        )
        one = Incoming(bytes(15) + bytes([at]), "CT1", "R", "10.0.0.1", None, "1.2.840.10008.5.1.4.1.1.2", f"1.9.1.{at}",
                       "1.2.840.10008.1.2.1", b"%d" % at, header)  # fmt: skip
        delivered.spool.images.commit([delivered.spool.images.save(one)])
    (arrival,) = delivered.spool.arrivals.open_ones()
    assert f"arrival {arrival.id}" in run(*ERASE, "--yes", code=1).stderr
    delivered.spool.arrivals.close(arrival.id, "released")
    delivered.spool.arrivals.hold(arrival.id, "test")
    delivered.spool.arrivals.discard(arrival.id, "test", delivered.spool.commands.ask("series.discard", "t", {}))
    assert f"arrival {arrival.id}: it holds images of several patients" in run(*ERASE, "--yes", code=1).stderr


@pytest.mark.slow
def test_a_run_that_dies_at_any_step_is_begun_again(
    delivered: Home, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from protocol.ledger.erasing import LedgerEraser

    class DiedHere(BaseException):
        pass

    left = 0
    real_write, real_ledger = spool_database.Database.write, LedgerEraser._transaction

    def step(real: Callable) -> Callable:
        def counted(self: object) -> object:
            nonlocal left
            left -= 1
            if left < 0:
                raise DiedHere
            return real(self)

        return counted

    monkeypatch.setattr(spool_database.Database, "write", step(real_write))
    monkeypatch.setattr(LedgerEraser, "_transaction", step(real_ledger))
    deaths = 0
    for n in range(60):
        left = n
        try:
            run(*ERASE, "--yes")
            break
        except DiedHere:
            deaths += 1
    left = 10_000
    carry(delivered)
    assert deaths >= 8 and traces(tmp_path) == {}
    assert delivered.spool.accounting.balance(files=True) == []


def test_events_that_the_ledger_has_not_read_tell_it_nothing_about_the_patient(
    home: Home, run: Run, tmp_path: Path
) -> None:
    carry(home)
    home.series(Modality="MR", StudyDescription="cardiac", PatientID="SECRET-ID", AccessionNumber="SECRET-ACC")
    deliver(home)
    assert "erased: 1 series" in run(*ERASE, "--yes").stderr
    carry(home)
    assert traces(tmp_path) == {}
    with sqlite3.connect(tmp_path / "ledger.sqlite3") as connection:
        assert connection.execute("SELECT state, images FROM arrival").fetchall() == [("deleted", 2)]
