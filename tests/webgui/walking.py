"""Walks the table of addresses with real parameters; used by the tests that look at every page."""

import io
import json
import re

import pydicom
from pydicom.dataset import Dataset
from pydicom.filebase import DicomFileLike
from pydicom.filewriter import write_dataset

from protocol.testing.images import TestImage
from webgui.openapi import template
from webgui.patientkeys import PatientKeys
from webgui.route import TABLE

EVIL = "<script>document.title='owned'</script>"
MARKS = "\u202e\u2066=cmd|' /C calc'!A0\u2069"
LONG = ((MARKS + EVIL + "A" * 100) * 60)[:10_000]
AE = "=1+1<script>\"'"


class EvilImage(TestImage):
    """Its texts try to become markup, a formula, or to turn the direction of a line; one is 10 kB long."""

    def dataset(self):
        with pydicom.config.disable_value_validation():
            data = Dataset()
            data.SpecificCharacterSet = "ISO_IR 192"
            data.SOPClassUID, data.SOPInstanceUID, data.Modality = self.sop_class_uid, self.sop_uid, "CT"
            data.StudyDate, data.StudyDescription, data.SeriesDescription = "20260101", LONG, f"={EVIL}"
            data.PatientName, data.PatientID, data.PatientBirthDate = f"{EVIL}^{MARKS}", f"={EVIL}", "19700101"
            data.AccessionNumber, data.ManufacturerModelName, data.BodyPartExamined = "=1+1", EVIL, "@SUM"
            data.StudyInstanceUID, data.SeriesInstanceUID, data.InstanceNumber = self.study_uid, self.series_uid, "1"
            out = DicomFileLike(io.BytesIO())
            out.is_implicit_VR, out.is_little_endian = False, True
            write_dataset(out, data)
        return out.parent.getvalue()


class Misplaced(TestImage):
    """Its series has no valid UID: it goes to quarantine."""

    def dataset(self):
        return super().dataset().replace(self.series_uid.encode(), self.series_uid.replace(".", "x").encode())


def parameters(real, arrival, patient_id="T1"):
    """What stands for the parameters of paths: by the path's beginning, else by name."""
    found = real.spool.arrivals.get(arrival)
    key = PatientKeys(real.settings.home / "config").key(patient_id)
    act = str(real.spool.commands.ask("series.hold", "ann", {"ids": [arrival], "reason": "<b>why</b>"}))
    real.receive(Misplaced(study=9))
    (quarantined,) = real.spool.quarantine.list(1)
    return {
        "/rules": "all", "/api/v1/rules": "all", "/users": "vera", "/api/v1/users": "vera", "/help/docs": "rules",
        "/sources": "ct1", "/groups": "ai", "/api/v1/groups": "ai", "/api/v1/sources": "ct1",
        "/acts": act, "/api/v1/acts": act, "receipt": quarantined["receipt"],
        "id": str(arrival), "number": "1", "uid": found["study_uid"], "name": "pacs", "digest": "0", "key": key,
        "act": "hold", "type": "dicom",
    }  # fmt: skip


def filled(path, values):
    """A path with its parameters filled in."""

    def fill(match):
        begin = next((key for key in values if key.startswith("/") and path.startswith(f"{key}/")), None)
        return values[begin] if begin and match[1] in ("name", "id") else values.get(match[1], "1")

    return re.sub(r"{(\w+)}", fill, template(path))


def table(app):
    """Every route but the static files."""
    return [route for route in app[TABLE] if not route.path.startswith("/static/")]


def state(real, accounts):
    """Everything that a change would change, as one text."""
    spool, configs = real.spool, sorted((real.settings.home / "config").rglob("*"))
    return json.dumps({
        "commands": len(spool.commands.list(limit=1000)),
        "arrivals": [spool.arrivals.get(one["id"]) for one in spool.arrivals.list(limit=100)],
        "routing": real.versions.current().number,
        "users": [(one.name, one.role, one.disabled) for one in accounts.list_users()],
        "tokens": len(accounts.tokens.list()),
        "configuration": [str(file) for file in configs if file.is_file() and file.suffix != ".secret"],
    }, default=str)  # fmt: skip
