"""The routing configuration: targets, groups, sources and rules, and what must fit together between them.

It must not read files (`parse`, `versions`) nor decide (`decide`); an object of it is valid by construction.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from functools import cached_property
from typing import Any, Literal

from pydantic import Field, model_validator

from protocol.routing import shapes
from protocol.routing.conditions import Condition
from protocol.routing.fields import Frozen, Name, Switch, Text, Trigger
from protocol.routing.groups import Group
from protocol.routing.misfits import Misfits, Parts, misfits
from protocol.routing.notify import Notify
from protocol.routing.rules.compiler import CompiledRule, compile_rule
from protocol.routing.rules.subject import Subject
from protocol.routing.sources import Source
from protocol.routing.targets import Target
from protocol.routing.terms import Expiry, Quota, Return, Schedule, StudyTerms

PRIORITIES = ("urgent", "normal", "offpeak")
"""Highest first."""


class RuleTest(Frozen):
    """A test case of a rule: header values (of one image or several), origin values, and the result to expect."""

    name: Text = ""
    header: Mapping[str, Any] = Field(default_factory=dict)
    images: tuple[Mapping[str, Any], ...] = ()
    origin: Mapping[str, Any] = Field(default_factory=dict)
    expect: Literal["true", "false", "unknown", "error"]

    def subject(self) -> Subject:
        """What the rule is asked about."""
        return Subject(self.images or ({},), self.origin, self.header, self._zone)

    @property
    def _zone(self) -> tzinfo:
        """That of the time of receipt as it is written, so that a test comes out alike on every machine; else UTC."""
        try:
            return datetime.fromisoformat(str(self.origin.get("ReceivedAt"))).tzinfo or UTC
        except ValueError:
            return UTC


class Rule(Frozen):
    """A condition plus what to do. `when` is kept with its names in canonical letters."""

    model_config = shapes.config(
        shapes.where("action", "route", {"properties": {"targets": {"minItems": 1}}, "required": ["targets"]}),
        shapes.where("action", "discard", {"properties": {"targets": {"maxItems": 0}}}),
        {"if": shapes.given("study"), "then": {"properties": {"trigger": {"const": "study"}}, "required": ["trigger"]}},
        shapes.where(
            "trigger", "image", {"properties": {"action": {"const": "route"}, "fallback": {"const": False}}}
        ),
    )  # fmt: skip

    name: Name
    when: Condition
    action: Literal["route", "discard", "hold"]
    targets: tuple[Name, ...] = ()
    trigger: Trigger = "series"
    priority: Literal["urgent", "normal", "offpeak"] = "normal"
    mode: Literal["active", "shadow", "off"] = "active"
    stop: Switch = False
    fallback: Switch = False
    expires: Expiry | None = None
    off_until: Return | None = None
    quota: Quota | None = None
    schedule: Schedule = None
    study: StudyTerms | None = None
    notify: tuple[Notify, ...] = ()
    comment: Text = ""
    owner: Text = ""
    tests: tuple[RuleTest, ...] = ()

    @model_validator(mode="after")
    def _fits_its_trigger(self) -> Rule:
        if self.study is not None and self.trigger != "study":
            raise ValueError('study is for rules with the trigger "study"')
        if self.trigger == "image":
            if self.action != "route" or self.fallback:
                raise ValueError(
                    'a rule with the trigger "image" sends single images: its action is route, no fallback'
                )
            if self.compiled.over_images:
                raise ValueError('a rule with the trigger "image" sees one image: leave the image functions out')
        return self

    @cached_property
    def study_terms(self) -> StudyTerms:
        """When a study counts as complete for it, its defaults if it says nothing."""
        return self.study or StudyTerms()

    @cached_property
    def study_complete(self) -> CompiledRule | None:
        """The condition that completes a study, ready to be asked; None: quiet does."""
        return None if self.study_terms.complete is None else compile_rule(self.study_terms.complete)

    @cached_property
    def compiled(self) -> CompiledRule:
        """The condition, ready to be asked."""
        return compile_rule(self.when)

    def failed_tests(self) -> list[str]:
        """One line for each of its own test cases that does not come out as expected."""
        lines = []
        for at, test in enumerate(self.tests):
            result = self.compiled.result(test.subject())
            if result != test.expect:
                lines.append(f"test {test.name or at + 1} expects {test.expect}, but the rule is {result}")
        return lines


class RoutingConfiguration(Frozen):
    """Targets, groups, sources and rules of one revision. Raises ValidationError; `parse` makes it lines."""

    targets: Mapping[Name, Target] = Field(default_factory=dict)
    groups: Mapping[Name, Group] = Field(default_factory=dict)
    sources: Mapping[Name, Source] = Field(default_factory=dict)
    rules: tuple[Rule, ...] = ()

    @model_validator(mode="after")
    def _fits_together(self) -> RoutingConfiguration:
        names = [rule.name for rule in self.rules]
        parts = Parts(self.targets, self.groups, self.groups, self.sources, dict(enumerate(self.rules)), names)
        found = list(misfits(parts))
        if found:
            raise Misfits(found)
        return self

    @cached_property
    def image_rules(self) -> tuple[Rule, ...]:
        """Rules that send single images as they come in."""
        return tuple(rule for rule in self.rules if rule.trigger == "image" and rule.mode != "off")

    @cached_property
    def timed_studies(self) -> bool:
        """Whether a study rule ends or begins on a day, which may come while a study does."""
        return any(rule.trigger == "study" and bool(rule.expires or rule.off_until) for rule in self.rules)

    @cached_property
    def keywords(self) -> frozenset[str]:
        """DICOM keywords that rules and layouts read, so that the header scan takes them."""
        conditions = [one for rule in self.rules for one in (rule.compiled, rule.study_complete) if one is not None]
        return frozenset(keyword for condition in conditions for keyword in condition.keywords).union(
            *(target.keywords for target in self.targets.values())
        )
