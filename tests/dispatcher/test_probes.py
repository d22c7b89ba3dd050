"""A target that failed is asked whether it is there again before anything is claimed for it: the circuit breaker."""

from __future__ import annotations

from dispatcher_fakes import (
    FAST,
    FakeConnection,
    FixedRouting,
    SilentLog,
    deliveries,
    make_slot,
    receive,
    route,
    series,
    states,
)

from actors.dispatcher.limits import probes
from protocol.errors import PeerTimeout, TargetUnreachable
from protocol.spool.targets import TargetState
from protocol.testing.crash import Scenario, moments_of_one, run_at_every_point
from protocol.testing.fakes import digest
from protocol.testing.world import World, worlds

SLOW = {"first_s": 10.0, "factor": 2.0, "max_s": 3600.0}


class Probed(FakeConnection):
    """Can be asked; `asked` counts, `meanwhile` is done while it is."""

    def __init__(self, fake, fs, asked, meanwhile=lambda: None):
        super().__init__(fake, fs)
        self.asked, self.meanwhile = asked, meanwhile

    def probe(self):
        self.fake.effects.step("target.probe.before")
        self.asked.append(self.fake.name)
        self.meanwhile()
        if self.fake.away:
            raise TargetUnreachable(f"{self.fake.name} is away")
        return "C-ECHO answered 0x0000"


class Node:
    def __init__(self, world, targets, groups=None, owner="dispatcher/0-0/test", **more):
        self.world, self.spool, self.clock, self.asked, self.log = world, world.spool, world.clock, [], SilentLog()
        self.routing = FixedRouting({name: {"retry": SLOW, **said} for name, said in targets.items()}, groups=groups)
        self.meanwhile = lambda: None
        self.slot = self.another(owner, **more)

    def another(self, owner, **more):
        def make(settings):
            fake = self.world.target(settings.called_ae.lower())
            return Probed(fake, self.spool.fs, self.asked, lambda: self.meanwhile())

        return make_slot(self.spool, self.routing, self.clock, self.world.target, owner=owner, make=make, log=self.log,
                         **more)  # fmt: skip

    def send(self, number, *targets, images=2, **more):
        route(self.spool, receive(self.spool, series(number, images)), *targets, **more)

    def run(self):
        while self.slot.run_once():
            pass

    def wait(self, seconds, step=1.0):
        """Time goes on; the slot looks each second."""
        for _ in range(int(seconds / step)):
            self.clock.advance(step)
            self.run()

    def breaker(self, name="a"):
        return self.spool.targets.all()[name].breaker


def events(spool, kind):
    return [event.data for event in spool.outbox.read(spool.outbox.head()._replace(seq=0)) if event.type == kind]


def test_while_a_target_is_away_no_delivery_uses_up_an_attempt_and_no_image_is_begun(world):
    node = Node(world, {"a": {}})
    world.target("a").away = True
    for number in (1, 2, 3):
        node.send(number, "a")
    node.run()
    assert sorted(row["attempts"] for row in deliveries(node.spool)) == [0, 0, 1] and node.breaker() == "open"
    node.wait(3600)
    assert sorted(row["attempts"] for row in deliveries(node.spool)) == [0, 0, 1]
    assert 50 <= len(node.asked) <= 75, "once a minute, after the first few"
    world.target("a").away = False
    node.wait(61)
    assert states(node.spool) == ["delivered"] * 3 and node.breaker() == "closed"
    assert [row["attempts"] for row in deliveries(node.spool)].count(1) == 2


def test_what_failed_is_sent_within_a_minute_of_the_return_however_long_its_own_wait_is(world):
    node = Node(world, {"a": {"retry": {"first_s": 3600.0, "max_s": 36000.0}}})
    world.target("a").away = True
    node.send(1, "a")
    node.run()
    node.wait(600)
    assert states(node.spool) == ["retrying"] and node.asked
    world.target("a").away = False
    node.wait(61)
    assert states(node.spool) == ["delivered"]


def test_a_series_that_breaks_off_at_a_target_that_is_there_still_waits_its_own_growing_waits(world):
    node = Node(world, {"a": {}})
    target = world.target("a")
    store = target.store
    tries = []

    def broken(*image):
        tries.append(node.clock.now())
        target.abort_at = 1
        return store(*image)

    target.store = broken
    node.send(1, "a")
    node.run()
    node.wait(3600)
    assert 5 <= len(tries) <= 10, "10, 20, 40, ... seconds, not once a minute"


