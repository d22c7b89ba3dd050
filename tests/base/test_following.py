"""The next so many associations are logged: each counts once over all processes, and then none, whatever happens to the clock."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from actors.receiver.following import LOOK_S, Chosen
from protocol import following
from protocol.following import Following
from protocol.settings import load_settings

NOW = 1_000_000.0


@pytest.fixture
def settings(tmp_path):
    return load_settings(tmp_path, environ={})


def test_the_next_ones_are_taken_and_then_no_more(settings):
    file = following.place(settings)
    assert not following.take(file, NOW) and following.following(settings, NOW) is None
    assert following.follow(settings, 10, "anna", NOW) == Following(10, 10, NOW + following.LASTS_S, "anna")
    assert following.take(file, NOW + 5)
    assert following.following(settings, NOW + 5) == Following(10, 9, NOW + following.LASTS_S, "anna")
    assert [following.take(file, NOW + 6) for _ in range(10)] == [True] * 9 + [False]
    assert following.following(settings, NOW + 6) is None


def test_many_that_open_at_once_take_each_one(settings):
    file = following.place(settings)
    following.follow(settings, 100, "anna", NOW)
    with ThreadPoolExecutor(16) as pool:
        taken = list(pool.map(lambda _: following.take(file, NOW), range(300)))
    assert sum(taken) == 100


def test_it_ends_by_itself_after_a_day_or_when_somebody_says_so(settings):
    file = following.place(settings)
    following.follow(settings, 5, "anna", NOW)
    assert following.take(file, NOW + following.LASTS_S - 1) and not following.take(file, NOW + following.LASTS_S)
    assert not following.take(file, NOW - 10), "the clock was set back"
    following.end(settings)
    following.end(settings)  # again is no fault
    assert not following.take(file, NOW)


def test_a_new_wish_takes_the_place_of_the_former(settings):
    following.follow(settings, 5, "anna", NOW)
    following.follow(settings, 1, "ben", NOW)
    assert [following.take(following.place(settings), NOW) for _ in range(2)] == [True, False]


@pytest.mark.parametrize("count", [0, -1, following.MOST + 1])
def test_a_number_that_nobody_can_mean_is_refused(settings, count):
    with pytest.raises(ValueError, match="1 to 1000"):
        following.follow(settings, count, "anna", NOW)


@pytest.mark.parametrize("raw", [b"", b"[]", b"7", b'{"left": 3}', b'{"count": 1, "left": "x", "until": 1e6}', b"\xff",
                                 b'{"count": 1, "left": 1, "until": NaN}', b'{"count": 1, "left": 1e999, "until": 1000001}'])  # fmt: skip
def test_a_file_that_is_no_wish_is_none(settings, raw):
    file = following.place(settings)
    file.parent.mkdir(parents=True)
    file.write_bytes(raw)
    assert not following.take(file, NOW) and following.following(settings, NOW) is None
    file.unlink()
    file.mkdir()
    assert not following.take(file, NOW), "nor is a folder"


def test_without_a_wish_the_file_is_looked_for_once_a_second(settings):
    hands = [NOW, 50.0]
    chosen = Chosen(following.place(settings), lambda: hands[0], lambda: hands[1])
    assert not chosen()
    following.follow(settings, 2, "anna", NOW)
    assert not chosen()
    hands[1] += LOOK_S
    assert [chosen() for _ in range(3)] == [True, True, False]
