"""Rules that cannot act: never true, never reached, without effect, expired.

It must not say so without proof (`proofs`); a rule with a quota, a schedule or an end keeps nothing away for certain.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from protocol.routing.checks.findings import Finding, error, warning
from protocol.routing.checks.proofs import (
    ALWAYS,
    NEVER,
    Meaning,
    clauses,
    compared_with,
    contradiction,
    follows,
    meaning,
    needed,
)
from protocol.routing.model import RoutingConfiguration, Rule
from protocol.routing.rules.names import did_you_mean
from protocol.routing.terms import expired, first_moment


class _Known(NamedTuple):
    """A rule with its place in the list and what its condition says."""

    at: int
    rule: Rule
    says: Meaning
    clauses: frozenset[int]
    needed: list[frozenset[int]]


def rule_findings(configuration: RoutingConfiguration, now: datetime) -> Iterator[Finding]:
    """What is odd about rules, at most one thing about why each cannot act. Rules that are off are left alone."""
    rules = _known(configuration.rules)
    certain = [one for one in rules if _is_certain(one.rule)]
    for one in rules:
        if one.rule.mode == "off":
            continue
        yield from _unknown_sources(configuration, one)
        found = _alone(one, now) or _kept_away(one, certain) or _without_effect(one, certain)
        found = found or _nowhere_to_go(one, rules, now)
        if found is not None:
            yield found


def _known(rules: Sequence[Rule]) -> list[_Known]:
    """The rules with their clauses as numbers: most pairs have none in common, and comparing numbers is quick."""
    numbers: dict[Meaning, int] = {}

    def numbered(found: frozenset[Meaning]) -> frozenset[int]:
        return frozenset(numbers.setdefault(one, len(numbers)) for one in found)

    known = []
    for at, rule in enumerate(rules):
        says = meaning(rule.compiled.tree)
        known.append(_Known(at, rule, says, numbered(clauses(says)), [numbered(one) for one in needed(says)]))
    return known


def _alone(one: _Known, now: datetime) -> Finding | None:
    """What keeps a rule from acting, whatever the others are."""
    place, rule = ("rules", one.at), one.rule
    if expired(rule.expires, now):
        message = f"rule '{rule.name}' expired ({rule.expires})"
        return warning((*place, "expires"), message, "remove it, set a later day, or switch it off")
    if rule.off_until is not None and expired(rule.expires, first_moment(rule.off_until, now)):
        message = f"rule '{rule.name}' ends ({rule.expires}) before it is back ({rule.off_until})"
        return warning((*place, "off_until"), message, "set a later end, or let it come back sooner")
    if one.says == NEVER:
        return warning(
            (*place, "when"), f"rule '{rule.name}' can never apply", "correct its condition, or switch it off"
        )
    words = contradiction(rule.compiled.tree)
    if words:
        message = f"rule '{rule.name}' can never apply: {words} are never both true"
        return warning((*place, "when"), message, "write or, or use `in` with a list")
    return None


def _kept_away(one: _Known, certain: list[_Known]) -> Finding | None:
    """The finding about a rule that is never asked when it would apply."""
    for other in certain:
        if one.rule.fallback and not other.rule.fallback and _covers(other, one):
            why = "always applies" if other.says == ALWAYS else "applies whenever it would"
            message = f"fallback rule '{one.rule.name}' never runs: rule '{other.rule.name}' {why}"
            return warning(("rules", one.at), message, f"narrow '{other.rule.name}', or remove this rule")
        ahead = other.at < one.at and other.rule.fallback == one.rule.fallback
        if ahead and other.rule.stop and _covers(other, one):
            return _behind(one, other)
    return None


def _behind(one: _Known, other: _Known) -> Finding:
    rule, first = one.rule, other.rule
    why = "always applies" if other.says == ALWAYS else "applies whenever it would"
    place = ("rules", one.at)
    if first.action == "discard" and rule.action != "discard" and rule.mode == "active":
        message = f"rule '{rule.name}' is never reached and its images are discarded: '{first.name}' {why} and stops"
        return error(place, message, f"move it before '{first.name}', or switch it off")
    message = f"rule '{rule.name}' is never reached: '{first.name}' {why} and stops"
    return warning(place, message, f"move it before '{first.name}', or remove it")


def _without_effect(one: _Known, certain: list[_Known]) -> Finding | None:
    """A discard rule where another one routes or holds each time: an arrival is discarded only if none does."""
    if one.rule.action != "discard" or one.rule.stop:
        return None
    for other in certain:
        ahead = other.at < one.at and other.rule.fallback == one.rule.fallback
        if ahead and other.rule.action != "discard" and _covers(other, one):
            message = f"rule '{one.rule.name}' discards nothing: '{other.rule.name}' applies whenever it does"
            cure = f"a discard rule never takes away what another routes or holds: narrow '{other.rule.name}' instead"
            return warning(("rules", one.at), message, cure)
    return None


def _nowhere_to_go(one: _Known, rules: Sequence[_Known], now: datetime) -> Finding | None:
    """A hold rule without targets where no other rule could send what it holds: then a release has nowhere to go.

    Where another may, it is sound: somebody looks first, and the release lets the others act, whatever they stop.
    """
    if one.rule.action != "hold" or one.rule.targets:
        return None
    if any(_may_send(other.rule, now) and not _apart(one, other) for other in rules):
        return None
    message = f"rule '{one.rule.name}' holds what no rule names a target for: a release has nowhere to send it"
    cure = "name the targets that get it on release; without, each series is routed or discarded by hand"
    return warning(("rules", one.at, "targets"), message, cure)


def _may_send(rule: Rule, now: datetime) -> bool:
    return rule.mode == "active" and bool(rule.targets) and not expired(rule.expires, now)


def _apart(one: _Known, other: _Known) -> bool:
    """Whether both are proven never to apply to one series. Rules of other triggers ask about other images."""
    same = one.rule.trigger == other.rule.trigger == "series"
    return other.says == NEVER or (same and bool(contradiction(one.rule.compiled.tree, other.rule.compiled.tree)))


def _is_certain(rule: Rule) -> bool:
    """It acts each time its condition is true."""
    limits = (rule.expires, rule.off_until, rule.quota, rule.schedule)
    return rule.mode == "active" and all(limit is None for limit in limits)


def _covers(other: _Known, one: _Known) -> bool:
    """Whether `other` is proven to apply when `one` would. Rules of different triggers ask about different images."""
    if any(one.clauses.isdisjoint(wanted) for wanted in other.needed):
        return False
    triggers = other.rule.trigger, one.rule.trigger
    if triggers == ("series", "study"):
        return other.says == ALWAYS
    return triggers in (("series", "series"), ("image", "image")) and follows(one.says, other.says)


def _unknown_sources(configuration: RoutingConfiguration, one: _Known) -> Iterator[Finding]:
    for name in dict.fromkeys(compared_with(one.rule.compiled.tree, "Source")):
        if name and name not in configuration.sources:
            message = f"rule '{one.rule.name}' asks for the source '{name}', which is not there"
            listed = "there are: " + (", ".join(sorted(configuration.sources)[:10]) or "none")
            yield warning(("rules", one.at, "when"), message, did_you_mean(name, configuration.sources, listed))
