"""What the router makes of closed arrivals: rules, addenda, errors, poison, revisions."""

from __future__ import annotations

import pytest
from router_rig import ALL, CT, MR_ONLY, TARGET, Rig

from actors.router.routing import ALERT
from actors.router.verdicts import with_earlier
from protocol.errors import OutOfSpace
from protocol.spool.arrivals import TargetChoice
from protocol.states import Priority
from protocol.testing.crash import Died
from protocol.testing.images import TestImage

A, B, C = (TestImage(instance=number) for number in (1, 2, 3))
BROKEN = {"name": "broken", "when": "SeriesInstanceUID > 3", "action": "route", "targets": ["pacs"]}


def test_no_rule_applies_discarded_and_kept(rig):
    node: Rig = rig(MR_ONLY)
    arrival = node.series(A)
    assert (arrival["state"], arrival["reason"]) == ("discarded", "no rule applied")
    assert node.spool.accounting.balance(files=True) == []


def test_without_any_configuration_arrivals_are_discarded_not_lost(rig):
    node: Rig = rig()
    assert node.series(A)["state"] == "discarded"


def test_the_decision_is_kept_with_revision_and_explanation(rig):
    node: Rig = rig(CT)
    arrival = node.series(A)
    decision = node.spool.arrivals.story(arrival["id"])["decisions"][0]
    assert (decision["revision"], decision["outcome"]) == (1, "route")
    assert decision["explanation"]["rules"][0]["explanation"]["values"] == [{"name": "Modality", "value": "CT"}]
    (event,) = node.events("arrival.decided")
    assert event.data["rules"] == ["ct"] and event.data["targets"] == ["pacs"]


def test_rules_read_where_the_arrival_came_from(rig):
    when = "SenderAET == 'CT1' and Source == 'ct1' and ReceiverAET == 'SCANPOST' and ImageCount == 2 and exists(ReceivedAt)"
    node: Rig = rig({**CT, "when": when})
    assert node.series(A, B)["state"] == "in_delivery"


def test_a_hold_rule_holds_and_the_event_names_no_delivery(rig):
    node: Rig = rig({"name": "stop", "when": "True", "action": "hold"}, CT)
    arrival = node.series(A)
    assert (arrival["state"], arrival["reason"]) == ("held", "held by rule 'stop'")
    assert node.deliveries() == {}
    assert node.events("arrival.decided")[0].data["targets"] == []


def test_a_rule_error_holds_tells_and_shows_no_value(rig):
    node: Rig = rig(BROKEN)
    arrival = node.series(A)
    assert arrival["state"] == "held"
    (failed,) = node.events("rule.failed")
    assert failed.data["rule"] == "broken" and "cannot be compared" in failed.data["error"]
    assert A.series_uid not in failed.data["error"]
    assert "rule.failed.broken" in node.spool.notices.alerts()


def test_the_alert_of_a_failed_rule_is_raised_once_and_cleared_by_the_next_revision(rig):
    node: Rig = rig(BROKEN)
    for study in (1, 2, 3):
        node.series(TestImage(study=study))
    assert len(node.events("alert.raised")) == 1
    node.publish(CT)
    node.work()
    assert len(node.events("alert.cleared")) == 1


def test_another_route_rule_routes_in_spite_of_the_error(rig):
    node: Rig = rig(BROKEN, CT)
    assert node.series(A)["state"] == "in_delivery"
    assert len(node.events("rule.failed")) == 1


# ---- addenda


def test_a_late_image_is_an_addendum_that_sends_only_itself_to_the_same_targets(rig):
    node: Rig = rig(ALL)
    first = node.series(A, B)
    node.deliver_all()
    late = node.series(C)
    assert late["addendum_of"] == first["id"]
    assert node.deliveries(late["id"]) == {"archive": "waiting", "pacs": "waiting"}
    claim = node.world.claim({"pacs": 1})
    assert [image.file.sop_instance_uid for image in claim.images] == [C.sop_uid]


def test_rules_see_the_headers_of_the_whole_series(rig):
    node: Rig = rig({**CT, "when": "count_images() >= 3"})
    assert node.series(A, B)["state"] == "discarded"
    assert node.series(C)["state"] == "in_delivery"


