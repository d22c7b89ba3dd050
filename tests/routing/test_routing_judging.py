"""What is said of one rule: the terms that keep it from acting, what a person's release changes, image rules after the fact."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from test_routing_decide import ERROR, MR, NO, RECEIVED, YES, build_rules, decided, names, rule

from protocol.routing.judging import (
    OFF_SCHEDULE,
    OVER_QUOTA,
    RELEASED,
    Case,
    RuleResult,
    evaluated,
    judged_images,
    let_go,
    not_asked,
)
from protocol.routing.model import Rule
from protocol.routing.rules.subject import Subject
from protocol.routing.rules.values import Truth

CASE, LIFTED = Case(MR, RECEIVED), Case(MR, RECEIVED, lifted=True)
NIGHT = {"schedule": {"start": "00:00", "end": "01:00"}}  # RECEIVED is at noon
IMAGE = {"trigger": "image"}


def one(when: str = YES, action: str = "route", targets: tuple[str, ...] = ("pacs",), **more: Any) -> Rule:
    return build_rules(rule(when, action, targets, **more)).rules[0]


def images(*modalities: str) -> Subject:
    return Subject([{"Modality": one, "SeriesNumber": "1"} for one in modalities])


# ---- terms ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("when", [NO, ERROR])
@pytest.mark.parametrize("terms", [NIGHT, {"quota": {"max": 1}}])
def test_only_a_rule_that_is_true_is_kept_from_acting_and_counts_for_a_quota(when: str, terms: dict[str, Any]) -> None:
    result = evaluated(one(when, **terms), replace(CASE, used={"r0": 1}), True)
    assert (result.blocked, result.why, result.period) == ("", "", "")


def test_a_rule_outside_its_schedule_that_is_not_true_holds_nothing() -> None:
    assert decided(rule(NO, **NIGHT)).outcome == "discard"
    over = decided(rule(YES, **NIGHT))
    assert (over.outcome, over.reason) == ("hold", f"held because rule 'r0' {OFF_SCHEDULE}")
    shadow = decided(rule(YES, mode="shadow", **NIGHT))
    assert (shadow.outcome, shadow.results[0].why) == ("discard", "shadow: evaluated, nothing follows")


@pytest.mark.parametrize(
    ("quota", "used", "late", "blocked", "period"),
    [
        ({"max": 2}, 1, False, "", "ever"),
        ({"max": 2}, 2, False, f"{OVER_QUOTA} of 2", ""),
        ({"max": 2, "per": "day"}, 3, False, f"{OVER_QUOTA} of 2 per day", ""),
        ({"max": 2, "per": "day"}, 0, False, "", "2026-11-26"),
        ({"max": 2, "per": "day"}, 3, True, "", ""),
    ],
)
def test_a_quota_counts_decisions_and_late_images_are_none(
    quota: dict[str, Any], used: int, late: bool, blocked: str, period: str
) -> None:
    result = evaluated(one(quota=quota), replace(CASE, used={"r0": used, "other": 9}, addendum=late), True)
    assert (result.blocked, result.period, result.acts) == (blocked, period, not blocked)
    assert evaluated(one(quota=quota), replace(CASE, used={"other": 9}), True).acts
    assert evaluated(one(quota={"max": 1}), CASE, True).acts
    assert evaluated(one(quota=quota, **NIGHT), CASE, True).period == ""


def test_a_rule_that_is_not_asked_says_why_and_off_is_off_whatever_else_there_is() -> None:
    gone = evaluated(one(expires="2001-01-01"), CASE, True)
    assert (gone.result, gone.why, gone.counts, gone.acts) == (None, "expired (2001-01-01)", True, False)
    assert evaluated(one(off_until="2100-01-01"), CASE, True).why == "off until 2100-01-01"
    for mode, why, counts in (("active", "later", True), ("shadow", "later", False), ("off", "off", False)):
        result = not_asked(one(mode=mode), "later")
        assert (result.result, result.why, result.counts) == (None, why, counts)


def test_values_are_kept_only_where_somebody_wants_to_see_them() -> None:
    assert evaluated(one(), CASE, False).explanation == {}
    assert evaluated(one(), CASE, True).explanation["values"] == [{"name": "Modality", "value": "MR"}]


# ---- a person lets it go -------------------------------------------------------------------------------------------
def test_a_hold_rule_that_is_let_go_routes_to_its_targets_and_without_any_does_nothing() -> None:
    decision = decided(rule(YES, "hold", ("archive",), **NIGHT), rule(YES, "hold", ()), case=LIFTED)
    assert (decision.outcome, names(decision)) == ("route", ["archive"])
    assert [(one.action, one.blocked, one.why) for one in decision.results] == [
        ("route", "", ""), ("hold", RELEASED, RELEASED),
    ]  # fmt: skip
    assert decided(rule(YES, "hold", ("archive",))).results[0].action == "hold"
    lifted = evaluated(one(quota={"max": 1}, **NIGHT), replace(LIFTED, used={"r0": 1}), True)
    assert lifted.acts and lifted.period == ""
    assert evaluated(one(NO, "hold", ("archive",)), LIFTED, True).action == "hold"


@pytest.mark.parametrize(
    ("targets", "answer", "after"),
    [
        (("pacs",), {"action": "hold"}, {"action": "route"}),
        ((), {"action": "hold"}, {"blocked": RELEASED, "why": RELEASED}),
        (("pacs",), {"action": "hold", "blocked": OFF_SCHEDULE, "why": OFF_SCHEDULE}, {"action": "route", "blocked": "", "why": ""}),
        (("pacs",), {"action": "route", "blocked": OVER_QUOTA, "why": OVER_QUOTA}, {"blocked": "", "why": ""}),
        ((), {"action": "discard", "blocked": OFF_SCHEDULE, "why": OFF_SCHEDULE}, {"blocked": "", "why": ""}),
        (("pacs",), {"action": "route", "why": "again"}, {}),
        (("pacs",), {"action": "hold", "counts": False, "why": "shadow"}, {"action": "route"}),
        (("pacs",), {"action": "hold", "result": Truth.FALSE}, {}),
        (("pacs",), {"action": "hold", "result": None, "why": "off"}, {}),
    ],
)  # fmt: skip
def test_what_a_study_rule_said_before_it_is_let_go(
    targets: tuple[str, ...], answer: dict[str, Any], after: dict[str, Any]
) -> None:
    said = RuleResult(**{"rule": "r0", "result": Truth.TRUE, "trigger": "study", **answer})
    assert let_go(one(YES, "hold", targets, trigger="study"), said) == replace(said, **after)


# ---- image rules, after the fact -----------------------------------------------------------------------------------
def test_an_image_rule_tells_of_how_many_images_it_was_true_and_which() -> None:
    result = judged_images(one(**IMAGE), Case(images("MR", "CT", "MR"), RECEIVED))
    assert (result.result, result.images_sent, result.wanted, result.acts) == (Truth.TRUE, 2, (0, 2), True)
    assert result.why == "judged each image by itself: true of 2 of 3"
    assert result.explanation == {
        "text": YES, "kind": "each image", "result": "true", "images": {"true": 2, "false": 1},
    }  # fmt: skip
    none = judged_images(one(NO, **IMAGE), Case(images("MR"), RECEIVED))
    assert (none.result, none.images_sent, none.wanted) == (Truth.FALSE, 0, ())


def test_one_image_that_is_an_error_makes_the_rule_one() -> None:
    series = [{"SeriesNumber": "4"}, {"SeriesNumber": "x"}, {}, {"SeriesNumber": "5"}]
    result = judged_images(one("SeriesNumber > 3", **IMAGE), Case(Subject(series), RECEIVED))
    assert result.result is Truth.ERROR and result.failed and result.wanted == (0, 3)
    assert result.explanation["images"] == {"true": 2, "unknown": 1, "error": 1}
    assert result.explanation["reason"] == "an error for 1 images"


def test_only_images_of_the_arrival_itself_count_and_those_before_it_and_the_taken_ones_do_not() -> None:
    subject = images("MR", "MR", "MR", "MR")
    late = judged_images(one(**IMAGE), Case(subject, RECEIVED, own=3), taken={0})
    assert (late.wanted, late.why) == ((1, 2), "judged each image by itself: true of 2 of 2")
    assert judged_images(one(**IMAGE), Case(subject, RECEIVED, own=9)).wanted == (0, 1, 2, 3)
    decision = decided(
        rule(YES, stop=True, **IMAGE), rule("True", targets=("archive",), **IMAGE), subject=images("MR", "CT")
    )
    assert [one.wanted for one in decision.results] == [(0,), (1,)]


def test_own_images_are_the_last_ones() -> None:
    assert judged_images(one(**IMAGE), Case(images("CT", "CT", "MR"), RECEIVED, own=2)).wanted == (1,)


def test_outside_its_schedule_an_image_rule_has_sent_nothing_unless_a_person_lets_it_go() -> None:
    off = judged_images(one(**IMAGE, **NIGHT), CASE)
    assert (off.blocked, off.images_sent, off.acts) == (OFF_SCHEDULE, 0, False)
    assert judged_images(one(**IMAGE, **NIGHT), LIFTED).images_sent == 1
    assert judged_images(one(NO, **IMAGE, **NIGHT), CASE).blocked == ""
    shadow = judged_images(one(mode="shadow", **IMAGE), CASE)
    assert (shadow.result, shadow.counts, shadow.images_sent) == (Truth.TRUE, False, 0)
    assert judged_images(one(expires="2001-01-01", **IMAGE), CASE).why == "expired (2001-01-01)"


# ---- as it is kept -------------------------------------------------------------------------------------------------
def test_a_decision_is_kept_with_what_each_rule_said() -> None:
    decision = decided(
        rule(YES, targets=("ai", "pacs"), priority="urgent"), rule(YES, **IMAGE), rule(YES, **NIGHT),
        rule(NO, trigger="study"), rule(ERROR), rule(YES, fallback=True),
    )  # fmt: skip
    data = decision.to_data()
    assert {key: data[key] for key in data if key != "rules"} == {
        "revision": 7, "outcome": "route", "reason": "routed by rule 'r0'",
        "deliveries": [{"name": "ai", "is_group": True, "priority": "urgent", "rules": ["r0"]},
                       {"name": "pacs", "is_group": False, "priority": "urgent", "rules": ["r0"]}],
        "flagged": ["r4"], "waits": ["r3"],
    }  # fmt: skip
    kept = [{key: value for key, value in one.items() if key != "explanation"} for one in data["rules"]]
    plain = {"action": "route", "counts": True, "why": ""}
    assert kept == [
        {**plain, "rule": "r0", "result": "true"},
        {**plain, "rule": "r1", "result": "true", "why": "judged each image by itself: true of 1 of 1", "images": 1},
        {**plain, "rule": "r2", "result": "true", "why": OFF_SCHEDULE, "blocked": OFF_SCHEDULE},
        {**plain, "rule": "r3", "result": None, "why": "is asked once the study is complete"},
        {**plain, "rule": "r4", "result": "error"},
        {**plain, "rule": "r5", "result": None, "why": "an ordinary rule applied"},
    ]
    assert all(one["explanation"]["text"] for one in data["rules"] if one["result"] is not None)
