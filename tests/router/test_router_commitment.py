"""Requests for storage commitment and deliveries that wait for their target's word, on a spool in memory."""

from __future__ import annotations

import pytest
from router_rig import ALL, CT, MR_ONLY, TARGET, TARGETS

from actors.groups import bindings
from protocol.spool.cleaning import Retention
from protocol.spool.deliveries import ImageResult
from protocol.testing.crash import Died
from protocol.testing.images import TestImage

A, B, MR = TestImage(instance=1), TestImage(instance=2), TestImage(study=2, modality="MR")
YEAR_S = 365 * 86_400.0
EVERYTHING = Retention(9e12, 9e12)
SPOOL = {"sources": {"ct1": {"calling_ae": "CT1", "commitment": "spool"}}}


def ask(rig, *images, transaction="1.2.3", calling_ae="CT1", association=bytes(16)):
    return rig.spool.commitments.request(
        association,
        calling_ae,
        "SCANPOST",
        "10.0.0.1",
        None,
        transaction,
        [(one.sop_class_uid, one.sop_uid) for one in images],
    )


def reasons(rig, id):
    """SOP instance UID -> reason; None while there is no answer."""
    shown = rig.spool.commitments.show(id)
    return None if shown["state"] == "waiting" else {one["sop_uid"]: one["reason"] for one in shown["images"]}


def test_a_request_before_the_last_image_is_answered_when_every_target_has_it(rig):
    rig = rig(ALL)
    id = ask(rig, A, B)
    rig.after(2)
    assert reasons(rig, id) is None
    rig.series(A, B)
    assert reasons(rig, id) is None
    rig.world.deliver(rig.world.claim())
    rig.after(40)
    assert reasons(rig, id) is None  # one of two
    rig.deliver_all()
    rig.after(40)
    assert reasons(rig, id) == {A.sop_uid: 0, B.sop_uid: 0}
    (told,) = rig.events("commitment.answered")
    assert (told.data["images"], told.data["failed"]) == (2, 0)


def test_a_router_that_starts_anew_goes_on_with_what_waits(rig):
    rig = rig(CT)
    id = ask(rig, A)
    rig.series(A)
    rig.deliver_all()
    rig.new_router()
    rig.after(2)
    assert reasons(rig, id) == {A.sop_uid: 0}


def test_a_duplicate_counts_as_stored(rig):
    rig = rig(CT)
    rig.series(A)
    rig.world.receive(A)
    rig.deliver_all()
    id = ask(rig, A)
    rig.after(2)
    assert reasons(rig, id) == {A.sop_uid: 0}


def test_an_image_of_another_ae_title_of_the_same_device_is_found(rig):
    rig = rig(CT)
    rig.series(A, calling_ae="CT1_STORE")
    rig.deliver_all()
    id = ask(rig, A)
    rig.after(2)
    assert reasons(rig, id) == {A.sop_uid: 0}


def test_unknown_discarded_quarantined_and_cancelled_images_fail_each_with_its_reason(rig):
    rig = rig(CT)
    rig.series(A)
    rig.spool.deliveries.list()
    rig.ask("queue.cancel", ids=[rig.spool.deliveries.list()[0]["id"]])
    rig.series(MR)
    apart, unknown = TestImage(instance=8), TestImage(instance=9)
    association = rig.world.connect()
    rig.world.send(association, apart, reason="nobody can read it")
    id = ask(rig, A, MR, apart, unknown)
    rig.after(2)
    assert reasons(rig, id) is None  # the unknown one may still come
    rig.after(600)
    assert reasons(rig, id) == {A.sop_uid: 0x0110, MR.sop_uid: 0x0110, apart.sop_uid: 0x0110, unknown.sop_uid: 0x0112}


def test_a_parked_delivery_holds_the_answer_until_the_images_have_failed_by_age(rig):
    rig = rig(CT)
    rig.world.targets["pacs"].refuse[A.sop_uid] = 0xC000
    rig.series(A, B)
    rig.deliver_all()
    only_b = ask(rig, B, transaction="1")
    both = ask(rig, A, B, transaction="2")
    rig.after(2)
    assert reasons(rig, only_b) == {B.sop_uid: 0} and reasons(rig, both) is None
    rig.after(86_400)
    assert reasons(rig, both) == {A.sop_uid: 0x0110, B.sop_uid: 0}


