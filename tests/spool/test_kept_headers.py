"""What the event of a completed arrival hands to the ledger is what rules were asked about."""

import uuid

import pytest

from protocol.header.packed import unpack_columns
from protocol.header.scan import Header
from protocol.spool import open_spool
from protocol.spool.images import Incoming
from protocol.spool.outbox import Cursor


@pytest.fixture
def spool(tmp_path):
    made = open_spool(tmp_path / "home", create=True)
    yield made
    made.close()


def receive(spool, number, **values):
    header = Header({"StudyInstanceUID": "1.2", "SeriesInstanceUID": "1.3", "SOPInstanceUID": f"1.4.{number}",
                     "InstanceNumber": number, "PatientID": "P", **values})  # fmt: skip
    spool.images.commit([spool.images.save(Incoming(
        uuid.uuid4().bytes, "CT", "ROUTER", "127.0.0.1", "ct1", "1.2.840.10008.5.1.4.1.1.2", f"1.4.{number}",
        "1.2.840.10008.1.2.1", b"%d" % number + repr(values).encode(), header))])  # fmt: skip


def close(spool):
    (arrival,) = spool.arrivals.open_ones()
    assert spool.arrivals.close(arrival.id, "idle")
    (event,) = [one for one in spool.outbox.read(Cursor(0, 0), 1000)
                if one.type == "arrival.completed" and one.data["arrival"] == arrival.id]  # fmt: skip
    return arrival.id, event.phi


def images_of(phi):
    return [{**phi["header"], **image} for image in unpack_columns(phi["columns"], phi["count"]).images()]


def test_the_kept_headers_are_those_that_the_router_decides_on(spool):
    for number in (3, 1, 2):
        receive(spool, number, SliceThickness=float(number))
    receive(spool, 2, SliceThickness=9.0)  # a newer version: the older one does not count any more
    id, phi = close(spool)
    assert images_of(phi) == spool.arrivals.subject(id).images
    assert {**phi["header"], **phi["first"]}["InstanceNumber"] == 1 and phi["count"] == 3
    assert phi["origin"] == {"called_ae": "ROUTER", "address": "127.0.0.1", "source": "ct1", "addendum_of": 0,
                             "opened": spool.arrivals.get(id)["opened"]}  # fmt: skip


def test_an_addendum_keeps_its_own_images_and_names_what_it_adds_to(spool):
    receive(spool, 1)
    first, before = close(spool)
    receive(spool, 2)
    second, after = close(spool)
    assert after["origin"]["addendum_of"] == first and after["count"] == 1
    assert images_of(before) + images_of(after) == spool.arrivals.subject(second).images
