"""`scanpost tap` says what can never come, instead of waiting for it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from click.testing import Result
from rules_node import Home

Run = Callable[..., Result]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["delivery.complete"], "no event fits 'delivery.complete'; did you mean 'delivery.completed'"),
        (["deliverys.*"], "did you mean 'delivery.*'"),
        (["ev.delivery.progress"], "did you mean 'delivery.progress'"),
        (["xyz"], "docs/events.md lists them all"),
        (["arrival.*", "!arrival.*"], "these patterns leave no event"),
        (["Delivery.*"], "cannot use pattern 'Delivery.*'"),
        (["delivery.completed", "--where", "tagret=pacs"], "has a field 'tagret'; did you mean 'target'"),
    ],
)
def test_what_can_never_come_is_refused_and_not_waited_for(home: Home, run: Run, words: list[str], told: str) -> None:
    assert told in run("tap", *words, "--no-follow", code=2).output.replace("\n", " ")


def test_what_fits_is_listened_to_and_the_rest_is_told(home: Home, run: Run) -> None:
    arrival = home.series(Modality="MR")
    done = run("tap", "arrival.opened", "arival.closed", "!quarantine.deletd", "--since", "1", "--no-follow",
               "--where", f"data.arrival={arrival}", "--where", "source=/node1/test/0")  # fmt: skip
    assert done.stdout.count("arrival.opened") == len(done.stdout.splitlines()) == 1
    assert "no event fits 'arival.closed'" in done.stderr and "did you mean 'quarantine.deleted'" in done.stderr


def test_without_the_bus_it_says_that_what_is_only_sent_does_not_come(home: Home, run: Run) -> None:
    assert "only the bus tells these events" in run("tap", "sys.*", "--no-follow").stderr
    assert "only the bus" not in run("tap", "--no-follow").stderr
