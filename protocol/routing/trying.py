"""Rules tried on one case: what each comes to and why, and what the whole set would do. Pure, for testers of every kind.
It must not change or count anything. Its answers hold tag values (patient data).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import tzinfo
from typing import Any

from protocol.errors import NotFound
from protocol.header.diff import difference
from protocol.routing.backtest.asked import History, asked_since
from protocol.routing.backtest.cases import conditions_of, is_unusual, unread
from protocol.routing.decide import decide
from protocol.routing.judging import Case, RuleResult, result_data
from protocol.routing.model import RoutingConfiguration, Rule
from protocol.routing.origin import moment, origin_of
from protocol.routing.rules.english import english
from protocol.routing.rules.names import did_you_mean
from protocol.routing.rules.subject import Subject


def case_of_images(
    images: Sequence[Mapping[str, Any]], received: float, zone: tzinfo | None, *, calling_ae: str = "", address: str = "",
    called_ae: str = "", source: str | None = None,
) -> Case:  # fmt: skip
    """A case of header values by key, one mapping for each image. What is not said of the origin is missing.

    `received` in seconds UTC; `zone` is the node's, None the machine's.
    """
    common = images[0] if images else {}
    origin = origin_of(calling_ae=calling_ae, address=address, called_ae=called_ae, source=source, images=len(images),
                       received=received)  # fmt: skip
    subject = Subject([difference(common, one) for one in images], origin, common, zone)
    return Case(subject, moment(received, zone))


def case_of_arrival(
    row: Mapping[str, Any], common: Mapping[str, Any], differing: Sequence[Mapping[str, Any]], zone: tzinfo | None,
    own: int | None = None,
) -> Case:  # fmt: skip
    """The case of an arrival as the spool hands it out: its row, the first header, what differs from it image by image; the
    last `own` images are its own, the others came before.
    """
    origin = origin_of(
        calling_ae=row["calling_ae"], address=row["address"], called_ae=row["called_ae"], source=row["source"],
        images=len(differing), received=row["opened"],
    )  # fmt: skip
    return Case(Subject(differing, origin, common, zone), moment(row["opened"], zone), own=own)


def untold(configuration: RoutingConfiguration, case: Case, asked: Callable[[str, float], bool]) -> dict[str, str]:
    """Of each rule that asks an arrival for an element which may not have been read when its images came, why it cannot be
    told: absence means nothing then. `asked` knows what was read when (see backtest/asked).
    """
    subject, received = case.subject, case.received.timestamp()

    def absent(name: str) -> bool:
        return subject.common.get(name) is None and all(one.get(name) is None for one in subject.images)

    found: dict[str, str] = {}
    for rule in configuration.rules:
        for name in (name for condition in conditions_of(rule) for name in condition.names):
            if is_unusual(name) and absent(name) and not asked(name, received):
                found.setdefault(rule.name, unread(name))
    return found


def untold_lines(configuration: RoutingConfiguration, case: Case, versions: History) -> list[str]:
    """The same for people, by the versions of the routing."""
    asked = asked_since(versions, case.received.timestamp(), configuration)
    return [f"rule {name} cannot be told: {why}" for name, why in untold(configuration, case, asked).items()]


def tried(configuration: RoutingConfiguration, revision: int, case: Case, rule: str = "") -> dict[str, Any]:
    """What the rules (or one of them) come to, as JSON data with explanations, and the decision of the whole set.

    Rules that would not be asked are asked all the same; `why` then says why nothing follows. `on_release` of the decision
    says what a release would lead to, where it holds. Raises NotFound.
    """
    names = [one.name for one in configuration.rules]
    if rule and rule not in names:
        raise NotFound(f"there is no rule '{rule}'; {did_you_mean(rule, names, 'see `scanpost rules list`')}")
    decision = decide(configuration, revision, case)
    results = {one.rule: one for one in decision.results}
    chosen = [one for one in configuration.rules if not rule or one.name == rule]
    data = decision.to_data()
    del data["rules"]
    data["on_release"] = _on_release(configuration, revision, case) if decision.outcome == "hold" else ""
    return {"images": len(case.subject.images), "rules": [_of_rule(one, results[one.name], case) for one in chosen],
            "decision": data}  # fmt: skip


def _on_release(configuration: RoutingConfiguration, revision: int, case: Case) -> str:
    """What follows if a person lets it go, as a sentence; as the router carries it out."""
    then = decide(configuration, revision, replace(case, lifted=True), explained=False)
    match then.outcome:
        case "route":
            targets = ", ".join(one.name for one in then.deliveries)
            return f"a release sends it to {targets}" if targets else "a release ends it: its single images were sent"
        case "wait":
            return "a release lets it wait for its study"
        case "discard" if any(one.applied for one in then.results):
            return f"a release sends nothing: {then.reason}"
        case "discard":
            return "a release is refused: no rule names a target for it; somebody has to route or discard it"
    return f"a release is refused: {then.reason}"


def _of_rule(rule: Rule, result: RuleResult, case: Case) -> dict[str, Any]:
    asked = result.result is not None
    data = result_data(result)
    if not asked:
        evaluation = rule.compiled.evaluate(case.subject)
        data |= {"result": str(evaluation.result), "explanation": evaluation.explanation}
    return data | {
        "asked": asked,
        "applies": result.applied or bool(result.images_sent),
        "mode": rule.mode,
        "trigger": rule.trigger,
        "targets": list(rule.targets),
        "when": rule.when,
        "english": english(rule.compiled.tree),
        "failed_tests": rule.failed_tests(),
    }
