"""Groups of images in one transaction: who shares one, and who is told what when it fails."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from receiver_rig import ListLog

from actors.receiver.committer import LARGEST_GROUP, POSTED_GROUP, Committer
from protocol.errors import DiskFailed, OutOfSpace, SpoolError
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


def test_a_full_disk_fails_the_group_and_the_next_may_work(committer, database, pool):
    results = queue_up(committer, database, pool, 4)
    database.error = OutOfSpace("the disk is full")
    database.let_through.release(2)
    errors = [one.exception(10) for one in results]
    assert {type(error) for error in errors} == {OutOfSpace} and len(set(map(id, errors))) == 4
    database.error = None
    database.let_through.release(1)
    assert committer.commit(saved(9)).outcome == "stored" and database.fatal == []


@pytest.mark.parametrize("error", [DiskFailed("commit: EIO"), KeyboardInterrupt()])
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
    database.let_through.release(2)
    stopping.result(60)
    assert all(one.result(60).outcome == "stored" for one in results)


def test_a_nudge_that_fails_takes_nothing_back(database, pool):
    def fail(arrivals: set[int]) -> None:
        raise RuntimeError("bus")

    database.let_through.release(2)
    committer = Committer(database.commit, fail, database.fatal.append, database.log)
    assert committer.commit(saved(1)).outcome == "stored" and committer.commit(saved(2)).outcome == "stored"
    committer.stop()
    assert len(database.log.of("nudge_failed")) == 2
