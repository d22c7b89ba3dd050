"""Helpers of the rule tests: results that must agree with their explanation, and refusals."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, tzinfo
from typing import Any

import pytest

from protocol.errors import RuleSyntaxError
from protocol.routing.rules.compiler import CompiledRule, compile_rule
from protocol.routing.rules.subject import Subject


def result(
    text: str,
    *images: Mapping[str, object],
    origin: Mapping[str, object] | None = None,
    common: Mapping[str, object] | None = None,
    zone: tzinfo | None = UTC,
) -> str:
    """What a rule comes to; the explanation must agree and be JSON."""
    return judged(compile_rule(text), Subject(images, origin or {}, common or {}, zone))


def judged(rule: CompiledRule, subject: Subject) -> str:
    evaluation = rule.evaluate(subject)
    assert rule.result(subject) is evaluation.result
    assert evaluation.explanation["result"] == evaluation.result
    assert evaluation.explanation["kind"] != "fault"
    json.dumps(evaluation.explanation, allow_nan=False)
    return str(evaluation.result)


def explained(text: str, *images: Mapping[str, object], **origin: object) -> dict[str, Any]:
    """The explanation of a rule."""
    return compile_rule(text).evaluate(Subject(images, origin, zone=UTC)).explanation


def refusal(text: str) -> RuleSyntaxError:
    """The error that refuses a text."""
    with pytest.raises(RuleSyntaxError) as caught:
        compile_rule(text)
    assert 0 <= caught.value.position <= len(text)
    assert caught.value.reason
    return caught.value
