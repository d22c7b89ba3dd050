"""From images to closed arrivals, through the actor and the spool."""

from __future__ import annotations

from router_rig import ALL, CT, TARGETS, Rig

from actors.rhythm import REST_S
from protocol.settings import load_settings
from protocol.testing.images import TestImage
from protocol.wire.nudges import Nudge

A, B, C = (TestImage(instance=number) for number in (1, 2, 3))


def test_a_series_is_closed_after_release_and_quiet_and_routed(rig):
    node: Rig = rig(CT)
    node.world.receive(A, B)
    node.work()
    node.after(4.9)
    assert node.newest()["state"] == "open"
    node.after(0.1)
    assert (node.newest()["state"], node.newest()["why"]) == ("in_delivery", "released")
    assert node.deliveries() == {"pacs": "waiting"}


def test_an_open_association_is_waited_for_until_idle(rig):
    node: Rig = rig(CT)
    node.world.send(node.world.connect(), A)
    node.work()
    node.after(59)
    assert node.newest()["state"] == "open"
    node.after(1)
    assert node.newest()["why"] == "idle"


def test_an_aborted_association_is_waited_for_until_idle(rig):
    node: Rig = rig(CT)
    node.world.receive(A, how="aborted")
    node.work()
    node.after(59)
    assert node.newest()["state"] == "open"
    node.after(1)
    assert node.newest()["why"] == "aborted"


def test_a_new_image_starts_the_quiet_anew(rig):
    node: Rig = rig(CT)
    first, second = node.world.connect(), node.world.connect()
    node.world.send(first, A)
    node.spool.images.association_closed(first.id, "released")
    node.work()
    node.after(4)
    node.world.send(second, B)
    node.spool.images.association_closed(second.id, "released")
    node.after(4)
    assert node.newest()["state"] == "open"
    node.after(5)
    assert node.newest()["images"] == 2 and node.newest()["state"] == "in_delivery"


def test_an_image_between_look_and_close_keeps_the_arrival_open(rig):
    node: Rig = rig(CT)
    node.world.receive(A)
    node.work()
    node.world.clock.advance(5)
    close, came = node.spool.arrivals.close, []

    def close_late(id, why, *, images, **more):
        if not came:
            came.append(node.world.receive(B))
        return close(id, why, images=images, **more)

    node.spool.arrivals.close = close_late
    node.work()
    assert node.newest()["state"] == "open" and node.newest()["images"] == 2
    node.after(5)
    node.after(60)
    assert node.newest()["state"] == "in_delivery" and len(node.spool.arrivals.list()) == 1


def test_a_source_has_its_own_times(rig):
    node: Rig = rig(
        CT, sources={"slow": {"calling_ae": "MR1", "quiet_s": 20.0}, "ct1": {"calling_ae": "X", "quiet_s": 1.0}}
    )
    node.world.receive(A, calling_ae="MR1")  # found by its AE title
    node.world.receive(TestImage(study=2), calling_ae="CT1")  # the receiver said which source it is
    node.work()
    node.after(1)
    assert [row["state"] for row in node.spool.arrivals.list()] == ["in_delivery", "open"]
    node.after(18)
    assert node.spool.arrivals.list(calling_ae="MR1")[0]["state"] == "open"
    node.after(1)
    assert node.spool.arrivals.list(calling_ae="MR1")[0]["state"] == "in_delivery"


def test_a_router_that_starts_counts_anew_and_loses_nothing(rig):
    node: Rig = rig(CT)
    node.world.receive(A)
    node.work()
    node.world.clock.advance(100)
    node.new_router()
    node.work()
    assert node.newest()["state"] == "open"
    node.after(5)
    assert node.newest()["state"] == "in_delivery"


def test_an_association_whose_worker_died_counts_as_aborted(rig):
    node: Rig = rig(CT)
    points_spool = node.world.open("receiver-process")
    owner = points_spool.workers.enter("receiver", "0").owner
    node.spool.images.association_opened(bytes(16), owner, "CT1", "SCANPOST", "10.0.0.1", None)
    node.world.kill_one("receiver-process")
    assert node.router.recover() == {"deliveries_given_back": 0, "associations_aborted": 1}
    assert [event.data["how"] for event in node.events("association.closed")] == ["aborted"]
    assert node.spool.workers.dead("receiver") == [owner], "the receiver must still find its dead worker to adopt files"


