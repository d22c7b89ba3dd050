"""The ledger's tables for data mining: a row of typed columns for each completed arrival, and what dose reports say. See
docs/mining.md for what each column holds; protocol/ledger/mining makes the rows. They must not hold names, ids or birth dates.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, Column, Double, Index, Integer, MetaData, String, Table, text
from sqlalchemy.dialects.postgresql import JSONB

_PLAIN = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
SHORT, WORDS = 64, 255  # characters

_TEXTS = {
    "study_uid": SHORT, "series_uid": SHORT, "sop_class_uid": SHORT, "transfer_syntax_uid": SHORT, "modality": SHORT,
    "body_part": SHORT, "laterality": SHORT, "protocol": WORDS, "series_description": WORDS, "study_description": WORDS,
    "procedure": WORDS, "manufacturer": WORDS, "model": WORDS, "station": WORDS, "device_serial": WORDS, "software": WORDS,
    "institution": WORDS, "department": WORDS, "sequence_name": WORDS, "scanning_sequence": WORDS, "sequence_variant": WORDS,
    "mr_acquisition": SHORT, "contrast_agent": WORDS, "patient_position": SHORT, "view_position": SHORT, "sex": SHORT,
}  # fmt: skip
_NUMBERS = (
    "contrast_volume", "slice_thickness", "slice_spacing", "pixel_spacing", "field_strength", "repetition_time",
    "echo_time", "inversion_time", "flip_angle", "kvp", "tube_current", "exposure", "exposure_time", "pitch", "ctdivol",
    "dlp", "dose_area", "entrance_dose", "activity", "study_time", "series_time", "acquisition_time", "age_years",
)  # fmt: skip


def series_table(metadata: MetaData) -> Table:
    """The table `series`. Times are seconds since 1970 UTC."""
    made = Table(
        "series", metadata,
        Column("node", String(WORDS), primary_key=True),
        Column("arrival", BigInteger, primary_key=True, autoincrement=False),
        Column("received", Double),  # its first image
        Column("completed", Double),
        Column("scanner", String(WORDS)),  # the source's name, the calling AE title of strangers
        Column("calling_ae", String(SHORT)),
        Column("addendum_of", BigInteger),
        Column("images", BigInteger),
        Column("bytes", BigInteger),
        *(Column(name, String(length)) for name, length in _TEXTS.items()),
        *(Column(name, Double) for name in _NUMBERS),
        Column("contrast", Integer),  # 1: contrast was used, 0: nothing says so
        Column("rows", BigInteger),
        Column("columns", BigInteger),
        Column("frames", BigInteger),
        Column("erased", Double),  # as in `arrival`
        Column("extra", _PLAIN),  # patient data until a site knows better: the values of mining.extra_tags
        Index("series_received", "received"),
        Index("series_study", "study_uid"),
        Index("series_protocol", "scanner", "protocol", "received"),
    )  # fmt: skip
    tagged = text("extra IS NOT NULL")
    Index("series_tagged", made.c.node, made.c.completed, sqlite_where=tagged, postgresql_where=tagged)
    return made


_REPORT_TEXTS = {"scanner": WORDS, "calling_ae": SHORT, "study_uid": SHORT, "sop_uid": SHORT, "kind": SHORT,
                 "manufacturer": WORDS, "model": WORDS, "device_serial": WORDS, "flags": WORDS}  # fmt: skip
_TOTALS = ("events_total", "dlp_total", "dose_area_total", "fluoro_dose_area", "acquisition_dose_area", "dose_rp_total",
           "fluoro_time")  # fmt: skip
_EVENT_TEXTS = {"event_uid": SHORT, "kind": SHORT, "protocol": WORDS, "region": WORDS, "region_code": SHORT, "type": WORDS,
                "type_code": SHORT, "plane": SHORT, "phantom": SHORT}  # fmt: skip
_EVENT_NUMBERS = ("started", "ctdivol", "dlp", "scanning_length", "pitch", "kvp", "tube_current", "exposure_time",
                  "exposure", "dose_area", "dose_rp", "glandular_dose", "entrance_dose")  # fmt: skip


def dose_tables(metadata: MetaData) -> tuple[Table, Table]:
    """`dose_report`: one row for each dose report of an arrival, with its totals; `dose_event`: for each irradiation."""
    report = Table(
        "dose_report", metadata,
        *_key("report"),
        Column("received", Double),  # the arrival's first image
        *(Column(name, String(length)) for name, length in _REPORT_TEXTS.items()),
        Column("events", BigInteger),  # rows of dose_event
        *(Column(name, Double) for name in _TOTALS),
        Column("erased", Double),  # as in `arrival`
        Index("dose_report_received", "received"),
        Index("dose_report_study", "study_uid"),
    )  # fmt: skip
    event = Table(
        "dose_event", metadata,
        *_key("report", "event"),
        *(Column(name, String(length)) for name, length in _EVENT_TEXTS.items()),
        *(Column(name, Double) for name in _EVENT_NUMBERS),
        Index("dose_event_uid", "node", "event_uid"),
    )  # fmt: skip
    return report, event


def _key(*names: str) -> tuple[Column[Any], ...]:
    numbers = (Column(name, BigInteger, primary_key=True, autoincrement=False) for name in ("arrival", *names))
    return Column("node", String(WORDS), primary_key=True), *numbers
