"""Series that a rule held after they waited for their study: to release one is the last word on that hold."""

from __future__ import annotations

import pytest
from router_rig import Rig

from protocol.testing.images import TestImage

QUIET_S, LONGEST_S = 300.0, 3600.0
CT = TestImage(series=1)
STUDY = {
    "name": "study",
    "when": "any_image(Modality == 'CT')",
    "action": "hold",
    "targets": ["pacs"],
    "trigger": "study",
}
HOLD = {"name": "hold", "when": "True", "action": "hold", "targets": ["pacs"]}
REST = {"name": "rest", "when": "True", "action": "route", "targets": ["archive"], "fallback": True}
OTHER = {"name": "other", "when": "True", "action": "route", "targets": ["archive"], "trigger": "study",
         "study": {"quiet_s": 900}}  # fmt: skip


def waiting(node: Rig, *, routed: str = "") -> int:
    """A series that waits for its study; a person may have had it sent meanwhile."""
    arrival: int = node.series(CT)["id"]
    assert node.arrival(arrival)["state"] == "waiting"
    if routed:
        assert node.ask("series.route", arrival=arrival, target=routed).state == "done"
    return arrival


def held(node: Rig, arrival: int) -> None:
    node.after(QUIET_S)
    assert node.arrival(arrival)["state"] == "held"


def release(node: Rig, arrival: int) -> None:
    assert node.ask("series.release", arrival=arrival).state == "done"
    node.work()


def settled(node: Rig, arrival: int) -> bool:
    """It is on its way, and nothing changes that."""
    before = node.deliveries(arrival)
    for _ in range(2):
        node.after(QUIET_S)
    same = node.deliveries(arrival) == before and node.spool.accounting.balance() == []
    return same and node.arrival(arrival)["state"] == "in_delivery"


@pytest.mark.parametrize("routed", ["", "research"])
def test_what_a_study_rule_held_goes_to_its_targets_once_released(rig, routed):
    node: Rig = rig(STUDY, REST)
    arrival = waiting(node, routed=routed)
    held(node, arrival)
    release(node, arrival)
    assert node.deliveries(arrival) == {"pacs": "waiting"} | ({routed: "waiting"} if routed else {})
    assert settled(node, arrival)


def test_what_a_study_rule_without_targets_held_goes_where_the_fallback_rules_say_once_released(rig):
    node: Rig = rig({**STUDY, "targets": []}, REST)
    arrival = waiting(node, routed="research")
    held(node, arrival)
    release(node, arrival)
    assert node.deliveries(arrival) == {"research": "waiting", "archive": "waiting"} and settled(node, arrival)


def test_where_no_rule_has_a_target_what_a_person_routed_goes_on_alone_once_released(rig):
    node: Rig = rig({**STUDY, "targets": []})
    arrival = waiting(node, routed="research")
    held(node, arrival)
    release(node, arrival)
    assert node.deliveries(arrival) == {"research": "waiting"} and settled(node, arrival)


def test_a_study_that_was_not_complete_after_the_longest_wait_is_sent_once_released(rig):
    terms = {"complete": "any_image(Modality == 'PT')", "max_wait_s": LONGEST_S, "then": "hold"}
    late = {**STUDY, "action": "route", "study": terms}
    node: Rig = rig(late, REST)
    arrival = waiting(node)
    node.after(LONGEST_S)
    assert node.arrival(arrival)["state"] == "held"
    release(node, arrival)
    assert node.deliveries(arrival) == {"pacs": "waiting"} and settled(node, arrival)


def test_a_study_over_the_quota_of_its_rule_is_sent_once_released(rig):
    node: Rig = rig({**STUDY, "action": "route", "quota": {"max": 1}})
    waiting(node)
    node.after(QUIET_S)
    arrival = node.series(TestImage(study=2, series=7))["id"]
    held(node, arrival)
    release(node, arrival)
    assert node.deliveries(arrival) == {"pacs": "waiting"} and settled(node, arrival)


def test_a_hold_rule_that_came_while_a_person_had_the_series_sent_is_released_with_its_targets(rig):
    node: Rig = rig(STUDY)
    arrival = waiting(node, routed="research")
    node.publish(HOLD, REST)
    node.work()
    assert node.deliveries(arrival) == {"research": "held"}
    release(node, arrival)
    assert node.deliveries(arrival) == {"research": "waiting", "pacs": "waiting"} and settled(node, arrival)


