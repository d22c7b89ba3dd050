"""From what pydantic found wrong to faults that people understand: one each, with place and cure, in file order.

It must not validate by itself, and no message repeats a value that may be a secret.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from protocol.errors import Fault
from protocol.routing.commitment import SourceCommitment, TargetCommitment
from protocol.routing.conditions import RuleFault
from protocol.routing.fields import NAME_PATTERN, NAME_RULE, Frozen, Unspoken
from protocol.routing.groups import Group
from protocol.routing.misfits import Misfits, Parts, Place, misfits
from protocol.routing.model import RoutingConfiguration, Rule, RuleTest
from protocol.routing.notify import Notify
from protocol.routing.rules.names import did_you_mean
from protocol.routing.sources import Source
from protocol.routing.targets import TARGET_TYPES, TARGETS, DicomTarget, Retry, TargetTls
from protocol.routing.terms import Quota, StudyTerms, Window

CHECK = "Correct the file"
_LIMIT_READ = 1000  # faults that are looked at; of a file that is no routing configuration there may be a million
_LIMIT_LINE = 300  # characters of somebody's text that a message repeats
_WORDS = {
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "string_type": "must be text",
    "string_unicode": "is no valid text",
    "tuple_type": "must be a list",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "mapping_type": "must be an object",
    "dict_type": "must be an object",
}  # pydantic's own words speak of Python
_SHOULD = re.compile(r"^(Input|String|Tuple|Number) should ")
_Found = tuple[Place, str, str]


def faults_of(exc: ValidationError, data: dict[str, Any]) -> tuple[list[Fault], int]:
    """Every fault of `data`, in file order, none twice, and how many were only counted.

    Where pydantic stopped at broken parts, the others are asked whether they fit together and pass their own tests.
    """
    found: list[_Found] = []
    broken: set[Place] = set()
    fitted = False
    details = exc.errors(include_url=False)
    for detail in details[:_LIMIT_READ]:
        error = detail.get("ctx", {}).get("error")
        if isinstance(error, Misfits):
            fitted = True
            found += [(one.place, one.message, one.cure) for one in error.misfits]
        elif not _follows(detail):
            broken.add(detail["loc"][:2])
            found.append(_found(detail))
    unread = max(0, len(details) - _LIMIT_READ)
    if not fitted and not unread:
        found += _of_the_rest(data, broken)
    order = _Order(data)
    found.sort(key=lambda one: order.of(one[0]))
    return list(dict.fromkeys(_fault(*one) for one in found)), unread


def failed_tests(rules: Collection[tuple[int, Rule]]) -> Iterator[_Found]:
    """Test cases that do not come out as expected, of active rules: those must not be activated."""
    for at, rule in rules:
        if rule.mode == "active":
            for line in rule.failed_tests():
                cure = "correct the rule or the test, or switch it off"
                yield ("rules", at, "tests"), f"rule '{rule.name}': {line}", cure


def faults_of_tests(configuration: RoutingConfiguration) -> list[Fault]:
    """Failed test cases of active rules, as faults."""
    return [_fault(*one) for one in failed_tests(list(enumerate(configuration.rules)))]


def place_text(place: Place) -> str:
    """`rules[0].when`."""
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def one_line(text: str) -> str:
    """Printable and on one line, however the file was written."""
    flat = "".join(letter if letter.isprintable() else " " for letter in re.sub(r"\s+", " ", text))
    return flat if len(flat) <= _LIMIT_LINE else flat[:_LIMIT_LINE] + "…"


def _fault(place: Place, message: str, cure: str) -> Fault:
    return Fault(one_line(place_text(place)), one_line(message), one_line(cure[:1].upper() + cure[1:]))


# --- what pydantic found


def _found(detail: ErrorDetails) -> _Found:
    """Place, message and cure of one of pydantic's faults."""
    kind, error = detail["type"], detail.get("ctx", {}).get("error")
    place = _without_tags(detail["loc"])
    if isinstance(error, RuleFault):
        return place, str(error), error.cure
    if kind == "extra_forbidden":
        key = str(detail["loc"][-1])
        return place, f"unknown key '{key}'", did_you_mean(key, _keys_at(detail["loc"]), "remove it")
    if kind in ("missing", "union_tag_not_found"):
        return (*place, *["type"] * (kind == "union_tag_not_found")), "missing", "add it"
    if kind == "union_tag_invalid":
        return (*place, "type"), "no such target type", "use one of " + ", ".join(TARGET_TYPES)
    if kind == "string_pattern_mismatch" and NAME_PATTERN in str(detail.get("ctx", {}).get("pattern", "")):
        return place, f"{detail['input']!r} is not a name", NAME_RULE
    if isinstance(error, Unspoken):
        return place, str(error), error.cure
    if kind == "too_short":
        return place, f"must have at least {detail['ctx']['min_length']} item", CHECK
    message = str(error) if error is not None else _WORDS.get(kind, _SHOULD.sub("must ", detail["msg"]))
    return place, f"{message}{_quoted(detail['input'])}", CHECK


