"""What the cleaner removes, and above all what it never does (known-failures 8 and 9)."""

from __future__ import annotations

import pytest
from cleaner_rig import ALWAYS, AT_ONCE, HOUR, Rig

from actors.cleaner.actor import CHUNK
from protocol.settings import load_settings
from protocol.spool.forecast import WANTED, forecast
from protocol.spool.outbox import Cursor
from protocol.spool.retention import Retention
from protocol.testing.images import TestImage

KEPT = {**ALWAYS, "cleaner.sweep_s": 1.0}
"""For the usual times."""
NEVER_TOUCHED = ("open", "closed", "hold", "in_delivery", "parked")


def test_delivered_and_discarded_go_after_their_own_retention(cleaner):
    node: Rig = cleaner(**ALWAYS, **{"cleaner.retention_delivered_h": 3.0, "cleaner.retention_discarded_h": 1.0})
    delivered, discarded = node.series(1), node.series(2, "discard")
    node.after(HOUR)
    assert (node.state(delivered), node.state(discarded)) == ("delivered", "discarded")
    node.after(61)
    assert (node.state(delivered), node.state(discarded)) == ("delivered", "deleted")
    assert node.files() == 2
    node.after(2 * HOUR)
    assert (node.state(delivered), node.files()) == ("deleted", 0)
    assert node.spool.accounting.balance(files=True) == []
    assert [event.data["images"] for event in node.events("arrival.deleted")] == [2, 2]


@pytest.mark.parametrize("outcome", NEVER_TOUCHED)
def test_what_is_not_finished_is_never_removed(cleaner, outcome):
    node: Rig = cleaner(**AT_ONCE)
    arrival = node.series(1, outcome)
    before = node.state(arrival)
    node.free_gb(0.1)
    for days in (0, 1, 365):
        node.after(days * 24 * HOUR)
    assert node.state(arrival) == before and node.files() == 2


def test_pressure_lifts_the_window_but_never_the_retention(cleaner):
    node: Rig = cleaner(**{"cleaner.window": "never", "cleaner.retention_delivered_h": 10.0})
    old = node.series(1)
    node.world.clock.advance(11 * HOUR)
    young, held = node.series(2), node.series(3, "hold")
    node.work()
    assert node.state(old) == "delivered"
    node.free_gb(4)
    node.after(1)
    assert (node.state(old), node.state(young), node.state(held)) == ("deleted", "delivered", "held")
    assert node.files() == 4


def test_a_protected_delivery_keeps_its_arrival_even_if_the_state_says_delivered(cleaner):
    node: Rig = cleaner(**AT_ONCE)
    arrival = node.series(1)
    with node.spool.database.write() as tx:  # as no step of the program does
        tx.execute("UPDATE delivery SET state = 'parked' WHERE arrival = ?", (arrival,))
    node.after(10)
    assert node.files() == 2


def test_retention_zero_with_the_window_always_open_goes_on_with_every_sweep(cleaner):
    node: Rig = cleaner(**AT_ONCE)
    for study in range(2 * CHUNK + 3):
        node.series(study + 1, images=1)
    node.after(1)
    assert node.files() == 0
    last = node.series(99)
    node.after(1)
    assert node.state(last) == "deleted"
    assert node.spool.accounting.balance(files=True) == []


def test_outside_the_window_nothing_goes(cleaner):
    node: Rig = cleaner(**{**AT_ONCE, "cleaner.window": "22:00-06:00"})
    node.world.clock._now = 1_800_014_400.0  # 2027-01-15 12:00 UTC
    node.new_cleaner()
    arrival = node.series(1)
    node.after(9 * HOUR)
    assert node.state(arrival) == "delivered"
    node.after(HOUR)
    assert node.state(arrival) == "deleted"


def test_between_sweeps_it_looks_at_the_disk_only(cleaner):
    node: Rig = cleaner(**{**AT_ONCE, "cleaner.sweep_s": 60.0})
    node.work()
    arrival = node.series(1)
    node.after(30)
    assert node.state(arrival) == "delivered"
    node.free_gb(6)
    node.after(1)
    assert node.state(arrival) == "deleted"


def test_quarantine_is_kept_unless_a_retention_is_set(cleaner):
    node: Rig = cleaner(**AT_ONCE)
    node.world.send(node.world.connect(), TestImage(), reason="cannot be read")
    node.after(1000 * HOUR)
    quarantine = node.spool.places.quarantine
    assert len(node.spool.fs.listdir(quarantine)) == 2
    node.settings = type(node.settings).model_validate(
        {**dict(node.settings), "cleaner": {**dict(node.settings.cleaner), "retention_quarantined_h": 24.0}}
    )
    node.new_cleaner()
    node.work()
    assert node.spool.fs.listdir(quarantine) == []
    assert node.spool.accounting.balance(files=True) == []