def test_nothing_is_sent_again_to_where_a_person_had_it_sent_before_it_was_held(rig):
    node: Rig = rig(STUDY)
    arrival = waiting(node, routed="pacs")
    node.deliver_all()
    held(node, arrival)
    release(node, arrival)
    node.deliver_all()
    assert node.world.targets["pacs"].repeated == 0 and node.arrival(arrival)["state"] == "delivered"


def test_a_study_rule_that_was_not_asked_yet_still_adds_its_targets_after_the_release(rig):
    node: Rig = rig(STUDY, OTHER)
    arrival = waiting(node, routed="research")
    held(node, arrival)
    release(node, arrival)
    assert node.deliveries(arrival) == {"research": "waiting", "pacs": "waiting"}
    node.after(900)
    assert node.deliveries(arrival) == {"research": "waiting", "pacs": "waiting", "archive": "waiting"}


def test_what_was_released_and_waits_again_is_not_taken_for_decided_when_a_person_routes_and_holds_it(rig):
    hold = {**HOLD, "targets": []}
    node: Rig = rig(hold, {**STUDY, "when": "False"}, REST)
    arrival = node.series(CT)["id"]
    release(node, arrival)
    assert node.arrival(arrival)["state"] == "waiting"
    node.publish({**STUDY, "when": "False"}, REST)
    for act, more in (("route", {"target": "research"}), ("hold", {}), ("release", {})):
        assert node.ask(f"series.{act}", arrival=arrival, **more).state == "done"
    node.work()
    assert node.arrival(arrival)["state"] == "waiting"
    node.after(QUIET_S)
    assert node.deliveries(arrival) == {"research": "waiting", "archive": "waiting"}


def test_what_a_person_routed_and_held_after_a_rule_had_held_it_goes_on_alone(rig):
    """The person decided about it; the rule's hold is not what holds it now."""
    node: Rig = rig(STUDY, REST)
    arrival = waiting(node)
    held(node, arrival)
    for act, more in (("route", {"target": "research"}), ("hold", {})):
        assert node.ask(f"series.{act}", arrival=arrival, **more).state == "done"
    release(node, arrival)
    assert node.deliveries(arrival) == {"research": "waiting"} and settled(node, arrival)


def test_an_answer_from_before_the_series_was_sent_to_the_rules_again_does_not_count(rig):
    node: Rig = rig({**STUDY, "action": "route", "when": "False"}, REST)
    arrival = waiting(node)
    node.after(QUIET_S)
    assert node.deliveries(arrival) == {"archive": "waiting"}
    node.deliver_all()
    node.publish(HOLD | {"targets": []}, {**STUDY, "action": "route"})
    node.work()
    assert node.ask("series.reroute", arrival=arrival).state == "done"
    node.work()
    assert node.arrival(arrival)["state"] == "held"
    release(node, arrival)
    assert node.arrival(arrival)["state"] == "waiting"
    node.after(QUIET_S)
    assert node.deliveries(arrival)["pacs"] == "waiting"


@pytest.mark.parametrize("mode", ["shadow", "off"])
def test_a_rule_that_counts_no_more_when_its_series_is_released_names_no_target(rig, mode):
    node: Rig = rig(STUDY, REST)
    arrival = waiting(node, routed="research")
    held(node, arrival)
    node.publish({**STUDY, "mode": mode}, REST)
    node.work()
    release(node, arrival)
    assert node.deliveries(arrival) == {"research": "waiting", "archive": "waiting"} and settled(node, arrival)


def test_a_study_rule_that_is_gone_when_its_series_is_released_names_no_target(rig):
    node: Rig = rig(STUDY, REST)
    arrival = waiting(node, routed="research")
    held(node, arrival)
    node.publish(REST)
    node.work()
    release(node, arrival)
    assert node.deliveries(arrival) == {"research": "waiting", "archive": "waiting"} and settled(node, arrival)


def test_a_study_rule_that_could_not_be_asked_is_asked_again_after_the_release(rig, monkeypatch):
    node: Rig = rig({**STUDY, "action": "route"}, REST)
    arrival = waiting(node)
    with monkeypatch.context() as patched:
        patched.setattr("actors.router.studies.decide_study", lambda rule, case: 1 / 0)
        for _ in range(5):
            node.after(QUIET_S)
    assert node.arrival(arrival)["state"] == "held" and "could not be asked" in node.arrival(arrival)["reason"]
    release(node, arrival)
    assert node.arrival(arrival)["state"] == "waiting"
    node.after(QUIET_S)
    assert node.deliveries(arrival) == {"pacs": "waiting"} and settled(node, arrival)
