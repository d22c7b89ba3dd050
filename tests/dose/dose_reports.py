"""Dose reports for tests, built by pydicom: a CT one (TID 10011) and one of projection (TID 10001)."""

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence

SOP_CLASS = "1.2.840.10008.5.1.4.1.1.88.67"
EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
PATIENT = {"PatientName": "SECRET^NAME", "PatientID": "P4711"}


def code(value, meaning="text", scheme="DCM"):
    found = Dataset()
    found.CodeValue, found.CodingSchemeDesignator, found.CodeMeaning = value, scheme, meaning
    return Sequence([found])


def item(kind, concept, meaning="text", *, scheme="DCM"):
    found = Dataset()
    found.RelationshipType, found.ValueType = "CONTAINS", kind
    found.ConceptNameCodeSequence = code(concept, meaning, scheme)
    return found


def container(concept, *children):
    found = item("CONTAINER", concept)
    found.ContinuityOfContent = "SEPARATE"
    if children:
        found.ContentSequence = Sequence(children)
    return found


def number(concept, value, unit, *, scheme="UCUM", **more):
    found = item("NUM", concept, **more)
    measured = Dataset()
    measured.MeasurementUnitsCodeSequence = code(unit, unit, scheme)
    measured.add_new(0x0040A30A, "DS", None if isinstance(value, str) else value)
    if isinstance(value, str):
        measured[0x0040A30A]._value = value  # what pydicom would refuse, a device may write
    found.MeasuredValueSequence = Sequence([measured])
    return found


def coded(concept, value, meaning, scheme="DCM"):
    found = item("CODE", concept)
    found.ConceptCodeSequence = code(value, meaning, scheme)
    return found


def text(concept, value):
    found = item("TEXT", concept)
    found.TextValue = value
    return found


def uid(concept, value):
    found = item("UIDREF", concept)
    found.UID = value
    return found


def moment(concept, value):
    found = item("DATETIME", concept)
    found.DateTime = value
    return found


def report(*branches, sop_uid="1.2.88.1", charset="ISO_IR 100", root="113701"):
    found = container(root, *branches)
    found.SpecificCharacterSet, found.SOPClassUID, found.SOPInstanceUID = charset, SOP_CLASS, sop_uid
    found.StudyInstanceUID, found.SeriesInstanceUID, found.Modality = "1.2", "1.2.88", "SR"
    for keyword, value in PATIENT.items():
        setattr(found, keyword, value)
    return found


def ct_event(n, *, ctdivol=10.0, dlp=250.0, spiral=True, unit="mGy", protocol="Thorax", event_uid=None):
    kind = ("116152004", "Spiral Acquisition", "SCT") if spiral else ("113805", "Constant Angle Acquisition", "DCM")
    dose = container("113829", number("113830", ctdivol, unit), coded("113835", "113691", "IEC Body Dosimetry Phantom"),
                     number("113838", dlp, "mGy.cm"))  # fmt: skip
    source = container("113831", number("113733", 120, "kV"), number("113734", 180, "mA"))
    return container(
        "113819", text("125203", protocol), coded("123014", "51185008", "Chest", "SCT"), coded("113820", *kind),
        uid("113769", event_uid or f"1.2.77.{n}"),
        container("113822", number("113824", 4.5, "s"), number("113825", 300, "mm"), number("113828", 1.2, "{ratio}"), source),
        dose,
    )  # fmt: skip


def ct(events=(1, 2), total=500.0, **more):
    made = [one if isinstance(one, Dataset) else ct_event(one) for one in events]
    totals = container("113811", number("113812", len(made), "{events}"), number("113813", total, "mGy.cm"))
    return report(coded("121058", "77477000", "CT", "SCT"), text("121015", "Model One"), totals, *made, **more)


def projection_event(n, *, area=1e-4, rp=0.05, plane="113620"):
    return container(
        "113706", coded("113764", plane, "Plane"), uid("113769", f"1.2.78.{n}"), moment("111526", "20260301101500.5"),
        coded("113721", "113611", "Stationary Acquisition"), text("125203", "Coro 15 fps"),
        number("122130", area, "Gy.m2"), number("113738", rp, "Gy"), number("113733", 81, "kV"), number("113733", 83, "kV"),
        number("113735", 80, "ms"), number("113736", 1500, "uA.s"),
    )  # fmt: skip


def projection(events=4, **more):
    planes = [container("113702", coded("113764", one, "Plane"), number("113722", 2e-4, "Gy.m2"),
                        number("113725", 0.1, "Gy"), number("113730", 90, "s")) for one in ("113620", "113621")]  # fmt: skip
    made = [projection_event(n, plane="113620" if n % 2 else "113621") for n in range(events)]
    return report(coded("121058", "113704", "Projection X-Ray"), *planes, *made, **more)


def written(found, syntax=EXPLICIT, *, undefined=False):
    """The data set's bytes; `undefined`: with sequences and items of undefined length, as many devices write them."""
    if undefined:
        _open(found)
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = syntax == IMPLICIT, True
    write_dataset(buffer, found)
    return buffer.getvalue()


def _open(found):
    for element in found:
        if element.VR == "SQ":
            element.is_undefined_length = True
            for one in element.value:
                one.is_undefined_length_sequence_item = True
                _open(one)
