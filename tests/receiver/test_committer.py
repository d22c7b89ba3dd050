"""Groups of images in one transaction: who shares one, and who is told what when it fails."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from receiver_rig import ListLog

from actors.receiver import committer as module
from actors.receiver.committer import LARGEST_GROUP, POSTED_GROUP, Committer, Ticket
from protocol.clock import ManualClock
from protocol.errors import DiskFailed, OutOfSpace, SpoolDamaged, SpoolError, SpoolNewer
from protocol.spool.images import Receipt, Saved
from protocol.spool.part10 import FileMeta


def saved(number: int) -> Saved:
    return Saved(number.to_bytes(16, "big"), FileMeta("", "", "", "", "", ""), None, "", {})


class Database:
    """Commits when let through; `error` is raised instead."""

    def __init__(self) -> None:
        self.groups: list[int] = []
        self.begun = threading.Semaphore(0)
        self.let_through = threading.Semaphore(0)
        self.error: BaseException | None = None
        self.fatal: list[BaseException] = []
        self.told: list[set[int]] = []
        self.log = ListLog()

    def commit(self, group: Sequence[Saved]) -> list[Receipt]:
        self.groups.append(len(group))
        self.begun.release()
        assert self.let_through.acquire(timeout=60)
        if self.error is not None:
            raise self.error
        return [Receipt(one.receipt, "stored", int.from_bytes(one.receipt, "big") // 10) for one in group]


@pytest.fixture
def database() -> Database:
    return Database()


@pytest.fixture
def committer(database: Database) -> Iterator[Committer]:
    made = Committer(database.commit, database.told.append, database.fatal.append, database.log)
    yield made
    database.let_through.release(1000)
    made.stop()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(80) as made:
        yield made


def queue_up(committer: Committer, database: Database, pool: ThreadPoolExecutor, count: int) -> list:
    """One commit begun with image 0, and `count` - 1 more images waiting behind it."""
    first = pool.submit(committer.commit, saved(0))
    assert database.begun.acquire(timeout=60)
    rest = [pool.submit(committer.commit, saved(number)) for number in range(1, count)]
    deadline = threading.Event()
    while committer.waiting < count - 1:
        deadline.wait(0.001)
    return [first, *rest]


def test_what_waits_during_a_commit_shares_the_next(committer, database, pool):
    results = queue_up(committer, database, pool, 9)
    assert not any(one.done() for one in results), "nobody is told before the commit"
    database.let_through.release(2)
    assert [one.result(60).receipt for one in results] == [saved(number).receipt for number in range(9)]
    assert database.groups == [1, 8] and (committer.commits, committer.images) == (2, 9)


def test_whoever_led_is_done_with_its_own_group_though_others_wait(committer, database, pool):
    first, *rest = queue_up(committer, database, pool, 4)
    database.let_through.release(1)
    assert first.result(10).outcome == "stored" and not any(one.done() for one in rest)
    database.let_through.release(1)
    assert all(one.result(10).outcome == "stored" for one in rest)


def test_there_is_one_commit_at_a_time_whoever_leads(helped, database, pool):
    helped.post(saved(0))
    leading = pool.submit(helped.lead_on)
    assert database.begun.acquire(timeout=10)
    second = pool.submit(helped.commit, saved(1))
    while not helped.waiting:
        threading.Event().wait(0.001)
    assert not pool.submit(helped.lead_on).result(10), "it is led already"
    database.let_through.release(2)
    assert not leading.result(10) and second.result(10).outcome == "stored"
    assert database.groups == [1, 1]


def test_without_another_thread_whoever_posts_commits(committer, database):
    database.let_through.release(1)
    assert committer.post(saved(1)).receipt is not None and database.groups == [1]


def test_groups_are_bounded_and_each_arrival_is_told_once(committer, database, pool):
    results = queue_up(committer, database, pool, 2 + LARGEST_GROUP)
    database.let_through.release(3)
    for one in results:
        one.result(60)
    committer.stop()
    assert database.groups == [1, LARGEST_GROUP, 1]
    last = 1 + LARGEST_GROUP
    assert database.told == [{0}, set(range((last - 1) // 10 + 1)), {last // 10}]


def test_what_nobody_waits_for_is_committed_once_it_has_company_or_nothing_more_comes(database):
    asked: list[bool] = []
    committer = Committer(database.commit, database.told.append, database.fatal.append, database.log, help=asked.append)
    database.let_through.release(1000)
    never = 1e9
    committer.post_all(partial(saved, number) for number in range(3))
    assert asked == [False] and database.groups == []
    assert committer.lead_on(never, never) and database.groups == [], "more may come"
    assert not committer.lead_on(0.0, never) and database.groups == [3], "nothing more came"
    committer.post(saved(3))
    assert committer.lead_on(never, never)
    assert not committer.lead_on(never, 0.0) and database.groups == [3, 1], "it has waited long enough"
    for number in range(POSTED_GROUP):
        committer.post(saved(10 + number))
    assert asked == [False, False, False, True], "worth a commit of its own, at once"
    assert not committer.lead_on(never, never) and database.groups == [3, 1, POSTED_GROUP]
    committer.stop()


@pytest.fixture
def asked() -> list[bool]:
    """How the other thread was called, which never comes by itself here."""
    return []


@pytest.fixture
def helped(database: Database, asked: list[bool]) -> Iterator[Committer]:
    made = Committer(database.commit, database.told.append, database.fatal.append, database.log, help=asked.append)
    yield made
    database.let_through.release(1000)
    made.stop()


def test_what_comes_now_and_then_waits_no_longer_than_it_may_however_soon_the_next_follows(
    helped, database, monkeypatch
):
    clock = ManualClock()
    monkeypatch.setattr(module, "time", clock)
    database.let_through.release(1000)
    for number in range(4):
        helped.post(saved(number))
        assert helped.lead_on(0.1, 0.2) and database.groups == []
        clock.advance(0.0625)
    assert not helped.lead_on(0.1, 0.2) and database.groups == [4]
    clock.advance(10.0)
    helped.post(saved(9))
    assert helped.lead_on(0.1, 0.2) and database.groups == [4], "it came just now"


def test_where_the_other_thread_does_not_come_the_posted_are_committed_before_they_are_too_many(helped, database):
    database.let_through.release(1000)
    for number in range(4 * POSTED_GROUP - 1):
        helped.post(saved(number))
    assert database.groups == []
    helped.post(saved(4 * POSTED_GROUP - 1))
    assert database.groups == [LARGEST_GROUP] * 4


def test_whoever_waits_for_what_it_posted_commits_it(helped, database):
    database.let_through.release(1000)
    tickets = [helped.post(saved(number)) for number in range(3)]
    helped.wait(tickets[0])
    assert all(one.receipt is not None for one in tickets) and database.groups == [3]


def test_whoever_waits_for_what_it_posted_is_told_also_while_another_commits(helped, database, pool):
    first = pool.submit(helped.commit, saved(0))
    assert database.begun.acquire(timeout=10)
    tickets = [helped.post(saved(number)) for number in range(1, 3)]
    waiting = pool.submit(helped.wait, tickets[1])
    while not tickets[1].waits:
        threading.Event().wait(0.001)
    database.let_through.release(2)
    assert first.result(10).outcome == "stored"
    waiting.result(10)
    assert all(one.receipt is not None for one in tickets) and database.groups == [1, 2]


def test_whoever_is_to_lead_before_it_begins_to_wait_does(committer, database, pool, monkeypatch):
    first = pool.submit(committer.commit, saved(0))
    assert database.begun.acquire(timeout=10)
    wait, later = committer.wait, threading.Event()
    monkeypatch.setattr(committer, "wait", lambda ticket: (ticket.receipt or later.wait(10), wait(ticket)))
    second = pool.submit(committer.commit, saved(1))
    while not committer.waiting:
        threading.Event().wait(0.001)
    database.let_through.release(2)
    assert first.result(10).outcome == "stored" and database.groups == [1]
    later.set()
    assert second.result(10).outcome == "stored"


def test_whoever_comes_to_wait_just_as_it_is_done_keeps_nobody_from_leading(committer, database, pool):
    class JustDone(Ticket):
        looks = 0

        @property
        def done(self) -> bool:
            self.looks += 1
            return self.looks > 1

    committer.wait(JustDone(saved(0), waits=False))
    database.let_through.release(1)
    assert pool.submit(committer.commit, saved(1)).result(10).outcome == "stored"


def test_nobody_commits_for_others_without_end_while_its_own_peer_waits(helped, database, pool, asked):
    own = pool.submit(helped.commit, saved(0))
    assert database.begun.acquire(timeout=10)
    for number in range(8 * POSTED_GROUP):
        helped.post(saved(1 + number))
    database.let_through.release(1000)
    assert own.result(10).outcome == "stored"
    assert database.groups == [1, *[POSTED_GROUP] * 3] and asked == [True], "the rest is the other thread's, at once"
    assert not helped.lead_on(0.0, 0.0) and database.groups == [1, *[POSTED_GROUP] * 8]


def test_a_full_disk_fails_the_group_and_the_next_may_work(committer, database, pool):
    results = queue_up(committer, database, pool, 4)
    database.error = OutOfSpace("the disk is full")
    database.let_through.release(2)
    errors = [one.exception(10) for one in results]
    assert {type(error) for error in errors} == {OutOfSpace} and len(set(map(id, errors))) == 4
    assert {str(error) for error in errors} == {"the disk is full"}
    database.error = None
    database.let_through.release(1)
    assert committer.commit(saved(9)).outcome == "stored" and database.fatal == []


def test_what_went_wrong_inside_fails_the_group_without_its_words_and_the_next_may_work(committer, database):
    database.let_through.release(1000)
    database.error = ValueError("Doe^John")
    with pytest.raises(SpoolError) as told:
        committer.commit(saved(1))
    assert "ValueError" in str(told.value) and "Doe" not in f"{told.value} {database.log.lines}"
    database.error = None
    assert committer.commit(saved(2)).outcome == "stored" and database.fatal == []


def test_compiled_code_hears_that_the_last_commit_failed_until_one_works(database):
    halt = bytearray(2)
    database.let_through.release(1000)
    committer = Committer(database.commit, database.told.append, database.fatal.append, database.log, halt=halt)
    database.error = OutOfSpace("the disk is full")
    with pytest.raises(OutOfSpace):
        committer.commit(saved(1))
    assert halt == b"\0\1"
    database.error = None
    committer.commit(saved(2))
    assert halt == b"\0\0"
    committer.stop()


def test_an_image_that_cannot_be_made_ready_breaks_the_receiver_and_nothing_is_committed(helped, database):
    def broken() -> Saved:
        raise DiskFailed("write: EIO")

    database.let_through.release(1000)
    tickets = helped.post_all([partial(saved, 1), broken])
    helped.lead_on()
    assert [type(one.error) for one in tickets] == [DiskFailed, DiskFailed]
    assert database.groups == [] and [type(error) for error in database.fatal] == [DiskFailed]


@pytest.mark.parametrize(
    "error", [DiskFailed("commit: EIO"), SpoolDamaged("malformed"), SpoolNewer("schema 99"), KeyboardInterrupt()]
)
def test_after_a_broken_disk_nobody_is_acknowledged_any_more(committer, database, pool, error):
    results = queue_up(committer, database, pool, 60)
    database.error = error
    database.let_through.release(1)
    assert all(isinstance(one.exception(10), SpoolError) for one in results)
    assert database.groups == [1] and database.fatal == [error]
    with pytest.raises(SpoolError):
        committer.commit(saved(99))


def test_stop_commits_what_waits_and_takes_nothing_more(committer, database, pool):
    results = queue_up(committer, database, pool, 5)
    stopping = pool.submit(committer.stop)
    while not committer._closed:
        threading.Event().wait(0.001)
    with pytest.raises(SpoolError):
        committer.commit(saved(99))
    with pytest.raises(TimeoutError):
        stopping.result(0.05)
    database.let_through.release(2)
    stopping.result(60)
    assert all(one.result(60).outcome == "stored" for one in results)


def test_stop_waits_for_nothing_where_nothing_ever_came(committer, pool):
    pool.submit(committer.stop).result(10)


@pytest.mark.parametrize("groups", [[3], [POSTED_GROUP, 3]])
def test_stop_commits_all_that_was_posted(helped, database, pool, groups):
    database.let_through.release(1000)
    tickets = [helped.post(saved(number)) for number in range(sum(groups))]
    pool.submit(helped.stop).result(10)
    assert all(one.receipt is not None for one in tickets) and database.groups == groups


def test_a_nudge_that_fails_takes_nothing_back(database, pool):
    def fail(arrivals: set[int]) -> None:
        raise RuntimeError("bus")

    database.let_through.release(2)
    committer = Committer(database.commit, fail, database.fatal.append, database.log)
    assert committer.commit(saved(1)).outcome == "stored" and committer.commit(saved(2)).outcome == "stored"
    committer.stop()
    assert len(database.log.of("nudge_failed")) == 2
