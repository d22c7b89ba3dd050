"""Deliveries to groups: which member they go to, and what becomes of them when it fails."""

from __future__ import annotations

import pytest
from dispatcher_fakes import FAST, FixedRouting, deliveries, make_slot, receive, route, series, states
from hypothesis import given
from hypothesis import strategies as st

from actors.groups import bindings, usable
from protocol.errors import AssociationAborted, NetworkError, TargetUnreachable
from protocol.spool.binding import Binding, candidates
from protocol.spool.outbox import Cursor
from protocol.testing.fakes import digest
from protocol.testing.images import TestImage

ABC = ("a", "b", "c")


class Node:
    """A world with the group `both` of targets a and b, one slot, and what a router does once a second."""

    def __init__(self, world, mode="failover", **more):
        self.world, self.spool, self.clock = world, world.spool, world.clock
        self.group = {"mode": mode, "members": ["a", "b"], "patience_s": 30.0, **more}
        self.routing = FixedRouting({name: {"retry": dict(FAST)} for name in "ab"}, groups={"both": self.group})
        self.slot = make_slot(self.spool, self.routing, self.clock, world.target)

    def send(self, number=1, images=2, targets=("both",), **more):
        arrival = receive(self.spool, series(number, images, **more))
        route(self.spool, arrival, *targets, group=targets == ("both",))
        return arrival

    def run(self):
        while self.slot.run_once():
            pass

    def sweep(self):
        configuration = self.routing.configuration
        there = usable(configuration, self.spool.targets.all(), self.clock.now())
        patience_s = {name: group.patience_s for name, group in configuration.groups.items()}
        return self.spool.deliveries.unbind(bindings(configuration), there, patience_s)

    def got(self, name):
        return self.world.target(name).images

    @property
    def delivery(self):
        (row,) = deliveries(self.spool)
        return row


def test_failover_takes_the_first_member_that_works_and_says_which_it_was(world):
    node = Node(world)
    node.send()
    node.run()
    assert (node.got("a"), node.got("b")) == (2, 0)
    assert (node.delivery["target"], node.delivery["target_group"], node.delivery["state"]) == (
        "a",
        "both",
        "delivered",
    )


def test_when_the_first_member_is_away_the_delivery_goes_to_the_next_and_later_ones_at_once(world):
    node = Node(world)
    world.target("a").away = True
    node.send()
    node.run()
    assert (node.delivery["state"], node.delivery["target"]) == ("retrying", "a")
    assert node.sweep() == 1
    node.run()
    assert (node.got("a"), node.got("b")) == (0, 2)
    node.send(2)
    node.run()
    assert node.got("b") == 4 and world.target("a").associations == 0
    (unbound,) = [one for one in node.spool.outbox.read(Cursor(0, 0), 1000) if one.type == "delivery.unbound"]
    assert (unbound.data["member"], unbound.data["target"]) == ("a", "both")


def test_a_group_and_a_target_take_turns(world):
    node = Node(world)
    node.routing.change({name: {} for name in ABC}, groups={"both": node.group})
    for number in range(3):
        node.send(2 * number + 1, images=1)
        node.send(2 * number + 2, images=1, targets=("c",))
    order = []
    for name in "ac":
        world.target(name).connect = lambda name=name: order.append(name)
    node.run()
    assert "".join(order) in ("acacac", "cacaca")


def test_it_goes_back_to_the_first_member_when_that_one_is_there_again(world):
    node = Node(world)
    world.target("a").away = True
    node.send()
    node.run()
    node.sweep()
    node.run()
    world.target("a").away = False
    node.clock.advance(120)
    node.send(2)
    node.run()
    assert (node.got("a"), node.got("b")) == (2, 2)


def test_a_paused_member_is_passed_over_and_what_was_bound_to_it_moves_on(world):
    node = Node(world)
    world.target("a").away = True
    node.send()
    node.run()
    world.target("a").away = False
    node.clock.advance(120)
    node.spool.targets.pause("a", "service", "ann", None, node.spool.commands.ask("target.pause", "ann", {}))
    assert node.sweep() == 1
    node.run()
    assert (node.got("a"), node.got("b")) == (0, 2)


