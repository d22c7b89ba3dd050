"""Sending elsewhere what was meant for a target that is gone for good."""

from __future__ import annotations

from router_rig import ALL, CT, TARGETS, Rig

from protocol.testing.images import TestImage


def test_everything_for_a_replaced_target_goes_to_another_and_begins_anew(rig):
    node: Rig = rig(CT)
    for study in range(1, 131):  # more than one slice of the list
        node.series(TestImage(study=study))
    node.world.targets["pacs"].away = True
    node.world.deliver(node.world.claim())
    done = node.ask("queue.redirect", target="pacs", to="archive")
    node.work()
    assert node.spool.commands.find(done.id).answer == "redirect: 130 deliveries"
    node.after(120)
    node.deliver_all()
    assert node.world.targets["archive"].images == 130 and node.world.targets["pacs"].images == 0
    assert {row["state"] for row in node.spool.arrivals.list(limit=200)} == {"delivered"}
    told = node.events("delivery.redirected")
    assert len(told) == 130 and {(one.data["before"], one.data["target"]) for one in told} == {("pacs", "archive")}


def test_an_arrival_that_goes_there_anyway_is_not_sent_twice(rig):
    node: Rig = rig(ALL)
    node.series(TestImage())
    assert node.ask("queue.redirect", target="pacs", to="archive").state == "done"
    assert node.deliveries() == {"archive": "waiting", "pacs": "cancelled"}
    node.deliver_all()
    assert node.world.targets["archive"].repeated == 0 and node.newest()["state"] == "delivered"


def test_what_was_half_sent_and_parked_goes_whole(rig):
    node: Rig = rig(CT)
    images = [TestImage(instance=number) for number in (1, 2, 3)]
    node.world.targets["pacs"].refuse[images[1].sop_uid] = 0xA900
    node.series(*images)
    node.deliver_all()
    (parked,) = [row["id"] for row in node.spool.deliveries.list() if row["state"] == "parked"]
    assert node.ask("queue.redirect", ids=[parked], to="research").state == "done"
    node.deliver_all()
    assert node.world.targets["research"].images == 3 and node.newest()["state"] == "delivered"


def test_one_that_is_being_sent_and_one_to_nowhere_are_refused(rig):
    node: Rig = rig(CT, groups={"both": {"mode": "failover", "members": ["archive", "research"]}})
    node.series(TestImage())
    id = node.spool.deliveries.list()[0]["id"]
    assert "no target or group 'nowhere'" in node.ask("queue.redirect", ids=[id], to="nowhere").answer
    assert "is for pacs already" in node.ask("queue.redirect", ids=[id], to="pacs").answer
    assert "needs a target to go to" in node.ask("queue.redirect", ids=[id]).answer
    node.world.claim()
    assert "is sending" in node.ask("queue.redirect", ids=[id], to="archive").answer
    assert node.deliveries() == {"pacs": "sending"}


def test_to_a_group_it_goes_as_to_a_group(rig):
    node: Rig = rig(CT, groups={"both": {"mode": "failover", "members": ["archive", "research"]}})
    node.series(TestImage())
    node.publish({**CT, "targets": ["both"]}, targets={name: TARGETS[name] for name in ("archive", "research", "pacs")},
                 groups={"both": {"mode": "failover", "members": ["archive", "research"]}})  # fmt: skip
    node.work()
    assert node.ask("queue.redirect", target="pacs", to="both").state == "done"
    (row,) = node.spool.deliveries.list()
    assert (row["target"], row["target_group"], row["state"]) == ("both", "both", "waiting")


def test_images_that_went_to_the_old_target_at_once_go_to_the_new_one_with_their_series(rig):
    first = {"name": "first", "when": "InstanceNumber == 1", "trigger": "image", "action": "route", "targets": ["pacs"]}
    node: Rig = rig(first, CT)
    node.world.receive(TestImage(instance=1), TestImage(instance=2))
    node.work()
    node.world.deliver(node.world.claim())
    node.after(5)
    node.after(60)
    (series,) = [row["id"] for row in node.spool.deliveries.list() if not row["singles"]]
    assert node.ask("queue.redirect", ids=[series], to="archive").state == "done"
    assert node.spool.deliveries.get(series)["images"] == 2
    node.deliver_all()
    assert (node.world.targets["pacs"].images, node.world.targets["archive"].images) == (1, 2)
    assert node.newest()["state"] == "delivered"


def test_single_images_of_which_some_were_sent_already_go_all_to_the_new_target(rig):
    single = {
        "name": "single",
        "when": "InstanceNumber != 2",
        "trigger": "image",
        "action": "route",
        "targets": ["pacs"],
    }
    node: Rig = rig(single)
    first, refused = TestImage(instance=1), TestImage(instance=3)
    node.world.targets["pacs"].refuse[refused.sop_uid] = 0xA900
    node.series(first, TestImage(instance=2), refused)
    node.deliver_all()
    (parked,) = node.spool.deliveries.list()
    assert (parked["state"], parked["singles"], node.world.targets["pacs"].images) == ("parked", 1, 1)
    assert node.ask("queue.redirect", ids=[parked["id"]], to="research").state == "done"
    node.deliver_all()
    assert set(node.world.targets["research"].received) == {first.sop_uid, refused.sop_uid}
    assert node.newest()["state"] == "delivered" and node.spool.accounting.balance(files=True) == []


def test_to_a_group_the_whole_series_goes_whichever_member_got_images_at_once(rig):
    first = {"name": "first", "when": "InstanceNumber == 1", "trigger": "image", "action": "route", "targets": ["both"]}
    groups = {"both": {"mode": "balance", "members": ["archive", "research"]}}
    node: Rig = rig(first, {**CT, "targets": ["both"]}, groups=groups)
    node.series(TestImage(instance=1), TestImage(instance=2))
    assert sorted((row["singles"], row["images"]) for row in node.spool.deliveries.list()) == [(0, 2), (1, 1)]
