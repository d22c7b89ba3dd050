"""Rules with the trigger image through the whole router: single images at once, and the series without them afterwards."""

from __future__ import annotations

import pytest
from router_rig import ALL, Rig
from router_rig import CT as CT_TO_PACS

from protocol.errors import SpoolError
from protocol.testing.fakes import digest
from protocol.testing.images import TestImage

A, B, C, D = (TestImage(instance=number) for number in (1, 2, 3, 4))
ODD = {"name": "odd", "when": "InstanceNumber in (1, 3)", "action": "route", "targets": ["pacs"], "trigger": "image",
       "priority": "urgent"}  # fmt: skip
EVERY = {**ODD, "name": "every", "when": "True"}


def sent(node: Rig, target: str) -> list[str]:
    """SOP instance UIDs that a target has, in order of arrival there."""
    return list(node.world.targets[target].received)


def open_series(node: Rig, *images: TestImage):
    association = node.world.connect()
    node.world.send(association, *images)
    node.work()
    return association


def finish(node: Rig, association) -> None:
    node.spool.images.association_closed(association.id, "released")
    node.work()
    node.after(5)
    node.after(60)


def test_an_image_goes_at_once_while_its_series_is_still_coming(rig):
    node: Rig = rig(ODD)
    open_series(node, A, B)
    assert node.newest()["state"] == "open"
    claim = node.world.claim()
    assert [image.file.sop_instance_uid for image in claim.images] == [A.sop_uid]
    node.world.deliver(claim)
    assert node.newest()["state"] == "open"
    (event,) = node.events("arrival.images.routed")
    assert (event.data["rules"], event.data["targets"], event.data["images"]) == (["odd"], ["pacs"], 1)


def test_what_was_sent_at_once_is_not_sent_again_with_the_series(rig):
    node: Rig = rig(ODD, ALL)
    association = open_series(node, A, B)
    node.deliver_all()
    node.world.send(association, C, D)
    finish(node, association)
    node.deliver_all()
    assert sorted(sent(node, "pacs")) == sorted(image.sop_uid for image in (A, B, C, D))
    assert node.world.targets["pacs"].repeated == 0
    assert sorted(sent(node, "archive")) == sorted(image.sop_uid for image in (A, B, C, D))
    assert node.newest()["state"] == "delivered"
    assert node.spool.accounting.balance(files=True) == []


def test_images_that_come_in_while_some_wait_join_their_delivery(rig):
    node: Rig = rig(EVERY)
    association = open_series(node, A)
    for image in (B, C):
        node.world.send(association, image)
        node.after(1)
    (delivery,) = node.spool.deliveries.list()
    assert (delivery["images"], delivery["state"], delivery["priority"]) == (3, "waiting", 0)


def test_images_that_come_in_while_some_are_sent_get_a_delivery_of_their_own(rig):
    node: Rig = rig(EVERY)
    association = open_series(node, A)
    claim = node.world.claim()
    node.world.send(association, B)
    node.after(1)
    node.world.deliver(claim)
    node.deliver_all()
    finish(node, association)
    assert [row["images"] for row in node.spool.deliveries.list()] == [1, 1]
    assert sorted(sent(node, "pacs")) == sorted([A.sop_uid, B.sop_uid])
    assert node.newest()["state"] == "delivered"


def test_a_series_of_which_only_images_were_wanted_counts_as_delivered_not_discarded(rig):
    node: Rig = rig(ODD)
    association = open_series(node, A, B)
    node.deliver_all()
    finish(node, association)
    arrival = node.newest()
    assert arrival["state"] == "delivered"
    decisions = node.spool.arrivals.story(arrival["id"])["decisions"]
    assert [one["outcome"] for one in decisions] == ["images", "route"]
    assert decisions[1]["reason"] == "single images were routed by rule 'odd'"
    assert decisions[0]["explanation"]["rules"][0]["explanation"]["values"] == [{"name": "InstanceNumber", "value": 1}]


