"""The header values that rules can read are kept with the ledger, as long as the settings say, and then forgotten."""

import dataclasses

import pytest
from sqlalchemy import func, select, text

from protocol.header.diff import difference
from protocol.header.packed import pack_headers, unpack_columns, unpack_header
from protocol.ledger import tables
from protocol.ledger.engine import writer
from protocol.ledger.forgetting import CHUNK, Ages
from protocol.ledger.headers import SHARES, kept_headers, share_of
from protocol.wire import events as e
from tests.ledger.ledger_events import EPOCH, NODE, example, record, wrap

IMAGES = [
    {"Modality": "CT", "PatientID": "P1", "InstanceNumber": at, "SliceThickness": 1.0 + at % 2, "SOPInstanceUID": f"1.{at}"}
    for at in range(5, 0, -1)
]  # fmt: skip


def phi_of(images=IMAGES, **origin):
    packed = pack_headers(images[0], [difference(images[0], image) for image in images])
    told = {"called_ae": "ROUTER", "address": "10.0.0.5", "source": "ct1", "addendum_of": 0, "opened": EPOCH + 1.5}
    return {
        "header": dict(packed.shared), "first": dict(packed.first), "columns": packed.columns, "count": packed.count,
        "dropped": list(packed.dropped), "origin": {**told, **origin},
    }  # fmt: skip


def completed(seq=1, arrival=7, images=IMAGES, opened=EPOCH + 1.5, **fields):
    event = example(
        e.ArrivalCompleted, arrival=arrival, calling_ae="CT1", study_uid="1.2", series_uid="1.2.3", **fields
    )
    return wrap(event, seq, phi=phi_of(images, opened=opened), time=opened + 60)


def rows(connection, table=tables.header):
    return [dict(row._mapping) for row in connection.execute(select(table))]


def test_what_rules_read_of_an_arrival_can_be_read_again(open_ledger, look):
    assert record(open_ledger(), [completed()]).flagged == []
    (row,) = look(rows)
    assert (row["node"], row["arrival"], row["received"], row["images"]) == (NODE, 7, EPOCH + 1.5, 5)
    assert (row["calling_ae"], row["called_ae"], row["address"], row["source"]) == ("CT1", "ROUTER", "10.0.0.5", "ct1")
    assert (row["study_uid"], row["series_uid"], row["dropped"]) == ("1.2", "1.2.3", None)
    assert unpack_header(row["first"]) == IMAGES[-1]  # by its InstanceNumber, not the one that came first
    assert unpack_columns(row["columns"], 5).values["SliceThickness"] == [2.0, 1.0, 2.0, 1.0, 2.0]


def test_the_event_itself_holds_no_second_copy_and_people_still_find_the_arrival(open_ledger, look):
    record(open_ledger(), [completed()])
    (event,), (arrival,) = look(rows, tables.event), look(rows, tables.arrival)
    assert event["phi"] is None and event["raw"] is None
    assert arrival["patient_id"] == "P1" and arrival["headers"] == {"Modality": "CT", "PatientID": "P1"}


def test_an_event_of_an_earlier_version_gives_an_arrival_without_kept_headers(open_ledger, look):
    old = wrap(example(e.ArrivalCompleted, arrival=7), 1, phi={"header": {"PatientID": "P1"}})
    assert record(open_ledger(), [old]).flagged == []
    assert look(rows) == [] and look(rows, tables.arrival)[0]["patient_id"] == "P1"
    assert kept_headers(dataclasses.replace(old, phi=None)) is None


@pytest.mark.parametrize("broken", ["first", "origin", "count", "dropped"])
def test_headers_that_lack_something_flag_the_event_and_nothing_else(open_ledger, look, broken):
    whole, other = completed(), completed(2, 8)
    phi = {key: value for key, value in whole.phi.items() if key != broken}
    assert record(open_ledger(), [dataclasses.replace(whole, phi=phi), other]).flagged == [whole.id]
    assert [row["arrival"] for row in look(rows)] == [8]


def test_all_arrivals_of_a_study_are_in_one_share():
    assert share_of("1.2", "CT1") == share_of("1.2", "CT1") < SHARES
    assert len({share_of(f"1.2.{n}", "CT1") for n in range(2000)}) > SHARES * 0.9


# ---- forgetting ---------------------------------------------------------------------------------------------------
def test_old_header_values_are_forgotten_in_chunks_and_newer_ones_stay(open_ledger, look):
    ledger = open_ledger()
    old = [completed(n, n, IMAGES[:1], opened=EPOCH + n) for n in range(1, CHUNK + 11)]
    new = completed(CHUNK + 11, CHUNK + 11, opened=EPOCH + 10_000.0)
    flagged = wrap(
        example(e.ArrivalCompleted, calling_ae="X\0", arrival=9_999), CHUNK + 12, phi=phi_of(), time=EPOCH + 5
    )
    record(ledger, [*old, new, flagged])
    before = EPOCH + 9_000.0
    assert [ledger.forget(Ages(before)) for _ in range(3)] == [CHUNK, 10 + 1, 0]
    assert [row["arrival"] for row in look(rows)] == [CHUNK + 11]
    arrivals = {row["arrival"]: row for row in look(rows, tables.arrival)}
    assert [number for number, row in arrivals.items() if row["headers"]] == [CHUNK + 11]
    assert arrivals[1]["patient_id"] == "P1"  # what people search by stays
    assert len(look(rows, tables.event)) == CHUNK + 12 and not any(
        row["phi"] or row["raw"] for row in look(rows, tables.event)
    )


def test_another_nodes_header_values_are_left_alone(open_ledger, look):
    other = open_ledger("other")
    record(other, [completed()])
    assert open_ledger().forget(Ages(EPOCH + 9e9)) == 0
    assert look(lambda c: c.execute(select(func.count()).select_from(tables.header)).scalar()) == 1


def test_patient_data_in_events_of_earlier_versions_is_forgotten_too(open_ledger, look):
    ledger = open_ledger()
    record(ledger, [wrap(example(e.ImageReceived), 1, phi={"header": {"PatientID": "P1"}}, time=EPOCH)])
    assert look(rows, tables.event)[0]["phi"] == {"header": {"PatientID": "P1"}}
    assert ledger.forget(Ages(EPOCH + 1.0)) == 1 and ledger.forget(Ages(EPOCH + 1.0)) == 0
    assert look(rows, tables.event)[0]["phi"] is None


def test_looking_for_what_is_old_never_reads_whole_tables(url):
    engine = writer(url)
    if engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL plans by the sizes of its tables; an empty one tells nothing")
    from protocol.ledger.migrate import upgrade

    upgrade(engine)
    with engine.begin() as connection:
        asked = [
            ("event_private", f"SELECT id FROM event WHERE node = 'n' AND time < 1 AND ({tables.PRIVATE}) LIMIT 5"),
            ("arrival_described", "SELECT arrival FROM arrival WHERE node = 'n' AND completed < 1 AND headers IS NOT NULL"),
            ("header_received", "SELECT arrival FROM header WHERE node = 'n' AND received < 1 LIMIT 5"),
        ]  # fmt: skip
        for index, statement in asked:
            plan = " ".join(row[-1] for row in connection.execute(text(f"EXPLAIN QUERY PLAN {statement}")))
            assert index in plan
