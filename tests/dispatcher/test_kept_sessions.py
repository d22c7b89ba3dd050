"""Sessions kept after a delivery: the next one to the same target goes through them, unless anything speaks against it."""

from __future__ import annotations

from dispatcher_fakes import FakeConnection, FixedRouting, SilentLog, deliveries, make_slot, receive, route, series

from protocol.errors import AssociationAborted, PeerTimeout

RETRY = {"first_s": 1.0, "factor": 1.0, "max_s": 1.0, "max_attempts": 3}


class Site:
    """A slot whose targets keep sessions for 5 s; `sessions` are all that were ever opened."""

    def __init__(self, world, *names, reuse_s=5.0, count=1):
        self.world, self.spool, self.clock = world, world.spool, world.clock
        self.routing = FixedRouting({name: {"retry": RETRY} for name in names})
        self.log, self.sessions, self.number = SilentLog(), [], 0
        site = self

        class Kept(FakeConnection):
            ended = False  # by the other side, while idle
            fault: Exception | None = None  # of the next send

            def open(self, images, alive):
                self.fake.connect()
                made = Kept(self.fake, self.fs)
                made.open_now = True
                site.sessions.append(made)
                return made

            def again(self, images, alive):
                assert images
                return self.open_now and not self.ended

            def send(self, image, following=None):
                if self.fault is not None:
                    self.open_now, fault, self.fault = False, self.fault, None
                    raise fault
                return super().send(image, following)

        def make(settings):
            made = Kept(world.target(settings.called_ae.lower()), world.spool.fs)
            made.reuse_s, made.sessions = reuse_s, count
            return made

        self.slot = make_slot(self.spool, self.routing, self.clock, world.target, make=make, log=self.log)

    def deliver(self, *targets, images=3):
        """One more series; the states of all its deliveries."""
        self.number += 1
        route(self.spool, receive(self.spool, series(self.number, images)), *targets)
        while self.slot.run_once():
            pass
        return [row["state"] for row in deliveries(self.spool)[-len(targets) :]]

    def open_now(self):
        return [session.open_now for session in self.sessions]


def test_consecutive_deliveries_share_an_association(world):
    site = Site(world, "a", "b")
    for _ in range(4):
        assert site.deliver("a", "b") == ["delivered", "delivered"]
        site.clock.advance(3)
    assert world.target("a").associations == world.target("b").associations == 1
    assert world.target("a").images == 12 and world.target("a").repeated == 0 and site.open_now() == [True, True]


def test_all_of_several_sessions_are_kept(world):
    site = Site(world, "a", count=3)
    for _ in range(3):
        assert site.deliver("a", images=30) == ["delivered"]
    assert world.target("a").associations == 3 and world.target("a").images == 90


def test_an_idle_session_ends_in_time_and_the_slot_knows_when_to_wake(world):
    site = Site(world, "a")
    site.deliver("a")
    assert site.slot.rest() == 5.0
    site.clock.advance(3)
    assert site.slot.rest() == 2.0 and site.open_now() == [True]
    site.clock.advance(2)
    assert site.slot.rest() is None and site.open_now() == [False]


def test_a_session_whose_time_is_over_is_not_used_even_if_nobody_tidied(world):
    site = Site(world, "a")
    site.deliver("a")
    site.clock.advance(6)
    assert site.deliver("a") == ["delivered"] and site.open_now() == [False, True]


def test_a_stop_ends_what_is_kept(world):
    site = Site(world, "a")
    site.deliver("a")
    site.slot.close()
    assert site.open_now() == [False]


def test_sessions_that_nobody_answers_any_more_do_not_each_cost_their_time(world):
    site, ends = Site(world, "a", count=3), []
    site.deliver("a", images=30)
    for session in site.sessions:
        session.close = lambda: (site.clock.advance(5), ends.append("close"))
        session.abort = lambda: ends.append("abort")
    site.slot.close()
    assert ends == ["close", "abort", "abort"]


def test_without_reuse_each_delivery_has_its_own(world):
    site = Site(world, "a", reuse_s=0.0)
    site.deliver("a")
    site.deliver("a")
    assert site.open_now() == [False, False] and site.slot.rest() is None


def test_changed_settings_get_a_new_one(world):
    site = Site(world, "a")
    site.deliver("a")
    site.routing.change({"a": {"retry": RETRY, "max_pdu": 16384}})
    assert site.deliver("a") == ["delivered"] and site.open_now() == [False, True]


def test_what_the_other_side_ended_meanwhile_is_replaced_without_a_failed_attempt(world):
    site = Site(world, "a")
    site.deliver("a")
    site.sessions[0].ended = True
    assert site.deliver("a") == ["delivered"] and site.open_now() == [False, True]
    assert "attempt_failed" not in site.log.actions()


def test_what_the_other_side_ends_at_the_very_moment_is_no_failed_attempt_either(world):
    site = Site(world, "a")
    site.deliver("a")
    site.sessions[0].fault = AssociationAborted("closed")
    assert site.deliver("a") == ["delivered"] and site.open_now() == [False, True]
    assert "attempt_failed" not in site.log.actions() and world.target("a").images == 6


def test_an_abort_of_a_new_association_is_a_failed_attempt(world):
    site = Site(world, "a")
    world.target("a").abort_at = 1
    assert site.deliver("a") == ["retrying"] and world.target("a").associations == 1


def test_after_a_timeout_it_is_never_used_again(world):
    site = Site(world, "a")
    site.deliver("a")
    site.sessions[0].fault = PeerTimeout("no answer")
    assert site.deliver("a") == ["retrying"] and site.open_now() == [False]
    site.clock.advance(2)
    assert site.deliver("a") == ["delivered"] and site.open_now() == [False, True]


def test_a_delivery_whose_target_is_paused_or_removed_stops_soon_and_waits(world):
    site = Site(world, "a")
    target, command = world.target("a"), world.spool.commands.ask("target.pause", "test", {})
    store = target.store

    def slow(*image):
        world.clock.advance(0.6)
        if target.images == 3:
            world.spool.targets.pause("a", "maintenance", "test", None, command)
        return store(*image)

    target.store = slow
    assert site.deliver("a", images=50) == ["waiting"]
    (row,) = deliveries(world.spool)
    assert 4 <= row["progress"] < 8 and row["attempts"] == 0 and site.open_now() == [False]
    world.spool.targets.resume("a", "test", world.spool.commands.ask("target.resume", "test", {}))
    target.store = lambda *image: (world.clock.advance(0.6), site.routing.change({"b": {}}), store(*image))[2]
    site.slot.run_once()
    (row,) = deliveries(world.spool)
    assert row["state"] == "waiting" and row["progress"] < 12
