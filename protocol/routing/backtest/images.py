"""Conditions over the images of arrivals of the past, asked by distinct values: 300 images with five values are five questions,
and a value that any arrival had before is none. It must come to the same as asking image by image.

Only conditions on header values of one image go this way: any_image, all_images, and count_images compared with a number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from protocol.errors import RuleSyntaxError
from protocol.routing.backtest.cases import Past, is_keyword
from protocol.routing.rules.comparing import compare
from protocol.routing.rules.compiler import CompiledRule, compile_rule
from protocol.routing.rules.nodes import Clause, Compare, Constant, CountImages, OverImages
from protocol.routing.rules.subject import Subject
from protocol.routing.rules.values import ERROR, TRUE, Truth, every, some

REMEMBERED = 50_000  # rows of values of each condition
Rows = Counter[Any]
"""How many images have these values; a value alone, or a tuple of several."""


def over_images(clause: Clause) -> Callable[[Past], Truth] | None:
    """What a condition over images comes to, asked fast; None if it has to be asked image by image.

    The past must have images, and no earlier arrivals of its series.
    """
    match clause:
        case OverImages(function="any_image" | "all_images" as function, clause=inner):
            truths = _truths(inner)
            if truths is None:
                return None
            join = some if function == "any_image" else every
            return lambda past: join(truth for truth, _ in truths(past))
        case Compare(terms=(left, right), operators=(operator,)):
            return _of_count(left, operator, right)
    return None


def _of_count(left: Any, operator: str, right: Any) -> Callable[[Past], Truth] | None:
    """`count_images(condition) >= 20`, either way round."""
    counted, constant = (left, right) if isinstance(left, CountImages) else (right, left)
    if not isinstance(counted, CountImages) or not isinstance(constant, Constant) or counted.clause is None:
        return None
    truths, number, ahead = _truths(counted.clause), constant.value, counted is left
    if truths is None:
        return None

    def asked(past: Past) -> Truth:
        count = 0
        for truth, images in truths(past):
            if truth is ERROR:
                return ERROR
            count += images if truth is TRUE else 0
        return compare(operator, count, number) if ahead else compare(operator, number, count)

    return asked


def _truths(clause: Clause) -> Callable[[Past], list[tuple[Truth, int]]] | None:
    """What a clause about one image comes to for each distinct row of values, and how many images have it."""
    condition = alone(clause)
    if condition is None or condition.over_images or not condition.names or not all(map(is_keyword, condition.names)):
        return None
    names, memory = condition.names, dict[Any, Truth]()

    def asked(past: Past) -> list[tuple[Truth, int]]:
        found = []
        for row, images in past.image_rows(names).items():
            truth = memory.get(row)
            if truth is None:
                if len(memory) >= REMEMBERED:
                    memory.clear()
                truth = memory[row] = condition.result(_one_image(names, row))
            found.append((truth, images))
        return found

    return asked


def _one_image(names: tuple[str, ...], row: Any) -> Subject:
    return Subject((dict(zip(names, row if len(names) > 1 else (row,), strict=True)),))


def alone(clause: Clause) -> CompiledRule | None:
    """A clause as a condition of its own; None if its text does not say all of it."""
    try:
        made = compile_rule(clause.text)
    except RuleSyntaxError:
        return None
    return made if made.tree == clause else None