def test_an_addendum_goes_where_the_earlier_images_went_even_if_the_rules_now_discard(rig):
    node: Rig = rig(ALL)
    node.series(A)
    node.publish(MR_ONLY)
    late = node.series(B)
    assert late["state"] == "in_delivery"
    assert node.deliveries(late["id"]) == {"archive": "waiting", "pacs": "waiting"}
    assert "no rule applied" in node.spool.arrivals.story(late["id"])["decisions"][0]["reason"]


def test_an_addendum_goes_to_the_earlier_targets_and_the_new_ones(rig):
    node: Rig = rig(CT)
    node.series(A)
    node.publish({**CT, "targets": ["research"]})
    assert node.deliveries(node.series(B)["id"]).keys() == {"pacs", "research"}


def test_an_addendum_that_a_rule_holds_is_held(rig):
    node: Rig = rig(ALL)
    node.series(A)
    node.publish({"name": "stop", "when": "True", "action": "hold"})
    assert node.series(B)["state"] == "held"


def test_an_addendum_does_not_follow_a_cancelled_delivery(rig):
    node: Rig = rig(CT)
    node.series(A)
    node.publish(MR_ONLY)
    node.ask("queue.cancel", target="pacs")
    assert node.series(B)["state"] == "discarded"


def test_an_addendum_stays_with_the_member_of_a_group():
    group = TargetChoice("ai", True, Priority.URGENT)
    assert with_earlier([group], [("ai1", "ai")]) == [TargetChoice("ai1", False, Priority.URGENT, "ai")]
    assert with_earlier([group], [("ai", "ai")]) == [group]
    assert with_earlier([], [("ai1", "ai")]) == [TargetChoice("ai1", group="ai")]
    assert with_earlier([], [("ai", "ai"), ("pacs", "")]) == [TargetChoice("ai", True), TargetChoice("pacs")]


def test_a_group_delivery_names_its_group(rig):
    node: Rig = rig({**CT, "targets": ["both"]}, groups={"both": {"mode": "failover", "members": ["pacs", "archive"]}})
    node.series(A)
    (row,) = node.spool.deliveries.list()
    assert (row["target"], row["target_group"]) == ("both", "both")


# ---- poison


def test_poison_is_held_after_three_tries_and_never_stops_the_others(rig):
    node: Rig = rig(CT)
    node.world.receive(A)
    poison = node.newest()["id"]
    node.world.receive(TestImage(study=2))
    good = node.newest()["id"]
    subject = node.spool.arrivals.subject

    def broken(id):
        if id == poison:
            raise KeyError("Doe^John")
        return subject(id)

    node.spool.arrivals.subject = broken
    node.work()
    node.after(5)
    assert node.arrival(poison)["state"] == "closed"
    assert node.arrival(good)["state"] == "in_delivery"
    node.after(1)
    node.after(1)
    row = node.arrival(poison)
    assert (row["state"], row["reason"]) == ("held", "could not be decided: KeyError")
    assert "Doe" not in str(node.log.lines)
    tries = len([one for one in node.log.actions() if one == "decide_failed"])
    node.after(1)
    assert tries == 3 == len([one for one in node.log.actions() if one == "decide_failed"])


def test_poison_that_a_person_moved_meanwhile_is_let_go(rig):
    node: Rig = rig(CT)

    def broken(id):
        node.spool.arrivals.hold(id, "a person was faster")
        raise KeyError("x")

    subject, node.spool.arrivals.subject = node.spool.arrivals.subject, broken
    assert node.series(A)["reason"] == "a person was faster"
    node.spool.arrivals.subject = subject


