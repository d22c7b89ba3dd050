"""Typed columns out of whatever header values a scanner writes, and times as DICOM writes them."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Double, Integer, String

from protocol.header.mined import MINED_KEYWORDS, mined_keys
from protocol.header.wanted import DEFAULT_KEYWORDS
from protocol.ledger.mining import columns
from protocol.ledger.mining.columns import series_values
from protocol.ledger.mining.moments import age_years, moment, moment_of_datetime
from protocol.ledger.tables import series
from protocol.wire import events as e
from tests.ledger.ledger_events import example, wrap


def utc(*parts):
    return datetime(*parts, tzinfo=UTC).timestamp()


def row(header=None, more=None, *, first=None, extra=(), zone="UTC", **phi):
    told = {"values": more or {}, "extra": list(extra), "zone": zone}
    return series_values(
        wrap(example(e.ArrivalCompleted), 1, phi={"header": header or {}, "first": first or {}, "mining": told, **phi})
    )


def test_what_departments_ask_for_stands_in_columns():
    found = row(
        {"Modality": "CT", "BodyPartExamined": "CHEST", "ProtocolName": "Thorax ", "KVP": 120.0, "Rows": 512,
         "SoftwareVersions": ["syngo", "VB20A"], "PatientAge": "045Y", "PatientSex": "F", "Exposure": 80},
        {"CTDIvol": 7.5, "ContrastBolusVolume": 90.0, "CommentsOnRadiationDose": "TotalDLP = 310.4 mGy.cm"},
        first={"SliceThickness": 1.5}, count=250,
        origin={"source": "ct1", "opened": 5.0, "addendum_of": 0},
    )  # fmt: skip
    assert (found["modality"], found["body_part"], found["protocol"], found["kvp"]) == ("CT", "CHEST", "Thorax", 120.0)
    assert (found["software"], found["age_years"], found["sex"]) == ("syngo\\VB20A", 45.0, "F")
    assert (found["ctdivol"], found["dlp"], found["slice_thickness"], found["exposure"]) == (7.5, 310.4, 1.5, 80.0)
    assert (found["contrast"], found["contrast_volume"], found["images"], found["rows"]) == (1, 90.0, 250, 512)
    assert (found["scanner"], found["received"]) == ("ct1", 5.0)


def test_multi_frame_objects_tell_the_same_in_their_functional_groups():
    shared, first = "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"
    found = row({}, {f"{shared}.PixelMeasuresSequence.SliceThickness": 3.0, f"{first}.MREchoSequence.EffectiveEchoTime": 30.0,
                     f"{shared}.CTExposureSequence.CTDIvol": 4.0})  # fmt: skip
    assert (found["slice_thickness"], found["echo_time"], found["ctdivol"]) == (3.0, 30.0, 4.0)


def test_every_value_that_a_column_is_made_of_is_scanned_for():
    needed = {word for words in columns._TEXTS.values() for word in words}
    needed |= {word for words in columns._NUMBERS.values() for word, _ in words}
    assert needed - {"TransferSyntaxUID"} <= set(DEFAULT_KEYWORDS) | set(MINED_KEYWORDS)
    assert not set(MINED_KEYWORDS) & set(DEFAULT_KEYWORDS)


@pytest.mark.parametrize("agent, used", [("Ultravist 370", 1), ("NONE", 0), ("", 0), (None, 0), ("ohne", 0), ("CE", 1)])
def test_an_agent_that_says_none_is_no_contrast(agent, used):
    assert row({} if agent is None else {"ContrastBolusAgent": agent})["contrast"] == used


def test_units_are_those_of_the_column():
    found = row({}, {"ExposureInuAs": 2500, "XRayTubeCurrentInuA": 150_000,
                     "RadiopharmaceuticalInformationSequence.RadionuclideTotalDose": 3.5e8})  # fmt: skip
    assert (found["exposure"], found["tube_current"], found["activity"]) == (2.5, 150.0, 350.0)


def test_extra_tags_are_kept_beside_the_columns_and_bounded():
    found = row({"ProtocolName": "P"}, {"0019,xx0C GEMS": ["x"] * 500, "0019,100D": "y" * 9000}, extra=[
        "ProtocolName", "0019,xx0C GEMS", "0019,100D", "0021,1001"])  # fmt: skip
    assert found["extra"]["ProtocolName"] == "P" and len(found["extra"]["0019,xx0C GEMS"]) == columns.MAX_ITEMS
    assert len(found["extra"]["0019,100D"]) == columns.MAX_EXTRA and "0021,1001" not in found["extra"]


def test_no_column_holds_who_it_was():
    who = {"PatientName": "SECRET^NAME", "PatientID": "SECRET1", "PatientBirthDate": "19010203", "AccessionNumber": "SECRET2",
           "OtherPatientIDs": "SECRET3", "ReferringPhysicianName": "SECRET^DOC", "OperatorsName": "SECRET^OP"}  # fmt: skip
    found = row(who)
    assert "SECRET" not in repr(found) and "19010203" not in repr(found)


_value = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40) | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=6,
)  # fmt: skip
_words = st.sampled_from([*DEFAULT_KEYWORDS, *MINED_KEYWORDS, "Other"])
_header = st.dictionaries(_words, _value, max_size=12)
_phi = st.fixed_dictionaries(
    {},
    optional={
        "header": _header | _value,
        "first": _header | _value,
        "origin": _value | st.fixed_dictionaries({"opened": _value, "source": _value, "addendum_of": _value}),
        "count": _value,
        "mining": _value | st.fixed_dictionaries({"values": _header | _value, "extra": _value, "zone": _value}),
    },
)


@given(_phi)
def test_no_value_is_too_odd_and_what_comes_out_fits_its_column(phi):
    found = series_values(wrap(example(e.ArrivalCompleted), 1, phi=phi))
    assert set(found) | {"node", "arrival", "erased"} == set(series.c.keys())
    for name, value in found.items():
        kind = series.c[name].type
        if value is not None and isinstance(kind, String):
            assert isinstance(value, str) and len(value) <= kind.length and "\0" not in value
        elif value is not None and isinstance(kind, Integer | Double):
            assert type(value) in (int, float) and abs(value) < 1e301


# ---- times --------------------------------------------------------------------------------------------------------
def test_a_date_and_a_time_are_a_moment_in_the_zone_they_were_told_in():
    assert moment("20260131", "101500.5") == utc(2026, 1, 31, 10, 15) + 0.5
    assert moment("20260131", "1015", "+0100") == utc(2026, 1, 31, 9, 15)
    assert moment("20260131", "10", "-0530", "Europe/Berlin") == utc(2026, 1, 31, 15, 30)
    assert moment("20260731", "10", None, "Europe/Berlin") == utc(2026, 7, 31, 8)
    assert moment("2026.01.31", None) == utc(2026, 1, 31)
    assert moment_of_datetime("20260131101500.000000+0200") == utc(2026, 1, 31, 8, 15)
    assert moment_of_datetime("20260131", None, "Europe/Berlin") == utc(2026, 1, 30, 23)


@pytest.mark.parametrize("day", ["20260230", "2026", "00010101", "99991231", "", "today", None, 20260131, "2026-1-1"])
def test_what_is_no_date_is_no_moment(day):
    assert moment(day, "1000") is None


@given(st.one_of(_value, st.from_regex(r"[0-9.:+-]{4,20}")), _value, _value, st.text(max_size=12))
def test_no_date_no_time_no_offset_and_no_zone_raises(day, time, offset, zone):
    for found in (moment(day, time, offset, zone), moment_of_datetime(day, offset, zone), age_years(day, time, offset)):
        assert found is None or isinstance(found, float)


def test_an_age_is_told_or_follows_from_birth_and_study():
    assert age_years("018M", None, None) == 1.5
    assert age_years(None, "19760131", "20260131") == pytest.approx(50.0, abs=0.01)
    assert age_years(None, "20260131", "19760131") is None and age_years("999Y", None, None) is None


# ---- names of elements --------------------------------------------------------------------------------------------
def test_extra_tags_are_found_under_their_canonical_names():
    assert mined_keys(["(0018,1030)", "0019,100c", "0019,xx0c GEMS_ACQU_01", "RequestAttributesSequence.ScheduledProcedureStepID"]) == (
        "ProtocolName", "0019,100C", "0019,xx0C GEMS_ACQU_01",
        "RequestAttributesSequence.ScheduledProcedureStepID")  # fmt: skip
    for wrong in ("NoSuchKeyword", "0018,xx01 EVEN", "", "12345"):
        with pytest.raises(ValueError, match="no DICOM"):
            mined_keys([wrong])
