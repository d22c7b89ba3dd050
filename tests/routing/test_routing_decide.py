"""Which rules act, and what follows: rules.md line by line; an error never discards."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.routing.decide import Case, Decision, Wait, decide, decide_image, decide_study
from protocol.routing.model import PRIORITIES, RoutingConfiguration
from protocol.routing.rules.subject import Subject

RECEIVED = datetime(2026, 11, 26, 12, 30, tzinfo=UTC)
MR = Subject([{"Modality": "MR", "SeriesNumber": "1"}])
YES, NO, UNKNOWN, ERROR = "Modality == 'MR'", "Modality == 'CT'", "PatientID == 'x'", "Modality > 3"
TARGET = {"type": "dicom", "host": "h", "port": 104, "called_ae": "A"}


def rule(when: str, action: str = "route", targets: tuple[str, ...] = ("pacs",), **more: Any) -> dict[str, Any]:
    return {"when": when, "action": action, "targets": targets if action != "discard" else (), **more}


def build_rules(*rules: dict[str, Any]) -> RoutingConfiguration:
    return RoutingConfiguration.model_validate(
        {
            "targets": {"pacs": TARGET, "ai1": TARGET, "archive": TARGET},
            "groups": {"ai": {"mode": "failover", "members": ["ai1"]}},
            "rules": [{"name": f"r{at}", **one} for at, one in enumerate(rules)],
        }
    )


def _possible(one: dict[str, Any]) -> dict[str, Any]:
    """A rule that the model takes: image rules only route, discard rules name no target."""
    if one["trigger"] == "image":
        one = {**one, "action": "route", "fallback": False}
    return {**one, "targets": () if one["action"] == "discard" else one["targets"]}


def decided(
    *rules: dict[str, Any],
    subject: Subject = MR,
    case: Case | None = None,
    answers: bool = False,
    explained: bool = True,
) -> Decision:
    """`answers`: the study is complete, and was the series alone."""
    configuration = build_rules(*rules)
    case = case or Case(subject, RECEIVED)
    studies = [one for one in configuration.rules if one.trigger == "study" and one.mode != "off"]
    answered = {one.name: decide_study(one, case) for one in studies} if answers else {}
    decision = decide(configuration, 7, case, complete=answers, answered=answered, explained=explained)
    assert json.loads(json.dumps(decision.to_data(), allow_nan=False))["revision"] == 7
    return decision


def names(decision: Decision) -> list[str]:
    return [delivery.name for delivery in decision.deliveries]


def results(decision: Decision) -> list[str | None]:
    return [None if one.result is None else str(one.result) for one in decision.results]


def test_no_rules_discard() -> None:
    decision = decided()
    assert (decision.outcome, decision.reason, decision.deliveries) == ("discard", "no rule applied", ())


@pytest.mark.parametrize("when", [NO, UNKNOWN])
def test_only_true_makes_a_rule_apply(when: str) -> None:
    assert decided(rule(when)).outcome == "discard"


def test_a_route_rule_routes_to_its_targets_and_groups() -> None:
    decision = decided(rule(YES, targets=("ai", "pacs")))
    assert decision.outcome == "route"
    assert [(one.name, one.is_group) for one in decision.deliveries] == [("ai", True), ("pacs", False)]
    assert decision.results[0].explanation["values"] == [{"name": "Modality", "value": "MR"}]


def test_a_target_reached_by_several_rules_gets_one_delivery_of_the_highest_priority() -> None:
    decision = decided(
        rule(YES, priority="offpeak"), rule(YES, targets=("archive", "pacs"), priority="urgent"), rule(YES)
    )
    assert [(one.name, one.priority, one.rules) for one in decision.deliveries] == [
        ("pacs", "urgent", ("r0", "r1", "r2")),
        ("archive", "urgent", ("r1",)),
    ]


def test_stop_ends_the_evaluation_only_when_the_rule_applies() -> None:
    decision = decided(rule(NO, stop=True), rule(YES, stop=True), rule(YES, targets=("archive",)))
    assert names(decision) == ["pacs"]
    assert results(decision) == ["false", "true", None]
    assert decision.results[2].why == "rule 'r1' applied and stops"


def test_shadow_rules_are_evaluated_and_nothing_follows_not_even_stop() -> None:
    decision = decided(rule(YES, mode="shadow", stop=True, targets=("archive",)), rule(YES))
    assert names(decision) == ["pacs"]
    assert results(decision) == ["true", "true"]
    assert not decision.results[0].applied


def test_a_shadow_rule_neither_holds_by_an_error_nor_keeps_fallbacks_away() -> None:
    decision = decided(rule(ERROR, mode="shadow"), rule(YES, mode="shadow"), rule(YES, fallback=True))
    assert (decision.outcome, decision.flagged) == ("route", ())


def test_rules_that_are_off_are_not_evaluated() -> None:
    decision = decided(rule(YES, mode="off"))
    assert (decision.outcome, results(decision), decision.results[0].why) == ("discard", [None], "off")


def test_every_fallback_rule_counts_if_no_ordinary_rule_applied_wherever_it_stands() -> None:
    decision = decided(rule(YES, fallback=True), rule(NO), rule(YES, targets=("archive",), fallback=True))
    assert (decision.outcome, names(decision)) == ("route", ["pacs", "archive"])


@pytest.mark.parametrize("action", ["route", "hold", "discard"])
def test_no_fallback_runs_if_an_ordinary_rule_applied(action: str) -> None:
    decision = decided(rule(YES, targets=("archive",), fallback=True), rule(YES, action))
    assert "archive" not in names(decision)
    assert decision.outcome == action


def test_a_fallback_rule_with_stop_ends_the_fallbacks() -> None:
    assert names(decided(rule(YES, fallback=True, stop=True), rule(YES, targets=("archive",), fallback=True))) == [
        "pacs"
    ]


def test_hold_beats_route_and_keeps_the_deliveries_for_the_release() -> None:
    decision = decided(rule(YES), rule(YES, "hold", ()), rule(YES, "hold", ("archive",)))
    assert decision.outcome == "hold"
    assert decision.reason == "held by rules 'r1', 'r2'"
    assert names(decision) == ["pacs", "archive"]


def test_discard_wins_over_nothing() -> None:
    assert decided(rule(YES, "discard"), rule(YES)).outcome == "route"
    assert decided(rule(YES, "discard"), rule(YES, "hold", ())).outcome == "hold"
    assert decided(rule(YES, "discard")).outcome == "discard"


@pytest.mark.parametrize(
    "others",
    [[], [rule(NO)], [rule(YES, "discard")], [rule(YES, fallback=True)], [rule(YES, "discard", fallback=True)]],
)
def test_an_error_holds_unless_an_ordinary_rule_routes(others: list[dict[str, Any]]) -> None:
    decision = decided(rule(ERROR), *others)
    assert decision.outcome == "hold"
    assert decision.reason == "held because of an error in rule 'r0'"
    assert decision.flagged == ("r0",)


def test_an_error_in_a_fallback_or_discard_rule_holds_too() -> None:
    assert decided(rule(ERROR, fallback=True)).outcome == "hold"
    assert decided(rule(ERROR, "discard")).outcome == "hold"


def test_an_error_beside_an_ordinary_route_is_flagged_and_routed() -> None:
    decision = decided(rule(ERROR), rule(YES))
    assert (decision.outcome, decision.flagged) == ("route", ("r0",))


def test_an_arrival_without_images_is_decided_like_any_other() -> None:
    assert decided(rule(YES), subject=Subject([])).outcome == "discard"
    assert decided(rule("True"), subject=Subject([])).outcome == "route"


RULES = st.fixed_dictionaries(
    {
        "when": st.sampled_from([YES, NO, UNKNOWN, ERROR, "True"]),
        "action": st.sampled_from(["route", "hold", "discard"]),
        "targets": st.sampled_from([("pacs",), ("ai", "pacs"), ("archive",)]),
        "mode": st.sampled_from(["active", "active", "shadow", "off"]),
        "stop": st.booleans(),
        "fallback": st.booleans(),
        "priority": st.sampled_from(PRIORITIES),
        "trigger": st.sampled_from(["series", "series", "study", "image"]),
        "quota": st.sampled_from([None, None, {"max": 1}]),
        "schedule": st.sampled_from([None, None, {"start": "00:00", "end": "01:00"}]),
        "expires": st.sampled_from([None, None, None, "2001-01-01"]),
        "off_until": st.sampled_from([None, None, None, "2100-01-01"]),
    }
).map(_possible)


@given(st.lists(RULES, max_size=6), st.booleans(), st.booleans(), st.booleans(), st.booleans())
def test_whatever_the_rules_the_promises_hold(
    rules: list[dict[str, Any]], used: bool, lifted: bool, late: bool, answers: bool
) -> None:
    quotas = {f"r{at}": 1 for at in range(len(rules))} if used else {}
    case = Case(MR, RECEIVED, quotas, addendum=late, lifted=lifted)
    decision = decided(*rules, case=case, answers=answers)
    applied = [one for one in decision.results if one.applied]
    kept = [one for one in decision.results if one.counts and one.blocked and one.action == "route"]
    assert [one.rule for one in decision.results if one.rule.startswith("r")] == sorted_as(rules)
    if decision.outcome == "discard":
        assert not decision.flagged and not kept
        assert {one.action for one in applied} <= {"discard"}
        assert not decision.deliveries and not any(wait.counts for wait in decision.waits)
    if decision.outcome == "route":
        assert not any(one.action == "hold" for one in applied)
        assert decision.deliveries or any(one.images_sent for one in decision.results)
    if decision.outcome == "wait":
        assert not answers and any(wait.counts for wait in decision.waits)
        assert not {one.action for one in applied} & {"route", "hold"}
    if lifted:
        assert not kept, "a person let it go"
    assert len(set(names(decision))) == len(decision.deliveries)
    fast = decided(*rules, case=case, answers=answers, explained=False)
    assert (fast.outcome, fast.reason, fast.deliveries, fast.waits) == (
        decision.outcome, decision.reason, decision.deliveries, decision.waits,
    )  # fmt: skip


def sorted_as(rules: list[dict[str, Any]]) -> list[str]:
    """Names of the rules, ordinary ones first."""
    return [f"r{at}" for late in (False, True) for at, one in enumerate(rules) if one["fallback"] is late]


# ---- studies, images, terms


STUDY = {"trigger": "study"}


def test_an_arrival_that_a_study_rule_may_still_want_waits() -> None:
    decision = decided(rule(NO, **STUDY), rule(YES, fallback=True))
    assert (decision.outcome, decision.waits) == ("wait", (Wait("r0", True),))
    assert results(decision) == [None, None]


def test_beside_a_series_rule_a_study_rule_only_adds_and_no_fallback_is_waited_for() -> None:
    decision = decided(rule(YES), rule(NO, **STUDY), rule(NO, fallback=True, **STUDY))
    assert (decision.outcome, decision.waits) == ("route", (Wait("r1", True),))


def test_a_discard_rule_does_not_keep_an_arrival_from_waiting() -> None:
    assert decided(rule(YES, "discard"), rule(NO, **STUDY)).outcome == "wait"


def test_an_error_waits_for_the_study_and_is_flagged_at_once() -> None:
    decision = decided(rule(ERROR), rule(NO, **STUDY))
    assert (decision.outcome, decision.flagged) == ("wait", ("r0",))
    assert decided(rule(ERROR), rule(NO, **STUDY), answers=True).outcome == "hold"


def test_a_hold_rule_waits_for_nobody() -> None:
    assert decided(rule(YES, "hold", ()), rule(YES, **STUDY)).waits == ()


def test_what_a_study_rule_answered_counts_in_its_place() -> None:
    stopping = decided(rule(YES, stop=True, **STUDY), rule(YES, targets=("archive",)), answers=True)
    assert (stopping.outcome, names(stopping)) == ("route", ["pacs"])
    assert decided(rule(NO, **STUDY), rule(YES, fallback=True), answers=True).outcome == "route"


def test_a_quota_that_is_used_up_holds_instead_of_discarding() -> None:
    full = Case(MR, RECEIVED, {"r0": 2})
    over = decided(rule(YES, quota={"max": 2}), rule(YES, "discard"), case=full)
    assert (over.outcome, over.reason) == ("hold", "held because rule 'r0' has used up its quota of 2")
    assert decided(rule(YES, quota={"max": 2}), rule(YES, fallback=True), case=full).outcome == "route"
    assert decided(rule(YES, quota={"max": 3}), case=full).results[0].period == "ever"
    assert decided(rule(YES, "hold", (), quota={"max": 2}), case=full).outcome == "discard"


def test_an_image_is_decided_by_the_image_rules_alone() -> None:
    configuration = build_rules(rule(YES, trigger="image", targets=("ai", "pacs"), priority="urgent"), rule(YES))
    wanted, results = decide_image(configuration, Case(MR, RECEIVED))
    assert [(one.name, one.priority) for one in wanted] == [("ai", "urgent"), ("pacs", "urgent")]
    assert [one.rule for one in results] == ["r0"]