def test_one_that_has_begun_waits_for_its_member_and_then_begins_anew_at_another(world):
    node = Node(world)
    world.target("a").abort_at = 3
    node.send(images=4)
    node.run()
    world.target("a").away = True
    assert node.delivery["sent"] == 2
    assert node.sweep() == 0, "it may come back in a moment"
    node.clock.advance(31)
    node.run()
    assert node.sweep() == 1
    assert (node.delivery["progress"], node.delivery["sent"], node.delivery["target"]) == (0, 0, "both")
    node.run()
    assert node.got("b") == 4 and states(node.spool) == ["delivered"]
    assert node.spool.accounting.balance() == []


def test_one_that_has_begun_while_the_clock_was_ahead_waits_no_longer_for_its_member(world):
    node = Node(world)
    world.target("a").abort_at = 3
    world.clock.jump_wall(86_400)
    node.send(images=4)
    node.run()
    world.target("a").away = True
    node.clock.advance(1)
    node.run()
    assert node.sweep() == 0
    world.clock.jump_wall(-86_400)
    assert node.delivery["sent"] == 2 and node.sweep() == 1


def test_a_member_that_comes_back_in_time_gets_the_rest_only(world):
    node = Node(world)
    world.target("a").abort_at = 3
    node.send(images=4)
    node.run()
    node.clock.advance(5)
    node.sweep()
    node.run()
    assert (node.got("a"), node.got("b")) == (4, 0)


def test_while_no_member_is_there_a_delivery_stays_where_it_is(world):
    node = Node(world)
    world.target("a").away = world.target("b").away = True
    node.send()
    for _ in range(4):
        node.run()
        node.sweep()
    assert node.delivery["state"] in ("waiting", "retrying")
    world.target("b").away = False
    for _ in range(5):
        node.clock.advance(130)
        node.sweep()
        node.run()
    assert states(node.spool) == ["delivered"]


def test_a_member_that_left_the_configuration_gives_its_deliveries_back(world):
    node = Node(world)
    world.target("a").away = True
    node.send()
    node.run()
    node.routing.change({"b": {"retry": dict(FAST)}}, groups={"both": {"mode": "failover", "members": ["b"]}})
    assert node.sweep() == 1
    node.run()
    assert (node.got("b"), states(node.spool)) == (2, ["delivered"])


def test_all_of_a_patient_goes_to_one_member_and_patients_are_spread(world):
    node = Node(world, "sticky", sticky_by="study")
    for study in range(1, 13):
        for number in (1, 2):
            node.send(number, 1, study=study)
    node.run()
    places = {}
    for name in "ab":
        for uid in world.target(name).received:
            places.setdefault(uid.rsplit(".", 2)[0], set()).add(name)
    assert all(len(names) == 1 for names in places.values())
    assert node.got("a") and node.got("b") and node.got("a") + node.got("b") == 24


def test_the_images_of_one_patient_stay_together_whatever_their_study(world):
    node = Node(world, "sticky")
    for study in range(1, 9):
        node.send(1, 1, study=study)  # the test images are all of one patient
    node.run()
    assert sorted((node.got("a"), node.got("b"))) == [0, 8]


def test_a_group_and_its_member_named_together_are_two_deliveries_and_a_second_order_to_the_group_none(world):
    node = Node(world)
    arrival = node.send()
    node.slot.run_once()
    command = node.spool.commands.ask("series.route", "ann", {})
    assert command and states(node.spool) == ["delivered"]
    route_again = receive(node.spool, series(2, 1))
    route(node.spool, route_again, "both", group=True)
    claim = node.spool.deliveries.claim(
        "x", {"a": 1, "b": 1}, node.clock.now(), groups=bindings(node.routing.configuration)
    )
    assert (claim.target, claim.group) == ("a", "both")
    assert "both" in node.spool.deliveries.targets_in_use() and "a" in node.spool.deliveries.targets_in_use()
    assert arrival != route_again


