"""What people ask of the router: each command has its effect once and is answered, whatever it says."""

from __future__ import annotations

import pytest
from router_rig import ALL, CT, MR_ONLY, TARGET, Rig

from actors.groups import bindings
from actors.router import queue
from protocol.errors import NotOwner, SpoolError
from protocol.spool.cleaning import Retention
from protocol.states import Priority
from protocol.testing.images import TestImage

A, B = TestImage(instance=1), TestImage(instance=2)
HOLD = {"name": "stop", "when": "True", "action": "hold"}


def parked(node: Rig, target: str, why: str = "no") -> int:
    claim = node.world.claim({target: 1})
    assert claim is not None
    node.spool.deliveries.park(claim, why)
    return claim.delivery


# ---- series


def test_a_discarded_series_is_routed_later(rig):
    node: Rig = rig(MR_ONLY)
    arrival = node.series(A, B)
    answer = node.ask("series.route", arrival=arrival["id"], target="pacs")
    assert (answer.state, answer.answer) == ("done", f"arrival {arrival['id']}: route pacs")
    node.deliver_all()
    assert node.arrival(arrival["id"])["state"] == "delivered"
    assert set(node.world.targets["pacs"].received) == {A.sop_uid, B.sop_uid}


def test_a_delivered_series_is_sent_elsewhere_and_again(rig):
    node: Rig = rig(CT)
    arrival = node.series(A)["id"]
    node.deliver_all()
    assert node.ask("series.route", arrival=arrival, targets=["research", "pacs"]).state == "done"
    node.deliver_all()
    assert len(node.world.targets["pacs"].received[A.sop_uid]) == 2
    assert len(node.world.targets["research"].received[A.sop_uid]) == 1


def test_a_held_series_is_routed_and_that_releases_it(rig):
    node: Rig = rig(HOLD)
    arrival = node.series(A)["id"]
    assert node.ask("series.route", arrival=arrival, target="pacs", priority="urgent").state == "done"
    assert node.arrival(arrival)["state"] == "in_delivery"
    assert node.spool.deliveries.list()[0]["priority"] == 0
    assert len(node.events("arrival.released")) == 1


def test_a_series_in_delivery_is_routed_to_one_more_target_but_not_twice_to_the_same(rig):
    node: Rig = rig(CT)
    arrival = node.series(A)["id"]
    assert node.ask("series.route", arrival=arrival, target="archive").state == "done"
    assert node.deliveries() == {"pacs": "waiting", "archive": "waiting"}
    answer = node.ask("series.route", arrival=arrival, target="pacs")
    assert answer.state == "failed" and "already" in answer.answer


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"target": "nowhere"}, "no target or group 'nowhere'"),
        ({"targets": ["pacs", "nowhere"]}, "nowhere"),
        ({}, "needs a target"),
        ({"target": 7}, "needs a target"),
        ({"target": "pacs", "arrival": 5}, "no arrival 5"),
        ({"target": "pacs", "arrival": "5"}, "must be a number"),
        ({"target": "pacs", "arrival": 2**63}, "must be a number"),
        ({"target": "pacs", "priority": "at once"}, "urgent, normal, offpeak"),
    ],
)
def test_a_route_that_cannot_be_is_answered_with_the_reason_and_changes_nothing(rig, arguments, says):
    node: Rig = rig(MR_ONLY)
    arrival = node.series(A)["id"]
    answer = node.ask("series.route", **{"arrival": arrival, **arguments})
    assert answer.state == "failed" and says in answer.answer
    assert node.arrival(arrival)["state"] == "discarded" and node.deliveries() == {}
    assert node.spool.commands.pending("router") == []


def test_a_series_that_is_parked_at_a_member_of_a_group_is_not_routed_to_the_group_again(rig):
    node: Rig = rig({**CT, "targets": ["pair"]}, groups={"pair": {"mode": "failover", "members": ["pacs", "archive"]}})
    arrival, world = node.series(A)["id"], node.world
    groups, owner = bindings(node.versions.current().configuration), world.worker("dispatcher").owner
    node.spool.deliveries.park(node.spool.deliveries.claim(owner, {"pacs": 1}, world.clock.now(), "", groups), "no")
    answer = node.ask("series.route", arrival=arrival, target="pair")
    assert answer.state == "failed" and "to pacs (of pair) already, it is parked" in answer.answer


def test_a_series_of_which_single_images_wait_is_routed_to_the_same_target_whole(rig):
    node: Rig = rig({**CT, "trigger": "image", "when": "InstanceNumber == 1"})
    arrival = node.series(A, B)["id"]
    assert node.ask("series.route", arrival=arrival, target="pacs").state == "done"
    assert [row["images"] for row in node.spool.deliveries.of_arrival(arrival)] == [1, 2]