def test_a_series_of_which_no_image_was_wanted_is_discarded(rig):
    node: Rig = rig({**ODD, "when": "InstanceNumber > 9"})
    finish(node, open_series(node, A, B))
    assert node.newest()["state"] == "discarded"


def test_images_sent_at_once_do_not_keep_a_fallback_from_the_series(rig):
    rest = {"name": "rest", "when": "True", "action": "route", "targets": ["archive"], "fallback": True}
    node: Rig = rig(ODD, rest)
    finish(node, open_series(node, A, B))
    node.deliver_all()
    assert sorted(sent(node, "archive")) == sorted([A.sop_uid, B.sop_uid])


def test_a_series_rule_to_the_same_target_makes_no_delivery_if_every_image_went_at_once(rig):
    node: Rig = rig(EVERY, {**ALL, "targets": ["pacs"]})
    finish(node, open_series(node, A, B))
    node.deliver_all()
    assert node.newest()["state"] == "delivered"
    assert len(node.spool.deliveries.list()) == 1


def test_an_image_that_the_target_refused_is_parked_with_its_delivery_and_the_rest_is_sent(rig):
    node: Rig = rig(ODD, ALL)
    node.world.targets["pacs"].refuse[A.sop_uid] = 0xA900
    finish(node, open_series(node, A, B, C))
    node.deliver_all()
    states = {(row["target"], row["singles"]): row["state"] for row in node.spool.deliveries.list()}
    assert states == {("pacs", 1): "parked", ("pacs", 0): "delivered", ("archive", 0): "delivered"}
    node.world.targets["pacs"].refuse.clear()
    parked = next(row["id"] for row in node.spool.deliveries.list() if row["state"] == "parked")
    assert node.ask("queue.retry", ids=[parked]).state == "done"
    node.deliver_all()
    assert sorted(sent(node, "pacs")) == sorted([A.sop_uid, B.sop_uid, C.sop_uid])


def test_a_newer_version_of_an_image_that_waits_goes_in_its_place(rig):
    node: Rig = rig(EVERY)
    association = open_series(node, A)
    newer = TestImage(instance=1, content=b"other")
    node.world.send(association, newer)
    node.after(1)
    node.deliver_all()
    finish(node, association)
    assert node.world.targets["pacs"].received == {A.sop_uid: [digest(newer.dataset())]}
    assert node.newest()["state"] == "delivered"


def test_late_images_are_judged_by_themselves_and_do_not_follow_images_sent_at_once(rig):
    node: Rig = rig(ODD)
    finish(node, open_series(node, A))
    node.deliver_all()
    finish(node, open_series(node, B))
    assert node.newest()["state"] == "discarded", "an image rule sends what it wants, and nothing after it"


def test_a_held_series_keeps_its_images_back_and_all_of_it_goes_when_it_is_released(rig):
    node: Rig = rig(ODD, {"name": "hold", "when": "True", "action": "hold"}, ALL)
    finish(node, open_series(node, A, B))
    assert node.newest()["state"] == "held"
    assert node.deliveries() == {"pacs": "held"}
    assert node.ask("series.release", arrival=node.newest()["id"]).state == "done"
    node.deliver_all()
    assert sorted(sent(node, "pacs")) == sorted(sent(node, "archive")) == sorted([A.sop_uid, B.sop_uid])
    assert node.world.targets["pacs"].repeated == 0


def test_a_held_series_stays_held_when_the_image_that_was_being_sent_is_there(rig):
    node: Rig = rig(EVERY, {"name": "hold", "when": "True", "action": "hold"})
    association = open_series(node, A)
    first = node.world.claim()
    node.world.send(association, B)
    finish(node, association)
    assert node.newest()["state"] == "held"
    node.world.deliver(first)
    assert node.newest()["state"] == "held"