def _follows(detail: ErrorDetails) -> bool:
    """A list counts as too short because its items are wrong, and they are told."""
    value = detail["input"]
    return detail["type"] == "too_short" and isinstance(value, list) and len(value) >= detail["ctx"]["min_length"]


def _quoted(value: object) -> str:
    """What was written, where it is short enough to help."""
    return f", not {value!r}" if isinstance(value, (str, int, float)) and len(repr(value)) <= 60 else ""


def _without_tags(loc: Place) -> Place:
    """Pydantic names the target type after the target's name, and [key] after a bad key; the file has neither there."""
    parts = list(loc)
    if len(parts) > 2 and parts[0] == "targets" and parts[2] in TARGET_TYPES:
        del parts[2]
    return tuple(part for part in parts if part != "[key]")


def _keys_at(loc: Place) -> list[str]:
    """The keys that are allowed where an unknown one was found."""
    model: type[Frozen] = RoutingConfiguration
    match loc[:-1]:
        case ("targets", _, _, "commitment", *_):
            model = TargetCommitment
        case ("targets", _, _, "tls", *_):
            model = TargetTls
        case ("targets", _, str(tag), *rest):
            model = Retry if rest else TARGETS.get(tag, DicomTarget)
        case ("groups", *_):
            model = Group
        case ("sources", _, "commitment", *_):
            model = SourceCommitment
        case ("sources", *_):
            model = Source
        case ("rules", _, "notify", *_):
            model = Notify
        case ("rules", _, "tests", *_):
            model = RuleTest
        case ("rules", _, "quota", *_):
            model = Quota
        case ("rules", _, "schedule", *_):
            model = Window
        case ("rules", _, "study", *_):
            model = StudyTerms
        case ("rules", *_):
            model = Rule
    return list(model.model_fields)


# --- what pydantic did not get to


def _of_the_rest(data: dict[str, Any], broken: set[Place]) -> Iterator[_Found]:
    """Misfits and failed tests of the parts that are not `broken`; names of broken ones count as there."""
    targets, groups, sources = (_section(data, key) for key in ("targets", "groups", "sources"))
    listed = data.get("rules", [])
    raw = listed if isinstance(listed, list) else []
    rules = {at: Rule.model_validate(one) for at, one in enumerate(raw) if ("rules", at) not in broken}
    parts = Parts(
        targets=targets,
        group_names=groups,
        groups={key: Group.model_validate(one) for key, one in groups.items() if ("groups", key) not in broken},
        sources={key: Source.model_validate(one) for key, one in sources.items() if ("sources", key) not in broken},
        rules=rules,
        rule_names=[name if isinstance(name := _name_of(one), str) else None for one in raw],
    )
    yield from ((one.place, one.message, one.cure) for one in misfits(parts))
    yield from failed_tests(list(rules.items()))


def _section(data: dict[str, Any], key: str) -> dict[str, Any]:
    section = data.get(key, {})
    return section if isinstance(section, dict) else {}


def _name_of(rule: object) -> object:
    return rule.get("name") if isinstance(rule, dict) else None


class _Order:
    """Where places stand in a document, comparable; what is not there comes after what is."""

    def __init__(self, data: object) -> None:
        self._data = data
        self._positions: dict[int, dict[str, int]] = {}

    def of(self, place: Place) -> tuple[int, ...]:
        """The positions that lead there."""
        here, order = self._data, []
        for part in place:
            if isinstance(here, dict) and part in here:
                order.append(self._keys(here)[str(part)])
                here = here[part]
            elif isinstance(here, list) and isinstance(part, int) and part < len(here):
                order.append(part)
                here = here[part]
            else:
                return (*order, 1_000_000_000)
        return tuple(order)

    def _keys(self, section: dict[str, Any]) -> dict[str, int]:
        if id(section) not in self._positions:
            self._positions[id(section)] = {key: at for at, key in enumerate(section)}
        return self._positions[id(section)]