def test_an_undecided_series_cannot_be_routed_or_rerouted_by_hand(rig):
    node: Rig = rig(CT)
    node.world.receive(A)
    arrival = node.newest()["id"]
    for kind in ("series.route", "series.reroute"):
        assert node.ask(kind, arrival=arrival, target="pacs").state == "failed"
    node.after(5)
    assert node.arrival(arrival)["state"] == "in_delivery"


def test_reroute_lets_the_rules_of_today_decide(rig):
    node: Rig = rig(MR_ONLY)
    arrival = node.series(A)["id"]
    node.publish(CT)
    assert node.ask("series.reroute", arrival=arrival).state == "done"
    assert node.arrival(arrival)["state"] == "in_delivery"
    assert [one["outcome"] for one in node.spool.arrivals.story(arrival)["decisions"]] == ["discard", "route"]


def test_a_series_is_held_and_released_with_its_deliveries(rig):
    node: Rig = rig(ALL)
    arrival = node.series(A)["id"]
    assert node.ask("series.hold", arrival=arrival, reason="look at it").state == "done"
    assert node.arrival(arrival)["reason"] == "look at it"
    assert set(node.deliveries().values()) == {"held"}
    assert node.world.claim() is None
    assert node.ask("series.release", arrival=arrival).state == "done"
    assert set(node.deliveries().values()) == {"waiting"}


def test_releasing_what_a_hold_rule_holds_follows_the_other_rules_once(rig):
    node: Rig = rig(HOLD, CT)
    arrival = node.series(A)["id"]
    answer = node.ask("series.release", arrival=arrival)
    assert answer.state == "done"
    assert node.arrival(arrival)["state"] == "in_delivery" and node.deliveries() == {"pacs": "waiting"}
    assert len(node.events("arrival.released")) == 1


def test_releasing_what_a_person_held_after_it_was_delivered_is_not_held_by_a_rule_that_came_meanwhile(rig):
    node: Rig = rig(CT)
    arrival = node.series(A)["id"]
    node.deliver_all()
    assert node.ask("series.hold", arrival=arrival).state == "done"
    node.publish({**HOLD, "targets": ["research"]})
    node.work()
    assert node.ask("series.release", arrival=arrival).state == "done"
    node.work()
    assert node.arrival(arrival)["state"] == "in_delivery" and node.deliveries()["research"] == "waiting"


def test_to_release_what_only_a_hold_rule_wants_is_refused_and_does_not_throw_it_away(rig):
    node: Rig = rig(HOLD)
    arrival = node.series(A)["id"]
    answer = node.ask("series.release", arrival=arrival)
    assert answer.state == "failed" and "route or discard it" in answer.answer
    assert node.arrival(arrival)["state"] == "held"


def test_what_a_rule_discards_is_discarded_when_it_is_released(rig):
    node: Rig = rig(HOLD, {"name": "drop", "when": "True", "action": "discard"})
    arrival = node.series(A)["id"]
    assert node.ask("series.release", arrival=arrival).state == "done"
    assert node.arrival(arrival)["state"] == "discarded"


def test_releasing_what_a_rule_error_holds_is_refused_until_a_rule_or_person_names_a_target(rig):
    broken = {**CT, "when": "SeriesInstanceUID > 3"}
    node: Rig = rig(broken)
    arrival = node.series(A)["id"]
    answer = node.ask("series.release", arrival=arrival)
    assert answer.state == "failed" and "name no target" in answer.answer
    node.publish(CT)
    assert node.ask("series.release", arrival=arrival).state == "done"
    assert node.deliveries() == {"pacs": "waiting"}


def test_a_held_series_is_discarded_and_kept(rig):
    node: Rig = rig(HOLD)
    arrival = node.series(A)["id"]
    assert node.ask("series.discard", arrival=arrival).state == "done"
    assert node.arrival(arrival)["state"] == "discarded"
    assert node.ask("series.discard", arrival=arrival).state == "failed"
    assert node.ask("series.release", arrival=arrival).state == "failed"


# ---- the queue


def test_a_parked_delivery_is_retried_and_arrives(rig):
    node: Rig = rig(CT)
    arrival = node.series(A)["id"]
    delivery = parked(node, "pacs")
    assert node.ask("queue.retry", ids=[delivery]).state == "done"
    node.deliver_all()
    assert node.arrival(arrival)["state"] == "delivered"