def test_rows_go_days_after_the_files_and_are_still_counted(cleaner):
    node: Rig = cleaner(**AT_ONCE, **{"cleaner.rows_days": 1.0})
    node.series(1)
    node.after(1)
    assert len(node.spool.arrivals.list()) == 1
    node.after(25 * HOUR)
    assert node.spool.arrivals.list() == []
    assert node.spool.accounting.figures().images["deleted"] == 2
    assert node.spool.accounting.balance() == []


def test_events_go_when_they_are_old_and_the_bookkeeper_has_them(cleaner):
    node: Rig = cleaner(**ALWAYS, **{"cleaner.outbox_days": 7.0})
    node.series(1)
    node.after(8 * 24 * HOUR)
    first = node.spool.outbox.read(Cursor(0, 0))[0].seq
    node.spool.outbox.confirm("bookkeeper", node.spool.outbox.head())
    node.after(61)
    assert node.spool.outbox.read(Cursor(0, 0))[0].seq > first


# ---- the clock


@pytest.mark.parametrize("hours", [2, -2, 24 * 365])
def test_a_clock_that_jumps_pauses_cleaning_with_one_alert_until_it_is_back(cleaner, hours):
    node: Rig = cleaner(**AT_ONCE)
    node.work()
    arrival = node.series(1)
    node.world.clock.jump_wall(hours * HOUR)
    for _ in range(5):
        node.after(1)
    assert node.state(arrival) == "delivered" and node.files() == 2
    assert [event.data["alert"] for event in node.events("alert.raised")] == ["clock"]
    node.world.clock.jump_wall(-hours * HOUR)
    if hours > 0:
        node.new_cleaner()  # the alert itself was stamped by the wrong clock
        node.world.clock.advance(hours * HOUR)
    node.after(20)
    assert node.state(arrival) == "deleted"
    assert len(node.events("alert.raised")) == len(node.events("alert.cleared")) == 1


def test_a_cleaner_that_starts_before_the_clock_is_right_waits(cleaner):
    node: Rig = cleaner(**AT_ONCE)
    arrival = node.series(1)
    node.world.clock.advance(10)
    node.world.clock.jump_wall(-10 * 365 * 24 * HOUR)
    node.new_cleaner()
    for _ in range(5):
        node.after(1)
    assert node.state(arrival) == "delivered"
    (alert,) = node.events("alert.raised")
    assert "behind the newest event" in alert.data["text"]


def test_events_stamped_by_a_wrong_clock_do_not_hide_that_it_is_behind(cleaner):
    node: Rig = cleaner(**AT_ONCE)
    node.work()
    node.series(1)
    node.work()
    node.world.clock.jump_wall(-30 * 60)
    arrival = node.series(2, "discard")
    node.after(10)
    assert node.state(arrival) == "discarded"
    node.after(30 * 60)
    assert node.state(arrival) == "deleted"


def test_a_machine_that_boots_years_ahead_lets_nothing_go_until_its_clock_is_right(cleaner):
    node: Rig = cleaner(**KEPT)
    node.work()
    arrival, young = node.series(1), node.series(2, "discard")
    wrong = 5 * 365 * 24 * HOUR
    node.world.clock.jump_wall(wrong)
    node.new_cleaner()  # booted like this: for the monotonic clock time begins now
    for _ in range(60):
        node.after(60)
    assert (node.state(arrival), node.state(young)) == ("delivered", "discarded")
    assert "1825 days ahead" in node.spool.notices.alerts()["clock"]
    assert len(node.events("alert.raised")) == 1 and not node.events("alert.updated")
    node.world.clock.jump_wall(-wrong)
    with (
        node.spool.database.write() as tx
    ):  # the alert was stamped by the wrong clock; as when enough has happened since
        tx.execute("UPDATE event SET time = ? WHERE time > ?", (node.world.clock.now(), node.world.clock.now()))
    node.new_cleaner()
    node.after(60)
    assert (node.state(arrival), node.spool.notices.alerts()) == ("delivered", {})
    node.after(72 * HOUR)
    assert (node.state(arrival), node.state(young)) == ("deleted", "deleted")
    assert not node.spool.notices.alerts()