@pytest.mark.parametrize("act", ["close", "subject"])
def test_an_arrival_that_kills_the_router_three_times_is_held(rig, act):
    node: Rig = rig(CT)
    node.world.receive(A)
    killer = node.newest()["id"]
    node.world.receive(TestImage(study=2))
    deaths = 0
    for life in range(5):
        works = getattr(node.spool.arrivals, act)

        def deadly(id, *arguments, works=works, **more):
            if id == killer:
                raise Died
            return works(id, *arguments, **more)

        setattr(node.spool.arrivals, act, deadly)
        node.new_router().recover()
        try:
            node.work()
            node.after(5)
        except Died:
            deaths += 1
            node.world.kill()
            node.world.restart()
        assert life < 3 or node.arrival(killer)["state"] == "held"
    assert deaths == 3
    assert "ended the router's process" in node.arrival(killer)["reason"]
    assert node.newest()["state"] == "in_delivery"


def test_a_router_that_is_killed_at_work_on_many_arrivals_holds_none(rig):
    node: Rig = rig(CT)
    node.router.recover()
    for study in range(5):
        node.world.receive(TestImage(study=study + 1))
        node.work()
        node.world.points.on_step = lambda step: node.world.points.arm(1) if step == "fs.lock_write.after" else None
        with pytest.raises(Died):
            node.after(5)
        node.world.points.on_step = None
        node.world.points.disarm()
        node.world.kill()
        node.world.restart()
        node.new_router().recover()
        node.work()
        node.after(5)
        assert node.newest()["state"] == "in_delivery"


def test_a_full_disk_is_nobodys_poison(rig):
    node: Rig = rig(CT)
    decide, full = node.spool.arrivals.decide, True

    def no_room(*arguments):
        if full:
            raise OutOfSpace
        return decide(*arguments)

    node.spool.arrivals.decide = no_room
    node.world.receive(A)
    node.work()
    for _ in range(5):
        node.world.clock.advance(5)
        with pytest.raises(OutOfSpace):
            node.router.one_pass([])
    full = False
    node.work()
    assert node.newest()["state"] == "in_delivery"


# ---- revisions


def test_a_new_revision_counts_from_the_next_decision_without_restart(rig):
    node: Rig = rig(CT)
    assert node.deliveries(node.series(A)["id"]).keys() == {"pacs"}
    node.publish({**CT, "targets": ["archive"]})
    assert node.deliveries(node.series(TestImage(study=2))["id"]).keys() == {"archive"}
    assert [event.data["revision"] for event in node.events("config.changed")] == [1, 2]
    node.new_router()
    node.work()
    assert len(node.events("config.changed")) == 2, "a restart is no change"


def test_a_router_that_is_ready_has_told_what_is_in_force(rig):
    node: Rig = rig(CT)
    node.work()
    node.publish(CT)
    node.new_router().recover()
    assert [event.data["revision"] for event in node.events("config.changed")] == [1, 2]


def test_a_revision_that_comes_while_the_disk_is_full_is_told_when_there_is_room_again(rig):
    node: Rig = rig(CT)
    node.work()
    tell, alert = node.spool.notices.tell, "rule.failed.x"
    node.spool.notices.raise_alert(alert, "it fails")

    def no_room(*arguments):
        raise OutOfSpace

    node.publish(CT)
    node.spool.fs.write_new(node.spool.places.routing / "000003.json", b"{ half")
    node.spool.notices.tell = no_room
    for _ in range(2):
        with pytest.raises(OutOfSpace):
            node.router.one_pass([])
    restarted = node.new_router()
    restarted.recover()  # does not end the process, which would be the end of all routing
    node.spool.notices.tell = tell
    node.work()
    assert [event.data["revision"] for event in node.events("config.changed")] == [1, 2]
    assert len(node.events("config.damaged")) == 1
    assert alert not in node.spool.notices.alerts("rule.failed."), "another revision may have mended it"


def test_a_running_router_makes_up_for_what_it_could_not_tell(rig):
    node: Rig = rig(CT)
    node.work()
    tell, clear = node.spool.notices.tell, node.spool.notices.clear_alert
    node.spool.notices.raise_alert("rule.failed.x", "it fails")
    node.publish(CT)

    def no_room(*arguments):
        raise OutOfSpace

    for method in ("tell", "clear_alert"):
        setattr(node.spool.notices, method, no_room)
        with pytest.raises(OutOfSpace):
            node.router.one_pass([])
        node.spool.notices.tell = tell
    node.spool.notices.clear_alert = clear
    node.work()
    assert [event.data["revision"] for event in node.events("config.changed")] == [1, 2]
    assert not node.spool.notices.alerts("rule.failed.")