def test_ids_are_all_or_none(rig):
    node: Rig = rig(ALL)
    node.series(A)
    ids = [row["id"] for row in node.spool.deliveries.list()]
    answer = node.ask("queue.hold", ids=[*ids, 999])
    assert answer.state == "failed" and "999" in answer.answer
    assert set(node.deliveries().values()) == {"waiting"}
    assert node.ask("queue.hold", ids=[*ids, *ids], reason="stop").answer == "hold: 2 deliveries"
    assert node.ask("queue.release", ids=ids).state == "done"
    assert node.ask("queue.priority", ids=ids, priority="urgent").state == "done"
    assert {row["priority"] for row in node.spool.deliveries.list()} == {0}
    assert node.ask("queue.cancel", ids=ids).state == "done"
    assert node.newest()["state"] == "discarded"


@pytest.mark.parametrize(
    ("kind", "arguments", "says"),
    [
        ("queue.retry", {}, "either ids, or what they have in common"),
        ("queue.retry", {"ids": [1], "target": "pacs"}, "either"),
        ("queue.retry", {"ids": "1"}, "list"),
        ("queue.retry", {"ids": ["one"]}, "number"),
        ("queue.retry", {"ids": list(range(1, 502))}, "at most 500"),
        ("queue.retry", {"target": "nowhere"}, "no target 'nowhere'"),
        ("queue.retry", {"target": ["pacs"]}, "name"),
        ("queue.release", {"all_parked": True}, "not for parked"),
        ("queue.priority", {"target": "pacs"}, "urgent, normal, offpeak"),
        ("target.pause", {"target": "nowhere", "reason": "x"}, "no target 'nowhere'"),
        ("target.resume", {}, "no target"),
        ("target.pause", {"target": "pacs", "until": 5.0}, "future"),
        ("target.pause", {"target": "pacs", "until": "noon"}, "future"),
        ("target.test", {"target": "pacs"}, "cannot do target.test"),
    ],
)
def test_nonsense_is_answered_with_the_reason(rig, kind, arguments, says):
    node: Rig = rig(CT)
    answer = node.ask(kind, **arguments)
    assert answer.state == "failed" and says in answer.answer
    assert node.spool.commands.pending("router") == []


def test_everything_parked_of_one_target_or_of_all_is_retried_in_slices(rig, monkeypatch):
    monkeypatch.setattr(queue, "CHUNK", 2)
    monkeypatch.setattr(queue, "CHUNKS_AT_ONCE", 2)
    node: Rig = rig(ALL)
    for study in range(7):
        node.world.receive(TestImage(study=study + 1))
    node.work()
    node.after(5)
    for target in ("pacs", "archive"):
        for _ in range(7):
            parked(node, target)
    command = node.spool.commands.ask("queue.retry", "ann", {"target": "pacs"})
    assert node.router.one_pass([]) == 0.0
    assert node.spool.commands.find(command).state == "new"
    node.work()
    assert node.spool.commands.find(command).answer == "retry: 7 deliveries"
    assert node.spool.accounting.figures().deliveries["parked"] == 7
    assert node.ask("queue.retry", all_parked=True).answer == "retry: 7 deliveries"
    assert node.spool.accounting.figures().deliveries["waiting"] == 14
    assert node.ask("queue.cancel", target="archive").answer == "cancel: 7 deliveries"


def test_what_a_dispatcher_took_meanwhile_is_skipped_and_said(rig):
    node: Rig = rig(CT)
    for study in (1, 2):
        node.world.receive(TestImage(study=study))
    node.work()
    node.after(5)
    walked, claims = node.spool.bulk.next, []

    def found(*arguments):
        part = walked(*arguments)
        if part is not None:
            claims.append(node.world.claim({"pacs": 1}))
        return part

    node.spool.bulk.next = found
    answer = node.ask("queue.cancel", target="pacs")
    assert answer.answer.startswith("cancel: 1 delivery; not 1: a delivery cannot go from sending to cancelled")
    assert answer.progress.done == 1 and answer.progress.total == 2
    assert sorted(row["state"] for row in node.spool.deliveries.list()) == ["cancelled", "sending"]


def test_what_is_being_sent_can_be_held_but_not_retried(rig):
    node: Rig = rig(CT)
    node.series(A)
    claim = node.world.claim()
    assert "being sent" in node.ask("queue.retry", ids=[claim.delivery]).answer
    assert node.ask("queue.hold", ids=[claim.delivery]).state == "done"
    with pytest.raises(NotOwner):
        node.spool.deliveries.complete(claim)
    assert node.deliveries() == {"pacs": "held"}