def test_one_delivery_that_is_let_go_takes_its_series_out_of_the_hold_but_not_one_of_single_images(rig):
    node: Rig = rig(EVERY, {**ALL, "targets": ["archive", "research"]})
    finish(node, open_series(node, A, B))
    id = node.newest()["id"]
    assert node.ask("series.hold", arrival=id, reason="wrong patient").state == "done"
    held = {row["target"]: row["id"] for row in node.spool.deliveries.list()}
    assert node.ask("queue.release", ids=[held["pacs"]]).state == "done"
    node.deliver_all()
    assert node.deliveries() == {"pacs": "delivered", "archive": "held", "research": "held"}
    assert node.arrival(id)["state"] == "held"
    assert node.ask("queue.release", ids=[held["archive"]]).state == "done"
    assert node.arrival(id)["state"] == "in_delivery"
    node.deliver_all()
    assert node.deliveries()["research"] == "held" and node.arrival(id)["state"] == "in_delivery"


def test_an_image_that_comes_back_to_its_delivery_is_all_that_this_one_sends(rig):
    node: Rig = rig(ODD)
    finish(node, open_series(node, A, B))
    older, first = node.newest()["id"], node.spool.deliveries.list()[0]["id"]
    assert node.ask("queue.hold", ids=[first]).state == "done"
    finish(node, open_series(node, TestImage(instance=1, content=b"other")))
    newer = next(row["id"] for row in node.spool.deliveries.list() if row["id"] != first)
    assert node.ask("queue.hold", ids=[newer]).state == "done"
    assert node.ask("queue.release", ids=[first]).state == "done"
    node.deliver_all()
    assert (node.deliveries(older), sent(node, "pacs")) == ({"pacs": "delivered"}, []), "left to the newer version"
    assert node.ask("queue.cancel", ids=[newer]).state == "done"
    before = node.spool.deliveries.get(first)
    assert (before["state"], before["images"]) == ("waiting", 1)
    node.deliver_all()
    assert node.world.targets["pacs"].received == {A.sop_uid: [digest(A.dataset())]}
    assert node.spool.accounting.balance(files=True) == []


def fails(node: Rig, claim) -> None:
    node.spool.deliveries.retry(claim, node.world.clock.now(), "the target was away")


def stops(node: Rig, claim) -> None:
    node.spool.deliveries.give_back(claim)


def dies(node: Rig, claim) -> None:
    node.spool.deliveries.reap(claim.owner, alone=True)


def is_not_committed(node: Rig, claim) -> None:
    node.spool.confirmations.confirming(claim, node.world.clock.now())
    node.spool.confirmations.failed(claim.delivery, {A.sop_uid: 0x0112}, "not committed", node.world.clock.now())


@pytest.mark.parametrize("ends", [fails, stops, dies, is_not_committed])
def test_an_image_of_a_held_series_is_not_tried_again_until_that_is_released(rig, ends):
    node: Rig = rig(EVERY)
    open_series(node, A)
    claim, id = node.world.claim(), node.newest()["id"]
    assert node.ask("series.hold", arrival=id, reason="wrong patient").state == "done"
    ends(node, claim)
    assert (node.arrival(id)["state"], node.deliveries(id)) == ("held", {"pacs": "held"})
    assert node.events("delivery.held")[-1].data["reason"] == "wrong patient"
    assert node.world.claim() is None
    assert node.ask("series.release", arrival=id).state == "done"
    node.deliver_all()
    assert (node.newest()["state"], sent(node, "pacs")) == ("delivered", [A.sop_uid])


def test_a_series_held_before_its_images_were_judged_sends_them_on_release(rig):
    node: Rig = rig(ODD)
    association = node.world.connect()
    node.world.send(association, A, B)
    command = node.spool.commands.ask("series.hold", "ann", {"arrival": node.newest()["id"]})
    node.work()
    assert node.spool.commands.find(command).state == "done" and node.deliveries() == {}
    assert node.ask("series.release", arrival=node.newest()["id"]).state == "done"
    node.deliver_all()
    assert (sent(node, "pacs"), node.newest()["state"]) == ([A.sop_uid], "delivered")