def test_a_node_that_was_off_for_a_month_waits_a_day_and_needs_nobody(cleaner):
    node: Rig = cleaner(**KEPT)
    node.work()
    arrival = node.series(1)
    node.world.clock.jump_wall(30 * 24 * HOUR)
    for _ in range(3):  # is restarted every few hours
        node.new_cleaner()
        for _ in range(7):
            node.after(HOUR)
        assert node.state(arrival) == "delivered" and "30 days ahead" in node.spool.notices.alerts()["clock"]
    for _ in range(4):
        node.after(HOUR)
    assert node.state(arrival) == "deleted" and not node.spool.notices.alerts()
    node.new_cleaner()
    node.after(1)
    assert not node.spool.notices.alerts()


def test_who_knows_that_the_clock_is_right_need_not_wait(cleaner):
    node: Rig = cleaner(**KEPT)
    node.work()
    arrival = node.series(1)
    node.world.clock.jump_wall(30 * 24 * HOUR)
    node.new_cleaner()
    node.work()
    assert node.state(arrival) == "delivered"
    node.settings = load_settings(
        node.world.home, {**KEPT, "spool.ballast_mb": 0.0, "cleaner.clock_wait_h": 0.0}, environ={}
    )
    node.new_cleaner()
    node.after(1)
    assert node.state(arrival) == "deleted"


# ---- the disk


def test_the_reserve_is_an_alert_while_it_is_reached(cleaner):
    node: Rig = cleaner(**ALWAYS)
    node.free_gb(4)
    for _ in range(3):
        node.after(1)
    (alert,) = node.events("alert.raised")
    assert alert.data["alert"] == "disk" and "4.0 GB" in alert.data["text"]
    node.free_gb(100)
    node.after(61)
    assert len(node.events("alert.cleared")) == 1


def test_ballast_is_made_with_plenty_of_room_and_freed_at_the_second_reserve(cleaner):
    from actors.cleaner.disk import Ballast, Disk
    from protocol.fsops import Room

    node: Rig = cleaner()
    fs, places = node.spool.fs, node.spool.places
    ballast = Ballast(fs, places, 3_000_000)

    def disk(size: float) -> Disk:
        return Disk(Room(int(size), None), 10e6, 2e6)

    ballast.attend(disk(17e6))
    assert not fs.exists(places.ballast), "it must not bring the disk under pressure"
    ballast.attend(disk(100e6))
    assert fs.size(places.ballast) == 3_000_000
    ballast.attend(disk(5e6))
    assert fs.exists(places.ballast)
    ballast.attend(disk(1e6))
    assert not fs.exists(places.ballast)


def test_without_a_size_there_is_no_ballast(cleaner):
    node: Rig = cleaner()
    node.after(61)
    assert not node.spool.fs.exists(node.spool.places.ballast)


def test_files_that_cannot_be_removed_do_not_keep_the_others(cleaner, monkeypatch):
    rig = cleaner(**AT_ONCE)
    ids = [rig.series(study) for study in range(1, 5)]
    real, stuck = rig.spool.cleaning.remove_part, {ids[0], ids[2]}

    def remove(id, *how):
        if id in stuck:
            raise PermissionError(1, "Operation not permitted")
        return real(id, *how)

    monkeypatch.setattr(rig.spool.cleaning, "remove_part", remove)
    rig.after(2)
    assert rig.spool.cleaning.marked() == sorted(stuck)
    assert "cleaning.stuck" in rig.spool.notices.alerts()
    stuck.clear()
    rig.after(2)
    assert rig.spool.cleaning.marked() == [] and rig.spool.notices.alerts() == {}


# ---- clocks that stand still, step back, change to summer time


def test_a_machine_that_slept_pauses_cleaning_until_somebody_says_the_time_is_right(cleaner):
    """The monotonic clock stands still while a machine sleeps: nobody can tell that from a clock set forward."""
    node: Rig = cleaner(**{**AT_ONCE, "cleaner.retention_delivered_h": 10.0})
    node.work()
    arrival = node.series(1)
    node.world.clock.jump_wall(60 * HOUR)  # a weekend
    for _ in range(3):
        node.after(1)
    assert node.state(arrival) == "delivered"
    assert "restarted because the new time is right" in node.spool.notices.alerts()["clock"]
    node.new_cleaner()
    node.after(1)
    assert node.state(arrival) == "deleted" and node.spool.notices.alerts() == {}


def test_a_short_sleep_is_no_reason_to_pause(cleaner):
    node: Rig = cleaner(**AT_ONCE)
    node.work()
    arrival = node.series(1)
    node.world.clock.jump_wall(0.5 * HOUR)
    node.after(1)
    assert node.state(arrival) == "deleted"


