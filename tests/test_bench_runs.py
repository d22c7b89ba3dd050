"""How a bench takes turns."""

from __future__ import annotations

import pytest

from bench import runs
from bench.runs import Contender, Goal


def test_orders_alternate_and_what_no_goal_needs_runs_in_one_repetition_of_several(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    turns: list[str] = []
    rates = {"peer": 100.0, "ours": 130.0, "mark": 500.0}

    def once(one: Contender, images: int) -> tuple[float, None]:
        turns.append(one.name)
        return rates[one.name] + images, None

    monkeypatch.setattr(runs, "_once", once)
    contenders = [Contender(name, lambda: None, every=3 if name == "mark" else 1) for name in rates]
    results = runs.compare("bench", 0, contenders, 4, [Goal("P1", "ours", 1.25)])
    assert " ".join(turns) == "peer ours mark ours peer peer ours mark ours peer"
    assert [(one.contender, len(one.values), one.ratio, one.met) for one in results] == [
        ("peer", 4, 1.0, None), ("ours", 4, 1.3, True), ("mark", 2, 5.0, None),
    ]  # fmt: skip