def test_a_person_who_discards_a_series_that_waits_ends_its_single_images_too(rig):
    study = {"name": "study", "when": "True", "trigger": "study", "action": "route", "targets": ["archive"]}
    node: Rig = rig(ODD, study)
    finish(node, open_series(node, A, B))
    assert node.newest()["state"] == "waiting"
    assert node.ask("series.discard", arrival=node.newest()["id"]).state == "done"
    assert (node.newest()["state"], node.deliveries()) == ("discarded", {"pacs": "cancelled"})


@pytest.mark.parametrize(
    ("rule", "state", "reason"), [(ODD, "held", "its scanner was promised"), (EVERY, "delivered", "")]
)
def test_what_was_promised_to_be_kept_is_held_unless_each_image_of_it_went(rig, rule, state, reason):
    node: Rig = rig(rule)
    association = open_series(node, A, B)
    node.deliver_all()
    with node.spool.database.write() as tx:
        tx.execute("INSERT INTO promise VALUES (?, 1, ?)", (node.newest()["id"], tx.now))
    finish(node, association)
    assert (node.newest()["state"], node.newest()["reason"][: len(reason)]) == (state, reason)


def test_what_was_promised_to_be_kept_is_held_if_a_single_image_was_cancelled(rig):
    node: Rig = rig(EVERY)
    association = open_series(node, A)
    node.deliver_all()
    node.world.send(association, B)
    node.after(1)
    with node.spool.database.write() as tx:
        tx.execute("INSERT INTO promise VALUES (?, 1, ?)", (node.newest()["id"], tx.now))
    finish(node, association)
    waits = next(row["id"] for row in node.spool.deliveries.list() if row["state"] == "waiting")
    assert node.ask("queue.cancel", ids=[waits]).state == "done"
    assert (node.newest()["state"], sent(node, "pacs")) == ("held", [A.sop_uid])


def busy(node: Rig, monkeypatch, times: int) -> None:
    """Image rules look only when the series is complete, and the first looks meet a busy database."""
    monkeypatch.setattr(node.spool.singles, "behind", list)
    route, left = node.spool.singles.route, [None] * times

    def fails_first(batch):
        if left:
            left.pop()
            raise SpoolError("write: database is locked")
        return route(batch)

    monkeypatch.setattr(node.spool.singles, "route", fails_first)


def complete(node: Rig, *images: TestImage) -> None:
    """A series that has come in, which the router has not looked at yet."""
    association = node.world.connect()
    node.world.send(association, *images)
    node.spool.images.association_closed(association.id, "released")


def test_a_series_is_not_decided_before_its_images_are_judged_if_the_database_was_busy(rig, monkeypatch):
    node: Rig = rig(EVERY)
    complete(node, A, B)
    busy(node, monkeypatch, 2)
    for _ in range(4):
        node.after(5)
    node.deliver_all()
    assert (sent(node, "pacs"), node.newest()["state"]) == ([A.sop_uid, B.sop_uid], "delivered")


def test_a_series_whose_images_cannot_be_judged_is_held_until_they_can(rig, monkeypatch):
    node: Rig = rig(EVERY, {**ALL, "targets": ["archive"]})
    complete(node, A)
    busy(node, monkeypatch, 6)
    for _ in range(5):
        node.after(5)
    assert node.newest()["state"] == "held" and node.newest()["reason"].startswith("image rules could not look")
    command = node.spool.commands.ask("series.release", "ann", {"arrival": node.newest()["id"]})
    for _ in range(3):
        node.after(1)
    assert "image rules cannot look" in node.spool.commands.find(command).answer
    assert node.ask("series.release", arrival=node.newest()["id"]).state == "done"
    assert node.deliveries() == {"pacs": "waiting", "archive": "waiting"}