def test_a_revision_between_close_and_decision_decides(rig):
    node: Rig = rig(CT)
    node.world.receive(A)
    node.world.close_arrivals()
    node.publish({**CT, "targets": ["research"]})
    node.work()
    assert node.deliveries() == {"research": "waiting"}
    assert node.spool.arrivals.story(node.newest()["id"])["decisions"][0]["revision"] == 2


def test_a_damaged_revision_keeps_the_former_and_tells_once(rig):
    node: Rig = rig(CT)
    node.work()
    node.spool.fs.write_new(node.spool.places.routing / "000002.json", b"{ half")
    for _ in range(3):
        node.after(1)
    assert node.series(A)["state"] == "in_delivery"
    (event,) = node.events("config.damaged")
    assert event.data["place"] == "routing/000002"
    node.new_router()
    node.after(1)
    assert len(node.events("config.damaged")) == 1
    assert node.publish(CT) == 3
    assert node.series(TestImage(study=2))["state"] == "in_delivery"


def test_a_newest_revision_that_cannot_be_used_is_an_alert_until_it_can(rig):
    node: Rig = rig(CT)
    node.work()
    fs, third = node.spool.fs, node.spool.places.routing / "000003.json"
    fs.write_new(node.spool.places.routing / "000002.json", b"{ half")
    node.work()
    alerts = node.spool.notices.alerts
    assert "000002.json" in alerts()[ALERT] and "version 1 stays in force" in alerts()[ALERT]
    assert node.publish(CT) == 3
    node.work()
    assert ALERT not in alerts(), "an older one that is damaged needs nobody"
    whole = fs.read_bytes(third)
    fs.unlink(third)
    fs.write_new(third, whole[:-5])
    node.new_router()
    node.work()
    assert "000003.json" in alerts()[ALERT]
    fs.unlink(third)
    fs.write_new(third, whole)  # in place, as whoever gives a file its right owner
    node.after(6)
    assert ALERT not in alerts() and node.events("config.changed")[-1].data["revision"] == 3


def test_with_nothing_readable_everything_is_held_and_no_delivery_is_orphaned(rig):
    node: Rig = rig(CT)
    node.series(A)
    fs, path = node.spool.fs, node.spool.places.routing / "000001.json"
    fs.unlink(path)
    fs.write_new(path, b"{ half")
    node.new_router()
    node.work()
    assert node.deliveries() == {"pacs": "waiting"}
    held = node.series(TestImage(study=2))
    assert held["state"] == "held"
    answer = node.ask("series.release", arrival=held["id"])
    assert answer.state == "failed" and "cannot be read" in answer.answer


# ---- targets that are gone


def test_deliveries_of_a_target_that_is_gone_are_held_with_an_alert(rig):
    node: Rig = rig(ALL)
    node.series(A)
    node.publish(CT, targets={"pacs": TARGET})
    node.work()
    assert node.deliveries() == {"archive": "held", "pacs": "waiting"}
    node.after(1)
    (alert,) = node.events("alert.raised")
    assert alert.data["alert"] == "target.missing.archive"
    node.publish(ALL)
    node.work()
    assert [event.data["alert"] for event in node.events("alert.cleared")] == ["target.missing.archive"]
    assert node.deliveries()["archive"] == "held", "a person decides whether it still goes there"


def test_an_addendum_to_a_target_that_is_gone_is_held_not_dropped(rig):
    node: Rig = rig(ALL)
    node.series(A)
    node.deliver_all()
    node.publish(CT, targets={"pacs": TARGET})
    late = node.series(B)
    assert node.deliveries(late["id"]) == {"archive": "held", "pacs": "waiting"}


def test_cancelling_the_orphans_clears_the_alert(rig):
    node: Rig = rig(ALL)
    node.series(A)
    node.publish(CT, targets={"pacs": TARGET})
    node.work()
    assert node.ask("queue.cancel", target="archive").state == "done"
    node.work()
    assert node.spool.notices.alerts() == {}
