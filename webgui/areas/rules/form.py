"""The rule editor's form: a rule as JSON data out of what was sent and back, its draft configuration, what is wrong with it.

It must not publish anything, nor know HTTP beyond the plain values of a form.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from protocol.errors import RoutingError, RuleSyntaxError
from protocol.routing.fields import NAME_PATTERN, NAME_RULE
from protocol.routing.model import RoutingConfiguration, Rule, RuleTest
from protocol.routing.parse import build, to_data
from protocol.routing.publishing import Data
from protocol.routing.rules.compiler import compile_rule
from protocol.routing.rules.line import one_line
from webgui import modelform
from webgui.areas.rules import builder, notices, words
from webgui.areas.rules.edits import put
from webgui.inputs import Invalid

SHOWN = ("action", "trigger", "priority", "owner", "comment", "expires")
_LEFT = ("name", "when", "targets", "tests", "notify", "mode")
SPECS = [
    replace(spec, options=words.CHOICES.get(spec.name, spec.options))
    for spec in modelform.specs(Rule, words.RULE, _LEFT, SHOWN)
]
PLAIN = ("name", "when", "targets", "notify", "tests")


@dataclass
class Form:
    """A rule in the editor. `was`: the rule it changes; `base`: the version its editor started from; `place`: from 1;
    `tried_on`: what its test panel was filled with (trying.Asked), None where it was not sent."""

    rule: Data
    was: str = ""
    base: int = 0
    place: int | None = None
    reason: str = ""
    errors: dict[str, str] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)
    tried_on: Any = None

    @property
    def name(self) -> str:
        """The rule's name as it was typed."""
        return str(self.rule.get("name") or "")

    @property
    def when(self) -> str:
        """Its condition as it was typed."""
        return str(self.rule.get("when") or "")

    @property
    def faulty(self) -> bool:
        """Whether anything is known to be wrong."""
        return bool(self.errors or self.others)


def empty(base: int) -> Form:
    """A new rule."""
    return Form({"name": "", "when": "", "action": "route", "targets": [], "tests": []}, base=base)


def of_rule(rule: Data, was: str, base: int) -> Form:
    """An existing one, or a draft."""
    return Form(dict(rule), was, base)


def read(values: Mapping[str, Any]) -> Form:
    """What was sent. Nothing is judged yet. Raises Invalid: rows or test cases are no JSON, as no page of ours sends them."""
    rule: Data = modelform.read(SPECS, values)
    rule["name"] = str(_one(values.get("name")) or "").strip()
    rule["when"] = one_line(str(_one(values.get("when")) or ""))
    rows = _json(values, "rows", dict)
    if rows:
        if not isinstance(rows.get("rows"), list):
            raise Invalid({"rows": "is no group of rows"})
        # Rows that were changed and whose text the page did not have yet.
        rule["when"] = builder.text_of(rows)
    targets = values.get("targets") or []
    rule["targets"] = [targets] if isinstance(targets, str) else list(targets)
    rule["notify"] = notices.read(str(_one(values.get("notify")) or ""))
    if rule.get("trigger") != "study":
        rule.pop("study", None)
    if rule.get("action") == "discard":
        rule["targets"] = []
    rule["tests"] = _json(values, "tests", list) or []
    return Form(rule, str(_one(values.get("was")) or ""), _number(values.get("base")) or 0, _number(values.get("place")),
                str(_one(values.get("reason")) or "").strip()[:500])  # fmt: skip


def _json(values: Mapping[str, Any], name: str, kind: type) -> Any:
    text = str(_one(values.get(name)) or "")
    try:
        found = json.loads(text) if text else None
    except (ValueError, RecursionError) as exc:
        raise Invalid({name: "is no JSON"}) from exc
    if found is not None and not isinstance(found, kind):
        raise Invalid({name: f"is no JSON {'list' if kind is list else 'object'}"})
    return found


def _one(given: Any) -> Any:
    return given[-1] if isinstance(given, list) and given else given


def _number(given: Any) -> int | None:
    text = str(_one(given) or "")
    return int(text) if text.isdecimal() and len(text) < 12 else None


