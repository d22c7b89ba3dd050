"""What dose reports say: their totals, each irradiation, and the views on them.

The views' columns are documented in docs/mining.md and relied upon; a later step may add some, never rename one.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

REPORT_TEXTS = {"scanner": 255, "calling_ae": 64, "study_uid": 64, "sop_uid": 64, "kind": 64, "manufacturer": 255,
                "model": 255, "device_serial": 255, "flags": 255}  # fmt: skip
TOTALS = ("events_total", "dlp_total", "dose_area_total", "fluoro_dose_area", "acquisition_dose_area", "dose_rp_total",
          "fluoro_time")  # fmt: skip
EVENT_TEXTS = {"event_uid": 64, "kind": 64, "protocol": 255, "region": 255, "region_code": 64, "type": 255, "type_code": 64,
               "plane": 64, "phantom": 64}  # fmt: skip
EVENT_NUMBERS = ("started", "ctdivol", "dlp", "scanning_length", "pitch", "kvp", "tube_current", "exposure_time",
                 "exposure", "dose_area", "dose_rp", "glandular_dose", "entrance_dose")  # fmt: skip
AT = {"postgresql": "to_timestamp({})", "sqlite": "strftime('%Y-%m-%dT%H:%M:%SZ', {}, 'unixepoch')"}

# A report of projection does not say what its device is called in DICOM; the images of its study do.
REPORTS = """
CREATE VIEW mine_dose_reports AS SELECT
  r.node, r.arrival, r.report, {received} AS received_at, r.received, r.scanner, r.calling_ae, r.study_uid, r.kind,
  CASE WHEN r.kind = 'ct' THEN 'CT' ELSE (SELECT min(o.modality) FROM series o WHERE o.study_uid = r.study_uid
    AND o.node = r.node AND o.modality IN ('XA', 'RF', 'DX', 'CR', 'MG', 'PX', 'IO', 'RG')) END AS modality,
  s.study_description, s.procedure, coalesce(r.manufacturer, s.manufacturer) AS manufacturer,
  coalesce(r.model, s.model) AS model, coalesce(r.device_serial, s.device_serial) AS device_serial, s.station,
  s.institution, s.age_years, s.sex, r.events, r.events_total, r.dlp_total, r.dose_area_total, r.fluoro_dose_area,
  r.acquisition_dose_area, r.dose_rp_total, r.fluoro_time, r.flags
FROM dose_report r LEFT JOIN series s ON s.node = r.node AND s.arrival = r.arrival
"""
# Devices send a report again with what was added: each irradiation counts once, as the last report tells it.
EVENTS = """
CREATE VIEW mine_dose_events AS SELECT
  e.node, e.arrival, e.report, e.event, r.received_at, r.received, r.scanner, r.calling_ae, r.study_uid, e.kind, r.modality,
  r.study_description, r.procedure, r.manufacturer, r.model, r.device_serial, r.station, r.institution, r.age_years, r.sex,
  {started} AS started_at, e.started, e.protocol, e.region, e.region_code, e.type, e.type_code, e.plane, e.phantom,
  e.ctdivol, e.dlp, e.scanning_length, e.pitch, e.kvp, e.tube_current, e.exposure_time, e.exposure, e.dose_area, e.dose_rp,
  e.glandular_dose, e.entrance_dose
FROM dose_event e JOIN mine_dose_reports r ON r.node = e.node AND r.arrival = e.arrival AND r.report = e.report
WHERE NOT EXISTS (SELECT 1 FROM dose_event n WHERE n.node = e.node AND n.event_uid = e.event_uid
  AND (n.arrival > e.arrival OR (n.arrival = e.arrival AND n.report > e.report)))
"""


def _key(*names: str) -> list[Any]:
    numbers = [sa.Column(name, sa.BigInteger(), autoincrement=False, nullable=False) for name in ("arrival", *names)]
    return [sa.Column("node", sa.String(length=255), nullable=False), *numbers]


def upgrade() -> None:
    op.create_table(
        "dose_report",
        *_key("report"),
        sa.Column("received", sa.Double()),
        *(sa.Column(name, sa.String(length=length)) for name, length in REPORT_TEXTS.items()),
        sa.Column("events", sa.BigInteger()),
        *(sa.Column(name, sa.Double()) for name in TOTALS),
        sa.Column("erased", sa.Double()),
        sa.PrimaryKeyConstraint("node", "arrival", "report", name="dose_report_pkey"),
    )
    op.create_index("dose_report_received", "dose_report", ["received"])
    op.create_index("dose_report_study", "dose_report", ["study_uid"])
    op.create_table(
        "dose_event",
        *_key("report", "event"),
        *(sa.Column(name, sa.String(length=length)) for name, length in EVENT_TEXTS.items()),
        *(sa.Column(name, sa.Double()) for name in EVENT_NUMBERS),
        sa.PrimaryKeyConstraint("node", "arrival", "report", "event", name="dose_event_pkey"),
    )
    op.create_index("dose_event_uid", "dose_event", ["node", "event_uid"])
    at = AT[op.get_context().dialect.name]
    for view in (REPORTS, EVENTS):
        spelled = view.replace("{received}", at.format("r.received")).replace("{started}", at.format("e.started"))
        op.execute(sa.text(spelled.replace(":", r"\:")))
