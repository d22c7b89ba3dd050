"""When a series is complete one of its images is looked at again, for values that not every image is scanned for."""

import struct
import uuid

import pytest

from protocol.header.scan import scan
from protocol.spool import open_spool
from protocol.spool.images import Incoming
from protocol.spool.mined import MOST_KEPT, MinedTerms
from protocol.spool.outbox import Cursor

CT, SYNTAX = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1"
TERMS = MinedTerms(("0019,xx0C ACME", "ProtocolName"), "Europe/Berlin")


def element(tag, vr, value):
    value += b" " * (len(value) % 2)
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, len(value)) + value


def dataset(sop, *more, pixels=True):
    elements = {
        0x00080016: (b"UI", CT.encode() + b"\0"), 0x00080018: (b"UI", sop.encode()), 0x00181030: (b"LO", b"Thorax"),
        0x00189345: (b"FD", struct.pack("<d", 7.5)), 0x00190010: (b"LO", b"ACME"), 0x0019100C: (b"LO", b"mode 5"),
        0x0020000D: (b"UI", b"1.2"), 0x0020000E: (b"UI", b"1.2.3"),
    } | dict(more)  # fmt: skip
    written = b"".join(element(tag, *elements[tag]) for tag in sorted(elements))
    return written + (struct.pack("<HH2sHL", 0x7FE0, 0x10, b"OB", 0, 2) + b"xx" if pixels else b"")


@pytest.fixture
def spool(tmp_path):
    opened = open_spool(tmp_path, create=True)
    yield opened
    opened.close()


def arrive(spool, *datasets):
    for number, data in enumerate(datasets, 1):
        one = Incoming(
            uuid.uuid4().bytes, "CT1", "R", "127.0.0.1", None, CT, f"1.2.3.{number}", SYNTAX, data, scan(data, SYNTAX)
        )
        spool.images.commit([spool.images.save(one)])
    (arrival,) = spool.arrivals.open_ones()
    return arrival.id


@pytest.mark.parametrize("pixels", [True, False])
def test_the_event_of_a_complete_series_tells_dose_and_what_a_site_asked_for(spool, pixels):
    id = arrive(spool, dataset("1.2.3.1", pixels=pixels), dataset("1.2.3.2", pixels=pixels))
    spool.arrivals.close(id, "released", mined=spool.mined.of(id, TERMS))
    told = next(one for one in spool.outbox.read(Cursor(0, 0)) if one.type == "arrival.completed").phi["mining"]
    assert told["values"] == {"CTDIvol": 7.5, "0019,xx0C ACME": "mode 5", "ProtocolName": "Thorax"}
    assert told["extra"] == ["0019,xx0C ACME", "ProtocolName"] and told["zone"] == "Europe/Berlin"


def test_no_image_is_scanned_for_it_when_it_comes_in(spool):
    id = arrive(spool, dataset("1.2.3.1"))
    assert not {"CTDIvol", "0019,xx0C ACME"} & spool.arrivals.subject(id).common.keys()


def test_a_file_that_cannot_be_read_costs_these_values_and_nothing_else(spool):
    id = arrive(spool, dataset("1.2.3.1"))
    (path,) = spool.places.images.glob("*/*/*.dcm")
    for damage in (lambda: path.write_bytes(b"nothing"), path.unlink):
        damage()
        assert spool.mined.of(id, TERMS) == {"values": {}, "extra": [], "zone": "Europe/Berlin"}
    assert spool.mined.of(4711, TERMS)["values"] == {}
    assert spool.arrivals.close(id, "released", mined=spool.mined.of(id, TERMS))


def test_values_too_long_for_an_event_are_left_out_the_largest_first(spool):
    many = [(0x00210010 + (at << 16) * 2, (b"LO", b"B")) for at in range(3)]
    long = [(0x00211001 + (at << 16) * 2, (b"LT", b"x" * 30_000)) for at in range(3)]
    id = arrive(spool, dataset("1.2.3.1", *many, *long))
    names = tuple(f"{0x21 + at * 2:04X},1001" for at in range(3))
    found = spool.mined.of(id, MinedTerms(names))["values"]
    assert found["CTDIvol"] == 7.5 and sum(len(str(value)) for value in found.values()) <= MOST_KEPT
    assert len([name for name in names if name in found]) == 2


# ---- dose reports -------------------------------------------------------------------------------------------------
def reports_arrive(spool, *reports):
    from tests.dose.dose_reports import SOP_CLASS, written

    for number, report in enumerate(reports, 1):
        sop, data = f"1.2.88.{number}", written(report)
        header = scan(data, SYNTAX)
        one = Incoming(uuid.uuid4().bytes, "CT1", "R", "127.0.0.1", None, SOP_CLASS, sop, SYNTAX, data, header)
        spool.images.commit([spool.images.save(one)])
    (arrival,) = spool.arrivals.open_ones()
    return arrival.id


def test_every_dose_report_of_a_series_is_read_when_it_is_complete(spool):
    from tests.dose.dose_reports import ct

    id = reports_arrive(spool, ct(sop_uid="1.2.88.1"), ct((3,), total=250.0, sop_uid="1.2.88.2"))
    spool.arrivals.close(id, "released", mined=spool.mined.of(id, TERMS))
    told = next(one for one in spool.outbox.read(Cursor(0, 0)) if one.type == "arrival.completed").phi["mining"][
        "doses"
    ]
    assert [one["totals"]["dlp_total"] for one in told] == [500.0, 250.0]
    assert [len(one["events"]) for one in told] == [2, 1] and [one["flags"] for one in told] == [[], []]


def test_a_report_whose_file_cannot_be_read_is_flagged_and_the_others_count(spool):
    from tests.dose.dose_reports import ct

    id = reports_arrive(spool, ct(sop_uid="1.2.88.1"), ct(sop_uid="1.2.88.2"))
    sorted(spool.places.images.glob("*/*/*.dcm"))[0].write_bytes(b"nothing")
    assert [one["flags"] for one in spool.mined.of(id, TERMS)["doses"]] == [["unreadable"], []]


def test_series_of_images_have_no_doses(spool):
    assert "doses" not in spool.mined.of(arrive(spool, dataset("1.2.3.1")), TERMS)
