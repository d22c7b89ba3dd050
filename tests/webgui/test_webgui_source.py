"""The real spool behind the page."""

import json
import os

import pytest

from protocol.clock import ManualClock
from protocol.errors import SpoolMissing
from protocol.fsops import RealFs
from protocol.header.scan import scan
from protocol.routing.parse import build
from protocol.routing.versions import RoutingVersions
from protocol.settings import load_settings
from protocol.spool.arrivals import TargetChoice, Verdict
from protocol.spool.images import Incoming
from protocol.spool.spool import open_spool
from protocol.testing.images import TestImage
from webgui.attention import STOPPED
from webgui.figures import Reading, topics
from webgui.source import SpoolSource, expected_actors
from webgui.viewer import Frame

PACS = {"type": "dicom", "host": "10.1.9.9", "port": 104, "called_ae": "PACS"}


@pytest.fixture
def settings(tmp_path):
    environ = {"SCANPOST_SPOOL__RESERVE_GB": "0", "SCANPOST_SPOOL__RESERVE2_GB": "0"}
    return load_settings(home=tmp_path, environ=environ)


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def spool(settings, clock):
    made = open_spool(settings.home, clock=clock, create=True)
    yield made
    made.close()


@pytest.fixture
def source(settings, clock):
    made = SpoolSource(settings, clock)
    yield made
    made.close()


def receive(spool, *images):
    owner = spool.workers.enter("receiver", "0").owner
    association = os.urandom(16)
    spool.images.association_opened(association, owner, "CT1", "SCANPOST", "10.0.0.1:104", None)
    for image in images:
        data = image.dataset()
        incoming = Incoming(
            association, "CT1", "SCANPOST", "10.0.0.1:104", None, image.sop_class_uid, image.sop_uid,
            image.transfer_syntax_uid, data, scan(data, image.transfer_syntax_uid), None,
        )  # fmt: skip
        spool.images.commit([spool.images.save(incoming)])
    spool.images.association_closed(association, "released")
    return [arrival.id for arrival in spool.arrivals.open_ones()]


def publish(settings, clock):
    versions = RoutingVersions(settings.home / "config" / "routing", RealFs(), clock)
    versions.publish(build({"targets": {"pacs": PACS}}, "test"), "ann", "first", 0)


def test_a_node_that_never_ran_says_so(source):
    with pytest.raises(SpoolMissing, match="scanpost up"):
        source.status()


def test_images_arrivals_and_deliveries_show(spool, source, settings, clock):
    publish(settings, clock)
    (arrival,) = receive(spool, TestImage(instance=1), TestImage(instance=2))
    spool.arrivals.close(arrival, "released")
    spool.arrivals.decide(arrival, Verdict("route", 1, [TargetChoice("pacs")]))
    status = source.status()
    assert (status["images"]["received"], status["images"]["in_delivery"]) == (2, 2)
    assert status["targets"]["pacs"]["waiting"] == 1
    assert status["targets"]["pacs"]["address"] == "PACS @ 10.1.9.9:104"
    (row,) = source.last_arrivals(20)
    assert (row["source"], row["modality"], row["images"], row["state"]) == ("CT1", "CT", 2, "in_delivery")
    assert row["deliveries"] == [{"target": "pacs", "state": "waiting"}]


def test_nothing_of_the_patient_reaches_the_page(spool, source):
    receive(spool, TestImage())
    everything = repr(source.status()) + repr(source.last_arrivals(20))
    assert "Test^Image" not in everything and "'T1'" not in everything


def test_actors_that_should_run_and_do_not_are_missing(spool, source, settings):
    lock = RealFs().lock(settings.run_folder / "receiver.lock")
    lock.write(json.dumps({"state": "ready", "pid": 7, "started": 0.0, "version": "1"}))
    status = source.status()
    assert status["ready"]
    assert set(status["actors"]) == set(expected_actors(settings))
    assert [name for name, actor in status["actors"].items() if actor["state"] not in STOPPED] == ["receiver"]
    lock.release()
    assert not source.status()["ready"]


def test_an_unusable_routing_file_is_shown(spool, source, settings, clock):
    publish(settings, clock)
    (settings.home / "config" / "routing" / "000002.json").write_text("{")
    rows = topics(Reading(source.status()), None)
    assert "routing 0" in rows["attention"]
    assert "000002" in rows["attention"]["routing 0"]["text"]


def test_the_document_fills_every_topic_and_is_json(spool, source, settings, clock):
    publish(settings, clock)
    receive(spool, TestImage())
    rows = topics(Reading(source.status(), source.last_arrivals(20), at=clock.now()), None)
    for topic, data in rows.items():
        assert json.loads(Frame("snap", topic, 1, data).text)["d"].keys() == data.keys()
    assert all(rows[topic] for topic in ("summary", "kpi", "images", "actors", "targets", "arrivals", "disk"))
    assert rows["images"]["received"]["chip"] == [["ok", "every image accounted for"]]