def test_the_pass_returns_when_the_next_arrival_is_due(rig):
    node: Rig = rig(CT, sources={"s": {"calling_ae": "CT1", "quiet_s": 0.4}})
    assert node.router.one_pass([]) == REST_S  # nothing goes on: until something is committed
    node.world.receive(A)
    assert abs(node.router.one_pass([]) - 0.4) < 1e-6


def test_a_flood_of_image_nudges_does_not_make_a_flood_of_looks(rig):
    node: Rig = rig(CT)
    node.work()
    looks = []
    open_ones = node.spool.arrivals.open_ones
    node.spool.arrivals.open_ones = lambda: looks.append(1) or open_ones()
    for _ in range(1000):
        assert node.router.one_pass([Nudge("arrivals", {"arrival": 1})]) > 0
    assert looks == []
    node.world.clock.advance(0.05)
    node.router.one_pass([Nudge("arrivals", {"arrival": 1})])
    assert looks == [], "no rule asks about single images"
    node.router.one_pass([Nudge("arrivals", {"arrival": 1, "how": "released"})])
    assert looks == [1], "the end of an association may complete a series"
    node.world.clock.advance(0.25)
    node.router.one_pass([Nudge("arrivals", {"arrival": 1})])
    assert looks == [1, 1]


def test_an_arrival_that_cannot_be_closed_is_held_and_the_others_go_on(rig):
    node: Rig = rig(CT)
    node.world.receive(A)
    bad = node.newest()["id"]
    node.world.receive(TestImage(study=2))
    good = node.newest()["id"]
    close = node.spool.arrivals.close

    def broken(id, why, *, images, **more):
        if id == bad:
            raise ValueError("Doe^John")
        return close(id, why, images=images, **more)

    node.spool.arrivals.close = broken
    node.work()
    for _ in range(3):
        node.after(5)
    assert node.arrival(good)["state"] == "in_delivery"
    assert node.arrival(bad)["state"] == "held" and "ValueError" in node.arrival(bad)["reason"]
    assert "Doe" not in str(node.log.lines)


def test_fan_out_makes_one_delivery_per_target(rig):
    node: Rig = rig(ALL, {**CT, "targets": ["pacs"], "priority": "urgent"})
    arrival = node.series(A, B, C)
    assert node.deliveries(arrival["id"]) == {"archive": "waiting", "pacs": "waiting"}
    assert sorted(TARGETS) == ["archive", "pacs", "research"]
    priorities = {row["target"]: row["priority"] for row in node.spool.deliveries.list()}
    assert priorities == {"pacs": 0, "archive": 1}


def test_a_closed_arrival_tells_for_mining_in_which_zone_its_scanner_tells_time(rig):
    node: Rig = rig(CT)
    more = {"node.time_zone": "Asia/Tokyo", "mining.extra_tags": ["PatientID"]}
    node.settings = load_settings(node.world.home, more, environ={})
    node.router = node.new_router()
    node.world.receive(A)
    node.work()
    node.after(5)
    (event,) = node.events("arrival.completed")
    assert event.phi["mining"] == {"values": {"PatientID": "T1"}, "extra": ["PatientID"], "zone": "Asia/Tokyo"}


def test_debug_lines_tell_why_a_series_is_not_complete_and_do_not_flood(rig):
    node: Rig = rig(CT)
    opened = node.world.connect()
    node.world.send(opened, A)

    def told() -> list[str]:
        return [line["why"].partition(";")[0] for line in node.log.lines if line["action"] == "arrival_waits"]

    for _ in range(5):
        node.work()
    assert told() == ["an association that brought images is open"]
    node.spool.images.association_closed(opened.id, "released")
    node.work()
    assert told()[1:] == ["all its associations were released"]
    node.after(4.9)
    node.after(0.1)
    assert node.newest()["why"] == "released" and len(told()) == 2
