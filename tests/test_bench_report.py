"""RESULTS.md of the benches: what was run anew replaces its part, everything else stays."""

from __future__ import annotations

from bench.__main__ import BENCHES, RESULTS
from bench.report import Outcome, markdown, sections
from bench.runs import Result


def outcome(name: str, bench: str, median: float) -> Outcome:
    result = Result(bench, "scanpost", [median], "images/s", median, goal="P1 >= 1 x", met=median > 1)
    return Outcome(name, "What it is about.", "2026-11-27", 1.0, 1, {"cores": "2"}, [result])


def test_without_a_new_run_the_file_stays_as_it_is() -> None:
    assert markdown([], RESULTS.read_text(), list(BENCHES)) == RESULTS.read_text()


def test_what_was_run_anew_replaces_its_part_and_its_goals() -> None:
    order = ["one", "two", "three"]
    first = markdown([outcome("one", "b", 2.0), outcome("three", "b, too", 0.5)], "", order)
    assert list(sections(first)) == ["one", "three"]
    assert "| P1 >= 1 x | b: scanpost | 2 images/s | met |\n| P1 >= 1 x | b, too: scanpost | 0.5" in first
    second = markdown([outcome("two", "c", 3.0)], first, order)
    assert list(sections(second)) == order
    third = markdown([outcome("three", "b, too", 4.0)], second, order)
    assert third == markdown(
        [outcome("one", "b", 2.0), outcome("two", "c", 3.0), outcome("three", "b, too", 4.0)], "", order
    )
    assert third.count("**missed**") == 0 and third.count("b, too: scanpost") == 1
