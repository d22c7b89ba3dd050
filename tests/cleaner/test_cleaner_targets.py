"""Targets that want what they were sent kept longer: the longest wish counts, whatever hurry there is."""

from __future__ import annotations

from cleaner_rig import ALWAYS, AT_ONCE, HOUR, Rig

from protocol.spool.arrivals import Verdict
from protocol.spool.retention import Retention

TEN = {**ALWAYS, "cleaner.retention_delivered_h": 10.0, "cleaner.retention_discarded_h": 1.0, "cleaner.sweep_s": 1.0}


def test_an_arrival_is_kept_as_long_as_the_target_that_wants_it_longest(cleaner):
    node: Rig = cleaner(**TEN)
    node.publish(pacs=None, archive=48.0, research=2.0)
    plain = node.series(1)
    long = node.series(2, targets=("pacs", "archive"))
    short = node.series(3, targets=("research",))
    node.after(10 * HOUR + 60)
    assert [node.state(id) for id in (plain, long, short)] == ["deleted", "delivered", "deleted"]
    node.after(37 * HOUR)
    assert node.state(long) == "delivered"
    node.after(2 * HOUR)
    assert node.state(long) == "deleted" and node.files() == 0
    assert node.spool.accounting.balance(files=True) == []


def test_a_target_that_wants_less_than_the_setting_shortens_nothing(cleaner):
    node: Rig = cleaner(**TEN)
    node.publish(pacs=0.0)
    arrival = node.series(1)
    node.after(9 * HOUR)
    assert node.state(arrival) == "delivered"


def test_pressure_does_not_shorten_what_a_target_wants(cleaner):
    node: Rig = cleaner(**AT_ONCE)
    node.publish(pacs=48.0)
    arrival = node.series(1)
    node.free_gb(0.1)
    node.after(HOUR)
    assert node.state(arrival) == "delivered" and node.files() == 2


def test_a_changed_wish_counts_at_once_for_what_is_there_already(cleaner):
    node: Rig = cleaner(**TEN)
    node.publish(pacs=None)
    arrival = node.series(1)
    node.publish(pacs=100.0)
    node.after(50 * HOUR)
    assert node.state(arrival) == "delivered"
    node.publish(pacs=20.0)
    node.after(1)
    assert node.state(arrival) == "deleted"


def test_what_was_delivered_before_it_was_discarded_keeps_its_targets_wish(cleaner):
    node: Rig = cleaner(**TEN)
    node.publish(pacs=48.0)
    arrival = node.series(1)
    command = node.spool.commands.ask("series.reroute", "ann", {"arrival": arrival})
    node.spool.arrivals.reroute(arrival, command)
    node.spool.arrivals.decide(arrival, Verdict("discard", 2, reason="test"))
    node.after(20 * HOUR)
    assert node.state(arrival) == "discarded"
    node.after(30 * HOUR)
    assert node.state(arrival) == "deleted"


def test_the_mark_looks_at_the_deliveries_again(cleaner):
    """Not at what the cleaner read before: an arrival may have been delivered elsewhere meanwhile."""
    node: Rig = cleaner(**TEN)
    arrival = node.series(1)
    with node.spool.database.write() as tx:  # as if it had been read before it was delivered there
        tx.execute("UPDATE arrival SET reached = '' WHERE id = ?", (arrival,))
    now = node.world.clock.now() + 1
    assert node.spool.cleaning.deletable(Retention(now, now, targets={"pacs": 0.0})) == [arrival]
    assert not node.spool.cleaning.mark(arrival, Retention(now, now, targets={"pacs": 0.0}))
    assert node.spool.cleaning.mark(arrival, Retention(now, now))


def test_an_unreadable_configuration_pauses_cleaning(cleaner):
    """Nobody knows then how long the targets want their series kept."""
    node: Rig = cleaner(**AT_ONCE)
    routing = node.spool.places.routing
    node.spool.fs.makedirs(routing)
    node.spool.fs.write_new(routing / "000001.json", b"not a configuration")
    arrival = node.series(1)
    for _ in range(3):
        node.after(1)
    assert node.state(arrival) == "delivered" and "cleaning.routing" in node.spool.notices.alerts()
    node.spool.fs.unlink(routing / "000001.json")
    node.new_cleaner()
    node.publish(pacs=None)
    node.after(1)
    assert node.state(arrival) == "deleted" and node.spool.notices.alerts() == {}


def test_many_that_a_target_keeps_do_not_hide_those_behind_them(cleaner):
    """What is needed all the same is looked at once in a sweep, however much of it is older than the rest."""
    node: Rig = cleaner(**AT_ONCE)
    kept = [node.series(study, images=1) for study in range(1, 30)]
    with node.spool.database.write() as tx:  # as no step of the program does
        tx.execute("UPDATE delivery SET state = 'parked'")
    node.world.clock.advance(1)
    last = node.series(99, images=1)
    node.after(1)
    assert node.state(last) == "deleted" and {node.state(id) for id in kept} == {"delivered"}