def test_what_a_person_holds_says_why_and_by_whom(rig):
    node: Rig = rig(ALL)
    node.series(A)
    first, second = (row["id"] for row in node.spool.deliveries.list())
    node.ask("queue.hold", ids=[first], reason="a call from the ward")
    node.ask("queue.hold", ids=[second])
    errors = [node.spool.deliveries.get(one)["error"] for one in (first, second)]
    assert errors == ["a call from the ward", "held by ann"]


def test_the_priority_of_what_is_over_is_not_changed(rig):
    node: Rig = rig(CT)
    node.series(A)
    (delivery,) = (row["id"] for row in node.spool.deliveries.list())
    assert node.ask("queue.priority", ids=[delivery], priority="offpeak").state == "done"
    node.deliver_all()
    assert "does not matter any more" in node.ask("queue.priority", ids=[delivery], priority="urgent").answer
    assert node.spool.deliveries.get(delivery)["priority"] == Priority.OFFPEAK.rank


def test_a_router_that_died_within_a_long_command_does_the_rest(rig, monkeypatch):
    monkeypatch.setattr(queue, "CHUNK", 1)
    monkeypatch.setattr(queue, "CHUNKS_AT_ONCE", 1)
    node: Rig = rig(ALL)
    node.series(A)
    command = node.spool.commands.ask("queue.hold", "ann", {"target": "pacs"})
    node.router.one_pass([])
    assert node.deliveries()["pacs"] == "held"
    node.new_router()
    node.work()
    assert node.spool.commands.find(command).state == "done"
    assert len(node.events("delivery.held")) == 1


def test_orphans_of_a_removed_target_can_be_cancelled(rig):
    node: Rig = rig(ALL)
    node.series(A)
    node.publish(CT, targets={"pacs": TARGET})
    node.work()
    assert node.ask("queue.cancel", target="archive").state == "done"


# ---- targets


def test_a_target_is_paused_and_resumed(rig):
    node: Rig = rig(CT)
    node.series(A)
    until = node.world.clock.now() + 100
    assert node.ask("target.pause", target="pacs", reason="service", until=until).state == "done"
    state = node.spool.targets.all()["pacs"]
    assert (state.paused, state.reason, state.by, state.until) == (True, "service", "ann", until)
    assert node.world.claim() is None
    assert node.ask("target.resume", target="pacs").state == "done"
    assert node.world.claim() is not None


# ---- whatever goes wrong


def test_a_command_that_breaks_inside_is_answered_and_the_next_goes_on(rig):
    node: Rig = rig(CT)
    arrival = node.series(A)["id"]
    hold = node.spool.arrivals.hold

    def broken(*arguments):
        raise RuntimeError("Doe^John")

    node.spool.arrivals.hold = broken
    first = node.spool.commands.ask("series.hold", "ann", {"arrival": arrival})
    second = node.spool.commands.ask("target.pause", "ann", {"target": "pacs"})
    node.work()
    node.spool.arrivals.hold = hold
    assert node.spool.commands.find(first).state == "failed"
    assert "Doe" not in node.spool.commands.find(first).answer + str(node.log.lines)
    assert node.spool.commands.find(second).state == "done"


def test_a_busy_database_is_tried_three_times(rig):
    node: Rig = rig(CT)
    arrival = node.series(A)["id"]
    tries = []

    def busy(*arguments):
        tries.append(1)
        raise SpoolError("database is locked")

    node.spool.arrivals.hold = busy
    command = node.spool.commands.ask("series.hold", "ann", {"arrival": arrival})
    for _ in range(5):
        node.after(1)
    assert len(tries) == 3 and node.spool.commands.find(command).state == "failed"


def test_an_exception_after_the_commit_does_not_undo_or_repeat_the_answer(rig):
    node: Rig = rig(CT)
    arrival = node.series(A)["id"]
    hold = node.spool.arrivals.hold

    def holds_and_breaks(*arguments):
        hold(*arguments)
        raise RuntimeError("after the commit")

    node.spool.arrivals.hold = holds_and_breaks
    answer = node.ask("series.hold", arrival=arrival)
    assert answer.state == "done" and node.arrival(arrival)["state"] == "held"


def test_a_deleted_series_cannot_be_routed(rig):
    node: Rig = rig(MR_ONLY)
    arrival = node.series(A)["id"]
    now = node.world.clock.now() + 1
    assert node.spool.cleaning.mark(arrival, Retention(now, now))
    answer = node.ask("series.route", arrival=arrival, target="pacs")
    assert answer.state == "failed" and "deleted" in answer.answer
    assert node.deliveries() == {}
