"""Rules with the trigger study through the whole router: when a study is complete, and what its series get then."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from router_rig import Rig

from protocol.spool.cleaning import Retention
from protocol.spool.forecast import forecast
from protocol.spool.studies import Studies
from protocol.testing.images import TestImage

QUIET_S, LONGEST_S, YEAR_S = 300.0, 3600.0, 365 * 86_400.0
CT, PT = TestImage(series=1), TestImage(series=2, modality="PT")
CT2, PT2 = TestImage(series=1, instance=2), TestImage(series=3, modality="PT")
PAIR = {
    "name": "pair", "when": "any_image(Modality == 'CT') and any_image(Modality == 'PT')", "action": "route",
    "targets": ["pacs"], "trigger": "study",
}  # fmt: skip
NAMED = {**PAIR, "when": "any_image(Modality == 'CT')",
         "study": {"complete": "any_image(Modality == 'PT')", "max_wait_s": LONGEST_S}}  # fmt: skip
REST = {"name": "rest", "when": "True", "action": "route", "targets": ["archive"], "fallback": True}


def states(node: Rig) -> list[str]:
    return [row["state"] for row in reversed(node.spool.arrivals.list())]


def test_a_study_waits_for_its_series_and_all_are_sent_once_it_is_quiet(rig):
    node: Rig = rig(PAIR)
    assert node.series(CT)["state"] == "waiting"
    node.series(PT)
    assert states(node) == ["waiting", "waiting"] and node.deliveries() == {}
    node.after(QUIET_S)
    assert states(node) == ["in_delivery", "in_delivery"]
    (event,) = node.events("study.decided")
    assert (
        event.data | {"rule": "pair", "result": "true", "outcome": "route", "why": "quiet", "arrivals": 2} == event.data
    )
    assert node.spool.accounting.balance(files=True) == []


def test_a_study_that_the_rule_does_not_want_is_discarded_only_then(rig):
    node: Rig = rig(PAIR)
    node.series(CT)
    node.after(QUIET_S - 70)
    assert states(node) == ["waiting"]
    node.after(70)
    assert states(node) == ["discarded"]
    assert node.newest()["reason"] == "no rule applied"


def test_7_a_study_that_is_still_arriving_is_never_discarded_for_its_age(rig):
    """known-failures 7: a maximum time since the first series has passed while others still come."""
    node: Rig = rig({**PAIR, "when": "True", "study": {"max_wait_s": 120}})
    node.series(CT)
    for number in (1, 2, 3):
        node.series(TestImage(series=10 + number))
    node.after(QUIET_S + LONGEST_S)
    assert set(states(node)) == {"in_delivery"}
    assert {event.data["why"] for event in node.events("study.decided")} >= {"late"}


def test_the_quiet_of_a_study_begins_anew_with_each_series(rig):
    node: Rig = rig(PAIR)
    node.series(CT)
    node.after(QUIET_S - 100)
    node.series(PT)
    node.after(QUIET_S - 100)
    assert states(node) == ["waiting", "waiting"]
    node.after(100)
    assert states(node) == ["in_delivery", "in_delivery"]


def test_a_series_that_is_still_open_keeps_its_study_from_being_quiet(rig):
    node: Rig = rig(PAIR)
    node.series(CT)
    association = node.world.connect()
    node.world.send(association, PT)
    node.work()
    for number in range(2, 12):
        node.after(59)
        node.world.send(association, TestImage(series=2, instance=number, modality="PT"))
        node.work()
    assert states(node) == ["waiting", "open"]


def test_the_named_series_complete_a_study_at_once_and_quiet_alone_does_not(rig):
    node: Rig = rig(NAMED)
    node.series(CT)
    node.after(QUIET_S * 2)
    assert states(node) == ["waiting"]
    node.series(PT)
    assert states(node) == ["in_delivery", "in_delivery"]
    assert node.events("study.decided")[0].data["why"] == "complete"


def test_a_study_that_a_rule_with_named_series_does_not_want_waits_for_quiet_only(rig):
    node: Rig = rig(NAMED)
    node.series(TestImage(modality="MR"))
    node.after(QUIET_S)
    assert states(node) == ["discarded"]


@pytest.mark.parametrize(("then", "state"), [("decide", "in_delivery"), ("hold", "held")])
def test_the_longest_wait_ends_as_the_rule_says(rig, then, state):
    node: Rig = rig({**NAMED, "study": {**NAMED["study"], "then": then}})
    node.series(CT)
    node.after(LONGEST_S - 70)
    assert states(node) == ["waiting"]
    node.after(70)
    assert states(node) == [state]
    if then == "hold":
        assert node.newest()["reason"].startswith("held by rule 'pair'")
        answer = node.ask("series.route", arrival=node.newest()["id"], target="pacs")
        assert answer.state == "done" and node.deliveries() == {"pacs": "waiting"}


def test_a_clock_that_was_ahead_does_not_prolong_the_longest_wait(rig):
    node: Rig = rig(NAMED)
    node.world.clock.jump_wall(YEAR_S)
    node.series(CT)
    node.world.clock.jump_wall(-YEAR_S)
    node.after(LONGEST_S - 70)
    assert states(node) == ["waiting"]
    node.after(70)
    assert states(node) == ["in_delivery"]


def test_a_clock_that_is_behind_for_a_while_does_not_end_the_longest_wait(rig):
    node: Rig = rig(NAMED)
    node.series(CT)
    node.world.clock.jump_wall(-YEAR_S)
    node.new_router()
    node.after(70)
    node.world.clock.jump_wall(YEAR_S)
    node.after(70)
    assert states(node) == ["waiting"]


def test_a_series_rule_sends_at_once_and_the_study_rule_adds_its_target(rig):
    now = {"name": "now", "when": "Modality == 'CT'", "action": "route", "targets": ["archive"]}
    node: Rig = rig(now, {**PAIR, "targets": ["pacs", "archive"]})
    first = node.series(CT)
    assert node.deliveries(first["id"]) == {"archive": "waiting"}
    node.deliver_all()
    node.series(PT)
    node.after(QUIET_S)
    assert node.deliveries(first["id"]) == {"archive": "delivered", "pacs": "waiting"}
    assert node.deliveries(node.newest()["id"]) == {"archive": "waiting", "pacs": "waiting"}
    assert len([row for row in node.spool.deliveries.list() if row["arrival"] == first["id"]]) == 2


def test_29_a_fallback_waits_for_the_study_and_runs_only_if_no_rule_applied(rig):
    node: Rig = rig(PAIR, REST)
    node.series(CT)
    assert node.deliveries() == {}
    node.series(PT)
    node.series(TestImage(study=2))
    node.after(QUIET_S)
    assert node.deliveries(node.newest()["id"]) == {"archive": "waiting"}
    others = [row["id"] for row in node.spool.arrivals.list()][1:]
    assert [node.deliveries(id) for id in others] == [{"pacs": "waiting"}] * 2


def test_a_fallback_rule_for_studies_acts_if_no_ordinary_rule_did(rig):
    late = {**PAIR, "name": "late", "when": "count_images() == 2", "fallback": True, "targets": ["research"]}
    node: Rig = rig({"name": "mr", "when": "Modality == 'MR'", "action": "route", "targets": ["pacs"]}, late)
    node.series(CT)
    node.series(PT)
    node.series(TestImage(study=2, modality="MR"))
    assert states(node) == ["waiting", "waiting", "in_delivery"]
    node.after(QUIET_S)
    assert states(node) == ["in_delivery"] * 3
    assert sorted(row["target"] for row in node.spool.deliveries.list()) == ["pacs", "research", "research"]


def test_a_rule_that_stops_keeps_the_study_rules_behind_it_away(rig):
    stop = {"name": "stop", "when": "Modality == 'CT'", "action": "route", "targets": ["archive"], "stop": True}
    node: Rig = rig(stop, PAIR)
    first = node.series(CT)
    node.series(PT)
    node.after(QUIET_S)
    assert node.deliveries(first["id"]) == {"archive": "waiting"}
    assert node.deliveries(node.newest()["id"]) == {"pacs": "waiting"}


def test_31_a_late_series_joins_its_study_and_only_it_is_sent(rig):
    """known-failures 31: a late image causes a full second send, or a new one-series study."""
    node: Rig = rig(PAIR)
    node.series(CT)
    node.series(PT)
    node.after(QUIET_S)
    node.deliver_all()
    late, image = node.series(PT2), node.series(CT2)
    assert (late["state"], image["addendum_of"] > 0) == ("waiting", True)
    assert node.deliveries(image["id"]) == {"pacs": "waiting"}, "an addendum goes where its series went, at once"
    node.after(QUIET_S)
    assert node.deliveries(late["id"]) == {"pacs": "waiting"}
    sent = [
        image.file.sop_instance_uid
        for claim in iter(lambda: node.world.claim({"pacs": 5}), None)
        for image in claim.images
    ]
    assert sorted(sent) == sorted([PT2.sop_uid, CT2.sop_uid])


def test_a_rule_that_acted_on_a_study_acts_on_its_late_series_whatever_they_change(rig):
    node: Rig = rig({**PAIR, "when": "count_images() == 1"})
    node.series(CT)
    node.after(QUIET_S)
    node.series(PT)
    node.after(QUIET_S)
    assert states(node) == ["in_delivery", "in_delivery"]


def test_a_series_that_came_long_before_the_others_goes_with_its_study(rig):
    node: Rig = rig(PAIR)
    first = node.series(CT)["id"]
    node.after(QUIET_S)
    assert node.arrival(first)["state"] == "discarded"
    node.after(1000)
    node.series(PT)
    node.after(QUIET_S)
    assert states(node) == ["in_delivery", "in_delivery"]
    assert node.deliveries(first) == {"pacs": "waiting"}


def test_a_series_that_came_earlier_than_the_longest_wait_or_that_a_person_discarded_stays_where_it_is(rig):
    node: Rig = rig({**PAIR, "study": {"max_wait_s": LONGEST_S}})
    node.series(CT)
    node.after(LONGEST_S)
    node.series(PT)
    by_hand = node.series(TestImage(study=2))["id"]
    assert node.ask("series.discard", arrival=by_hand).state == "done"
    node.series(TestImage(study=2, series=2, modality="PT"))
    node.after(QUIET_S)
    assert states(node) == ["discarded", "in_delivery", "discarded", "in_delivery"]


def test_a_series_that_a_person_discarded_after_its_study_had_not_wanted_it_is_not_called_back(rig):
    node: Rig = rig({"name": "now", "when": "True", "action": "route", "targets": ["archive"]}, PAIR)
    first = node.series(CT)["id"]
    node.after(QUIET_S)
    for kind in ("series.hold", "series.discard"):
        assert node.ask(kind, arrival=first, reason="wrong patient").state == "done"
    node.series(PT)
    node.after(QUIET_S)
    assert node.arrival(first)["state"] == "discarded" and node.deliveries(first) == {"archive": "cancelled"}
    assert node.deliveries(node.newest()["id"])["pacs"] == "waiting"


def test_a_series_that_came_before_the_others_goes_with_its_study_though_the_clock_was_ahead_when_those_came(rig):
    node: Rig = rig(PAIR)
    first = node.series(CT)["id"]
    node.after(QUIET_S)
    assert node.arrival(first)["state"] == "discarded"
    node.world.clock.jump_wall(YEAR_S)
    node.series(PT)
    node.world.clock.jump_wall(-YEAR_S)
    node.after(QUIET_S)
    assert states(node) == ["in_delivery", "in_delivery"]


def test_a_clock_that_was_ahead_calls_back_nothing_that_came_earlier_than_the_longest_wait(rig):
    node: Rig = rig({**PAIR, "study": {"max_wait_s": LONGEST_S}})
    node.series(CT)
    node.after(LONGEST_S)
    node.world.clock.jump_wall(YEAR_S)
    node.series(PT)
    node.world.clock.jump_wall(-YEAR_S)
    node.after(QUIET_S)
    assert states(node) == ["discarded", "in_delivery"]


def test_32_studies_of_two_senders_do_not_complete_each_other(rig):
    node: Rig = rig(PAIR)
    node.world.receive(CT, calling_ae="CT1")
    node.world.receive(PT, calling_ae="PT1")
    node.work()
    node.after(5)
    node.after(QUIET_S)
    assert states(node) == ["discarded", "discarded"]


def test_28_an_error_of_a_study_rule_holds_its_series_and_raises_an_alert(rig):
    node: Rig = rig({**PAIR, "when": "SeriesInstanceUID > 3"}, {**REST, "action": "discard", "targets": []})
    node.series(CT)
    node.after(QUIET_S)
    assert states(node) == ["held"]
    assert len(node.events("rule.failed")) == 1
    assert "rule.failed.pair" in node.spool.notices.alerts()


def test_a_shadow_study_rule_is_counted_and_delays_nothing(rig):
    node: Rig = rig({**PAIR, "mode": "shadow"}, REST)
    node.series(CT)
    node.series(PT)
    assert states(node) == ["in_delivery", "in_delivery"]
    node.after(QUIET_S)
    assert node.spool.rules.counts()["pair"] == {"true": 1}
    assert {row["target"] for row in node.spool.deliveries.list()} == {"archive"}


def test_what_a_rule_said_before_the_study_was_complete_is_not_counted_again(rig):
    node: Rig = rig({"name": "trial", "when": "True", "action": "hold", "mode": "shadow"}, PAIR)
    node.series(CT)
    node.after(QUIET_S)
    assert states(node) == ["discarded"] and node.spool.rules.counts()["trial"] == {"true": 1}


def test_a_study_rule_may_hold_or_discard(rig):
    node: Rig = rig({**PAIR, "action": "hold", "targets": []})
    node.series(CT)
    node.series(PT)
    node.after(QUIET_S)
    assert states(node) == ["held", "held"]
    node.publish({**PAIR, "action": "discard", "targets": []}, REST)
    node.series(TestImage(study=2))
    node.series(TestImage(study=2, series=2, modality="PT"))
    node.after(QUIET_S)
    assert states(node)[2:] == ["discarded", "discarded"], "a discard rule that applied keeps fallbacks away"


def test_the_quota_of_a_study_rule_counts_studies(rig):
    node: Rig = rig({**PAIR, "when": "True", "quota": {"max": 1}})
    for study in (1, 2):
        node.series(TestImage(study=study))
        node.series(TestImage(study=study, series=2))
    node.after(QUIET_S)
    assert states(node) == ["in_delivery", "in_delivery", "held", "held"]
    assert "quota" in node.newest()["reason"]


def test_waiting_survives_a_restart_of_the_router_and_the_longest_wait_does_not_begin_anew(rig):
    node: Rig = rig(NAMED)
    node.series(CT)
    for _ in range(6):
        node.after(LONGEST_S / 6)
        node.new_router()
    node.work()
    assert states(node) == ["in_delivery"]


# ---- revisions under way


def test_without_its_rule_a_study_is_decided_by_the_rules_of_today(rig):
    node: Rig = rig(PAIR)
    node.series(CT)
    node.publish({"name": "other", "when": "True", "action": "route", "targets": ["archive"]})
    node.work()
    node.work()
    assert states(node) == ["in_delivery"] and node.deliveries() == {"archive": "waiting"}
    assert node.events("study.decided")[0].data["why"] == "gone"


def test_a_renamed_study_rule_is_waited_for_again(rig):
    node: Rig = rig(PAIR)
    node.series(CT)
    node.publish({**PAIR, "name": "pair-2"})
    node.series(PT)
    assert states(node) == ["waiting", "waiting"]
    node.after(QUIET_S)
    assert states(node) == ["in_delivery", "in_delivery"]


def test_a_renamed_study_rule_acts_on_series_that_are_on_their_way(rig):
    now = {"name": "now", "when": "Modality == 'CT'", "action": "route", "targets": ["archive"]}
    node: Rig = rig(now, PAIR)
    first = node.series(CT)["id"]
    node.publish(now, {**PAIR, "name": "pair-2"})
    node.series(PT)
    node.after(QUIET_S)
    assert node.deliveries(first) == {"archive": "waiting", "pacs": "waiting"}


def test_a_rule_that_became_a_shadow_meanwhile_routes_nothing(rig):
    node: Rig = rig(PAIR)
    node.series(CT)
    node.series(PT)
    node.publish({**PAIR, "mode": "shadow"})
    node.after(QUIET_S)
    node.work()
    assert states(node) == ["discarded", "discarded"]


# ---- people


def test_a_person_may_hold_discard_or_route_what_waits(rig):
    node: Rig = rig({**PAIR, "when": "True"})
    first, second, third = (node.series(TestImage(series=number))["id"] for number in (1, 2, 3))
    assert node.ask("series.hold", arrival=first).state == "done"
    assert node.ask("series.discard", arrival=second).state == "done"
    assert node.ask("series.route", arrival=third, target="archive").state == "done"
    node.after(QUIET_S)
    assert states(node) == ["held", "discarded", "in_delivery"]
    assert node.deliveries(third) == {"archive": "waiting", "pacs": "waiting"}
    assert node.deliveries(first) == node.deliveries(second) == {}


@pytest.mark.parametrize("sent", [False, True])
def test_what_a_person_routes_while_it_waits_is_still_seen_by_the_fallback_rules(rig, sent):
    node: Rig = rig(PAIR, REST)
    arrival = node.series(CT)["id"]
    assert node.ask("series.route", arrival=arrival, target="research").state == "done"
    assert node.arrival(arrival)["state"] == "waiting" and node.deliveries(arrival) == {"research": "waiting"}
    if sent:
        node.deliver_all()
    node.after(QUIET_S)
    assert node.deliveries(arrival) == {"research": "delivered" if sent else "waiting", "archive": "waiting"}
    assert node.arrival(arrival)["state"] == "in_delivery" and node.spool.accounting.balance() == []


def test_a_fallback_rule_sends_nothing_again_to_where_a_person_had_it_sent_while_it_waited(rig):
    node: Rig = rig(PAIR, REST)
    arrival = node.series(CT)["id"]
    node.ask("series.route", arrival=arrival, target="archive")
    node.deliver_all()
    node.after(QUIET_S)
    assert node.world.targets["archive"].repeated == 0 and node.arrival(arrival)["state"] == "delivered"


@pytest.mark.parametrize(("sent", "state"), [(False, "in_delivery"), (True, "delivered")])
def test_what_no_rule_wants_in_the_end_is_not_called_discarded_if_a_person_sent_it(rig, sent, state):
    node: Rig = rig(PAIR)
    arrival = node.series(CT)["id"]
    node.ask("series.route", arrival=arrival, target="archive")
    if sent:
        node.deliver_all()
    node.after(QUIET_S)
    assert node.arrival(arrival)["state"] == state and node.deliveries(arrival) == {
        "archive": "delivered" if sent else "waiting"
    }
    assert node.spool.accounting.balance() == []


def test_what_is_being_sent_for_a_person_while_it_waits_is_not_discarded(rig):
    node: Rig = rig(PAIR)
    arrival = node.series(CT)["id"]
    node.ask("series.route", arrival=arrival, target="archive")
    claim = node.world.claim()
    assert "is being sent" in node.ask("series.discard", arrival=arrival).answer
    assert node.spool.accounting.balance() == [] and node.arrival(arrival)["state"] == "waiting"
    node.world.deliver(claim)
    assert node.ask("series.discard", arrival=arrival).state == "done"


def test_what_a_person_routed_while_it_waited_and_held_then_waits_again_once_released(rig):
    node: Rig = rig(PAIR, REST)
    arrival = node.series(CT)["id"]
    for act, more in (("route", {"target": "research"}), ("hold", {}), ("release", {})):
        assert node.ask(f"series.{act}", arrival=arrival, **more).state == "done"
    node.work()
    assert node.arrival(arrival)["state"] == "waiting" and node.deliveries(arrival) == {"research": "waiting"}
    node.after(QUIET_S)
    assert node.deliveries(arrival) == {"research": "waiting", "archive": "waiting"}


def test_a_held_series_that_is_released_waits_for_its_study(rig):
    hold = {"name": "hold", "when": "Modality == 'CT'", "action": "hold"}
    node: Rig = rig(hold, {**PAIR, "when": "True"})
    arrival = node.series(CT)["id"]
    assert node.ask("series.release", arrival=arrival).state == "done"
    assert states(node) == ["waiting"]
    node.after(QUIET_S)
    assert states(node) == ["in_delivery"]


NOW = {"name": "now", "when": "True", "action": "route", "targets": ["archive"]}


def held_on_its_way(node: Rig) -> int:
    """A series that a rule sent on at once and that waits for its study, too; held before anything was sent."""
    first = node.series(CT)["id"]
    node.series(PT)
    assert node.ask("series.hold", arrival=first).state == "done"
    return first


def test_a_series_held_on_its_way_and_released_gets_what_its_study_rule_says(rig):
    node: Rig = rig(NOW, PAIR)
    first = held_on_its_way(node)
    assert node.ask("series.release", arrival=first).state == "done"
    node.after(QUIET_S)
    assert node.deliveries(first) == {"archive": "waiting", "pacs": "waiting"}


def test_a_series_that_is_held_when_its_study_is_decided_gets_the_answer_once_released(rig):
    node: Rig = rig(NOW, PAIR)
    first = held_on_its_way(node)
    node.after(QUIET_S)
    assert node.arrival(first)["state"] == "held" and node.deliveries(first) == {"archive": "held"}
    assert node.deliveries(node.newest()["id"]) == {"archive": "waiting", "pacs": "waiting"}
    node.new_router()
    assert node.ask("series.release", arrival=first).state == "done"
    assert node.deliveries(first) == {"archive": "waiting", "pacs": "waiting"}
    assert node.spool.studies.waits_of(first)[0]["state"] == "done"


def test_a_series_held_on_its_way_joins_the_study_rule_that_was_renamed_meanwhile(rig):
    node: Rig = rig(NOW, PAIR)
    first = held_on_its_way(node)
    node.publish(NOW, {**PAIR, "name": "pair-2"})
    node.after(1)
    assert node.ask("series.release", arrival=first).state == "done"
    node.after(QUIET_S)
    assert node.deliveries(first) == {"archive": "waiting", "pacs": "waiting"}


@pytest.mark.parametrize("act", ["discard", "reroute", "route"])
def test_a_held_series_that_a_person_decides_about_keeps_no_study_from_being_done(rig, act):
    node: Rig = rig(NOW, PAIR)
    first = held_on_its_way(node)
    node.after(QUIET_S)
    (wait,) = node.spool.studies.waits_of(first)
    assert (
        node.ask(f"series.{act}", arrival=first, **({"target": "research"} if act == "route" else {})).state == "done"
    )
    with node.spool.database.read() as connection:
        assert connection.execute("SELECT state FROM study_wait WHERE id = ?", (wait["id"],)).fetchone()[0] == "done"


def test_the_story_of_a_series_tells_what_it_waits_for(rig):
    node: Rig = rig(PAIR)
    arrival = node.series(CT)["id"]
    (wait,) = node.spool.studies.waits_of(arrival)
    assert (wait["rule"], wait["state"], wait["applied"]) == ("pair", "open", 0)
    decision = node.spool.arrivals.story(arrival)["decisions"][0]
    assert decision["outcome"] == "wait" and "pair" in decision["reason"]


def test_the_cleaner_leaves_what_a_study_rule_may_still_want(rig):
    now = {"name": "now", "when": "True", "action": "route", "targets": ["archive"]}
    node: Rig = rig(now, NAMED)
    arrival = node.series(CT)["id"]
    node.deliver_all()
    later = node.world.clock.now() + 10
    assert node.arrival(arrival)["state"] == "delivered"
    assert not node.spool.cleaning.mark(arrival, Retention(later, later, later))
    node.after(LONGEST_S)
    node.deliver_all()
    later = node.world.clock.now() + 10
    assert node.spool.cleaning.mark(arrival, Retention(later, later, later))


@pytest.mark.parametrize("before", [[], [{"name": "now", "when": "True", "action": "route", "targets": ["archive"]}]])
def test_the_cleaner_leaves_what_a_study_calls_back_until_it_was_sent_on(rig, monkeypatch, before):
    """Those series were over already: their retention may end between the study's answer and its way to them."""
    node: Rig = rig(*before, PAIR)
    first = node.series(CT)["id"]
    node.after(QUIET_S)
    node.deliver_all()
    assert node.arrival(first)["state"] == ("delivered" if before else "discarded")
    node.series(PT)
    with monkeypatch.context() as dying:  # the router dies when the answer is kept and nobody has it yet
        dying.setattr(Studies, "apply", lambda studies, wait: False)
        node.after(QUIET_S)
    later = node.world.clock.now() + 10
    kept = Retention(later, later, later)
    told = forecast(node.spool.database, kept, later)
    assert not node.spool.cleaning.mark(first, kept)
    assert not told.goes and [one.amount.series for one in told.kept if "still needed" in one.why] == [1]
    node.new_router()
    node.work()
    assert node.deliveries(first)["pacs"] == "waiting"


