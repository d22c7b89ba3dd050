"""Columns for data mining, the views that people and dashboards read, and the mark of what was erased.

The views' columns are documented in docs/mining.md and relied upon; a later step may add some, never rename one.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

PLAIN = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
TEXTS = {
    "study_uid": 64, "series_uid": 64, "sop_class_uid": 64, "transfer_syntax_uid": 64, "modality": 64, "body_part": 64,
    "laterality": 64, "protocol": 255, "series_description": 255, "study_description": 255, "procedure": 255,
    "manufacturer": 255, "model": 255, "station": 255, "device_serial": 255, "software": 255, "institution": 255,
    "department": 255, "sequence_name": 255, "scanning_sequence": 255, "sequence_variant": 255, "mr_acquisition": 64,
    "contrast_agent": 255, "patient_position": 64, "view_position": 64, "sex": 64,
}  # fmt: skip
NUMBERS = (
    "contrast_volume", "slice_thickness", "slice_spacing", "pixel_spacing", "field_strength", "repetition_time",
    "echo_time", "inversion_time", "flip_angle", "kvp", "tube_current", "exposure", "exposure_time", "pitch", "ctdivol",
    "dlp", "dose_area", "entrance_dose", "activity", "study_time", "series_time", "acquisition_time", "age_years",
)  # fmt: skip

# {at(x)}: seconds as a time of the database; {down(x)}: rounded down; {words(x)}: a list of the different ones.
MINE_SERIES = """
CREATE VIEW mine_series AS SELECT
  s.node, s.arrival, {at(s.received)} AS received_at, s.received, {at(s.completed)} AS completed_at, s.completed,
  s.scanner, s.calling_ae, s.study_uid, s.series_uid, s.addendum_of, s.images, s.bytes, a.state, a.outcome,
  {at(a.delivered)} AS delivered_at, a.delivered, s.modality, s.body_part, s.laterality, s.protocol,
  s.series_description, s.study_description, s.procedure, s.manufacturer, s.model, s.station, s.device_serial, s.software,
  s.institution, s.department, s.sequence_name, s.scanning_sequence, s.sequence_variant, s.mr_acquisition,
  s.contrast, s.contrast_agent, s.contrast_volume, s.slice_thickness, s.slice_spacing, s.pixel_spacing, s.field_strength,
  s.repetition_time, s.echo_time, s.inversion_time, s.flip_angle, s.kvp, s.tube_current, s.exposure, s.exposure_time,
  s.pitch, s.ctdivol, s.dlp, s.dose_area, s.entrance_dose, s.activity, s.patient_position, s.view_position,
  s.rows, s.columns, s.frames, {at(s.study_time)} AS study_at, s.study_time, {at(s.series_time)} AS series_at,
  s.series_time, {at(s.acquisition_time)} AS acquired_at, s.acquisition_time, s.age_years, s.sex, s.sop_class_uid,
  s.transfer_syntax_uid
FROM series s LEFT JOIN arrival a ON a.node = s.node AND a.arrival = s.arrival
"""
MINE_STUDIES = """
CREATE VIEW mine_studies AS SELECT
  s.node, s.study_uid, min(s.scanner) AS scanner, {words(s.modality)} AS modalities,
  min(s.study_description) AS study_description, min(s.procedure) AS procedure, count(DISTINCT s.series_uid) AS series,
  count(*) AS arrivals, sum(s.images) AS images, sum(s.bytes) AS bytes, max(s.contrast) AS contrast,
  {at(min(s.received))} AS received_at, min(s.received) AS received, {at(max(s.completed))} AS completed_at,
  max(s.completed) AS completed,
  {at(min(s.study_time))} AS study_at, min(s.study_time) AS study_time, max(s.age_years) AS age_years, min(s.sex) AS sex
FROM series s WHERE s.study_uid IS NOT NULL GROUP BY s.node, s.study_uid
"""
MINE_DELIVERIES = """
CREATE VIEW mine_deliveries AS SELECT
  d.node, d.delivery, d.arrival, d.target, d.priority, d.state, d.attempts, d.images, d.bytes, d.warnings,
  {at(d.created)} AS created_at, d.created, {at(d.finished)} AS finished_at, d.finished, d.seconds,
  s.scanner, s.calling_ae, s.modality, s.received, s.completed, s.acquisition_time,
  d.finished - d.created AS wait_s, d.finished - s.completed AS after_completion_s,
  s.received - s.acquisition_time AS scan_to_arrival_s, d.finished - s.acquisition_time AS scan_to_delivered_s
