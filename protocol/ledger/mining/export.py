"""Pseudonymised export of the mining tables as CSV: series, studies, deliveries and images of a time.
What may be in a file is a list of columns here: a column that nobody put there is never written. It only reads.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from sqlalchemy import text

from protocol.ledger.engine import reader, reading
from protocol.ledger.mining.pseudonyms import Pseudonyms
from protocol.ledger.mining.sheet import write_sheet
from protocol.ledger.mining.spelling import Selection
from protocol.records import record

OLDEST = 89.0  # years; of older people only "90" is told, as HIPAA's safe harbor has it (45 CFR 164.514(b)(2)(i)(C))
PAGE = 2000

_PLAIN_SERIES = (
    "node", "scanner", "images", "bytes", "state", "outcome", "modality", "body_part", "laterality",
    "manufacturer", "model", "software", "scanning_sequence", "sequence_variant", "mr_acquisition", "contrast",
    "contrast_volume", "slice_thickness", "slice_spacing", "pixel_spacing", "field_strength", "repetition_time", "echo_time",
    "inversion_time", "flip_angle", "kvp", "tube_current", "exposure", "exposure_time", "pitch", "ctdivol", "dlp", "dose_area",
    "entrance_dose", "activity", "patient_position", "view_position", "rows", "columns", "frames", "sex", "sop_class_uid",
    "transfer_syntax_uid",
)  # fmt: skip
FREE_TEXT = (
    "protocol", "series_description", "study_description", "procedure", "sequence_name", "contrast_agent", "station",
    "device_serial", "institution", "department",
)  # fmt: skip
_SERIES_TIMES = ("received", "completed", "delivered", "study_time", "series_time", "acquisition_time")
_PLAIN_DELIVERY = (
    "node", "target", "priority", "state", "attempts", "images", "bytes", "warnings", "seconds", "scanner",
    "modality", "wait_s", "after_completion_s", "scan_to_arrival_s", "scan_to_delivered_s",
)  # fmt: skip
_PLAIN_IMAGE = ("sop_class_uid", "transfer_syntax_uid", "bytes", "mark")

_WHO = "a.patient_id, coalesce(a.patient_id, s.study_uid, '') AS whose"
# In no order: that of time would tell what shifted dates hide.
_SQL: Mapping[str, str] = {
    "series": f"SELECT s.*, {_WHO} FROM mine_series s LEFT JOIN arrival a ON a.node = s.node AND a.arrival = s.arrival"
    " WHERE {where} ORDER BY random()",
    "deliveries": f"SELECT d.*, {_WHO} FROM mine_deliveries d JOIN series s ON s.node = d.node AND s.arrival = d.arrival"
    " LEFT JOIN arrival a ON a.node = d.node AND a.arrival = d.arrival WHERE {where} ORDER BY random()",
    "images": f"SELECT i.node, i.arrival, i.sop_uid, i.sop_class_uid, i.transfer_syntax_uid, i.bytes, i.mark, i.received,"
    f" s.study_uid, s.series_uid, {_WHO} FROM image i JOIN series s ON s.node = i.node AND s.arrival = i.arrival"
    " LEFT JOIN arrival a ON a.node = i.node AND a.arrival = i.arrival WHERE {where} ORDER BY random()",
}  # fmt: skip


@record
class Terms:
    """What is exported: the time, whether free text goes along, whether a file of single images is wanted."""

    selection: Selection
    free_text: bool = False
    images: bool = False


def export(url: str, folder: Path, pseudonyms: Pseudonyms, terms: Terms) -> dict[str, int]:
    """Write the files into an existing folder; rows by file. Files appear whole or not at all.

    Raises LedgerUnavailable, OSError (FileExistsError for a file that is there already).
    """
    names = ("series", "deliveries", *(["images"] if terms.images else []))
    makers = {"series": _series, "deliveries": _delivery, "images": _image}
    counts: dict[str, int] = {}
    for name in names:
        maker = makers[name]
        first = maker({}, pseudonyms, terms)
        with _new_file(folder / f"{name}.csv") as file:
            rows = (list(maker(row, pseudonyms, terms).values()) for row in _rows(url, name, terms.selection))
            counts[name] = write_sheet(file, list(first), rows)
    return counts


def _rows(url: str, name: str, selection: Selection) -> Iterator[Mapping[str, Any]]:
    """All rows of a time, as they are, each file from one look at the ledger."""
    conditions = selection.where()
    for column in ("received", "scanner", "modality", "node"):
        conditions = conditions.replace(f"{column} ", f"s.{column} ")
    engine = reader(url)
    try:
        with reading(engine) as connection:
            if connection.dialect.name == "postgresql":
                connection.exec_driver_sql("SET statement_timeout = 0")  # as long as it takes: a person waits for it
            found = connection.execution_options(stream_results=True, max_row_buffer=PAGE).execute(
                text(_SQL[name].replace("{where}", conditions)), selection.parameters()
            )
            for row in found:
                yield row._asdict()
    finally:
        engine.dispose()


def _series(row: Mapping[str, Any], by: Pseudonyms, terms: Terms) -> dict[str, Any]:
    found = {
        "series": by.uid(row.get("series_uid")), "study": by.uid(row.get("study_uid")),
        "patient": by.name("patient", row.get("patient_id")), "arrival": _number(row, "arrival", by),
        **{name: row.get(name) for name in _PLAIN_SERIES},
        "age_years": _age(row.get("age_years")),
        **_times(row, _SERIES_TIMES, by),
    }  # fmt: skip
    return {**found, **({name: row.get(name) for name in FREE_TEXT} if terms.free_text else {})}


def _delivery(row: Mapping[str, Any], by: Pseudonyms, terms: Terms) -> dict[str, Any]:
    return {
        "delivery": _number(row, "delivery", by),
        "arrival": _number(row, "arrival", by),
        "patient": by.name("patient", row.get("patient_id")),
        **{name: row.get(name) for name in _PLAIN_DELIVERY},
        **_times(row, ("created", "finished"), by),
    }


def _image(row: Mapping[str, Any], by: Pseudonyms, terms: Terms) -> dict[str, Any]:
    return {
        "image": by.uid(row.get("sop_uid")), "series": by.uid(row.get("series_uid")), "study": by.uid(row.get("study_uid")),
        "patient": by.name("patient", row.get("patient_id")), "arrival": _number(row, "arrival", by),
        **{name: row.get(name) for name in _PLAIN_IMAGE},
        **_times(row, ("received",), by),
    }  # fmt: skip


def _number(row: Mapping[str, Any], kind: str, by: Pseudonyms) -> str | None:
    """Numbers of arrivals and deliveries grow with time, so they would give a shifted date away."""
    return None if row.get(kind) is None else by.name(kind, f"{row['node']}/{row[kind]}")


def _times(row: Mapping[str, Any], names: tuple[str, ...], by: Pseudonyms) -> dict[str, float | None]:
    """Seconds since 1970 UTC, as they were shifted."""
    back = by.shift(str(row.get("whose") or "")) if row else 0.0
    return {name: None if row.get(name) is None else round(float(row[name]) - back, 3) for name in names}


def _age(years: float | None) -> float | None:
    """Whole years, and no age by which an old person is found."""
    return None if years is None else 90.0 if years > OLDEST else float(int(years))


@contextmanager
def _new_file(path: Path) -> Iterator[TextIO]:
    """Readable by its owner alone; under a name of its own until it is whole."""
    if path.exists():
        raise FileExistsError(f"{path} is there already")
    partial = path.with_name(path.name + ".part")
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with open(handle, "w", encoding="utf-8", newline="") as file:
            yield file
        partial.rename(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
