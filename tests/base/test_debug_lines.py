"""Debug lines: for 15 minutes, in every process of the actor, and then no more, whatever happens to the clock."""

from __future__ import annotations

import pytest
import structlog

from actors import log
from actors.log import LOOK_S, Wanted
from protocol import loglevel
from protocol.errors import NotFound
from protocol.settings import load_settings


class Hands:
    """Clocks moved by hand."""

    def __init__(self) -> None:
        self.now, self.monotonic = 1_000_000.0, 50.0

    def later(self, seconds: float) -> None:
        self.now += seconds
        self.monotonic += seconds


@pytest.fixture
def settings(tmp_path):
    return load_settings(tmp_path, environ={})


@pytest.fixture
def hands():
    return Hands()


@pytest.fixture
def wanted(settings, hands):
    return Wanted(loglevel.place(settings, "router"), "router", lambda: hands.now, lambda: hands.monotonic)


def test_a_wish_reaches_a_logger_that_was_there_before_and_ends_by_itself(settings, hands, wanted):
    assert not wanted()
    loglevel.wish(settings, "router", "anna", hands.now)
    hands.later(LOOK_S)
    assert wanted()
    hands.later(loglevel.LASTS_S - 2 * LOOK_S)
    assert wanted()
    hands.later(LOOK_S)
    assert not wanted() and loglevel.wishes(settings, hands.now) == []


def test_it_is_ended_early_and_concerns_one_actor(settings, hands, wanted):
    for actor in ("router", "receiver"):
        loglevel.wish(settings, actor, "anna", hands.now)
    assert wanted()
    loglevel.end(settings, "router")
    loglevel.end(settings, "router")  # again is no fault
    hands.later(LOOK_S)
    assert not wanted()
    assert loglevel.wishes(settings, hands.now) == [loglevel.Wish("receiver", 1_000_000.0 + loglevel.LASTS_S, "anna")]


def test_a_clock_that_was_set_back_does_not_make_it_longer(settings, hands, wanted):
    loglevel.wish(settings, "router", "anna", hands.now)
    hands.now -= 86_400
    assert not wanted()


@pytest.mark.parametrize("text", ["", "[]", "7", '{"until": "soon"}', '{"until": NaN}', "\udcff"])
def test_a_file_that_is_no_wish_is_none(settings, wanted, text):
    file = loglevel.place(settings, "router")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    assert not wanted()


def test_only_actors_that_have_something_to_say_can_be_asked(settings):
    for name in ("cleaner", "../router", ""):
        with pytest.raises(NotFound, match="receiver, router, dispatcher"):
            loglevel.wish(settings, name, "anna", 0.0)


def test_lines_that_nobody_wants_are_not_even_made():
    wants, asked, output = [False], [], structlog.testing.CapturingLogger()
    logger = structlog.wrap_logger(
        output, processors=[structlog.processors.KeyValueRenderer()], wrapper_class=log._logger_class(lambda: wants[0])
    )

    def costly() -> str:
        asked.append(1)
        return "found"

    logger.debug("quiet", told=costly)
    assert asked == [] and output.calls == []
    wants[0] = True
    logger.debug("loud", told=costly)
    logger.info("always", told="so")
    assert [(call.method_name, call.args[0]) for call in output.calls] == [
        ("debug", "told='found' event='loud'"),
        ("info", "told='so' event='always'"),
    ]
