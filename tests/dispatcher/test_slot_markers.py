"""A slot hands a folder target the header values of its layout, and tells it when a delivery is complete."""

from __future__ import annotations

import pytest
from dispatcher_fakes import FAST, FixedRouting, SilentLog, deliveries, make_slot, receive, route, series, states

from actors.targets.registry import make_target
from protocol.clock import ManualClock
from protocol.spool import open_spool
from protocol.spool.arrivals import TargetChoice
from protocol.spool.singles import Batch


@pytest.fixture
def node(tmp_path):
    node = Node(tmp_path)
    yield node
    node.spool.close()


class Node:
    """A spool on the real disk, a folder with markers, and one slot."""

    def __init__(self, home):
        self.top, self.clock = home / "share", ManualClock()
        self.top.mkdir()
        self.spool = open_spool(home / "home", clock=self.clock, create=True)
        said = {"type": "folder", "path": str(self.top), "layout": "{PatientID}/{SeriesInstanceUID}", "done": ".done"}
        self.log = SilentLog()
        self.slot = make_slot(
            self.spool, FixedRouting({"share": {**said, "retry": FAST}}), self.clock, lambda name: None, make=make_target,
            log=self.log,
        )  # fmt: skip

    def files(self):
        return sorted(str(path.relative_to(self.top)) for path in self.top.rglob("*") if path.is_file())


def test_a_series_lies_at_its_place_with_a_marker_when_it_is_delivered(node):
    images = series(1, 3)
    route(node.spool, receive(node.spool, images), "share")
    assert node.slot.run_once() and states(node.spool) == ["delivered"]
    folder = f"T1/{images[0].series_uid}"
    assert node.files() == [f"{folder}/.done", *(f"{folder}/{image.sop_uid}.dcm" for image in images)]


def test_a_delivery_with_a_refused_image_gets_no_marker(node):
    images = series(1, 3)
    arrival = receive(node.spool, images)
    route(node.spool, arrival, "share")
    (node.top / "T1" / images[0].series_uid / f"{images[1].sop_uid}.dcm" / "x").mkdir(parents=True)
    node.slot.run_once()
    assert states(node.spool) == ["parked"] and len(node.files()) == 2


def test_a_delivery_goes_on_after_a_retry_and_the_marker_is_in_every_folder_of_it(node):
    images = series(1, 3)
    route(node.spool, receive(node.spool, images), "share")
    node.top.rename(node.top.with_name("away"))
    node.slot.run_once()
    (row,) = deliveries(node.spool)
    assert row["state"] == "retrying" and "mounted" in row["error"]
    node.top.with_name("away").rename(node.top)
    node.clock.advance(2)
    node.slot.run_once()
    assert states(node.spool) == ["delivered"] and len(node.files()) == 4


def test_a_marker_that_cannot_be_written_keeps_the_delivery_and_then_only_it_is_written(node):
    images = series(1, 2)
    route(node.spool, receive(node.spool, images), "share")
    folder = node.top / "T1" / images[0].series_uid
    (folder / ".done" / "in the way").mkdir(parents=True)
    node.slot.run_once()
    (row,) = deliveries(node.spool)
    assert (row["state"], row["sent"]) == ("retrying", 2)
    (folder / ".done" / "in the way").rmdir()
    (folder / ".done").rmdir()
    node.clock.advance(2)
    node.slot.run_once()
    assert states(node.spool) == ["delivered"] and (folder / ".done").is_file()


def test_single_images_sent_ahead_get_no_marker(node):
    images = series(1, 2)
    arrival = receive(node.spool, images)
    _, _, seen = node.spool.singles.unseen(arrival)
    node.spool.singles.route(Batch(arrival, 2, 1, {TargetChoice("share"): seen[:1]}, ["ahead"]))
    assert node.slot.run_once()
    assert node.files() == [f"T1/{images[0].series_uid}/{images[0].sop_uid}.dcm"]
    route(node.spool, arrival, "share")
    assert node.slot.run_once() and states(node.spool) == ["delivered", "delivered"]
    assert len(node.files()) == 3 and node.files()[0].endswith(".done")