FROM delivery d LEFT JOIN series s ON s.node = d.node AND s.arrival = d.arrival
"""
MINE_HOURS = """
CREATE VIEW mine_images_per_hour AS SELECT
  s.node, {at({down(s.received / 3600)} * 3600)} AS hour_at, {down(s.received / 3600)} * 3600 AS hour, s.scanner, s.modality,
  count(*) AS series, sum(s.images) AS images, sum(s.bytes) AS bytes
FROM series s WHERE s.received IS NOT NULL GROUP BY s.node, {down(s.received / 3600)}, s.scanner, s.modality
"""
PHI_SERIES = """
CREATE VIEW phi_series AS SELECT m.*, a.patient_id, a.patient_folded AS patient_name, a.accession, a.erased
FROM mine_series m LEFT JOIN arrival a ON a.node = m.node AND a.arrival = m.arrival
"""
PHI_TAGS = {
    "sqlite": "CREATE VIEW phi_tags AS SELECT s.node, s.arrival, e.key AS tag, CAST(e.value AS TEXT) AS value"
              " FROM series s, json_each(s.extra) e WHERE s.extra IS NOT NULL",
    "postgresql": "CREATE VIEW phi_tags AS SELECT s.node, s.arrival, e.key AS tag, e.value AS value"
                  " FROM series s, jsonb_each_text(s.extra) e WHERE s.extra IS NOT NULL",
}  # fmt: skip
FORMS = {
    "postgresql": {"at": "to_timestamp({})", "down": "floor({})", "words": "string_agg(DISTINCT {0}, ' ' ORDER BY {0})"},
    "sqlite": {
        "at": "strftime('%Y-%m-%dT%H:%M:%SZ', {}, 'unixepoch')", "down": "CAST({} AS INTEGER)",
        "words": "replace(group_concat(DISTINCT {}), ',', ' ')",
    },
}  # fmt: skip


def where(condition: str) -> dict[str, Any]:
    """A partial index on both databases."""
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


def spelled(statement: str, dialect: str) -> str:
    """A view in the words of a database: the innermost form first."""
    while (start := max(statement.rfind("{" + name + "(") for name in FORMS[dialect])) >= 0:
        end = statement.index(")}", start)
        name, _, inner = statement[start + 1 : end].partition("(")
        statement = statement[:start] + FORMS[dialect][name].format(inner) + statement[end + 2 :]
    return statement


def upgrade() -> None:
    op.create_table(
        "series",
        sa.Column("node", sa.String(length=255), nullable=False),
        sa.Column("arrival", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("received", sa.Double()),
        sa.Column("completed", sa.Double()),
        sa.Column("scanner", sa.String(length=255)),
        sa.Column("calling_ae", sa.String(length=64)),
        sa.Column("addendum_of", sa.BigInteger()),
        sa.Column("images", sa.BigInteger()),
        sa.Column("bytes", sa.BigInteger()),
        *(sa.Column(name, sa.String(length=length)) for name, length in TEXTS.items()),
        *(sa.Column(name, sa.Double()) for name in NUMBERS),
        sa.Column("contrast", sa.Integer()),
        sa.Column("rows", sa.BigInteger()),
        sa.Column("columns", sa.BigInteger()),
        sa.Column("frames", sa.BigInteger()),
        sa.Column("erased", sa.Double()),
        sa.Column("extra", PLAIN),
        sa.PrimaryKeyConstraint("node", "arrival", name="series_pkey"),
    )
    op.create_index("series_received", "series", ["received"])
    op.create_index("series_study", "series", ["study_uid"])
    op.create_index("series_protocol", "series", ["scanner", "protocol", "received"])
    op.create_index("series_tagged", "series", ["node", "completed"], **where("extra IS NOT NULL"))
    op.add_column("arrival", sa.Column("erased", sa.Double()))
    named = "(patient_id IS NOT NULL OR patient_folded IS NOT NULL OR accession IS NOT NULL)"
    op.create_index("arrival_named", "arrival", ["node", "completed"], **where(named))
    op.create_index("arrival_gone", "arrival", ["node", "deleted"], **where("deleted IS NOT NULL"))
    op.create_index("association_closed", "association", ["node", "closed"])
    dialect = op.get_context().dialect.name
    for view in (MINE_SERIES, MINE_STUDIES, MINE_DELIVERIES, MINE_HOURS, PHI_SERIES):
        op.execute(sa.text(spelled(view, dialect).replace(":", r"\:")))
    op.execute(sa.text(PHI_TAGS[dialect]))
