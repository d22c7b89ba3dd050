"""The example configurations of deploy/ are sound: they load, nothing is odd about them, their own tests pass."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from protocol.routing.checks.ourselves import Listening, Ourselves
from protocol.routing.checks.whole import examine
from protocol.routing.parse import parse

FILES = sorted((Path(__file__).parents[2] / "deploy" / "routing").glob("*.json"))
NODE = Ourselves((Listening("0.0.0.0", 11112, "ROUTER"),), frozenset({"router.example.org"}), certificates=False)


def test_there_are_examples() -> None:
    assert [file.name for file in FILES] == ["clinic.json", "research.json"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_an_example_loads_without_findings_and_passes_its_own_tests(file: Path) -> None:
    configuration = parse(file.read_bytes(), file.name)
    assert [one.line() for one in examine(configuration, datetime(2026, 1, 1, tzinfo=UTC), NODE)] == []
    assert [line for rule in configuration.rules for line in rule.failed_tests()] == []
    assert sum(len(rule.tests) for rule in configuration.rules) >= 3
