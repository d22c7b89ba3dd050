"""Dose reports: doses come in one unit whatever the device writes, and what is wrong is flagged and never guessed."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.dose import FLAGS, Reading, read_report
from protocol.header.datasets import Reader, Unreadable
from tests.dose.dose_reports import (
    EXPLICIT,
    IMPLICIT,
    coded,
    container,
    ct,
    ct_event,
    number,
    projection,
    report,
    text,
    uid,
    written,
)

BIG_ENDIAN, DEFLATED = "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"


def read(found, syntax=EXPLICIT, **more):
    return read_report(written(found, syntax, **more), syntax)


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
@pytest.mark.parametrize("undefined", [False, True])
def test_a_ct_report_tells_totals_and_each_irradiation(syntax, undefined):
    found = read(ct(), syntax, undefined=undefined)
    assert found["totals"] == {"events_total": 2.0, "dlp_total": 500.0}
    assert (found["sop_uid"], found["device"], found["flags"]) == ("1.2.88.1", {"model": "Model One"}, [])
    assert found["events"][0] == {
        "kind": "ct", "protocol": "Thorax", "region": "Chest", "region_code": "SCT:51185008", "type": "Spiral Acquisition",
        "type_code": "SCT:116152004", "event_uid": "1.2.77.1", "exposure_time": 4500.0, "scanning_length": 300.0, "pitch": 1.2,
        "kvp": 120.0, "tube_current": 180.0, "ctdivol": 10.0, "phantom": "body", "dlp": 250.0,
    }  # fmt: skip


def test_a_projection_report_adds_its_planes_and_takes_the_first_of_many_pulses():
    found = read(projection())
    assert found["totals"] == {"dose_area_total": 40.0, "dose_rp_total": 200.0, "fluoro_time": 180.0}
    one = found["events"][1]
    assert (one["plane"], one["dose_area"], one["dose_rp"], one["kvp"]) == ("a", 10.0, 50.0, 81.0)
    assert (one["started"], one["exposure"], found["flags"]) == ("20260301101500.5", 1.5, [])


def test_a_deflated_report_is_read_and_a_bomb_is_not():
    import zlib

    def deflated(data):
        packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        return packer.compress(data) + packer.flush()

    assert read_report(deflated(written(ct())), DEFLATED)["totals"]["dlp_total"] == 500.0
    assert read_report(deflated(bytes(64 << 20)), DEFLATED)["flags"] == ["unreadable"]


def test_units_are_converted_and_what_has_no_known_one_is_left_out_and_flagged():
    found = read(ct((ct_event(1, ctdivol=0.012, unit="Gy"), ct_event(2, ctdivol=12, unit="mSv")), total=500.0))
    assert [one.get("ctdivol") for one in found["events"]] == [12.0, None] and found["flags"] == ["unit"]
    totals = container("113811", number("113813", 500, "mGy.cm", scheme="99ACME"))
    assert read(report(totals)) == {**read(report()), "flags": ["unit"]}


def test_names_are_told_by_code_and_scheme_and_never_by_meaning():
    alike = container("113811", number("113813", 500, "mGy.cm", scheme="UCUM"))
    alike.ConceptNameCodeSequence[0].CodingSchemeDesignator = "99ACME"
    assert read(report(alike))["totals"] == {}
    foreign = container("113811", number("113813", 500, "mGy.cm", meaning="Dosislängenprodukt gesamt"))
    assert read(report(foreign))["totals"] == {"dlp_total": 500.0}


@pytest.mark.parametrize("found, flags", [
    (report(root="126000"), ["no dose report"]),
    (ct(total=900.0), ["sum"]),
    (report(container("113811", number("113812", 3, "{events}")), ct_event(1)), ["events"]),
    (ct((ct_event(1, event_uid="1.2.9"), ct_event(2, event_uid="1.2.9"))), ["event uid repeated"]),
    (report(container("113819", text("125203", "Thorax"))), ["event uid missing"]),
    (report(container("113811", number("113813", -3, "mGy.cm"))), ["number"]),
    (report(container("113811", number("113813", "12,5", "mGy.cm"))), ["number"]),
    (report(), []),
])  # fmt: skip
def test_what_is_wrong_is_flagged(found, flags):
    read_again = read(found)
    assert read_again["flags"] == flags and set(flags) <= set(FLAGS)
    assert "dlp_total" not in read_again["totals"] or flags == ["sum"] or flags == ["event uid repeated"]


def test_a_value_that_was_left_empty_with_a_reason_is_no_fault():
    empty = number("113813", 1, "mGy.cm")
    del empty.MeasuredValueSequence
    assert read(report(container("113811", empty)))["flags"] == []


def test_a_report_cut_off_keeps_what_came_before_and_says_so():
    whole = written(ct(tuple(range(20)), total=5000.0), undefined=True)
    found = read_report(whole[: len(whole) // 2], EXPLICIT)
    assert found["flags"] == ["unreadable"]
    assert read_report(b"", EXPLICIT)["flags"] == ["unreadable"]
    assert read_report(written(ct()), BIG_ENDIAN)["flags"] == ["unreadable"]


def test_the_work_is_bounded_over_all_reports_and_totals_come_before_events():
    reading = Reading(most_elements=3000, most_events=30)
    first = reading.report(written(ct(tuple(range(20)), total=5000.0)), EXPLICIT)
    second = reading.report(written(ct(tuple(range(20)), total=5000.0)), EXPLICIT)
    assert first["totals"]["dlp_total"] == 5000.0 and "cut" in first["flags"] + second["flags"]
    few = Reading(most_events=5)
    found = few.report(written(ct(tuple(range(20)), total=5000.0)), EXPLICIT)
    assert (len(found["events"]), found["flags"], found["totals"]["dlp_total"]) == (5, ["cut"], 5000.0)


def test_deep_nesting_ends_the_reading():
    inner = text("125203", "x")
    for _ in range(40):
        inner = container("113822", inner)
    assert read(report(inner))["flags"] == ["unreadable"]


def test_nothing_of_the_patient_is_copied():
    found = read(report(uid("113769", "1.2"), coded("121058", "77477000", "CT", "SCT"), *ct().ContentSequence))
    assert "SECRET" not in repr(found) and "P4711" not in repr(found)


@settings(max_examples=150)
@given(st.data())
def test_no_bytes_are_too_odd(data):
    whole = bytearray(written(data.draw(st.sampled_from([ct(), projection(2)]))))
    for _ in range(data.draw(st.integers(0, 8))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    found = read_report(
        bytes(whole[: data.draw(st.integers(0, len(whole)))]), data.draw(st.sampled_from([EXPLICIT, IMPLICIT]))
    )
    assert set(found["flags"]) <= set(FLAGS)
    for values in (found["totals"], *found["events"]):
        assert all(value >= 0 for value in values.values() if isinstance(value, float))


def test_items_are_given_as_written_and_reading_between_them_disturbs_nothing():
    reader = Reader({0x0040A730}, ())
    whole = written(ct((1, 2, 3), total=750.0), undefined=True)
    content = reader.read(whole, True).values[0x0040A730]
    lengths = []
    for raw in reader.items(content, True):
        lengths.append(len(raw))
        reader.wants({0x0040A040}, ())
        assert reader.read(raw, True).values[0x0040A040].strip() in (b"CODE", b"TEXT", b"CONTAINER")
    assert len(lengths) == 6
    with pytest.raises(Unreadable):
        list(reader.items(content[:-20], True))