HEAD = {"name": "head", "when": "True", "trigger": "study", "action": "route", "targets": ["pacs"]}
ALSO = {**HEAD, "name": "also", "targets": ["research"]}


def person_routes(node: Rig) -> None:
    assert node.ask("series.route", arrival=node.newest()["id"], target="archive").state == "done"


@pytest.mark.parametrize("meanwhile", [lambda node: None, person_routes])
def test_what_waits_gets_the_word_of_a_study_rule_that_came_meanwhile(rig, meanwhile):
    node: Rig = rig(HEAD)
    node.series(CT)
    node.publish(HEAD, ALSO)
    node.work()
    meanwhile(node)
    for _ in range(2):
        node.after(QUIET_S)
    sent = node.deliveries()
    assert (sent["pacs"], sent["research"]) == ("waiting", "waiting")


def test_what_is_on_its_way_gets_the_word_of_a_study_rule_that_came_meanwhile(rig):
    at_once = {"name": "at_once", "when": "True", "action": "route", "targets": ["archive"]}
    node: Rig = rig(HEAD, at_once)
    node.series(CT)
    node.publish(HEAD, ALSO, at_once)
    for _ in range(3):
        node.after(QUIET_S)
    assert node.deliveries() == dict.fromkeys(("archive", "pacs", "research"), "waiting")


