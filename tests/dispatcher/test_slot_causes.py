"""The cause of a failure goes with it: into the delivery, its events and the log, and it is gone when the delivery goes on."""

from __future__ import annotations

import socket

import pytest
from dispatcher_fakes import FAST, FakeConnection, deliveries
from test_slot_working import Node, events

from actors.targets.registry import make_target
from protocol.errors import AssociationRejected, ConfigurationError, PeerTimeout, TargetUnreachable
from protocol.testing.fakes import OUT_OF_RESOURCES
from protocol.testing.images import TestImage
from tests.peers import free_port

ONCE = {**FAST, "max_attempts": 1}
IMAGE = TestImage(series=1)


def fails(error: Exception):
    class Failing(FakeConnection):
        def open(self, images, alive):
            raise error

    return Failing


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (TargetUnreachable("no"), "unreachable"),
        (PeerTimeout("late"), "timeout"),
        (AssociationRejected("who?", cause="unknown_ae"), "unknown_ae"),
        (RuntimeError("Doe^John"), "internal"),
    ],
)
@pytest.mark.parametrize("retry", [ONCE, FAST], ids=["parked", "retrying"])
def test_a_failed_attempt_says_why(world, error, cause, retry) -> None:
    node = Node(world, "a", retry=retry, make=lambda settings: fails(error)(world.target("a"), world.spool.fs))
    node.send("a")
    node.slot.run_once()
    row = node.delivery
    assert (row["state"], row["cause"]) == ("parked" if retry is ONCE else "retrying", cause)
    assert [one["cause"] for one in events(node.spool, "delivery.attempt.failed")] == [cause]
    assert [one["cause"] for one in events(node.spool, "delivery.parked")] == [cause] * (retry is ONCE)
    assert [one.cause for one in node.spool.deliveries.causes()] == [cause]


@pytest.mark.parametrize(
    ("status", "state", "cause"),
    [(0xA900, "parked", "images_mismatch"), (0xC000, "parked", "images_not_understood"), (0x0122, "parked", "context_refused"),
     (OUT_OF_RESOURCES, "retrying", "out_of_space"), (0x0110, "retrying", "processing_failed")],
)  # fmt: skip
def test_refused_images_say_why_and_a_retry_forgets_it(world, status, state, cause) -> None:
    node = Node(world, "a")
    world.target("a").refuse[TestImage(series=1, instance=2).sop_uid] = status
    node.send("a")
    node.slot.run_once()
    assert (node.delivery["state"], node.delivery["cause"]) == (state, cause)
    world.target("a").refuse.clear()
    node.spool.deliveries.change([node.delivery["id"]], "retry", node.spool.commands.ask("queue.retry", "ann", {}))
    assert node.delivery["cause"] == "" and node.spool.deliveries.causes() == []
    node.run()
    assert (node.delivery["state"], node.delivery["cause"]) == ("delivered", "")


def test_what_most_images_were_refused_for_is_the_cause(world) -> None:
    node = Node(world, "a")
    for instance, status in ((1, 0xA900), (2, 0xC000), (3, 0xC001)):
        world.target("a").refuse[TestImage(series=1, instance=instance).sop_uid] = status
    node.send("a")
    node.run()
    assert node.delivery["cause"] == "images_not_understood"


def test_a_missing_library_a_removed_target_and_a_killer_are_held_with_their_cause(world) -> None:
    def lacks(settings):
        raise ConfigurationError("asyncssh is not installed")

    node = Node(world, "a", "b", make=lacks)
    node.send("a")
    node.run()
    assert node.delivery["cause"] == "configuration"
    node.send("b", number=2)
    node.routing.change({"a": {}})
    assert node.spool.deliveries.hold_orphans({"a"}) == {"b": 1}
    arrival = node.send("a", number=3)
    for _ in range(3):
        owner = node.spool.workers.enter("dispatcher", "9").owner
        assert node.spool.deliveries.claim(owner, {"a": 1}, node.clock.now())
        node.spool.deliveries.reap(owner, alone=True)
    node.send("a", number=4)
    newest = deliveries(node.spool)[-1]
    node.spool.arrivals.hold(newest["arrival"], "look at it")
    assert [row["cause"] for row in deliveries(node.spool)] == [
        "configuration",
        "target_removed",
        "process_died",
        "held_by_rule",
    ]
    assert {one["cause"] for one in events(node.spool, "delivery.held")} == {
        "configuration", "target_removed", "process_died", "held_by_rule"}  # fmt: skip
    assert node.spool.arrivals.get(arrival)["state"] == "in_delivery"


@pytest.mark.parametrize(
    ("host", "cause"), [("127.0.0.1", "connection_refused"), ("no-such-host.invalid", "name_unknown")]
)
def test_a_real_connection_that_does_not_come_about_says_why(world, host: str, cause: str) -> None:
    node = Node(world, "a", make=make_target)
    node.routing.change({"a": {"host": host, "port": free_port(), "retry": dict(ONCE)}})
    node.send("a")
    node.run()
    assert (node.delivery["state"], node.delivery["cause"]) == ("parked", cause)


def test_a_peer_that_never_answers_is_a_timeout(world) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        node = Node(world, "a", make=make_target)
        settings = {"host": "127.0.0.1", "port": server.getsockname()[1], "acse_timeout_s": 0.1, "retry": dict(ONCE)}
        node.routing.change({"a": settings})
        node.send("a")
        node.run()
    assert (node.delivery["state"], node.delivery["cause"]) == ("parked", "timeout")
