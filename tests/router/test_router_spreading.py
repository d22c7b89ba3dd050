"""A source that opens an association per image (or spreads a series over associations): recognised by itself, and only it."""

from __future__ import annotations

from router_rig import CT, Rig

from protocol.spool.arrivals import SPREAD_REMEMBERED
from protocol.testing.images import TestImage


def per_association(node: Rig, *images: TestImage, every_s: float = 1.0, **more) -> None:
    """Each image in an association of its own, one after the other."""
    for image in images:
        node.world.receive(image, **more)
        node.work()
        node.after(every_s)


def series(number: int, images: int = 3) -> list[TestImage]:
    return [TestImage(series=number, instance=instance) for instance in range(1, images + 1)]


def states(node: Rig) -> list[tuple[str, str | None, int]]:
    """(state, why, images) of every arrival, oldest first."""
    return [(row["state"], row["why"], row["images"]) for row in reversed(node.spool.arrivals.list())]


def test_an_association_per_image_makes_the_series_wait_for_idle_time(rig):
    node: Rig = rig(CT)
    per_association(node, *series(1))
    node.after(10)
    assert states(node) == [("open", None, 3)], (
        "released and quiet, but the next image may come in an association of its own"
    )
    per_association(node, TestImage(instance=4), every_s=0.1)
    node.after(59)
    assert states(node) == [("open", None, 4)]
    node.after(1)
    assert states(node) == [("in_delivery", "spread", 4)]


def test_what_one_series_showed_counts_for_the_next_ones_of_that_source(rig):
    node: Rig = rig(CT)
    per_association(node, *series(1))
    node.after(60)
    per_association(node, *series(2), every_s=20)
    assert states(node)[1] == ("open", None, 3), "with quiet_s alone this were three arrivals"
    node.world.receive(TestImage(study=2), calling_ae="CT2")
    node.work()
    node.after(5)
    assert states(node)[2] == ("in_delivery", "released", 1), "another source is not made to wait"
    node.after(60)
    assert states(node)[1] == ("in_delivery", "spread", 3)


def test_addenda_tell_of_a_source_whose_associations_are_further_apart_than_the_quiet_time(rig):
    node: Rig = rig(CT)
    per_association(node, *series(1, images=4), every_s=20)
    assert states(node)[0] == ("in_delivery", "released", 1), "nothing was known of it yet"
    assert states(node)[1:] == [("open", None, 3)], "the first addendum told"
    node.after(60)
    assert states(node)[1:] == [("in_delivery", "spread", 3)]
    per_association(node, *series(2), every_s=20)
    assert states(node)[2:] == [("open", None, 3)]


def test_an_addendum_long_after_says_nothing_about_how_the_source_sends(rig):
    node: Rig = rig(CT)
    node.world.receive(TestImage(instance=1))
    node.work()
    node.after(5)
    node.after(600)
    node.world.receive(TestImage(instance=2))
    node.work()
    node.after(5)
    assert states(node) == [("in_delivery", "released", 1)] * 2


def test_a_series_that_is_corrected_and_sent_anew_at_once_is_not_late(rig):
    node: Rig = rig(CT)
    node.world.receive(*series(1))
    node.work()
    node.after(5)
    node.world.receive(*(TestImage(instance=one.instance, content=b"better") for one in series(1)))
    node.work()
    node.after(5)
    assert states(node) == [("in_delivery", "released", 3)] * 2


def test_associations_side_by_side_are_not_taken_for_one_after_the_other(rig):
    node: Rig = rig(CT)
    both = [node.world.connect(), node.world.connect()]
    for association, image in zip(both, series(1, images=2), strict=True):
        node.world.clock.advance(1)
        node.world.send(association, image)
    for association in both:
        node.spool.images.association_closed(association.id, "released")
        node.after(1)
    node.after(4)
    assert states(node) == [("in_delivery", "released", 2)]


def test_a_repetition_after_an_abort_is_not_taken_for_spreading(rig):
    node: Rig = rig(CT)
    node.world.receive(TestImage(instance=1), how="aborted")
    node.after(1)
    node.world.receive(TestImage(instance=1), TestImage(instance=2))
    node.work()
    node.after(60)
    node.world.receive(TestImage(series=2))
    node.work()
    node.after(5)
    assert states(node) == [("in_delivery", "aborted", 2), ("in_delivery", "released", 1)]


def test_a_source_that_does_better_is_believed_again(rig):
    node: Rig = rig(CT)
    per_association(node, *series(1))
    node.after(60)
    for number in range(2, SPREAD_REMEMBERED + 3):
        node.world.receive(*series(number))
        node.work()
        node.after(5)
        node.after(60)
    whys = [why for _, why, _ in states(node)]
    assert whys == ["spread"] * (SPREAD_REMEMBERED + 1) + ["released"]


def test_its_own_idle_time_is_the_one_that_counts(rig):
    node: Rig = rig(CT, sources={"ct1": {"calling_ae": "CT1", "idle_s": 12}})
    per_association(node, *series(1))
    node.after(10)
    assert states(node) == [("open", None, 3)]
    node.after(1)
    assert states(node) == [("in_delivery", "spread", 3)]


def test_a_router_that_starts_anew_knows_what_was_seen(rig):
    node: Rig = rig(CT)
    per_association(node, *series(1))
    node.after(60)
    node.new_router()
    per_association(node, *series(2), every_s=20)
    assert states(node)[1] == ("open", None, 3)


def test_senders_of_late_series_are_listed_with_how_late_they_were(rig):
    node: Rig = rig(CT)
    began = node.world.clock.now()
    per_association(node, *series(1), every_s=100)
    per_association(node, TestImage(study=2), every_s=5, calling_ae="CT2")
    (late,) = node.spool.arrivals.late(began)
    assert (late.calling_ae, late.source, late.why, late.addenda, late.longest_s) == (
        "CT1",
        "ct1",
        "released",
        2,
        100.0,
    )
    assert node.spool.arrivals.late(node.world.clock.now()) == []
