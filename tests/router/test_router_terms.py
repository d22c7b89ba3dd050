"""Quotas, schedules and expiry of rules through the whole router, and the counters of rules."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from router_rig import CT, MR_ONLY, Rig

from protocol.testing.images import TestImage

REST = {"name": "rest", "when": "True", "action": "route", "targets": ["archive"], "fallback": True}


def series(node: Rig, number: int) -> str:
    return str(node.series(TestImage(study=number))["state"])


def test_over_its_quota_a_rule_holds_what_nobody_else_wants(rig):
    node: Rig = rig({**CT, "quota": {"max": 2}})
    assert [series(node, number) for number in (1, 2, 3)] == ["in_delivery", "in_delivery", "held"]
    assert node.newest()["reason"] == "held because rule 'ct' has used up its quota of 2"


def test_over_its_quota_a_rule_leaves_series_to_the_fallback(rig):
    node: Rig = rig({**CT, "quota": {"max": 1, "per": "month"}}, REST)
    for number in (1, 2):
        series(node, number)
    assert node.deliveries(node.newest()["id"]) == {"archive": "waiting"}


def test_a_quota_begins_anew_with_its_period(rig):
    node: Rig = rig({**CT, "quota": {"max": 1, "per": "day"}})
    assert [series(node, 1), series(node, 2)] == ["in_delivery", "held"]
    node.after(86_400)
    assert series(node, 3) == "in_delivery"


def test_late_images_neither_count_against_a_quota_nor_stop_at_it(rig):
    node: Rig = rig({**CT, "quota": {"max": 2}})
    node.series(TestImage(study=1))
    assert node.series(TestImage(study=1, instance=2))["state"] == "in_delivery"
    assert node.series(TestImage(study=2))["state"] == "in_delivery"
    assert node.series(TestImage(study=2, instance=2))["state"] == "in_delivery"
    assert node.series(TestImage(study=3))["state"] == "held"


def test_a_person_who_releases_what_a_quota_held_lets_the_rule_act(rig):
    node: Rig = rig({**CT, "quota": {"max": 1}})
    series(node, 1)
    series(node, 2)
    assert node.ask("series.release", arrival=node.newest()["id"]).state == "done"
    assert node.deliveries(node.newest()["id"]) == {"pacs": "waiting"}


def test_a_quota_survives_the_router_and_is_not_counted_twice(rig):
    node: Rig = rig({**CT, "quota": {"max": 2}})
    series(node, 1)
    node.new_router()
    node.work()
    assert [series(node, 2), series(node, 3)] == ["in_delivery", "held"]


@pytest.mark.parametrize(("hours", "state"), [(0, "held"), (12, "in_delivery")])
def test_33_a_schedule_goes_by_the_zone_of_the_node_and_the_time_of_receipt(rig, hours, state):
    """known-failures 33: local time without zone. The window opens twelve hours from now in Tokyo."""
    node: Rig = rig()
    tokyo = node.settings.node.model_copy(update={"time_zone": "Asia/Tokyo"})
    node.settings = node.settings.model_copy(update={"node": tokyo})
    node.new_router()
    hour = datetime.fromtimestamp(node.world.clock.now() + 12 * 3600, ZoneInfo("Asia/Tokyo")).hour
    node.publish({**CT, "schedule": {"start": f"{(hour - 1) % 24:02}:00", "end": f"{(hour + 2) % 24:02}:00"}})
    node.after(hours * 3600)
    assert series(node, 1) == state
    if state == "held":
        assert node.newest()["reason"] == "held because rule 'ct' is outside its schedule"


def test_an_expired_rule_is_as_off(rig):
    node: Rig = rig({**CT, "expires": "2001-01-01"}, REST)
    series(node, 1)
    assert node.deliveries() == {"archive": "waiting"}
    decision = node.spool.arrivals.story(node.newest()["id"])["decisions"][0]
    assert decision["explanation"]["rules"][0]["why"] == "expired (2001-01-01)"


def test_a_rule_that_is_off_until_a_time_comes_back_by_itself(rig):
    node: Rig = rig()
    back = datetime.fromtimestamp(node.world.clock.now() + 3600, UTC).isoformat(timespec="seconds")
    node.publish({**CT, "off_until": back}, REST)
    series(node, 1)
    assert node.deliveries() == {"archive": "waiting"}
    decision = node.spool.arrivals.story(node.newest()["id"])["decisions"][0]
    assert decision["explanation"]["rules"][0]["why"] == f"off until {back}"
    node.after(3601)
    series(node, 2)
    assert "pacs" in node.deliveries()


def test_rules_are_counted_with_their_decisions(rig):
    broken = {"name": "broken", "when": "SeriesInstanceUID > 3", "action": "hold"}
    node: Rig = rig({**MR_ONLY, "mode": "shadow"}, broken, {**CT, "quota": {"max": 1}})
    for number in (1, 2):
        series(node, number)
    counts = node.spool.rules.counts()
    assert counts == {
        "": {"route": 1, "hold": 1}, "mr": {"false": 2}, "broken": {"error": 2}, "ct": {"true": 1, "blocked": 1},
    }  # fmt: skip
    assert node.spool.rules.counts("2999-01-01") == {}
