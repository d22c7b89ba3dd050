"""The routing configuration: targets, groups, sources and rules, and what must fit together between them.

It must not read files (`parse`, `versions`) nor decide (`decide`); an object of it is valid by construction.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, model_validator

from protocol.routing.conditions import Condition
from protocol.routing.fields import Frozen, Name, Switch, Text, Trigger
from protocol.routing.groups import Group
from protocol.routing.rules.compiler import CompiledRule, compile_rule
from protocol.routing.rules.names import did_you_mean
from protocol.routing.rules.subject import Subject
from protocol.routing.sources import Source
from protocol.routing.targets import Target
from protocol.routing.terms import Expiry, Quota, Schedule, StudyTerms

PRIORITIES = ("urgent", "normal", "offpeak")
"""Highest first."""


class Misfit(ValueError):
    """Two parts do not go together; `place` says where, `cure` what to do."""

    def __init__(self, place: str, message: str, cure: str) -> None:
        self.place, self.cure = place, cure
        super().__init__(message)


class Notify(Frozen):
    """Whom to tell about arrivals that the rule applied to."""

    on: Annotated[tuple[Literal["received", "completed", "failed", "held", "discarded"], ...], Field(min_length=1)]
    to: Annotated[Text, StringConstraints(pattern=r"^(mail|webhook):\S+\Z", max_length=500)]


class RuleTest(Frozen):
    """A test case of a rule: header values (of one image or several), origin values, and the result to expect."""

    name: Text = ""
    header: Mapping[str, Any] = Field(default_factory=dict)
    images: tuple[Mapping[str, Any], ...] = ()
    origin: Mapping[str, Any] = Field(default_factory=dict)
    expect: Literal["true", "false", "unknown", "error"]

    def subject(self) -> Subject:
        """What the rule is asked about."""
        return Subject(self.images or ({},), self.origin, self.header)


class Rule(Frozen):
    """A condition plus what to do. `when` is kept with its names in canonical letters."""

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
    """Targets, groups, sources and rules of one revision. Raises ValidationError; `parse` makes it one line."""

    targets: Mapping[Name, Target] = Field(default_factory=dict)
    groups: Mapping[Name, Group] = Field(default_factory=dict)
    sources: Mapping[Name, Source] = Field(default_factory=dict)
    rules: tuple[Rule, ...] = ()

    @model_validator(mode="after")
    def _fits_together(self) -> RoutingConfiguration:
        for misfit in self._misfits():
            raise misfit
        return self

    @cached_property
    def image_rules(self) -> tuple[Rule, ...]:
        """Rules that send single images as they come in."""
        return tuple(rule for rule in self.rules if rule.trigger == "image" and rule.mode != "off")

    @cached_property
    def keywords(self) -> frozenset[str]:
        """DICOM keywords that rules read, so that the header scan takes them."""
        conditions = [one for rule in self.rules for one in (rule.compiled, rule.study_complete) if one is not None]
        return frozenset(keyword for condition in conditions for keyword in condition.keywords)

    def _misfits(self) -> Iterator[Misfit]:
        yield from self._group_misfits()
        yield from self._source_misfits()
        names: set[str] = set()
        for at, rule in enumerate(self.rules):
            place = f"rules[{at}]"
            if rule.name in names:
                yield Misfit(f"{place}.name", f"there are two rules named '{rule.name}'", "give each its own name")
            names.add(rule.name)
            yield from self._rule_misfits(place, rule)

    def _group_misfits(self) -> Iterator[Misfit]:
        for name, group in self.groups.items():
            if name in self.targets:
                message = f"'{name}' is both a target and a group"
                yield Misfit(f"groups.{name}", message, "rename one of them: they share one name space")
            for at, member in enumerate(group.members):
                if member not in self.targets:
                    message = f"group '{name}' names the missing target '{member}'"
                    yield Misfit(f"groups.{name}.members[{at}]", message, _nearest(member, self.targets))

    def _source_misfits(self) -> Iterator[Misfit]:
        known: dict[tuple[object, ...], str] = {}
        for name, source in self.sources.items():
            other = known.setdefault(source.criteria, name)
            if other != name:
                message = f"'{name}' and '{other}' have the same calling_ae, address and certificate"
                yield Misfit(f"sources.{name}", message, "remove one of them, or make one more specific")
            reference = source.commitment.target
            if reference is not None and reference not in self.targets and reference not in self.groups:
                message = f"source '{name}' names the missing target or group '{reference}'"
                place = f"sources.{name}.commitment.target"
                yield Misfit(place, message, _nearest(reference, (*self.targets, *self.groups)))

    def _rule_misfits(self, place: str, rule: Rule) -> Iterator[Misfit]:
        if rule.action == "route" and not rule.targets:
            message = f"rule '{rule.name}' routes to no target"
            yield Misfit(f"{place}.targets", message, "name at least one target, or use the action hold or discard")
        if rule.action == "discard" and rule.targets:
            message = f"rule '{rule.name}' discards, but names targets"
            yield Misfit(f"{place}.targets", message, "leave the targets out, or use the action route")
        for at, target in enumerate(rule.targets):
            if target not in self.targets and target not in self.groups:
                message = f"rule '{rule.name}' names the missing target or group '{target}'"
                yield Misfit(f"{place}.targets[{at}]", message, _nearest(target, (*self.targets, *self.groups)))


def _nearest(name: str, candidates: Any) -> str:
    return did_you_mean(name, candidates, "there are: " + (", ".join(sorted(candidates)[:10]) or "none"))