def test_an_error_of_an_image_rule_is_told_and_holds_what_nobody_routes(rig):
    node: Rig = rig({**ODD, "when": "SOPInstanceUID > 3"})
    association = open_series(node, A)
    assert "rule.failed.odd" in node.spool.notices.alerts()
    finish(node, association)
    assert node.newest()["state"] == "held"


def test_a_shadow_image_rule_is_counted_and_sends_nothing(rig):
    node: Rig = rig({**ODD, "mode": "shadow"}, ALL)
    finish(node, open_series(node, A, B, C))
    assert node.spool.rules.counts()["odd"] == {"true": 2, "false": 1}
    assert node.deliveries() == {"archive": "waiting", "pacs": "waiting"}


def test_an_image_rule_that_stops_ends_the_rules_for_that_image(rig):
    second = {**ODD, "name": "second", "when": "True", "targets": ["archive"]}
    node: Rig = rig({**ODD, "stop": True}, second)
    open_series(node, A, B)
    node.deliver_all()
    assert (sent(node, "pacs"), sent(node, "archive")) == ([A.sop_uid], [B.sop_uid])


def test_the_quota_of_an_image_rule_counts_images(rig):
    node: Rig = rig({**EVERY, "quota": {"max": 2, "per": "day"}})
    open_series(node, A, B, C)
    node.deliver_all()
    assert sent(node, "pacs") == [A.sop_uid, B.sop_uid]


def test_a_new_image_rule_sees_the_images_that_are_there_already(rig):
    node: Rig = rig(ALL)
    open_series(node, A, B)
    node.publish(ODD, ALL)
    node.after(1)
    assert node.deliveries() == {"pacs": "waiting"}


def test_storage_commitment_asks_for_the_images_of_the_delivery_only(rig):
    node: Rig = rig(ODD)
    open_series(node, A, B)
    claim = node.world.claim()
    results = [node.world.targets["pacs"].store(i.file.sop_instance_uid, b"") for i in claim.images]
    assert results == [0]
    asked = node.spool.confirmations.ask(claim)
    assert [uid for _, uid in asked.images] == [A.sop_uid]


@pytest.mark.parametrize("at_target", [True, False])
def test_an_image_stands_where_it_was_sent_and_nowhere_else(rig, at_target):
    node: Rig = rig(ODD)
    finish(node, open_series(node, A, B))
    node.deliver_all()
    image = A if at_target else B
    found, _ = node.spool.commitments.standing("CT1", [image.sop_uid])
    assert [way.sent for way in found[image.sop_uid].ways] == ([True] if at_target else [])


def test_a_person_who_routes_the_series_to_the_same_target_sends_all_of_it(rig):
    node: Rig = rig(ODD)
    finish(node, open_series(node, A, B))
    node.deliver_all()
    assert node.ask("series.route", arrival=node.newest()["id"], target="pacs").state == "done"
    claim = node.world.claim()
    assert len(claim.images) == 2


def test_a_series_of_which_no_image_was_within_the_quota_is_held_not_discarded(rig):
    node: Rig = rig({**EVERY, "quota": {"max": 1}})
    finish(node, open_series(node, A))
    finish(node, open_series(node, TestImage(study=2)))
    assert [row["state"] for row in node.spool.arrivals.list()] == ["held", "in_delivery"]
    assert "quota" in node.newest()["reason"]


def test_a_series_of_which_some_images_were_over_the_quota_is_held_and_they_go_when_it_is_released(rig):
    node: Rig = rig({**EVERY, "quota": {"max": 2}})
    association = open_series(node, A, B, C)
    node.deliver_all()
    finish(node, association)
    assert (node.newest()["state"], "quota" in node.newest()["reason"]) == ("held", True)
    assert node.ask("series.release", arrival=node.newest()["id"]).state == "done"
    node.deliver_all()
    assert sent(node, "pacs") == [A.sop_uid, B.sop_uid, C.sop_uid] and node.world.targets["pacs"].repeated == 0
    assert node.newest()["state"] == "delivered"


