"""A ledger full of recorded arrivals, as a hospital's months leave it: made by rows, since receiving them would take days.
It measures nothing.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from protocol.header.diff import difference
from protocol.header.packed import pack_header, pack_headers
from protocol.ledger.engine import writer
from protocol.ledger.headers import share_of
from protocol.ledger.migrate import upgrade
from protocol.ledger.tables import arrival, header

NODE = "bench"
BEGIN = 1_790_000_000.0
DAYS = 30
MODALITIES = ("CT", "MR", "MR", "CR", "DX", "US", "PT", "MG")
REGIONS = ("cardiac", "brain", "thorax", "abdomen", "knee", "spine", "pelvis", "neck")
SEQUENCES = ("t1", "t2", "flair", "dwi", "localizer", "axial", "coronal", "contrast", "delayed", "scout")


def fill(path: Path, arrivals: int) -> str:
    """Write a new SQLite ledger with so many arrivals of DAYS days; returns its URL."""
    url = f"sqlite:///{path}"
    engine = writer(url)
    upgrade(engine)
    with engine.begin() as connection:
        batch: list[dict[str, Any]] = []
        for row in _rows(arrivals):
            batch.append(row)
            if len(batch) == 5000:
                _store(connection, batch)
        if batch:
            _store(connection, batch)
    engine.dispose()
    return url


def _store(connection: Any, batch: list[dict[str, Any]]) -> None:
    connection.execute(header.insert(), batch)
    connection.execute(
        arrival.insert(),
        [
            {"node": NODE, "arrival": row["arrival"], "calling_ae": row["calling_ae"], "study_uid": row["study_uid"],
             "opened": row["received"], "completed": row["received"] + 10, "state": "delivered"}
            for row in batch
        ],
    )  # fmt: skip
    batch.clear()


def _rows(arrivals: int) -> Iterator[dict[str, Any]]:
    chance = random.Random(13)
    study = 0
    for number in range(1, arrivals + 1):
        if number == 1 or chance.random() < 0.25:
            study += 1
            scanner, modality = chance.randrange(40), chance.choice(MODALITIES)
            values = _study(chance, study, modality, scanner)
        uid = f"{values['StudyInstanceUID']}.{number}"
        count = 1 if modality in ("CR", "DX") else chance.choice((20, 60, 120, 300))
        one = values | {
            "SeriesInstanceUID": uid, "SeriesNumber": chance.randrange(1, 900),
            "SeriesDescription": f"{chance.choice(SEQUENCES)} {chance.randrange(2000)}",
            "SOPInstanceUID": f"{uid}.1", "InstanceNumber": 1, "SliceThickness": chance.choice((0.6, 1.0, 1.25, 3.0, 5.0)),
        }  # fmt: skip
        packed = _packed(one, count)
        received = BEGIN + number * DAYS * 86_400.0 / arrivals
        yield {
            "node": NODE, "arrival": number, "received": received, "calling_ae": f"{modality}{scanner}",
            "share": share_of(str(values["StudyInstanceUID"]), f"{modality}{scanner}"), "called_ae": "SCANPOST",
            "address": f"10.0.0.{scanner}", "source": f"scanner{scanner}", "study_uid": values["StudyInstanceUID"],
            "series_uid": uid, "addendum_of": 0, "images": count, "bytes": count * 260_000, "dropped": None,
            "first": pack_header(one), "columns": packed or None,
        }  # fmt: skip


def series_header(number: int) -> dict[str, Any]:
    """Values of a series' first image; every fourth series begins a study."""
    return _study(random.Random(number // 4), number // 4, MODALITIES[number % len(MODALITIES)], number % 40)


_COLUMNS: dict[int, bytes] = {}


def _packed(first: dict[str, Any], count: int) -> bytes:
    """What differs between the images of a series; made once for each size."""
    if count not in _COLUMNS:
        images = [first | {"SOPInstanceUID": f"1.2.{at * 7919}", "InstanceNumber": at + 1, "SliceLocation": at * 1.25}
                  for at in range(count)]  # fmt: skip
        _COLUMNS[count] = pack_headers(first, [difference(first, one) for one in images]).columns
    return _COLUMNS[count]


def _study(chance: random.Random, study: int, modality: str, scanner: int) -> dict[str, Any]:
    """Values that a study's images share, as many as a real header has."""
    person = chance.randrange(50_000)
    date = f"2026{chance.randrange(1, 13):02d}{chance.randrange(1, 29):02d}"
    return {
        "StudyInstanceUID": f"1.2.826.0.1.3680043.10.{study}", "Modality": modality, "PatientID": f"P{person:06d}",
        "PatientName": f"FAMILY{person}^GIVEN", "PatientBirthDate": "19700101", "PatientSex": chance.choice("MF"),
        "StudyDescription": f"{chance.choice(REGIONS)} {modality} {chance.randrange(40)}", "StudyDate": date,
        "StudyTime": "101500", "AccessionNumber": f"A{study:08d}", "StudyID": str(study), "SeriesDate": date,
        "InstitutionName": "Hospital", "ReferringPhysicianName": f"DOCTOR{person % 300}", "Manufacturer": "MAKER",
        "ManufacturerModelName": f"MODEL {scanner}", "StationName": f"STATION{scanner}", "SoftwareVersions": "syngo XA30",
        "BodyPartExamined": chance.choice(REGIONS).upper(), "ProtocolName": f"protocol {chance.randrange(200)}",
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2", "Rows": 512,
        "Columns": 512, "BitsAllocated": 16, "BitsStored": 12, "PixelSpacing": [0.78, 0.78], "KVP": 120.0,
        "MagneticFieldStrength": 1.5, "EchoTime": 12.3, "RepetitionTime": 650.0, "FlipAngle": 15.0,
        "WindowCenter": 40.0, "WindowWidth": 400.0, "RescaleIntercept": -1024.0, "RescaleSlope": 1.0,
        "ImageOrientationPatient": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0], "ImagePositionPatient": [-190.0, -190.0, 40.0],
        "SpecificCharacterSet": "ISO_IR 100", "TransferSyntaxUID": "1.2.840.10008.1.2.1", "PixelRepresentation": 0,
        "FrameOfReferenceUID": f"1.2.826.0.1.3680043.10.{study}.9", "SamplesPerPixel": 1, "PatientPosition": "HFS",
        "PhotometricInterpretation": "MONOCHROME2", "ConvolutionKernel": "B30f", "DeviceSerialNumber": str(scanner),
    }  # fmt: skip
