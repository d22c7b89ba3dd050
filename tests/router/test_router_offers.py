"""Offers to dispatchers, giving back what the dead held, and the watchdog of the write lock."""

from __future__ import annotations

import threading
from pathlib import Path

from router_rig import ALL, CT, ListLog, Rig

from actors.router.reaping import PARENT_FIRST_S
from actors.router.watchdog import LockWatchdog
from protocol.spool.writelock import Holder, WriteLock, is_held
from protocol.testing.images import TestImage

A, B = TestImage(instance=1), TestImage(instance=2)


def offers(node: Rig) -> int:
    return node.wire.sent.get("offers", 0)


def test_decisions_are_offered_at_once(rig):
    node: Rig = rig(ALL)
    node.world.receive(A)
    node.work()
    assert offers(node) == 0
    node.after(5)
    assert offers(node) >= 1


def test_as_many_offers_as_dispatchers_live_but_no_more_than_there_is_work(rig):
    node: Rig = rig(ALL)
    counts = []
    node.wire.offer = lambda count, data={}: counts.append(count)
    run, fs = node.spool.places.run, node.spool.fs
    locks = [fs.lock(run / f"dispatcher-{number}.lock") for number in range(5)]
    node.series(A)
    assert max(counts) == 2  # two deliveries
    for lock in locks[1:]:
        lock.release()
    counts.clear()
    node.after(1)
    assert counts == [1]


def test_what_waits_is_offered_again_each_second_so_that_a_lost_offer_costs_no_more(rig):
    node: Rig = rig(CT)
    node.series(A)
    before = offers(node)
    node.after(1)
    assert offers(node) == before + 1


def test_a_retry_that_becomes_due_is_offered_and_the_router_wakes_for_it(rig):
    node: Rig = rig(CT)
    node.series(A)
    node.spool.deliveries.retry(node.world.claim(), node.world.clock.now() + 3.4, "away")
    before = offers(node)
    node.after(1)
    node.after(1)
    node.after(1)
    assert offers(node) == before
    assert abs(node.router.one_pass([]) - 0.4) < 1e-6
    node.after(1)
    assert offers(node) == before + 1


def test_nothing_is_offered_where_nothing_waits(rig):
    node: Rig = rig(CT)
    for _ in range(3):
        node.after(1)
    assert offers(node) == 0


# ---- the dead


def claimed_by_a_dead_slot(node: Rig, instance: str = "0-1") -> str:
    other = node.world.open("slot")
    owner = other.workers.enter("dispatcher", instance).owner
    assert other.deliveries.claim(owner, {"pacs": 1, "archive": 1}, node.world.clock.now()) is not None
    node.world.kill_one("slot")
    return owner


def test_what_a_dead_dispatcher_held_is_given_back_at_start(rig):
    node: Rig = rig(CT)
    node.series(A)
    claimed_by_a_dead_slot(node)
    node.new_router()
    assert node.router.recover() == {"deliveries_given_back": 1, "associations_aborted": 0}
    assert node.deliveries() == {"pacs": "waiting"}


def test_what_a_dead_dispatcher_held_is_given_back_within_a_second(rig):
    node: Rig = rig(CT)
    node.series(A)
    claimed_by_a_dead_slot(node)
    node.after(1)
    assert node.deliveries() == {"pacs": "waiting"}
    assert node.spool.deliveries.list()[0]["attempts"] == 0


def test_a_living_dispatcher_buries_its_own_slots_first(rig):
    node: Rig = rig(CT)
    node.series(A)
    parent = node.world.open("parent").fs.lock(node.spool.places.run / "dispatcher-0.lock")
    assert parent is not None
    claimed_by_a_dead_slot(node)
    node.after(1)
    assert node.deliveries() == {"pacs": "sending"}
    node.after(PARENT_FIRST_S)
    assert node.deliveries() == {"pacs": "waiting"}, "a dispatcher that hangs must not keep its slots' deliveries"


def test_a_living_slot_keeps_its_delivery(rig):
    node: Rig = rig(CT)
    node.series(A)
    node.world.claim()
    for _ in range(30):
        node.after(1)
    assert node.deliveries() == {"pacs": "sending"}


# ---- the write lock


def test_the_watchdog_reports_a_holder_once_in_the_log_and_each_time_to_the_router():
    log, woken = ListLog(), threading.Event()
    holder: list[Holder | None] = [Holder(4711, 7.0, True)]
    dog = LockWatchdog(Path("lock"), log, woken.set, lambda path: holder[0])
    dog.look()
    dog.look()
    assert woken.is_set() and log.actions() == ["write_lock_held"]
    assert dog.found() == holder[0] and dog.found() is None
    holder[0] = None
    dog.look()
    assert dog.found() is None


def test_the_watchdog_thread_survives_an_exception_and_stops(monkeypatch):
    monkeypatch.setattr("actors.router.watchdog.LOOK_EVERY_S", 0.001)
    log, looked = ListLog(), threading.Semaphore(0)

    def broken(path):
        looked.release()
        raise OSError("gone")

    dog = LockWatchdog(Path("lock"), log, lambda: None, broken)
    dog.start()
    assert looked.acquire(timeout=60) and looked.acquire(timeout=60)
    dog.stop()
    assert dog._thread is not None and not dog._thread.is_alive()


def test_the_watchdog_rests_only_while_nobody_holds_the_lock_and_who_takes_it_would_wake_it(tmp_path):
    lock = WriteLock(tmp_path / "lock")
    dog = LockWatchdog(tmp_path / "lock", ListLog(), lambda: None)
    assert not dog.resting(), "there is no lock yet"
    with lock:
        assert [dog.resting() for _ in range(4)] == [False] * 4
    assert any(dog.resting() for _ in range(4)), "it was let go of, and is watched"
    with lock:
        assert [dog.resting() for _ in range(4)] == [False] * 4
    dog.stop()
    lock.close()


def test_a_watchdog_that_rests_is_woken_by_who_takes_the_lock(tmp_path, monkeypatch):
    monkeypatch.setattr("actors.router.watchdog.LOOK_EVERY_S", 0.001)
    monkeypatch.setattr("actors.router.watchdog.QUIET_S", 1e6)
    lock, rests, seen = WriteLock(tmp_path / "lock"), threading.Event(), threading.Event()

    def look(path: Path) -> None:
        if path.exists() and is_held(path):
            seen.set()

    dog = LockWatchdog(tmp_path / "lock", ListLog(), lambda: None, look)
    rest = dog._rest
    monkeypatch.setattr(dog, "_rest", lambda: (rests.set(), rest()))
    with lock:
        pass
    dog.start()
    assert rests.wait(60) and not seen.is_set()
    with lock:
        assert seen.wait(60)
    dog.stop()
    lock.close()
    assert dog._thread is not None and not dog._thread.is_alive()


def test_a_lock_that_was_held_too_long_is_an_alert_until_it_was_free_for_a_minute(rig):
    node: Rig = rig(CT)
    node.work()
    node.router._watchdog._look = lambda path: Holder(4711, 7.0, True)
    node.router._watchdog.look()
    node.after(1)
    (alert,) = node.events("alert.raised")
    assert "4711" in alert.data["text"] and "killed" in alert.data["text"]
    node.after(30)
    assert node.events("alert.cleared") == []
    node.after(31)
    assert len(node.events("alert.cleared")) == 1 and len(node.events("alert.raised")) == 1
