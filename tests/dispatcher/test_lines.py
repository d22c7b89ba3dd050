"""Sessions of one attempt by themselves: what each is told and how it ends, which image an error is about, who may still begin."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from typing import Any

import pytest
from lines_fakes import Attempt, FakeSession, breaks

from actors.dispatcher.lines import UNHEARD
from actors.targets.interface import Answer
from protocol.errors import AssociationAborted, PeerTimeout, TargetUnreachable
from protocol.spool.deliveries import ImageToSend

WAIT_S = 60.0


# ---- one session ---------------------------------------------------------------------------------------------------
def test_each_image_is_sent_with_the_one_that_follows_it() -> None:
    threads = list[threading.Thread]()
    session = FakeSession(lambda position: threads.append(threading.current_thread()))
    attempt = Attempt(3, session)
    assert attempt.lines.run(1) is None
    assert threads == [threading.current_thread()] * 3, "one session needs no thread of its own"
    assert session.sent == [(0, 1), (1, 2), (2, None)] and attempt.heard == [0, 1, 2]
    assert attempt.lines.good == [session] and session.ends == []


def test_a_session_that_breaks_is_cut_off_and_never_kept() -> None:
    session, error = FakeSession(breaks(PeerTimeout("late"), 1)), None
    attempt = Attempt(3, session)
    error = attempt.lines.run(1)
    assert isinstance(error, PeerTimeout) and attempt.heard == [0]
    assert session.ends == ["abort"] and attempt.lines.good == []


def test_one_that_breaks_by_a_fault_of_ours_is_cut_off_too() -> None:
    session = FakeSession(breaks(ValueError("a bug"), 1))
    with pytest.raises(ValueError, match="a bug"):
        Attempt(3, session).lines.run(1)
    assert session.ends == ["abort"]


def test_a_kept_session_that_takes_no_more_is_closed_and_the_next_one_asked() -> None:
    old, tired, fresh = FakeSession(), FakeSession(usable=False), FakeSession()
    attempt = Attempt(2, fresh, kept=(old, tired))
    assert attempt.lines.run(1) is None
    assert (tired.ends, old.sent) == (["close"], [(0, 1), (1, None)]) and attempt.left == [fresh]
    assert attempt.notes == [("session_open", {"kept": True})]


def test_a_kept_session_that_was_over_is_cut_off_and_its_image_goes_through_a_new_one() -> None:
    old, fresh = FakeSession(breaks(AssociationAborted("over"), 0)), FakeSession()
    attempt = Attempt(2, fresh, kept=(old,))
    assert attempt.lines.run(1) is None
    assert old.ends == ["abort"] and fresh.sent == [(0, 1), (1, None)] and attempt.lines.good == [fresh]
    assert [name for name, _ in attempt.notes] == ["session_open", "kept_session_was_over"]


def test_a_kept_session_that_worked_is_a_session_like_any_other() -> None:
    old, fresh = FakeSession(breaks(AssociationAborted("at this image"), 1)), FakeSession()
    attempt = Attempt(3, fresh, kept=(old,))
    error = attempt.lines.run(1)
    assert isinstance(error, AssociationAborted) and attempt.left == [fresh]


def test_the_new_session_in_place_of_a_kept_one_gets_no_second_chance() -> None:
    over = AssociationAborted("over")
    old, fresh, more = FakeSession(breaks(over, 0)), FakeSession(breaks(over, 1)), FakeSession()
    attempt = Attempt(3, fresh, more, kept=(old,))
    assert attempt.lines.run(1) is over and attempt.left == [more]


def test_an_image_is_not_blamed_for_a_connection_that_does_not_come_about() -> None:
    old = FakeSession(breaks(AssociationAborted("over"), 0))
    attempt = Attempt(2, TargetUnreachable("away"), kept=(old,))
    error = attempt.lines.run(1)
    assert isinstance(error, TargetUnreachable) and attempt.lines.broken_at(error) is None


def test_an_image_at_which_the_new_session_breaks_too_is_named() -> None:
    old, fresh = FakeSession(breaks(AssociationAborted("over"), 0)), FakeSession(breaks(PeerTimeout("late"), 0))
    attempt = Attempt(2, fresh, kept=(old,))
    error = attempt.lines.run(1)
    assert isinstance(error, PeerTimeout)
    at = attempt.lines.broken_at(error)
    assert at is not None and at.position == 0


# ---- several sessions ----------------------------------------------------------------------------------------------
def test_if_several_sessions_break_each_image_is_known_and_the_error_is_about_its_own() -> None:
    begun, threads = threading.Barrier(2, timeout=WAIT_S), list[threading.Thread]()

    def script(position: int) -> None:
        if position == 0:
            threads.append(threading.current_thread())
        begun.wait()
        if position == 0:
            raise AssociationAborted("at this image")
        threads[0].join(WAIT_S)
        raise PeerTimeout("the target died of it")

    attempt = Attempt(6, FakeSession(script), FakeSession(script))
    error = attempt.lines.run(2)
    assert isinstance(error, AssociationAborted)
    at = attempt.lines.broken_at(error)
    assert at is not None and at.position == 0, "not the image of the other"
    both = [image and image.position for _, image in attempt.lines.broken]
    assert both in ([0, 1], [0, 2]), "each session has the one that follows in its hand"


def test_a_session_that_is_slow_to_open_is_waited_for_while_there_are_images() -> None:
    looked = threading.Event()  # at whether it is to end, so after the first look at whether all is over
    session = FakeSession()

    def slow(alive: Callable[[], None]) -> FakeSession:
        assert looked.wait(WAIT_S)
        return session

    attempt = Attempt(3, slow, slow, ending=lambda: bool(looked.set()))
    try:
        assert attempt.lines.run(2) is None
    finally:
        looked.set()
    assert sorted(attempt.heard) == [0, 1, 2]


def test_signs_of_life_of_a_session_that_opens_are_passed_on_again_and_again() -> None:
    passed_on, opened, seen = threading.Event(), threading.Event(), []

    def slow(alive: Callable[[], None]) -> FakeSession:
        for _ in range(3):
            passed_on.clear()
            alive()
            seen.append(passed_on.wait(WAIT_S / 10))
        opened.set()
        return FakeSession()

    def silent(alive: Callable[[], None]) -> FakeSession:
        assert opened.wait(WAIT_S)
        return FakeSession()

    attempt = Attempt(4, slow, silent, alive=passed_on.set)
    assert attempt.lines.run(2) is None and seen == [True] * 3


def test_an_order_to_end_does_not_wait_for_a_session_that_does_not_open() -> None:
    hangs, over = threading.Event(), threading.Event()
    late = FakeSession()

    def never(alive: Callable[[], None]) -> FakeSession:
        assert hangs.wait(WAIT_S)
        return late

    attempt = Attempt(4, never, never, ending=lambda: True)
    thread = threading.Thread(target=lambda: (attempt.lines.run(2), over.set()))
    thread.start()
    try:
        assert over.wait(WAIT_S / 10)
        lines = [one for one in threading.enumerate() if one.name.startswith("line-")]
        assert len(lines) == 2 and all(one.daemon for one in lines), "they keep no process from ending either"
    finally:
        hangs.set()
        thread.join(WAIT_S)
    for one in lines:
        one.join(WAIT_S)
    assert late.ends == ["close", "close"] and late.sent == [] and attempt.heard == []


def test_images_whose_answers_do_not_count_yet_are_not_waited_for() -> None:
    """What may keep every image back is judged when all were tried, so none of them is settled."""
    told, results = list[int](), list[Any]()
    attempt = Attempt(6, FakeSession(), FakeSession(), heard=lambda image, answer: told.append(image.position))
    thread = threading.Thread(target=lambda: results.append(attempt.lines.run(2)), daemon=True)
    thread.start()
    thread.join(WAIT_S / 10)
    assert results == [None] and sorted(told) == [0, 1, 2, 3, 4, 5] and not attempt.supply.done


def test_a_session_that_finds_no_more_images_ends_no_other() -> None:
    both, quick = threading.Barrier(2, timeout=WAIT_S), list[threading.Thread]()

    def first(position: int) -> None:
        if not quick:
            quick.append(threading.current_thread())
            both.wait()

    def second(position: int) -> None:
        if not slow.sent:
            both.wait()
            quick[0].join(WAIT_S)

    slow = FakeSession(second)
    attempt = Attempt(8, FakeSession(first), slow)
    assert attempt.lines.run(2) is None
    assert sorted(attempt.heard) == list(range(8)) and len(slow.sent) == 2, "what it had in its hand"


def test_an_error_of_one_session_is_told_and_the_other_ends_after_its_image() -> None:
    both, broken = threading.Barrier(2, timeout=WAIT_S), list[threading.Thread]()
    error = AssociationAborted("at this image")

    def bad(position: int) -> None:
        broken.append(threading.current_thread())
        both.wait()
        raise error

    def after(position: int) -> None:
        if not good.sent:
            both.wait()
            broken[0].join(WAIT_S)

    good = FakeSession(after)
    attempt = Attempt(20, FakeSession(bad), good)
    assert attempt.lines.run(2) is error
    assert len(attempt.heard) == len(good.sent) == 1 and attempt.lines.good == [good]


def test_a_fault_of_ours_in_one_session_is_raised() -> None:
    attempt = Attempt(
        4, FakeSession(breaks(ValueError("a bug"), *range(4))), FakeSession(breaks(ValueError("a bug"), *range(4)))
    )
    with pytest.raises(ValueError, match="a bug"):
        attempt.lines.run(2)


def test_a_fault_of_ours_while_a_session_opens_is_raised_too() -> None:
    bug = ValueError("a bug")
    with pytest.raises(ValueError, match="a bug"):
        Attempt(4, bug, bug).lines.run(2)


def test_of_several_sessions_that_cannot_be_opened_the_error_is_told_unless_one_can() -> None:
    first = TargetUnreachable("away")
    assert Attempt(4, first, first).lines.run(2) is first
    attempt = Attempt(4, first, FakeSession())
    assert attempt.lines.run(2) is None and attempt.heard == [0, 1, 2, 3]


def test_if_an_answer_cannot_be_recorded_it_is_raised_after_each_session_has_finished_its_image() -> None:
    raised, returned = threading.Event(), threading.Event()
    first, outlived = list[int](), list[bool]()
    both = threading.Barrier(2, timeout=WAIT_S)

    def quick(position: int) -> None:
        if not first:
            first.append(position)
            both.wait()

    def slow(position: int) -> None:
        both.wait()
        assert raised.wait(WAIT_S)
        outlived.append(returned.wait(0.2))

    def heard(image: ImageToSend, answer: Answer) -> None:
        raised.set()
        raise RuntimeError("somebody else has it")

    sessions = FakeSession(quick), FakeSession(slow)
    with pytest.raises(RuntimeError, match="somebody else"):
        Attempt(6, *sessions, heard=heard).lines.run(2)
    returned.set()
    assert outlived == [False] and len(sessions[1].sent) == 1


def test_no_answer_is_lost_while_recording_takes_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.dispatcher.lines.LOOK_EVERY_S", 0.01)
    count, full, beyond = itertools.count(1), threading.Event(), threading.Event()

    def script(position: int) -> None:
        sent = next(count)
        if sent == UNHEARD + 3:
            full.set()
        elif sent > UNHEARD + 3:
            beyond.set()

    def heard(image: ImageToSend, answer: Answer) -> None:
        if not attempt.heard:
            assert full.wait(WAIT_S)
            assert not beyond.wait(0.1), "there is no room for more answers"
        attempt.hear(image, answer)

    attempt = Attempt(3 * UNHEARD, FakeSession(script), FakeSession(script), heard=heard)
    assert attempt.lines.run(2) is None
    assert sorted(attempt.heard) == list(range(3 * UNHEARD))


def test_sessions_that_wait_to_be_heard_are_let_go_if_an_answer_cannot_be_recorded() -> None:
    most = UNHEARD + 3  # one is being recorded, and each of two sessions has one that there is no room for
    count, full, raised = itertools.count(1), threading.Event(), list[Exception]()

    def script(position: int) -> None:
        if next(count) == most:
            full.set()

    def heard(image: ImageToSend, answer: Answer) -> None:
        assert full.wait(WAIT_S)
        raise RuntimeError("somebody else has it")

    attempt = Attempt(10 * UNHEARD, FakeSession(script), FakeSession(script), heard=heard)

    def run() -> None:
        try:
            attempt.lines.run(2)
        except RuntimeError as exc:
            raised.append(exc)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(WAIT_S / 10)
    assert len(raised) == 1 and len(attempt.lines.good) == 2


def test_whoever_hears_may_be_interrupted_and_the_sessions_end_all_the_same() -> None:
    def heard(image: ImageToSend, answer: Answer) -> None:
        raise KeyboardInterrupt

    attempt = Attempt(10 * UNHEARD, FakeSession(), FakeSession(), heard=heard)
    with pytest.raises(KeyboardInterrupt):
        attempt.lines.run(2)
    for one in threading.enumerate():
        if one.name.startswith("line-"):
            one.join(WAIT_S / 10)
            assert not one.is_alive()