def test_one_probe_at_a_time_over_all_slots(world):
    node = Node(world, {"a": {}})
    other = node.another("dispatcher/1-0/test")
    world.target("a").away = True
    node.send(1, "a")
    node.send(2, "a")
    node.run()
    node.clock.advance(11)
    seen = []
    node.meanwhile = lambda: seen.append(other.run_once())
    node.run()
    assert node.asked == ["a"] and seen == [False]
    node.meanwhile = lambda: None
    assert not other.run_once(), "nor right after it"
    assert node.asked == ["a"]


def test_after_a_probe_that_found_it_one_delivery_goes_and_the_first_answer_lets_the_others_follow(world):
    node = Node(world, {"a": {"concurrency": 2}})
    other = node.another("dispatcher/1-0/test")
    target = world.target("a")
    target.away = True
    for number in (1, 2, 3):
        node.send(number, "a")
    node.run()
    target.away = False
    node.clock.advance(11)
    seen = []
    store = target.store

    def storing(*image):
        if len(seen) < 2:
            seen.append((node.breaker(), other.run_once()))
        return store(*image)

    target.store = storing
    assert node.slot.run_once()
    assert seen[0] == ("half-open", False), "no second delivery before the first answer"
    assert node.breaker() == "closed"
    node.run()
    assert states(node.spool) == ["delivered"] * 3


def test_a_target_that_says_yes_to_probes_and_hangs_at_images_is_left_alone_again(world):
    node = Node(world, {"a": {}})
    target = world.target("a")
    target.away = True
    node.send(1, "a")
    node.send(2, "a")
    node.run()
    target.away = False
    target.hang_at = 1
    node.clock.advance(11)
    node.run()
    assert node.breaker() == "open" and len(node.asked) == 1
    node.wait(120)
    assert states(node.spool) == ["delivered"] * 2


def test_nobody_is_asked_while_nothing_waits_or_it_is_paused_or_by_the_lane_of_urgent_ones(world):
    node = Node(world, {"a": {}})
    lane = node.another("dispatcher/1-0/test", only_urgent=True)
    world.target("a").away = True
    node.send(1, "a")
    node.run()
    node.clock.advance(30)
    lane.run_once()
    assert node.asked == []
    command = node.spool.commands.ask("target.pause", "test", {})
    node.spool.targets.pause("a", "service", "test", None, command)
    node.run()
    assert node.asked == []
    node.spool.targets.resume("a", "test", node.spool.commands.ask("target.resume", "test", {}))
    node.spool.targets.leave_alone("a", node.clock.now())
    (row,) = deliveries(node.spool)
    node.spool.deliveries.change([row["id"]], "cancel", node.spool.commands.ask("queue.cancel", "test", {}))
    node.clock.advance(30)
    node.run()
    assert node.asked == []


def test_a_target_is_not_asked_before_its_time_or_outside_its_schedule_or_if_its_settings_say_no():
    routing = FixedRouting({"a": {}, "b": {"schedule": [{"start": "22:00", "end": "06:00"}]}, "c": {"probe": False}})
    found = {name: TargetState(name, not_before=100.0, opened=50.0) for name in "abc"}
    noon = 12 * 3600.0
    assert probes(routing.configuration, found, noon) == {"a": 100.0}
    assert probes(routing.configuration, {"a": TargetState("a", not_before=noon + 1)}, noon) == {}
    assert probes(routing.configuration, {"a": TargetState("a", not_before=100.0, half_open=True)}, noon) == {}
    assert probes(routing.configuration, {}, noon) == {}


def test_without_probes_the_next_delivery_finds_out(world):
    node = Node(world, {"a": {"probe": False}})
    world.target("a").away = True
    node.send(1, "a")
    node.run()
    node.clock.advance(11)
    node.run()
    assert node.asked == [] and deliveries(node.spool)[0]["attempts"] == 2


def test_a_delivery_is_parked_at_its_greatest_age_though_only_probes_went(world):
    node = Node(world, {"a": {"retry": {**SLOW, "give_up_after_s": 600.0}}})
    world.target("a").away = True
    node.send(1, "a")
    node.run()
    node.wait(590)
    assert states(node.spool) == ["retrying"]
    node.wait(80)
    (row,) = deliveries(node.spool)
    assert (row["state"], row["attempts"], row["error"]) == ("parked", 1, "a is away")
    assert [told["delivery"] for told in events(node.spool, "delivery.parked")] == [row["id"]]
    assert node.spool.accounting.balance() == []