def test_a_hold_rule_that_comes_while_a_series_waits_holds_it(rig):
    node: Rig = rig(HEAD)
    node.series(CT)
    node.publish(HEAD, {"name": "look", "when": "Modality == 'CT'", "action": "hold"})
    node.work()
    assert (node.newest()["state"], node.newest()["reason"]) == ("held", "held by rule 'look'")
    node.after(2 * QUIET_S)
    assert node.deliveries() == {}


def test_a_version_that_changes_nothing_for_a_study_does_not_prolong_its_quiet(rig):
    node: Rig = rig(HEAD)
    node.series(CT)
    node.after(QUIET_S - 160)
    node.publish({**HEAD, "comment": "why"})
    node.after(50)
    assert states(node) == ["waiting"]
    node.after(50)
    assert node.deliveries() == {"pacs": "waiting"}


def test_more_than_are_decided_at_once_wait_for_the_rules_of_today_before_any_study_is_asked(rig, monkeypatch):
    monkeypatch.setattr("actors.router.arrivals.DECIDED_AT_ONCE", 2)
    node: Rig = rig(HEAD)
    for number in range(5):
        node.series(TestImage(series=number + 1))
    node.publish(HEAD, {"name": "look", "when": "True", "action": "hold"})
    node.after(QUIET_S)
    assert states(node) == ["held"] * 5 and node.deliveries() == {}


def test_a_rule_that_expires_while_a_study_comes_gets_all_of_the_study_that_began_before(rig):
    node: Rig = rig()
    end = datetime.fromtimestamp(node.world.clock.now() + 200, UTC).isoformat()
    node.publish({**HEAD, "expires": end})
    node.series(CT)
    node.after(200)
    node.series(PT)
    node.series(TestImage(study=2))
    assert states(node) == ["waiting", "waiting", "discarded"], "another study begins too late"
    node.after(QUIET_S)
    assert states(node) == ["in_delivery", "in_delivery", "discarded"]
    node.series(TestImage(series=4))
    node.series(TestImage(study=3))
    assert states(node)[3:] == ["discarded", "discarded"], "nothing waits for the first study any more"
