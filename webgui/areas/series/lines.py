"""Series as lines of lists, for pages, CSV and programs, out of rows of the spool or of the ledger. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from typing import Any

from protocol.records import record
from webgui.areas.series import words
from webgui.figures import ARRIVAL_CHIPS, DELIVERY_LEVELS

Row = Mapping[str, Any]
SHOWN_DELIVERIES = 4


@record
class Line:
    """One series of a list. `patient` and the like are patient data."""

    id: int
    time: float
    source: str
    modality: str
    description: str
    study_description: str
    patient: str
    patient_id: str
    accession: str
    images: int
    bytes: int
    state: str
    reason: str
    study_uid: str
    series_uid: str
    addendum_of: int
    deliveries: list[dict[str, str]] = field(default_factory=list)
    rules: list[str] = field(default_factory=list)
    node: str = ""

    @property
    def chip(self) -> tuple[str, str]:
        """Level and word of its state."""
        return ARRIVAL_CHIPS.get(self.state, ("off", self.state))

    @property
    def chips(self) -> list[tuple[str, str]]:
        """Level and word of its deliveries; the targets alone where all is well."""
        made = [
            (DELIVERY_LEVELS.get(one["state"], "warn"),
             one["target"] if one["state"] == "delivered" else f"{one['target']}: {words.DELIVERY_STATES.get(one['state'], one['state'])}")
            for one in self.deliveries[:SHOWN_DELIVERIES]
        ]  # fmt: skip
        more = len(self.deliveries) - SHOWN_DELIVERIES
        return [*made, ("off", f"{more} more")] if more > 0 else made

    def masked(self, mask: str) -> Line:
        """The same for who may not see who the patient is."""
        hidden = {name: mask for name in ("patient", "patient_id", "accession") if getattr(self, name)}
        return replace(self, **hidden)  # type: ignore[arg-type]

    def plain(self) -> dict[str, Any]:
        """For programs."""
        return {
            "id": self.id, "time": self.time, "source": self.source, "modality": self.modality,
            "series_description": self.description, "study_description": self.study_description,
            "patient_name": self.patient, "patient_id": self.patient_id, "accession_number": self.accession,
            "images": self.images, "bytes": self.bytes, "state": self.state, "reason": self.reason,
            "study_uid": self.study_uid, "series_uid": self.series_uid, "addendum_of": self.addendum_of,
            "deliveries": self.deliveries, "rules": self.rules,
        }  # fmt: skip


COLUMNS = ("id", "time", "source", "modality", "series description", "study description", "patient name", "patient id",
           "accession number", "images", "bytes", "state", "deliveries", "study uid", "series uid")  # fmt: skip


def cells(line: Line, when: Any) -> Sequence[Any]:
    """For CSV, as COLUMNS says."""
    deliveries = "; ".join(f"{one['target']} {one['state']}" for one in line.deliveries)
    return (line.id, when(line.time), line.source, line.modality, line.description, line.study_description, line.patient,
            line.patient_id, line.accession, line.images, line.bytes, line.state, deliveries, line.study_uid,
            line.series_uid)  # fmt: skip


def of_spool(row: Row) -> Line:
    """Out of `spool.browsing.arrivals`."""
    about = row["about"]
    return Line(
        row["id"], row["opened"], row["calling_ae"], row["modality"], text(about.get("SeriesDescription")),
        text(about.get("StudyDescription")), words.person(about.get("PatientName")), text(about.get("PatientID")),
        text(about.get("AccessionNumber")), row["images"] - row["superseded"], row["bytes"], row["state"], row["reason"],
        row["study_uid"], row["series_uid"], row["addendum_of"], [_delivery(one) for one in row["deliveries"]],
        list(row["rules"]),
    )  # fmt: skip


def of_ledger(row: Row, about: Row) -> Line:
    """Out of the ledger's history; `about` are header values, where the spool or the ledger still has them."""
    return Line(
        row["arrival"], row["opened"] or 0.0, row["calling_ae"] or "", row["modality"] or "",
        text(about.get("SeriesDescription")), text(about.get("StudyDescription")),
        words.person(about.get("PatientName") or row["patient_folded"]), row["patient_id"] or "", row["accession"] or "",
        row["images"] or 0, row["bytes"] or 0, row["state"] or "", row["reason"] or "", row["study_uid"] or "",
        row["series_uid"] or "", row["addendum_of"] or 0, [_delivery(one) for one in row.get("deliveries", ())],
        list(row["rules"] or ()), row["node"],
    )  # fmt: skip


def _delivery(row: Row) -> dict[str, str]:
    return {"target": row["target"] or "", "state": row["state"] or "", "cause": row.get("cause") or ""}


def text(value: Any) -> str:
    """A header value as one line."""
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        return " \\ ".join(text(one) for one in value)
    return str(value)