def test_ten_thousand_images_are_answered_at_once(rig):
    rig = rig(CT, **SPOOL)
    id = ask(rig, *(TestImage(series=number // 1000, instance=number) for number in range(10_000)))
    rig.after(601)
    assert set(reasons(rig, id).values()) == {0x0112}
    (told,) = rig.events("commitment.answered")
    assert told.data["failed"] == 10_000 and len(told.data["reasons"]) == 500


def test_a_request_of_a_clock_that_was_ahead_is_answered_and_reported_in_its_time(rig):
    rig = rig(CT)
    rig.world.clock.jump_wall(YEAR_S)
    id = ask(rig, A, association=rig.world.connect().id)
    rig.world.clock.jump_wall(-YEAR_S)
    rig.after(2)
    assert reasons(rig, id) is None
    rig.after(600)
    assert reasons(rig, id) == {A.sop_uid: 0x0112}
    assert rig.spool.commitments.show(id)["due"] == rig.world.clock.now()


def test_a_report_that_a_clock_that_was_ahead_put_off_is_due(rig):
    rig = rig(CT)
    id = ask(rig, MR)
    rig.after(601)
    clock, commitments = rig.world.clock, rig.spool.commitments
    clock.jump_wall(YEAR_S)
    commitments.report_failed(id, "away", clock.now() + 3600)
    assert commitments.due_sources(clock.now()) == []
    clock.jump_wall(-YEAR_S)
    assert commitments.due_sources(clock.now()) == ["CT1"]
    assert [one.id for one in commitments.due(clock.now(), "CT1")] == [id]


# ---- the policy `spool` ---------------------------------------------------------------------------------------------


def test_what_is_promised_and_not_wanted_is_held_with_an_alert_until_a_target_has_it(rig):
    rig = rig(MR_ONLY, **SPOOL)
    rig.world.receive(A)
    id = ask(rig, A)
    rig.after(2)
    assert reasons(rig, id) == {A.sop_uid: 0}  # durable here is enough
    rig.after(61)
    rig.after(2)
    arrival = rig.newest()
    assert arrival["state"] == "held" and "promised" in arrival["reason"]
    assert "commitment.unrouted" in rig.spool.notices.alerts()
    refused = rig.ask("series.discard", arrival=arrival["id"])
    assert refused.state == "failed" and "promised" in refused.answer
    assert rig.ask("series.release", arrival=arrival["id"]).state == "failed"
    assert not rig.spool.cleaning.mark(arrival["id"], EVERYTHING)
    assert rig.ask("series.route", arrival=arrival["id"], target="pacs").state == "done"
    rig.deliver_all()
    rig.after(2)
    assert "commitment.unrouted" not in rig.spool.notices.alerts()
    assert rig.spool.cleaning.mark(arrival["id"], EVERYTHING)


def test_what_was_discarded_before_it_was_promised_is_held_from_then_on(rig):
    rig = rig(MR_ONLY, **SPOOL)
    arrival = rig.series(A)
    assert arrival["state"] == "discarded"
    ask(rig, A)
    rig.after(2)
    assert rig.arrival(arrival["id"])["state"] == "held"


def test_what_is_promised_stays_when_all_its_deliveries_are_cancelled(rig):
    rig = rig(CT, **SPOOL)
    arrival = rig.series(A)
    ask(rig, A)
    rig.after(2)
    rig.ask("queue.cancel", ids=[rig.spool.deliveries.list()[0]["id"]])
    assert rig.arrival(arrival["id"])["state"] == "held"
    assert not rig.spool.cleaning.mark(arrival["id"], EVERYTHING)


def test_what_was_deleted_meanwhile_is_not_promised(rig):
    rig = rig(MR_ONLY, **SPOOL)
    arrival = rig.series(A)
    id = ask(rig, A)
    assert rig.spool.cleaning.mark(arrival["id"], EVERYTHING)
    assert not rig.spool.commitments.answer(id, [0], [arrival["id"]], 0.0)
    assert reasons(rig, id) is None
    rig.after(2)
    assert reasons(rig, id) == {A.sop_uid: 0x0112}


def test_without_syncs_durable_here_is_no_promise(rig, monkeypatch):
    rig = rig(CT, **SPOOL)
    rig.series(A)
    rig.spool.database.full = False
    id = ask(rig, A)
    rig.after(2)
    assert reasons(rig, id) is None and "commitment.relaxed" in rig.spool.notices.alerts()
    rig.deliver_all()
    rig.after(2)
    assert reasons(rig, id) == {A.sop_uid: 0}


# ---- deliveries that wait for their target's word -------------------------------------------------------------------

RETRY = {"first_s": 10.0, "max_attempts": 3}
ASKED = {**TARGET, "commitment": {"wait_s": 100.0}, "retry": RETRY}
CONFIRMING = {"targets": {**TARGETS, "pacs": ASKED, "archive": ASKED}}


@pytest.fixture
def asked(rig):
    """A rig and a function that sends and asks: the transaction UID."""
    rig = rig(CT, **CONFIRMING)
    rig.series(A, B)

    def send(location="pacs"):
        claim = rig.spool.deliveries.going_to(rig.world.claim(), location)
        rig.world.targets["pacs"].refuse.clear()
        results = [ImageResult(one.position, one.file.receipt, 0, True) for one in claim.images]
        rig.spool.deliveries.confirm(claim, results)
        transaction = rig.spool.confirmations.ask(claim).transaction_uid
        rig.spool.confirmations.confirming(claim, rig.world.clock.now() + 100)
        return transaction, [one.file.sop_instance_uid for one in claim.images]

    return rig, send


def test_a_delivery_is_delivered_when_its_target_committed_to_every_image(asked):
    rig, send = asked
    transaction, _ = send()
    rig.after(2)
    assert rig.deliveries() == {"pacs": "confirming"}
    assert rig.spool.confirmations.answered(transaction, [A.sop_uid, B.sop_uid], {})
    rig.after(2)
    assert rig.deliveries() == {"pacs": "delivered"} and rig.newest()["state"] == "delivered"
    assert rig.events("delivery.completed")[0].data["images"] == 2


def test_a_scanners_request_waits_for_the_targets_word(asked):
    rig, send = asked
    id = ask(rig, A, B)
    transaction, _ = send()
    rig.after(40)
    assert reasons(rig, id) is None
    rig.spool.confirmations.answered(transaction, [A.sop_uid, B.sop_uid], {})
    rig.after(2)
    rig.after(40)
    assert reasons(rig, id) == {A.sop_uid: 0, B.sop_uid: 0}


def test_failed_images_and_those_not_mentioned_are_sent_again_until_attempts_are_used_up(asked):
    rig, send = asked
    for attempt in (1, 2, 3):
        transaction, sent = send()
        assert sent == ([A.sop_uid, B.sop_uid] if attempt == 1 else [B.sop_uid])
        rig.spool.confirmations.answered(transaction, [A.sop_uid], {} if attempt == 1 else {B.sop_uid: 0x0213})
        rig.after(2)
        assert rig.deliveries() == {"pacs": "parked" if attempt == 3 else "retrying"}
        rig.after(2000)
    assert "0213" in rig.spool.deliveries.list()[0]["error"]
    assert rig.ask("queue.retry", ids=[rig.spool.deliveries.list()[0]["id"]]).state == "done"
    assert send()[1] == [B.sop_uid]


def test_a_reason_that_another_try_does_not_change_parks_at_once(asked):
    rig, send = asked
    transaction, _ = send()
    rig.spool.confirmations.answered(transaction, [A.sop_uid], {B.sop_uid: 0x0122})
    rig.after(2)
    assert rig.deliveries() == {"pacs": "parked"}


def test_without_an_answer_it_is_parked_with_an_alert_and_a_late_answer_counts_at_the_next_try(asked):
    rig, send = asked
    transaction, _ = send()
    rig.after(101)
    assert rig.deliveries() == {"pacs": "parked"}
    assert "confirmation.unanswered.pacs" in rig.spool.notices.alerts()
    assert rig.newest()["state"] == "in_delivery"  # so nothing is deleted
    rig.spool.confirmations.answered(transaction, [A.sop_uid, B.sop_uid], {})
    rig.ask("queue.retry", ids=[rig.spool.deliveries.list()[0]["id"]])
    assert send()[1] == []  # nothing is sent again, it is only asked again
    rig.after(2)
    assert rig.deliveries() == {"pacs": "delivered"}
    assert "confirmation.unanswered.pacs" not in rig.spool.notices.alerts()


def test_what_another_target_committed_to_says_nothing_of_the_one_it_was_redirected_to(asked):
    rig, send = asked
    of_pacs, images = send()
    rig.after(101)
    assert rig.deliveries() == {"pacs": "parked"}
    (delivery,) = rig.spool.deliveries.list()
    assert rig.ask("queue.redirect", ids=[delivery["id"]], to="archive").state == "done"
    of_archive, again = send()
    assert again == images
    rig.spool.confirmations.answered(of_archive, [], dict.fromkeys(images, 0x0110))
    rig.spool.confirmations.answered(of_pacs, images, {})
    rig.after(2)
    assert rig.deliveries() == {"archive": "retrying"} and rig.newest()["state"] == "in_delivery"


def test_a_clock_that_was_ahead_prolongs_no_wait_for_the_targets_word(asked):
    rig, send = asked
    rig.world.clock.jump_wall(YEAR_S)
    send()
    rig.world.clock.jump_wall(-YEAR_S)
    rig.after(2)
    rig.after(98)
    assert rig.deliveries() == {"pacs": "confirming"}
    rig.after(2)
    assert rig.deliveries() == {"pacs": "parked"}


def test_a_clock_that_is_behind_for_a_while_ends_no_wait_for_the_targets_word(asked):
    rig, send = asked
    send()
    rig.world.clock.jump_wall(-YEAR_S)
    rig.after(20)
    rig.world.clock.jump_wall(YEAR_S)
    rig.after(20)
    assert rig.deliveries() == {"pacs": "confirming"}


def test_an_old_refusal_answers_no_new_request_though_the_clock_was_set_back_between_them(asked):
    rig, send = asked
    transaction, _ = send()
    rig.spool.confirmations.answered(transaction, [A.sop_uid], {B.sop_uid: 0x0213})
    rig.after(2)
    rig.world.clock.jump_wall(-YEAR_S)
    rig.after(20)
    assert send()[1] == [B.sop_uid]
    rig.after(2)
    assert rig.deliveries() == {"pacs": "confirming"}


def test_a_newer_version_that_went_there_meanwhile_is_not_followed_by_the_older_one(asked):
    rig, send = asked
    transaction, _ = send()
    newer = TestImage(instance=2, content=b"another picture")
    rig.series(newer)
    rig.spool.confirmations.answered(transaction, [A.sop_uid], {B.sop_uid: 0x0112})
    rig.after(2)
    rig.after(2000)
    older = rig.spool.deliveries.list()[-1]
    while (claim := rig.world.claim()).delivery != older["id"]:
        rig.world.deliver(claim)
        rig.after(2)
    assert claim.images == []


def test_people_can_hold_release_and_cancel_what_is_confirming(asked):
    rig, send = asked
    send()
    id = rig.spool.deliveries.list()[0]["id"]
    assert rig.ask("queue.hold", ids=[id]).state == "done"
    assert rig.ask("queue.release", ids=[id]).state == "done"
    send()
    assert rig.ask("queue.retry", ids=[id]).state == "failed"
    assert rig.ask("queue.cancel", ids=[id]).state == "done"
    assert rig.newest()["state"] == "discarded"


def test_what_the_old_place_of_a_target_committed_to_says_nothing_of_the_new_one(asked):
    rig, send = asked
    of_old, images = send("old")
    rig.after(101)
    assert rig.deliveries() == {"pacs": "parked"}
    rig.ask("queue.retry", ids=[rig.spool.deliveries.list()[0]["id"]])
    of_new, again = send("new")
    assert again == images  # the new place is not asked for what it never got
    rig.spool.confirmations.answered(of_old, images, {})
    rig.after(2)
    assert rig.deliveries() == {"pacs": "confirming"}
    rig.spool.confirmations.answered(of_new, images, {})
    rig.after(2)
    assert rig.deliveries() == {"pacs": "delivered"}


def test_an_answer_before_an_older_version_came_back_says_nothing_of_that_one(asked):
    rig, send = asked
    rig.series(TestImage(instance=1, content=b"corrected"))
    transaction, sent = send()
    assert sent == [B.sop_uid]
    rig.spool.confirmations.answered(transaction, [B.sop_uid], {})
    rig.after(2)
    second, first = (row["id"] for row in rig.spool.deliveries.list())
    assert rig.spool.deliveries.get(first)["state"] == "delivered"
    assert rig.ask("queue.cancel", ids=[second]).state == "done"
    transaction, sent = send()
    assert sent == [A.sop_uid]
    rig.after(2)
    assert rig.spool.deliveries.get(first)["state"] == "confirming"
    rig.spool.confirmations.answered(transaction, [B.sop_uid], {A.sop_uid: 0x0213})
    rig.after(2)
    assert rig.spool.deliveries.get(first)["state"] == "retrying"


# ---- groups ---------------------------------------------------------------------------------------------------------
GROUPED = {
    "targets": CONFIRMING["targets"], "groups": {"both": {"mode": "failover", "members": ["pacs", "archive"]}},
}  # fmt: skip
TO_BOTH = {**CT, "targets": ["both"]}


class Members:
    """A rig whose series goes to the group `both`; its members take images and requests, and say nothing of their own."""

    def __init__(self, rig):
        self.rig = rig(TO_BOTH, **GROUPED)
        self.spool = self.rig.spool
        self.rig.series(A, B)

    def claim(self):
        return self.spool.deliveries.claim(
            "x",
            {"pacs": 1, "archive": 1},
            self.rig.world.clock.now(),
            groups=bindings(self.rig.versions.current().configuration),
        )

    def send(self):
        """What a slot does: the member, and the transaction under which it was asked."""
        claim = self.claim()
        results = [ImageResult(one.position, one.file.receipt, 0, True) for one in claim.images]
        self.spool.deliveries.confirm(claim, results)
        transaction = self.spool.confirmations.ask(claim).transaction_uid
        self.spool.confirmations.confirming(claim, self.rig.world.clock.now() + 100)
        return claim.target, len(claim.images), transaction

    @property
    def state(self):
        (row,) = self.spool.deliveries.list()
        return row["state"], row["target"]


@pytest.fixture
def members(rig):
    return Members(rig)


def test_a_member_that_is_silent_after_it_was_asked_is_followed_by_another_one_and_two_such_park(members):
    assert members.send()[:2] == ("pacs", 2)
    members.rig.after(99)
    assert members.state == ("confirming", "pacs")
    members.rig.after(2)
    assert members.state == ("waiting", "archive")
    assert members.send()[:2] == ("archive", 2)
    members.rig.after(101)
    assert members.state == ("parked", "archive")
    assert members.spool.accounting.balance() == []


def test_what_another_member_commits_to_is_delivered_and_a_late_word_of_the_first_changes_nothing(members):
    _, _, first = members.send()
    members.rig.after(101)
    _, _, second = members.send()
    members.spool.confirmations.answered(first, [A.sop_uid], {B.sop_uid: 0x0112})
    members.rig.after(2)
    assert members.state == ("confirming", "archive")
    members.spool.confirmations.answered(second, [A.sop_uid, B.sop_uid], {})
    members.rig.after(2)
    assert members.state == ("delivered", "archive")


def test_a_member_that_is_silent_keeps_what_no_other_one_can_take(members):
    members.send()
    members.spool.targets.leave_alone("archive", members.rig.world.clock.now() + 500, "away")
    members.rig.after(101)
    assert members.state == ("parked", "pacs")


def unanswered(members):
    return members.spool.notices.alerts("confirmation.unanswered.")


def test_a_member_that_is_silent_has_an_alert_of_its_own_until_it_answers_again(members):
    members.send()
    members.rig.after(101)
    assert [*unanswered(members)] == ["confirmation.unanswered.pacs"]
    _, _, second = members.send()
    members.spool.confirmations.answered(second, [A.sop_uid, B.sop_uid], {})
    members.rig.after(2)
    members.rig.new_router()
    members.rig.after(2)
    assert members.state == ("delivered", "archive") and [*unanswered(members)] == ["confirmation.unanswered.pacs"]
    assert len(members.rig.events("alert.raised")) == 1
    members.rig.series(TestImage(series=2))
    target, _, transaction = members.send()
    members.spool.confirmations.answered(transaction, [], {TestImage(series=2).sop_uid: 0x0110})  # it says something
    members.rig.after(2)
    assert target == "pacs" and not unanswered(members)


def test_its_alert_is_over_though_the_router_dies_as_it_settles_what_the_member_answered(members, monkeypatch):
    members.send()
    members.rig.after(101)
    image = TestImage(series=2)
    members.rig.series(image)
    answers = dict(
        members.send()[::2] for _ in range(2)
    )  # of the first series, which the other one has now, and of this
    settle = members.spool.confirmations.complete

    def settle_and_die(delivery):
        settle(delivery)
        raise Died

    members.spool.confirmations.answered(answers["pacs"], [image.sop_uid], {})
    with monkeypatch.context() as patch, pytest.raises(Died):
        patch.setattr(members.spool.confirmations, "complete", settle_and_die)
        members.rig.after(2)
    members.rig.new_router()
    members.rig.after(2)
    assert not unanswered(members)


def test_the_alert_of_a_silent_member_is_over_when_it_is_asked_no_more(members):
    members.send()
    members.rig.after(101)
    members.rig.after(2)
    assert unanswered(members)
    members.rig.publish(TO_BOTH, **{**GROUPED, "targets": TARGETS})
    members.rig.after(2)
    assert not unanswered(members)


def test_a_delivery_that_is_held_while_its_member_is_silent_goes_to_nobody(members):
    members.send()
    ids = [members.spool.deliveries.list()[0]["id"]]
    assert members.rig.ask("queue.hold", ids=ids).state == "done"
    members.rig.after(101)
    assert members.state == ("held", "pacs")


def test_tries_and_time_of_a_member_that_was_silent_are_not_those_of_the_next(members):
    members.send()
    members.rig.after(101)
    claim = members.claim()
    assert claim.target == "archive"
    assert (claim.failed_before, claim.first_tried) == (0, members.rig.world.clock.now())


def test_what_a_silent_member_was_to_keep_is_spread_over_the_others_of_a_group_that_balances(rig):
    third = {"third": {**TARGETS["archive"], "commitment": True}}
    group = {"mode": "balance", "members": ["pacs", "archive", "third"]}
    rig = rig(TO_BOTH, targets=CONFIRMING["targets"] | third, groups={"both": group})
    groups = bindings(rig.versions.current().configuration)
    for number in range(1, 5):
        image = TestImage(series=number)
        rig.series(image)
        claim = rig.spool.deliveries.claim("x", {"pacs": 9}, rig.world.clock.now(), groups=groups)
        results = [ImageResult(one.position, one.file.receipt, 0, True) for one in claim.images]
        rig.spool.deliveries.confirm(claim, results)
        rig.spool.confirmations.ask(claim)
        rig.spool.confirmations.confirming(claim, rig.world.clock.now() + 100)
    rig.after(101)
    assert sorted(row["target"] for row in rig.spool.deliveries.list()) == ["archive", "archive", "third", "third"]