def test_what_a_person_says_while_a_probe_is_under_way_counts_more_than_its_answer(world):
    node = Node(world, {"a": {}})
    world.target("a").away = True
    node.send(1, "a")
    node.run()
    node.clock.advance(11)
    command = node.spool.commands.ask("target.resume", "test", {})
    node.meanwhile = lambda: node.spool.targets.resume("a", "test", command)
    node.slot.run_once()
    state = node.spool.targets.all()["a"]
    assert node.asked == ["a"] and state.probes == 0
    assert "probe_failed" not in node.log.actions()


def test_a_fault_of_ours_in_a_probe_does_not_keep_a_target_shut(world):
    node = Node(world, {"a": {}})
    world.target("a").away = True
    node.send(1, "a")
    node.run()
    world.target("a").away = False
    node.clock.advance(11)

    def broken():
        raise ValueError("bug")

    node.meanwhile = broken
    node.run()
    assert states(node.spool) == ["delivered"] and "probe_broke" in node.log.actions()


def test_opening_and_closing_are_events_each_once(world):
    node = Node(world, {"a": {}})
    world.target("a").away = True
    node.send(1, "a")
    node.run()
    begun = node.clock.now()
    node.wait(300)
    world.target("a").away = False
    node.wait(61)
    (opened,), (closed,) = (events(node.spool, f"target.breaker.{how}") for how in ("opened", "closed"))
    assert opened["error"] == "a is away" and begun < opened["until"] <= begun + 11
    assert closed["why"] == "it answers" and 300 <= closed["seconds"] <= 362


def test_the_first_member_of_a_failover_group_gets_deliveries_again_once_a_probe_found_it(world):
    node = Node(world, {"a": {}, "b": {}}, groups={"both": {"mode": "failover", "members": ["a", "b"]}})
    world.target("a").away = True
    node.send(1, "a")
    node.run()
    node.send(2, "both", group=True)
    node.run()
    assert world.target("b").images == 2
    world.target("a").away = False
    node.clock.advance(61)
    node.send(3, "both", group=True)
    node.run()
    assert world.target("b").images == 2 and world.target("a").images == 4


# ---- deaths ---------------------------------------------------------------------------------------------------------
def prepare(world: World) -> None:
    node = Node(world, {"a": {"retry": FAST}})
    world.target("a").away = True
    node.send(1, "a", images=3)
    node.send(2, "a", images=3)
    node.run()
    node.clock.advance(1)


def work(world: World, owner: str) -> None:
    node = Node(world, {"a": {"retry": FAST}}, owner=owner)
    node.run()
    world.target("a").away = False
    for _ in range(4):
        node.clock.advance(8)
        node.run()


def run(world: World) -> None:
    work(world, world.spool.workers.enter("dispatcher", "0-0").owner)


def check(world: World) -> None:
    for owner in world.spool.workers.dead("dispatcher"):
        world.spool.deliveries.reap(owner)
    work(world, world.spool.workers.enter("dispatcher", "0-1").owner)
    assert states(world.spool) == ["delivered"] * 2
    expected = {image.sop_uid: digest(image.dataset()) for number in (1, 2) for image in series(number, 3)}
    assert {uid: got[0] for uid, got in world.target("a").received.items()} == expected
    assert world.spool.targets.all()["a"].breaker == "closed"
    opened, closed = (len(events(world.spool, f"target.breaker.{how}")) for how in ("opened", "closed"))
    assert opened == closed


def test_a_slot_that_dies_around_a_probe_keeps_no_target_shut_and_loses_nothing(tmp_path):
    scenario = Scenario("probe", worlds(tmp_path), run, check, prepare)
    assert run_at_every_point(scenario, power=False, points=moments_of_one) > 20


def test_a_probe_that_gets_no_answer_is_a_failure_like_any_other(world):
    node = Node(world, {"a": {}})
    world.target("a").away = True
    node.send(1, "a")
    node.run()
    node.clock.advance(11)

    def silent():
        raise PeerTimeout("no answer")

    node.meanwhile = silent
    node.run()
    state = node.spool.targets.all()["a"]
    assert (state.breaker, state.probes, state.last_error) == ("open", 1, "no answer")