def test_a_clock_that_steps_back_in_the_middle_of_a_sweep_stops_it(cleaner):
    node: Rig = cleaner(**AT_ONCE, **{"cleaner.files_per_s": 10.0})
    first, second = node.series(1, images=6), node.series(2, images=6)
    node.world.clock.advance(1)
    node.work()
    assert (node.state(first), node.state(second), node.files()) == ("deleted", "deleted", 10)
    third = node.series(3)
    node.world.clock.jump_wall(-60)
    for _ in range(5):
        node.after(1)
    assert node.state(third) == "delivered" and node.files() == 12
    assert "behind the newest event" in node.spool.notices.alerts()["clock"]
    for _ in range(30):
        node.after(3)
    assert node.files() == 0 and node.spool.notices.alerts() == {}


def test_many_small_steps_of_ntp_are_no_jump(cleaner):
    node: Rig = cleaner(**AT_ONCE)
    node.work()
    for step in (0.4, -0.4) * 20:
        node.world.clock.jump_wall(step)
        node.after(10)
    arrival = node.series(1)
    node.after(1)
    assert node.state(arrival) == "deleted" and node.events("alert.raised") == []


@pytest.mark.parametrize(
    ("window", "noon", "hours"),
    [
        ("01:00-04:00", "2027-03-27T12:00", 2),  # that night 02:00 to 03:00 does not exist
        ("01:00-04:00", "2027-10-30T12:00", 4),  # and that one it comes twice
        ("01:00-04:00", "2027-06-12T12:00", 3),
        ("02:10-02:50", "2027-03-27T12:00", 0),
    ],
)
def test_in_the_night_of_the_change_the_window_goes_by_the_clock_on_the_wall(cleaner, window, noon, hours):
    """known-failures 33: the cleaner of a node with a time zone, minute by minute."""
    from datetime import datetime
    from zoneinfo import ZoneInfo

    node: Rig = cleaner(**{**AT_ONCE, "cleaner.window": window, "node.time_zone": "Europe/Berlin"})
    node.world.clock._now = datetime.fromisoformat(noon).replace(tzinfo=ZoneInfo("Europe/Berlin")).timestamp()
    node.new_cleaner(zone=None)
    minutes = 0
    for minute in range(0, 23 * 60, 10):
        if minute >= 12 * 60 - 30:
            arrival = node.series(minute + 1, "discard", images=1)
        node.after(600)
        minutes += minute >= 12 * 60 - 30 and node.state(arrival) == "deleted"
    assert minutes * 10 == hours * 60


# ---- holds


def test_a_hold_keeps_for_ever_whatever_was_delivered_before(cleaner):
    node: Rig = cleaner(**AT_ONCE)
    arrival = node.series(1)
    node.spool.arrivals.hold(arrival, "a court wants it")
    node.free_gb(0.1)
    for _ in range(3):
        node.after(3650 * 24 * HOUR)
    assert node.state(arrival) == "held" and node.files() == 2


def test_what_is_promised_to_its_scanner_goes_only_once_a_target_has_it(cleaner):
    """The spool holds what is promised and was not sent; whatever else made it finished, the cleaner looks for itself."""
    node: Rig = cleaner(**AT_ONCE)
    promised, sent, other = node.series(1, "discard"), node.series(2), node.series(3, "discard")
    with node.spool.database.write() as tx:  # as no step of the program does
        tx.many("INSERT INTO promise VALUES (?, 1, 0)", [(promised,), (sent,)])
    node.after(10)
    assert [node.state(one) for one in (promised, sent, other)] == ["discarded", "deleted", "deleted"]
    assert node.files() == 2


def test_what_a_person_wants_kept_stays_beyond_its_retention_and_goes_after_that(cleaner):
    node: Rig = cleaner(**AT_ONCE)
    arrival, other = node.series(1), node.series(2)
    act = node.spool.commands.ask("series.keep", "ann", {"ids": [arrival]})
    node.spool.arrivals.keep(arrival, node.world.clock.now() + 24 * HOUR, act)
    node.free_gb(0.1)
    node.after(10)
    assert (node.state(arrival), node.state(other)) == ("delivered", "deleted")
    at = node.world.clock.now()
    told = forecast(node.spool.database, Retention(at, at, at=at), at)
    assert [(kept.why, kept.amount.series) for kept in told.kept] == [(WANTED, 1)] and told.goes == []
    node.after(24 * HOUR)
    assert node.state(arrival) == "deleted"
