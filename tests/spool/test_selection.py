"""Selections out of anything that comes from outside: a clear refusal, or one that can be written down and read again."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.acts import CAN, USUAL, states_for, what_of
from protocol.errors import StepRefused
from protocol.selection import STATES, TEXTS, TIMES, Selection, read_selection
from protocol.spool import open_spool
from protocol.spool.selecting import ARRIVALS, DELIVERIES
from protocol.wire.codec import pack, unpack_stored

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=300) | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=5,
)  # fmt: skip
names = st.sampled_from([*TEXTS, *TIMES, "states", "other"])
sensible = st.fixed_dictionaries({}, optional={
    **{name: st.text(min_size=1, max_size=20).filter(str.isprintable) for name in TEXTS}, **{name: st.floats(0, 4e9) for name in TIMES},
    "states": st.lists(st.sampled_from(STATES["delivery"]), max_size=4),
})  # fmt: skip


@settings(max_examples=100)
@given(st.dictionaries(names, anything, max_size=6), st.sampled_from([*STATES]))
def test_whatever_comes_in_is_refused_in_words_or_read(given: dict, what: str) -> None:
    try:
        selection = read_selection(given, what)
    except StepRefused as exc:
        assert str(exc)
        return
    assert read_selection(selection.plain(), what) == selection


@pytest.mark.parametrize(
    "given", [{"target": "pacs", "state": ["parked"]}, {"targt": "pacs"}, {"target": "pacs", 7: "x"}]
)
def test_a_filter_that_does_not_exist_is_refused_and_not_left_out(given: dict) -> None:
    """Left out, the act would be done to more than was meant."""
    with pytest.raises(StepRefused, match=r"there is no filter '(state|targt|7)'; there are act, cause, .*states"):
        read_selection(given, "delivery")


@given(sensible)
def test_what_is_written_down_with_a_command_is_read_as_it_was(given: dict) -> None:
    selection = read_selection(given, "delivery")
    assert read_selection(unpack_stored(pack(selection.plain())), "delivery") == selection
    assert selection.empty == (not selection.plain()) == (selection == Selection())


def test_any_selection_can_be_asked_of_the_spool(tmp_path) -> None:
    spool = open_spool(tmp_path, create=True)
    command = spool.commands.find(spool.commands.ask("queue.retry", "ann", {}))

    @settings(max_examples=60, deadline=None)
    @given(sensible)
    def asked(given: dict) -> None:
        selection = read_selection(given, "delivery")
        assert spool.deliveries.select(selection) == [] == spool.arrivals.select(selection)
        for kind in (DELIVERIES, ARRIVALS):
            progress = spool.bulk.begin(command, kind, selection)
            assert progress.total == 0 and spool.bulk.next(command, kind, selection, progress, 5) is None

    asked()
    spool.close()


def test_the_states_of_every_act_are_states_of_what_it_is_done_to() -> None:
    for kind, states in CAN.items():
        assert set(states) <= set(STATES[what_of(kind)])
        assert set(USUAL.get(kind, ())) <= set(states)
        assert states_for(kind, Selection()) == USUAL.get(kind, states)
