"""Draining a node by command: kept, told with who and why, and what is left of the work."""

from __future__ import annotations

from router_rig import ALL, CT, Rig

from protocol.spool.status import node_status
from protocol.testing.images import TestImage

A = TestImage()


def status(node: Rig) -> dict:
    return node_status(node.spool, configured_targets=["pacs"], needed={}, reserve_bytes=0.0, reserve2_bytes=0.0)


def test_a_node_is_drained_and_takes_images_again(rig):
    node: Rig = rig(CT)
    assert status(node)["ready"] and status(node)["draining"] is None
    began = node.world.clock.now()
    assert node.ask("node.drain", reason="new disk").state == "done"
    node.world.clock.advance(100)
    assert node.ask("node.drain", reason="new disk, takes longer").state == "done"
    drain = node.spool.draining.state()
    assert (drain.since, drain.by, drain.reason) == (began, "ann", "new disk, takes longer")
    told = status(node)
    assert (told["ready"], told["serving"], told["draining"]["by"]) == (False, True, "ann")
    assert [(one.data["by"], one.data["reason"]) for one in node.events("node.drain.begun")] == [
        ("ann", "new disk"), ("ann", "new disk, takes longer")]  # fmt: skip
    node.world.kill()
    node.world.restart()
    assert node.spool.draining.state() == drain
    node.new_router()
    assert node.ask("node.resume").answer == "the node takes images again"
    assert node.ask("node.resume").answer == "the node was not draining"
    assert node.spool.draining.state() is None and len(node.events("node.drain.ended")) == 1


def test_what_is_left_is_told_until_nothing_goes_on(rig):
    node: Rig = rig(ALL)
    left = node.spool.draining.left
    assert left().nothing
    association = node.world.connect()
    node.world.send(association, A)
    assert (left().associations, left().arrivals) == (1, {"open": 1})
    node.spool.images.association_closed(association.id, "released")
    node.work()
    node.after(5)
    assert (left().associations, left().arrivals) == (0, {})
    assert left().deliveries == {"archive": {"waiting": 1}, "pacs": {"waiting": 1}}
    node.spool.deliveries.retry(node.world.claim({"pacs": 1}), node.world.clock.now() + 60, "away")
    assert left().deliveries["pacs"] == {"retrying": 1} and left().stays == 0
    node.ask("queue.hold", target="pacs")
    assert left().deliveries == {"archive": {"waiting": 1}} and left().stays == 1
    node.deliver_all()
    assert left().nothing and left().stays == 1
