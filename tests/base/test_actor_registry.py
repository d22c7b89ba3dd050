"""`python -m actors`: the table of actors, and working one by hand."""

from __future__ import annotations

from typing import Any

import pytest

from actors.__main__ import ACTORS, main
from actors.base import Actor, passes


class Counting(Actor):
    NAME = "counting"

    def __init__(self, waits: list[float]) -> None:
        super().__init__(None)  # type: ignore[arg-type]
        self.waits, self.given = waits, []  # type: ignore[var-annotated]

    def one_pass(self, nudges: list[Any]) -> float:
        self.given.append(list(nudges))
        return self.waits.pop(0)


def test_passes_go_on_until_the_actor_wants_to_wait() -> None:
    actor = Counting([0.0, 0.0, 1.0, 0.0])
    assert passes(actor, ["nudge"]) == 3  # type: ignore[list-item]
    assert actor.given == [["nudge"], [], []]


def test_an_actor_that_never_waits_is_told_apart() -> None:
    with pytest.raises(RuntimeError, match="still has work"):
        passes(Counting([0.0] * 10), limit=5)


def test_the_table_names_every_actor_of_the_system() -> None:
    assert set(ACTORS) == {"bus", "receiver", "router", "dispatcher", "cleaner", "bookkeeper"}


@pytest.mark.parametrize("argv", [[], ["nobody"]])
def test_an_unknown_actor_is_a_usage_error(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 2
    assert "receiver" in capsys.readouterr().err