@given(
    st.sampled_from(["failover", "balance", "sticky"]),
    st.dictionaries(st.sampled_from(ABC), st.integers(0, 3)),
    st.dictionaries(st.sampled_from(ABC), st.integers(0, 3)),
    st.text(max_size=5),
)
def test_only_a_usable_member_with_room_is_named(mode, sending, limits, key):
    named = candidates(Binding(mode, ABC), key, sending, limits)
    assert all(sending.get(name, 0) < limits.get(name, 0) for name in named)
    usable_ones = [name for name in ABC if limits.get(name, 0) > 0]
    if mode == "failover":
        assert named in ([], usable_ones[:1])
    if mode == "balance":
        loads = [sending.get(name, 0) / limits[name] for name in named]
        assert loads == sorted(loads) and len(named) == sum(sending.get(n, 0) < limits[n] for n in usable_ones)


@given(st.lists(st.text(max_size=8), unique=True, min_size=1, max_size=40), st.sampled_from(ABC))
def test_a_member_that_goes_moves_no_key_of_the_others(keys, gone):
    everybody = dict.fromkeys(ABC, 1)
    rest = {name: 1 for name in ABC if name != gone}
    for key in keys:
        (before,) = candidates(Binding("sticky", ABC), key, {}, everybody)
        (after,) = candidates(Binding("sticky", ABC), key, {}, rest)
        assert after == before or before == gone


def begun_at_a(world, images=4, **more):
    """A delivery of which member `a` has two images, after which it broke off."""
    node = Node(world, **more)
    world.target("a").abort_at = 3
    node.send(images=images)
    node.run()
    assert (node.delivery["target"], node.delivery["sent"]) == ("a", 2)
    return node


@pytest.mark.parametrize("other_is_away", [False, True])
def test_who_left_the_configuration_keeps_no_delivery_of_its_group(world, other_is_away):
    node = begun_at_a(world)
    if other_is_away:  # then it waits for that one
        node.spool.targets.leave_alone("b", node.clock.now() + 50, "away")
    node.routing.change({"b": {"retry": dict(FAST)}}, groups={"both": {**node.group, "members": ["b"]}})
    node.sweep()
    assert node.spool.deliveries.hold_orphans({"b", "both"}) == {}
    node.clock.advance(100)
    node.sweep()
    node.run()
    assert (node.got("b"), states(node.spool)) == (4, ["delivered"])


def test_a_member_outside_its_schedule_keeps_no_delivery_from_one_that_is_open(world):
    node = begun_at_a(world)
    noon = [{"start": "12:00", "end": "12:01"}]
    closed = {"a": {"retry": dict(FAST), "schedule": noon}, "b": {"retry": dict(FAST)}}
    node.routing.change(closed, groups={"both": node.group})
    node.clock.advance(31)
    assert node.sweep() == 1
    node.run()
    assert (node.got("b"), states(node.spool)) == (4, ["delivered"])


@pytest.mark.parametrize("there", [True, False])
def test_a_member_that_went_away_before_it_could_be_asked_to_commit_does_not_keep_the_delivery(world, there):
    node = Node(world)
    member = {"retry": dict(FAST), "commitment": {"wait_s": 10.0}}
    node.routing.change({"a": member, "b": member}, groups={"both": node.group})

    def ask(spool, claim, settings, commitment, alive):
        if claim.target == "a":
            raise AssociationAborted("no N-ACTION") if there else TargetUnreachable("away")
        spool.confirmations.ask(claim)

    node.slot = make_slot(node.spool, node.routing, node.clock, world.target, ask=ask)
    node.send(images=3)
    node.run()
    assert (node.delivery["state"], node.delivery["target"], node.delivery["sent"]) == ("retrying", "a", 3)
    world.target("a").away = not there
    for _ in range(8):
        node.clock.advance(5)
        node.run()
        node.sweep()
    node.run()
    if there:  # it takes images, so deliveries go on to it
        assert node.delivery["target"] == "a" and node.spool.targets.all()["a"].breaker == "closed"
    else:
        assert (node.delivery["state"], node.delivery["target"], node.got("b")) == ("confirming", "b", 3)


ONE_TRY = {**FAST, "max_attempts": 1}


def limited(world, a, b, **more):
    """A node whose members count their tries."""
    node = Node(world, **more)
    node.routing.change({"a": {"retry": a}, "b": {"retry": b}}, groups={"both": node.group})
    return node


