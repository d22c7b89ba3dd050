"""Every alert that the code can raise stands in docs/alerts.md, and each that stands there is raised by a whole node in
tests/network, or is named here with the test that has it otherwise.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.network import test_alerts_node as first
from tests.network import test_every_alert_node as second

ROOT = Path(__file__).resolve().parents[3]
CODE = sorted((ROOT / "actors").rglob("*.py"))
OTHERWISE = {
    "disk.soon": "test_quiet_night.py", "channel.mail": "test_quiet_night.py", "accounting.ledger": "test_quiet_night.py",
    "alerts.failed.watch": "test_alert_watch.py", "spool.wal": "test_alert_watch.py", "ledger.ahead": "../test_bookkeeper_once.py",
    "audit.away": "../test_bookkeeper_deeds.py", "ledger.encoding": "../test_bookkeeper_odd_servers.py",
}  # fmt: skip
"""An alert that no running node can be brought to in seconds: where it is tested."""
KEY = re.compile(r"[a-z]+(\.[a-z_X]+)*\.?")


def documented() -> dict[str, re.Pattern[str]]:
    """The keys in the table of docs/alerts.md, as patterns."""
    text = (ROOT / "docs" / "alerts.md").read_text().partition("## What is watched")[2].partition("\n\n**")[0]
    keys = [
        key
        for row in text.splitlines()
        if row.startswith("| `")
        for key in re.findall(r"`([^`]+)`", row.split(" | ")[0])
    ]
    return {key: re.compile(re.sub(r"\b[A-Z]{2,}\b", ".+", re.escape(key))) for key in keys}


def in_code() -> set[str]:
    """Keys, or their beginnings, that actors raise: constants called ...ALERT, arguments of `_alert`, texts made in `conditions`."""
    found = set()
    for path in CODE:
        for node in ast.walk(ast.parse(path.read_text())):
            found |= set(_keys(node, path.name == "conditions.py"))
    return {key.removesuffix(".") + ".X" * key.endswith(".") for key in found if KEY.fullmatch(key)}


def _keys(node: ast.AST, of_conditions: bool) -> Iterator[str]:
    if isinstance(node, ast.Assign):
        names = ast.dump(node.targets[0])
        values = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
        if "ALERT'" in names:
            yield from (one.value for one in values if isinstance(one, ast.Constant) and isinstance(one.value, str))
    elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
        if getattr(node.func, "attr", "") == "_alert" or getattr(node.func, "id", "") == "Symptom":
            yield str(node.args[0].value)
    elif isinstance(node, ast.JoinedStr) and of_conditions:
        yield "".join(str(one.value) if isinstance(one, ast.Constant) else "X" for one in node.values)


STATES = {
    "delivery.X.X.X": ("delivery.parked.X.X", "delivery.held.X.X"), "channel.X": ("channel.mail", "channel.webhook")
}  # fmt: skip
"""What stands for one of a few words."""


def test_the_code_is_read() -> None:
    found = in_code()
    assert {
        "disk",
        "clock",
        "outbox.long",
        "target.missing.X",
        "actor.hung.X",
        "ledger.gap",
        "disk.soon",
        "audit.broken",
    } <= found
    assert len(found) > 30


@pytest.mark.parametrize("key", [name for key in sorted(in_code()) for name in STATES.get(key, (key,))])
def test_an_alert_that_is_raised_is_documented(key: str) -> None:
    assert [one for one, pattern in documented().items() if pattern.fullmatch(key)], f"{key} is not in docs/alerts.md"


@pytest.mark.parametrize("key", sorted(documented()))
def test_an_alert_that_is_documented_is_raised_by_a_whole_node_or_has_a_test_of_its_own(key: str) -> None:
    told = {*first.WANTED, "target.down.pacs", *second.FIRST, *second.LAST}
    pattern = documented()[key]
    others = [file for name, file in OTHERWISE.items() if pattern.fullmatch(name)]
    assert any(pattern.fullmatch(one) for one in told) or others, f"nobody shows that {key} is raised"
    for name, file in OTHERWISE.items():
        if pattern.fullmatch(name):
            assert name in (Path(__file__).parent / file).read_text()
