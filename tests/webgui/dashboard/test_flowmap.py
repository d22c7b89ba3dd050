"""The map of flows: who sends by which rule where, how much, and what fails, without colour."""

import pytest

from protocol.spool.figures.reading import Flow
from webgui.areas.dashboard.flowmap import MOST, OTHERS, THICK, THIN, flow_map


def flow(source="CT1", rule="all", target="pacs", series=10, failing=False):
    return Flow(source, rule, target, series, [series], failing)


def test_edges_are_wide_as_what_goes_along_and_tell_it_in_words():
    drawn = flow_map([flow(series=100), flow("MR1", "head", "ai", 1)], [], {})
    widths = {edge.title: edge.width for edge in drawn.edges}
    assert widths["CT1 to all: 100 series in the last hour"] == THICK
    assert THIN < widths["MR1 to head: 1 series in the last hour"] < THICK / 2
    assert "CT1 by all to pacs: 100 series/h" in drawn.lines


def test_a_rule_that_sent_nothing_has_its_targets_all_the_same():
    drawn = flow_map([], [("night", ("pacs", "ai"))], {"pacs": {"state": "up"}})
    assert [box.label for box in drawn.boxes] == ["night", "ai", "pacs"]
    assert all(edge.idle and edge.width == THIN for edge in drawn.edges)


def test_what_fails_says_so():
    drawn = flow_map([flow(failing=True)], [], {"pacs": {"state": "failing", "fails": 3}})
    assert [edge.failing for edge in drawn.edges] == [False, True]
    assert drawn.edges[-1].title.endswith(", failing")
    (box,) = [box for box in drawn.boxes if box.label == "pacs"]
    assert (box.level, box.word) == ("bad", "down")


def test_a_crowd_is_put_together_and_nothing_is_lost():
    drawn = flow_map([flow(f"AE{n}", "all", "pacs", n + 1) for n in range(50)], [], {})
    sources = [box for box in drawn.boxes if box.x < 10]
    assert len(sources) == MOST and sources[-1].label == OTHERS and sources[-1].href == ""
    into = [edge.title for edge in drawn.edges if " to all:" in edge.title]
    assert sum(int(title.split(": ")[1].split(" ")[0].replace("\u202f", "")) for title in into) == sum(range(1, 51))


def test_long_and_odd_names_stay_short_and_are_escaped_in_addresses():
    (source, *_) = flow_map([flow("A/B?" + "x" * 60)], [], {}).boxes
    assert len(source.label) <= 20 and source.title.endswith("x" * 60)
    assert source.href.startswith("/series?source=A%2FB%3F")


def test_nothing_is_a_map_of_nothing():
    assert flow_map([], [], {}).height == 0


@pytest.mark.parametrize("failing, level, word", [
    ((), "", ""), (("ai1",), "warn", "1 of 2 members fail"), (("ai1", "ai2"), "bad", "failing"),
])  # fmt: skip
def test_a_group_fails_when_every_member_does(failing, level, word):
    targets = {name: {"state": "failing" if name in failing else "up"} for name in ("ai1", "ai2")}
    drawn = flow_map([], [("lung", ("ai",))], targets, {"ai": ("ai1", "ai2")})
    (box,) = [one for one in drawn.boxes if one.label == "ai"]
    assert (box.level, box.word) == (level, word)
    assert [edge.failing for edge in drawn.edges] == [word == "failing"]
