"""What leaves the house by `mine export` names nobody, fits together, and is the same again with the same key."""

import csv

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.header.uids import valid_uid
from protocol.ledger.mining.export import FREE_TEXT, Terms, export
from protocol.ledger.mining.pseudonyms import DAY_S, Pseudonyms
from protocol.ledger.mining.spelling import Selection
from tests.ledger.ledger_events import EPOCH
from tests.ledger.mined_ledger import MinedLedger

KEY = b"k" * 32
ALL = Selection(0.0, 9e9)


@pytest.fixture
def made(open_ledger):
    made = MinedLedger(open_ledger())
    made.series(1800000001, extra=["PatientID"], SeriesDescription="=SECRET words", SoftwareVersions="=1+1")
    made.series(1800000002, opened=EPOCH + 600)
    made.series(1800000003, study="1.3", opened=EPOCH + 900, PatientID="P2", PatientAge="097Y")
    return made


@pytest.fixture
def written(url, tmp_path):
    def write(name="out", shift=0, key=KEY, **terms):
        folder = tmp_path / name
        folder.mkdir()
        counts = export(url, folder, Pseudonyms(key, shift), Terms(ALL, **terms))
        rows = {path.stem: list(csv.DictReader(path.open(newline=""))) for path in folder.glob("*.csv")}
        assert {name: len(found) for name, found in rows.items()} == counts and not list(folder.glob("*.part"))
        return rows

    return write


def test_no_file_says_who_when_or_which(made, written):
    rows = written(shift=400, images=True)
    told = repr(rows)
    for word in ("SECRET", "'P1'", "'P2'", "'A1'", "1.2.1800000001", "'1.2'", "18000000", "19760203", "Thorax"):
        assert word not in told, word
    assert len(rows["series"]) == 3 and len(rows["deliveries"]) == 3 and len(rows["images"]) == 6
    assert not set(FREE_TEXT) & set(rows["series"][0])


def test_the_same_patient_study_and_series_are_the_same_in_every_file_and_run(made, written):
    first, second = written("a", images=True), written("b", images=True)

    def links(rows):
        return {
            name: {(row["patient"], row.get("study"), row["arrival"]) for row in found} for name, found in rows.items()
        }

    assert links(first) == links(second)
    assert links(first)["images"] == links(first)["series"]
    assert len({row["patient"] for row in first["series"]}) == 2 and len({row["study"] for row in first["series"]}) == 2
    assert {row["arrival"] for row in first["deliveries"]} == {row["arrival"] for row in first["series"]}
    other = written("c", key=b"another key of some length")
    assert not {row["patient"] for row in other["series"]} & {row["patient"] for row in first["series"]}


def test_dates_move_by_whole_days_together_for_a_patient(made, written):
    plain, moved = written("a"), written("b", shift=3650)

    def by_arrival(rows):
        return {row["arrival"]: row for row in rows["series"]}

    shifts = {}
    for arrival, row in by_arrival(plain).items():
        for name in ("received", "completed", "acquisition_time"):
            shifts.setdefault(row["patient"], set()).add(float(row[name]) - float(by_arrival(moved)[arrival][name]))
    assert all(len(days) == 1 for days in shifts.values()) and len(set(map(frozenset, shifts.values()))) == 2
    assert all(days.copy().pop() % DAY_S == 0 and days.copy().pop() >= DAY_S for days in shifts.values())


def test_free_text_comes_only_when_asked_for_and_is_no_formula(made, written):
    rows = written(free_text=True)["series"]
    assert sorted(row["series_description"] for row in rows) == ["'=SECRET words", "Lung", "Lung"]
    assert {row["software"] for row in rows} == {"'=1+1", "VA10"}
    assert sorted(row["age_years"] for row in rows) == ["50.0", "50.0", "90.0"]


def test_files_that_are_there_are_not_overwritten(made, written, url, tmp_path):
    written()
    with pytest.raises(FileExistsError):
        export(url, tmp_path / "out", Pseudonyms(KEY), Terms(ALL))
    assert (tmp_path / "out" / "series.csv").stat().st_mode & 0o077 == 0


@given(st.text(min_size=1), st.text(min_size=1))
def test_pseudonyms_are_valid_and_tell_kinds_apart(one, other):
    by = Pseudonyms(KEY, 30)
    assert valid_uid(by.uid(one)) and len(by.name("patient", one)) == 16
    assert (by.uid(one) == by.uid(other)) == (one == other) == (by.name("a", one) == by.name("a", other))
    assert by.name("a", one) != by.name("b", one)
    assert 1 <= by.shift(one) / DAY_S <= 30 and Pseudonyms(KEY).shift(one) == 0


def test_a_short_key_is_none():
    with pytest.raises(ValueError, match="openssl rand"):
        Pseudonyms(b"short")
