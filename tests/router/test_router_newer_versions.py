"""What rules see of images that came again: the newest version of each, and only that."""

from __future__ import annotations

from router_rig import MR_ONLY, Rig

from protocol.testing.images import TestImage

A, B = TestImage(instance=1), TestImage(instance=2)
CORRECTED = [TestImage(instance=number, modality="MR") for number in (1, 2)]
CT = {"name": "ct", "when": "Modality == 'CT'", "action": "route", "targets": ["archive"]}
THREE = {"name": "three", "when": "count_images() >= 3", "action": "route", "targets": ["research"]}


def test_a_series_that_comes_again_corrected_is_decided_by_the_corrected_header(rig):
    node: Rig = rig(CT, MR_ONLY)
    node.series(A, B)
    node.deliver_all()
    node.series(*CORRECTED)
    node.deliver_all()
    assert node.deliveries(node.newest()["id"]) == {"archive": "delivered", "pacs": "delivered"}
    assert node.newest()["state"] == "delivered"


def test_a_question_about_all_images_is_not_answered_by_versions_that_were_replaced(rig):
    node: Rig = rig({**MR_ONLY, "when": "all_images(Modality == 'MR')"})
    node.series(A, B)
    node.series(*CORRECTED)
    assert node.deliveries(node.newest()["id"]) == {"pacs": "waiting"}


def test_images_of_a_discarded_series_that_come_again_are_not_counted_twice(rig):
    node: Rig = rig(THREE)
    assert [node.series(A, B)["state"] for _ in range(2)] == ["discarded", "discarded"]


def test_images_that_come_again_are_not_counted_twice_in_a_study(rig):
    node: Rig = rig({**THREE, "trigger": "study", "study": {"quiet_s": 5}})
    for _ in range(2):
        node.series(A, B)
        node.after(5)
    assert [row["state"] for row in node.spool.arrivals.list()] == ["discarded", "discarded"]


def test_a_held_series_is_released_by_all_of_its_images_although_one_came_again_meanwhile(rig):
    both = {"name": "both", "when": "count_images() >= 2", "action": "route", "targets": ["archive"]}
    node: Rig = rig({"name": "look", "when": "True", "action": "hold"}, both)
    held = node.series(A, B)["id"]
    node.publish(both)
    node.series(CORRECTED[0])
    assert node.deliveries(node.newest()["id"]) == {"archive": "waiting"}
    assert node.ask("series.release", arrival=held).state == "done"
    node.deliver_all()
    assert set(node.world.targets["archive"].received) == {A.sop_uid, B.sop_uid}


def test_an_image_rule_judges_the_images_of_the_arrival_alone_whatever_came_again(rig):
    rule = {"name": "mr", "when": "Modality == 'MR'", "action": "route", "targets": ["pacs"], "trigger": "image"}
    node: Rig = rig(rule)
    node.series(A, B)
    node.series(CORRECTED[0])
    why = node.spool.arrivals.story(node.newest()["id"])["decisions"][-1]["explanation"]["rules"][0]["why"]
    assert why == "judged each image by itself: true of 1 of 1"