def go_on(node, seconds):
    """So many seconds, with a look of slot and router in each."""
    for _ in range(seconds):
        node.run()
        node.sweep()
        node.clock.advance(1)
    node.run()


@pytest.mark.parametrize("how", ["away", "aborts", "refuses for now"])
def test_a_member_that_has_used_up_its_tries_is_followed_by_another_one(world, how):
    node = limited(world, ONE_TRY, ONE_TRY)
    if how == "away":
        world.target("a").away = True
    elif how == "aborts":
        world.target("a").abort_at = 3
    else:
        world.target("a").refuse.update({one.sop_uid: 0xA700 for one in series(1, 4)})
    node.send(images=4)
    go_on(node, 3)
    assert (node.delivery["state"], node.delivery["target"], node.got("b")) == ("delivered", "b", 4)
    assert node.spool.accounting.balance() == []


def test_a_delivery_that_no_member_takes_is_parked_once_the_tries_of_all_are_used_up(world):
    node = limited(world, {**FAST, "max_attempts": 2}, {**FAST, "max_attempts": 2})
    for name in "ab":  # the one takes some, the other none; both fail always
        world.target(name).refuse.update({series(1, 4)[3].sop_uid: 0xA700})
    node.send(images=4)
    go_on(node, 60)
    assert node.delivery["state"] == "parked" and {node.got("a"), node.got("b")} == {3}


def test_what_only_one_member_counts_ends_with_that_member(world):
    node = limited(world, ONE_TRY, dict(FAST))
    world.target("a").away = world.target("b").away = True
    node.send(images=2)
    go_on(node, 30)
    assert node.delivery["state"] in ("waiting", "retrying")
    world.target("b").away = False
    go_on(node, 90)
    assert (node.delivery["state"], node.got("b")) == ("delivered", 2)


def test_a_member_that_takes_nothing_for_good_is_followed_by_another_one_and_two_such_park(world):
    node = Node(world)

    def closed(name):
        def connect():
            raise NetworkError("rejected", False)

        world.target(name).connect = connect

    closed("a")
    node.send(images=2)
    go_on(node, 3)
    assert (node.delivery["state"], node.delivery["target"], node.got("b")) == ("delivered", "b", 2)
    closed("b")
    node.send(2)
    go_on(node, 100)
    assert states(node.spool) == ["delivered", "parked"]


def test_waits_grow_at_the_member_that_counts_no_tries(world):
    slow = {"first_s": 10.0, "factor": 2.0, "max_s": 1000.0}
    node = limited(world, ONE_TRY, slow)
    world.target("a").away = world.target("b").away = True
    node.spool.targets.pause("a", "service", "ann", None, node.spool.commands.ask("target.pause", "ann", {}))
    node.send(images=2)
    go_on(node, 200)
    assert 3 <= node.delivery["attempts"] <= 6


def pause(node, name):
    node.spool.targets.pause(name, "service", "ann", None, node.spool.commands.ask("target.pause", "ann", {}))


def test_a_series_that_two_members_never_take_while_they_take_others_is_not_handed_to_and_fro(world):
    node = Node(world)
    tried = []
    for name in "ab":

        def connect(name=name):
            tried.append(name)
            raise NetworkError("rejected", False)

        world.target(name).connect = connect
    node.send()
    for _ in range(20):
        node.slot.run_once()
        for name in "ab":
            node.spool.targets.answers(name)  # as it does when it answers for another delivery
        node.clock.advance(1)
    assert node.delivery["state"] == "parked" and tried == ["a", "b"]


def of_three(world, mode, **more):
    """A node whose group has a third member; the first takes nothing for good, while it is there for others."""
    node = Node(world, mode, **more)
    node.group["members"] = [*ABC]
    node.routing.change({name: {"retry": dict(FAST)} for name in ABC}, groups={"both": node.group})

    def connect():
        raise NetworkError("rejected", False)

    world.target("a").connect = connect
    return node


def while_a_answers_others(node):
    for _ in range(40):
        node.slot.run_once()
        node.spool.targets.answers("a")
        node.clock.advance(1)