# ---- judged -------------------------------------------------------------------------------------------------------


def drafted(form: Form, current: RoutingConfiguration, mode: str = "active") -> RoutingConfiguration | None:
    """The configuration in force with the form's rule in it. None: it is faulty, and the form says how."""
    data = to_data(current)
    names = {one["name"] for one in data["rules"]}
    form.errors, form.others = {}, []
    if not re.fullmatch(NAME_PATTERN, form.name) or not form.name.isprintable():
        form.errors["name"] = NAME_RULE[:1].upper() + NAME_RULE[1:]
    elif form.name != form.was and form.name in names:
        form.errors["name"] = f"There is a rule '{form.name}' already"
    was = form.was if form.was in names else ""
    seen = next((one for one in data["rules"] if one["name"] == was), None)
    rule = {key: value for key, value in form.rule.items() if value is not None} | {"mode": mode}
    made = put(rule, was, seen, form.place)(data)
    at = next(at for at, one in enumerate(made["rules"]) if one is rule)
    if form.errors:
        # What else is wrong is told in the same go: under a name that is none of the others'.
        made["rules"][at] = rule | {"name": "x" * 64}
    try:
        configuration = build(made, "this rule")
    except RoutingError as exc:
        by_field, others = modelform.errors(exc, f"rules[{at}]", [*SPECS, *_PLAIN_SPECS])
        form.errors = by_field | form.errors
        form.others = others
        return None
    return None if form.errors else configuration


_PLAIN_SPECS = [modelform.Spec(name, name, "", "text") for name in PLAIN]


def for_trying(form: Form, current: RoutingConfiguration) -> tuple[RoutingConfiguration, str]:
    """A configuration to try the rule in, and its name there: as drafted, or with its condition alone if the rest is not
    done yet. Raises RoutingError: the condition is faulty.
    """
    made = drafted(replace(form, errors={}, others=[]), current)
    if made is not None:
        return made, form.name
    data = to_data(current)
    others = [one for one in data["rules"] if one["name"] != form.was]
    name = "draft" if "draft" not in {one["name"] for one in others} else "x" * 64
    rule = {"name": name, "when": form.when, "action": "hold"}
    return build(data | {"rules": [*others, rule]}, "this rule"), name


def linted(when: str) -> dict[str, Any]:
    """What the compiler says of a condition: English and rows, or the fault with its position and cure."""
    from protocol.routing.rules.english import english

    try:
        compiled = compile_rule(when)
    except RuleSyntaxError as exc:
        at = min(max(exc.position, 0), len(when))
        end = next(
            (i for i in range(at + 1, len(when) + 1) if i == len(when) or not (when[i].isalnum() or when[i] == "_")), at
        )
        return {"text": when, "english": "", "rows": None, "names": [],
                "error": {"message": exc.reason, "cure": exc.cure, "position": at,
                          "pieces": [when[:at], when[at:end] or " ", when[end:]]}}  # fmt: skip
    return {"text": compiled.text, "english": english(compiled.tree), "rows": builder.rows_of(compiled.text),
            "names": list(compiled.names), "error": None}  # fmt: skip


def tested(form: Form) -> list[dict[str, Any]]:
    """Its test cases with what the condition makes of each."""
    try:
        compiled = compile_rule(form.when)
    except RuleSyntaxError:
        compiled = None
    found = []
    for at, given in enumerate(form.rule.get("tests", ())):
        try:
            case = RuleTest.model_validate(given)
        except ValueError:
            found.append({"at": at, "name": f"case {at + 1}", "expect": "?", "result": None, "ok": False, "reads": ""})
            continue
        result = None if compiled is None else str(compiled.result(case.subject()))
        reads = ", ".join(f"{key} {value!r}" for key, value in list({**case.header, **case.origin}.items())[:4])
        images = f"{len(case.images)} images" if case.images else ""
        found.append({"at": at, "name": case.name or f"case {at + 1}", "expect": case.expect, "result": result,
                      "ok": result == case.expect, "reads": "; ".join(part for part in (reads, images) if part)})  # fmt: skip
    return found
