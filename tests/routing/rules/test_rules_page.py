"""docs/rules.md: every example on the page is run, so that the page cannot say what the program does not do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from protocol.header.wanted import MAX_PATH
from protocol.routing.model import Rule
from protocol.routing.rules import patterns
from protocol.routing.rules.compiler import compile_rule
from protocol.routing.rules.english import english
from protocol.routing.rules.functions import FUNCTIONS
from protocol.routing.rules.language import LIMIT_CHARACTERS, LIMIT_DEPTH
from protocol.routing.rules.names import ORIGIN_NAMES
from protocol.routing.rules.subject import Subject
from protocol.routing.rules.values import Truth, every, some
from protocol.routing.terms import expired, within
from tests.routing.rules.rule_testing import judged, refusal

PAGE = (Path(__file__).parents[3] / "docs" / "rules.md").read_text("utf-8")
BLOCK = re.compile(r"^```json ([^\n]+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`]+)`")
EXAMPLES = re.split(r"^### (?=\d+\. )", PAGE.split("\n## ")[1], flags=re.MULTILINE)[1:]
AT = datetime(2026, 1, 31, 12, tzinfo=UTC)


def blocks(text: str, kind: str) -> list[dict[str, Any]]:
    return [json.loads(body) for found, body in BLOCK.findall(text) if found == kind]


def subject_of(told: dict[str, Any]) -> Subject:
    images = told.get("images", [{}]) * told.get("times", 1)
    return Subject(images, told.get("origin", {}), told.get("header", {}), ZoneInfo(told.get("zone", "UTC")))


def applies(rule: Rule, told: dict[str, Any]) -> bool:
    subject = subject_of(told)
    received = datetime.fromisoformat(told.get("origin", {}).get("ReceivedAt", AT.isoformat())).astimezone(subject.zone)
    in_time = within(rule.schedule, received) and not expired(rule.expires, received)
    return judged(rule.compiled, subject) == "true" and in_time


def rows(heading: str) -> list[list[str]]:
    """The cells of all tables with this first cell in their head."""
    found: list[list[str]] = []
    for table in re.findall(rf"^\| {heading} \|.*\n\|[-|]+\n((?:\|.*\n)+)", PAGE, re.MULTILINE):
        found += [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table.splitlines()]
    assert found
    return found


def code(cell: str) -> str:
    """The code in a cell; a table needs a backslash before each bar."""
    match = CODE.fullmatch(cell)
    assert match, cell
    return match[1].replace("\\|", "|")


def test_there_are_ten_examples() -> None:
    assert [example.split(".")[0] for example in EXAMPLES] == [str(at) for at in range(1, 11)]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.splitlines()[0])
def test_an_example_is_a_rule_that_applies_and_does_not_apply_as_it_says(example: str) -> None:
    (data,) = blocks(example, "rule")
    rule = Rule.model_validate(data)
    assert rule.when == data["when"]
    (match,), (miss,) = blocks(example, "applies"), blocks(example, "does not apply")
    assert applies(rule, match)
    assert not applies(rule, miss)
    if rule.study_complete is not None:
        assert judged(rule.study_complete, subject_of(match)) == "true"
    assert re.findall(r"^In words: `(.*)`$", example, re.MULTILINE) == [english(rule.compiled.tree)]


def test_the_rule_about_single_images_applies_and_does_not_apply_as_it_says() -> None:
    chapter = PAGE.partition("## What happens then")[2]
    (data,), (match,), (miss,) = (blocks(chapter, kind) for kind in ("rule", "applies", "does not apply"))
    rule = Rule.model_validate(data)
    assert rule.trigger == "image" and applies(rule, match) and not applies(rule, miss)


def test_every_rule_on_the_page_is_accepted_and_passes_its_own_tests() -> None:
    rules = [Rule.model_validate(data) for data in blocks(PAGE, "rule")]
    assert len(rules) == 12
    assert sum(len(rule.tests) for rule in rules) == 3
    for rule in rules:
        assert rule.failed_tests() == []


@pytest.mark.parametrize(("condition", "header", "expected"), rows("condition"))
def test_a_row_of_the_reference_comes_to_what_it_says(condition: str, header: str, expected: str) -> None:
    told = json.loads(code(header))
    subject = subject_of(told if {"images", "origin"} & set(told) else {"header": told})
    assert judged(compile_rule(code(condition)), subject) == expected


@pytest.mark.parametrize(("text", "message"), rows("you write"))
def test_a_refusal_is_worded_as_it_says(text: str, message: str) -> None:
    assert str(refusal(code(text))) == message


@pytest.mark.parametrize(("pasted", "canonical"), rows("pasted"))
def test_a_rule_of_mercure_becomes_what_it_says(pasted: str, canonical: str) -> None:
    assert compile_rule(code(pasted)).text == code(canonical)


def test_the_explanation_is_the_one_shown() -> None:
    (told,) = blocks(PAGE, "explanation")
    assert told["when"] in PAGE
    assert compile_rule(told["when"]).evaluate(subject_of(told)).explanation == told["explanation"]


@pytest.mark.parametrize(("joint", "join"), [("and", every), ("or", some)])
def test_the_tables_of_and_and_or_are_complete(joint: str, join: Any) -> None:
    truths = ["true", "false", "unknown", "error"]
    table = {cells[0].strip("*"): cells[1:] for cells in rows(joint)}
    assert list(table) == truths
    for left, cells in table.items():
        assert cells == [join([Truth(left), Truth(right)]) for right in truths]


def conditions_in_the_text() -> Iterator[str]:
    """Whole conditions between backquotes, outside tables and blocks."""
    for line in BLOCK.sub("", PAGE).splitlines():
        if not line.startswith(("|", "In words")):
            yield from (text for text in CODE.findall(line) if re.search(r" (==|<=|>=|<|>|in|and|or) ", text))


def test_every_condition_in_the_text_compiles() -> None:
    found = [text for text in conditions_in_the_text() if text != "'Axial T2' and 'Sag T1'"]
    assert len(found) >= 5
    for text in found:
        assert compile_rule(text).text == text


def test_every_function_every_origin_name_and_every_limit_is_on_the_page() -> None:
    for function in FUNCTIONS:
        assert f"{function}(" in PAGE, function
    for name in ORIGIN_NAMES:
        assert f"`{name}`" in PAGE, name
    for limit in (LIMIT_CHARACTERS, LIMIT_DEPTH, patterns.LIMIT_PATTERN, patterns.LIMIT_TEXT, MAX_PATH):
        assert re.search(rf"\b{limit:,}\b", PAGE), limit
