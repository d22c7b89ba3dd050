"""What must fit together between targets, groups, sources and rules: names that are there, and there once.

It must not ask more than that (`checks` does), and it judges what can be judged: parts that are broken may be left out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Protocol

from protocol.records import record
from protocol.routing.groups import Group
from protocol.routing.rules.names import did_you_mean
from protocol.routing.sources import Source

Place = tuple[int | str, ...]
"""Keys and indices that lead to a value: ("rules", 0, "when")."""


class Routing(Protocol):
    """What is asked of a rule here."""

    @property
    def name(self) -> str: ...
    @property
    def action(self) -> str: ...
    @property
    def targets(self) -> Sequence[str]: ...


@record
class Misfit:
    """Two parts do not go together."""

    place: Place
    message: str
    cure: str


class Misfits(ValueError):
    """Parts that do not go together; all of them."""

    def __init__(self, misfits: Sequence[Misfit]) -> None:
        self.misfits = tuple(misfits)
        super().__init__("; ".join(misfit.message for misfit in misfits))


@record
class Parts:
    """The parts of a configuration: names of everything declared, and those of groups, sources, rules that are good.

    `targets` and `group_names` count what is broken too, so that what names it is not blamed. `rule_names` has one for
    each place in the list, None where there is none.
    """

    targets: Collection[str]
    group_names: Collection[str]
    groups: Mapping[str, Group]
    sources: Mapping[str, Source]
    rules: Mapping[int, Routing]
    rule_names: Sequence[str | None]


def misfits(parts: Parts) -> Iterator[Misfit]:
    """Everything that does not go together."""
    yield from _groups(parts)
    yield from _sources(parts)
    yield from _rule_names(parts.rule_names)
    for at, rule in parts.rules.items():
        yield from _rule(parts, ("rules", at), rule)


def _groups(parts: Parts) -> Iterator[Misfit]:
    for name in parts.group_names:
        if name in parts.targets:
            message = f"'{name}' is both a target and a group"
            yield Misfit(("groups", name), message, "rename one of them: they share one name space")
    for name, group in parts.groups.items():
        for at, member in enumerate(group.members):
            if member not in parts.targets:
                message = f"group '{name}' names the missing target '{member}'"
                yield Misfit(("groups", name, "members", at), message, _nearest(member, parts.targets))


def _sources(parts: Parts) -> Iterator[Misfit]:
    known: dict[tuple[object, ...], str] = {}
    for name, source in parts.sources.items():
        other = known.setdefault(source.criteria, name)
        if other != name:
            message = f"'{name}' and '{other}' have the same calling_ae, address and certificate"
            yield Misfit(("sources", name), message, "remove one of them, or make one more specific")
        reference = source.commitment.target
        if reference is not None and not _is_there(reference, parts):
            message = f"source '{name}' names the missing target or group '{reference}'"
            yield Misfit(("sources", name, "commitment", "target"), message, _nearest_of_all(reference, parts))


def _rule_names(names: Sequence[str | None]) -> Iterator[Misfit]:
    seen: set[str] = set()
    for at, name in enumerate(names):
        if name is not None and name in seen:
            yield Misfit(("rules", at, "name"), f"there are two rules named '{name}'", "give each its own name")
        elif name is not None:
            seen.add(name)


def _rule(parts: Parts, place: Place, rule: Routing) -> Iterator[Misfit]:
    targets = (*place, "targets")
    if rule.action == "route" and not rule.targets:
        message = f"rule '{rule.name}' routes to no target"
        yield Misfit(targets, message, "name at least one target, or use the action hold or discard")
    if rule.action == "discard" and rule.targets:
        message = f"rule '{rule.name}' discards, but names targets"
        yield Misfit(targets, message, "leave the targets out, or use the action route")
    for at, target in enumerate(rule.targets):
        if not _is_there(target, parts):
            message = f"rule '{rule.name}' names the missing target or group '{target}'"
            yield Misfit((*targets, at), message, _nearest_of_all(target, parts))


def _is_there(name: str, parts: Parts) -> bool:
    return name in parts.targets or name in parts.group_names


def _nearest_of_all(name: str, parts: Parts) -> str:
    return _nearest(name, (*parts.targets, *parts.group_names))


def _nearest(name: str, candidates: Collection[str]) -> str:
    return did_you_mean(name, candidates, "there are: " + (", ".join(sorted(candidates)[:10]) or "none"))