def test_what_a_member_does_not_take_goes_to_the_one_with_the_least_load(world):
    node = of_three(world, "balance")
    for number in range(1, 5):
        node.send(number)
    node.spool.deliveries.claim("x", {"b": 1}, node.clock.now(), groups=bindings(node.routing.configuration))
    while_a_answers_others(node)
    assert [(row["target"], row["state"]) for row in deliveries(node.spool)] == [("b", "sending")] + 3 * [
        ("c", "delivered")
    ]


def test_what_a_member_does_not_take_follows_its_study_to_where_that_goes_without_the_member(world):
    node = of_three(world, "sticky", sticky_by="study")
    for number, study in enumerate(range(1, 13), 1):
        node.send(number, 1, study=study)
    while_a_answers_others(node)
    pause(node, "a")
    for number, study in enumerate(range(1, 13), 1):
        node.send(100 + number, 1, study=study)
    node.run()
    went = [row["target"] for row in deliveries(node.spool)]
    assert went[:12] == went[12:] and set(went) == {"b", "c"}


@pytest.mark.parametrize("other", [{}, {"max_attempts": 2}])
def test_what_no_other_member_can_take_now_stays_with_what_its_member_has_of_it(world, other):
    node = limited(world, {**FAST, "max_attempts": 2}, {**FAST, **other})
    world.target("a").chokes.add(series(1, 4)[3].sop_uid)
    pause(node, "b")
    node.send(images=4)
    go_on(node, 60)
    assert world.target("a").repeated == 0 and node.delivery["sent"] == 3
    assert node.delivery["state"] == ("parked" if other else "retrying")
    if not other:
        node.spool.targets.resume("b", "ann", node.spool.commands.ask("target.resume", "ann", {}))
        go_on(node, 90)
        assert (node.delivery["state"], node.got("b")) == ("delivered", 4)


def test_what_its_member_answers_and_no_other_member_can_take_now_waits_until_one_can(world):
    node = limited(world, ONE_TRY, dict(FAST))
    world.target("a").refuse[series(1, 1)[0].sop_uid] = 0xA700
    pause(node, "b")
    node.send(images=1)
    go_on(node, 3)
    assert (node.delivery["state"], node.delivery["target"]) == ("retrying", "a")
    node.spool.targets.resume("b", "ann", node.spool.commands.ask("target.resume", "ann", {}))
    go_on(node, 90)
    assert (node.delivery["state"], node.got("b")) == ("delivered", 1)


@pytest.mark.parametrize("counted", [{}, {"max_attempts": 100}])
def test_what_is_older_than_its_member_tries_for_is_parked_and_not_handed_on(world, counted):
    node = limited(world, {**FAST, "give_up_after_s": 10.0, **counted}, {**FAST, **counted})
    world.target("a").refuse[series(1, 1)[0].sop_uid] = 0xA700
    node.send(images=1)
    go_on(node, 30)
    assert (node.delivery["state"], node.delivery["target"], node.got("b")) == ("parked", "a", 0)


@pytest.mark.parametrize("older", ["waits", "is there"])
def test_an_older_version_does_not_follow_the_newer_one_whose_delivery_left_that_member_half_sent(world, older):
    node = limited(world, ONE_TRY, ONE_TRY)
    route(node.spool, receive(node.spool, series(1, 3)), "a")
    first = node.delivery["id"]

    def ask(act):
        node.spool.deliveries.change([first], act, node.spool.commands.ask(f"queue.{act}", "ann", {}))

    ask("hold")
    newer, other = TestImage(series=1, instance=2, content=b"corrected"), TestImage(series=1, instance=5)
    world.target("a").chokes.add(other.sop_uid)
    route(node.spool, receive(node.spool, [newer, other]), "both", group=True)
    if older == "is there":  # while the newer one is bound to that member, and not sent yet
        groups = bindings(node.routing.configuration)
        node.spool.deliveries.give_back(node.spool.deliveries.claim("x", {"a": 2}, node.clock.now(), groups=groups))
        ask("release")
    go_on(node, 30)
    if older == "waits":
        ask("release")
        go_on(node, 30)
    assert states(node.spool) == ["delivered", "delivered"] and node.got("b") == 2
    assert world.target("a").received[newer.sop_uid] == [digest(newer.dataset())] and node.got("a") == 3
    assert node.spool.accounting.balance() == []