def test_images_that_were_judged_before_a_rule_wanted_them_hold_their_series(rig):
    node: Rig = rig(ODD)
    association = open_series(node, A, B)
    node.publish({**ODD, "when": "True"})
    node.world.send(association, C)
    finish(node, association)
    node.deliver_all()
    assert (node.newest()["state"], sent(node, "pacs")) == ("held", [A.sop_uid, C.sop_uid])
    assert node.ask("series.release", arrival=node.newest()["id"]).state == "done"
    node.deliver_all()
    assert (node.newest()["state"], sent(node, "pacs")) == ("delivered", [A.sop_uid, C.sop_uid, B.sop_uid])


def test_images_over_the_quota_do_not_hold_a_series_that_another_rule_routes(rig):
    node: Rig = rig({**EVERY, "quota": {"max": 1}}, {**ALL, "targets": ["archive"]})
    finish(node, open_series(node, A, B))
    node.deliver_all()
    assert (node.newest()["state"], sent(node, "archive")) == ("delivered", [A.sop_uid, B.sop_uid])


def test_a_newer_version_that_went_at_once_leaves_nothing_unsent(rig):
    node: Rig = rig({**EVERY, "when": "Modality == 'CT'"})
    association = open_series(node, TestImage(instance=1, modality="MR"), B)
    node.world.send(association, A)
    finish(node, association)
    node.deliver_all()
    assert (node.newest()["state"], sorted(sent(node, "pacs"))) == ("delivered", [A.sop_uid, B.sop_uid])


def test_what_was_sent_at_once_to_the_old_place_of_a_target_goes_to_the_new_one_with_the_series(rig):
    node: Rig = rig(ODD, CT_TO_PACS)
    going_to = node.spool.deliveries.going_to
    association = open_series(node, A, B)
    node.world.deliver(going_to(node.world.claim(), "old"))
    finish(node, association)
    claim = node.world.claim()
    assert len(claim.images) == 1 == len(going_to(claim, "old").images)
    moved = going_to(claim, "new")
    assert [image.file.sop_instance_uid for image in moved.images] == [A.sop_uid, B.sop_uid]
    assert len(node.events("delivery.begun_anew")) == 1 and moved.total == 2
    node.world.deliver(moved)
    assert node.newest()["state"] == "delivered" and node.spool.accounting.balance(files=True) == []


@pytest.mark.parametrize("others", [(), (ALL,)], ids=["image rules alone", "another rule"])
def test_a_series_that_is_held_while_it_comes_goes_on_once_released_with_its_single_images_and_by_all_rules(
    rig, others
):
    node: Rig = rig(ODD, *others)
    association = open_series(node, A, B)
    arrival = node.newest()["id"]
    assert node.ask("series.hold", arrival=arrival).state == "done"
    finish(node, association)
    assert node.arrival(arrival)["state"] == "held"
    answer = node.ask("series.release", arrival=arrival)
    assert answer.state == "done", answer.answer
    finish(node, association)
    node.deliver_all()
    assert sorted(sent(node, "pacs")) == sorted(image.sop_uid for image in ((A, B) if others else (A,)))
    assert len(sent(node, "archive")) == (2 if others else 0)
    assert node.world.targets["pacs"].repeated == 0 and node.arrival(arrival)["state"] == "delivered"


def test_a_held_series_of_which_images_were_sent_is_released_though_no_rule_wants_more_of_it(rig):
    node: Rig = rig(ODD)
    association = open_series(node, A, B)
    node.deliver_all()
    arrival = node.newest()["id"]
    assert node.ask("series.hold", arrival=arrival).state == "done"
    finish(node, association)
    node.publish({**CT_TO_PACS, "when": "Modality == 'MR'"})
    node.work()
    answer = node.ask("series.release", arrival=arrival)
    assert answer.state == "done", answer.answer
    node.work()
    assert node.arrival(arrival)["state"] == "delivered" and sent(node, "pacs") == [A.sop_uid]
