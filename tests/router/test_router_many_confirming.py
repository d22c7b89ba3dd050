"""More deliveries wait for their target's word than the router looks at in one round."""

from __future__ import annotations

from router_rig import CT, TARGET, TARGETS

from actors.router import answering
from protocol.spool.confirmations import Confirmations
from protocol.spool.deliveries import ImageResult
from protocol.testing.images import TestImage

WAIT_S, YEAR_S = 100.0, 365 * 86_400.0


def few_at_once(rig, monkeypatch):
    monkeypatch.setattr(Confirmations.waiting, "__defaults__", (0, 3))
    monkeypatch.setattr(answering, "AT_ONCE", 3)
    return rig(CT, targets={**TARGETS, "pacs": {**TARGET, "commitment": {"wait_s": WAIT_S}}})


def many_confirming(rig, count: int) -> list[tuple[str, str]]:
    """So many deliveries that wait for their target's word: transaction and SOP instance UID, oldest first."""
    for study in range(1, count + 1):
        rig.world.receive(TestImage(study=study))
    rig.work()
    rig.after(5)
    rig.after(60)
    asked = []
    while claim := rig.world.claim():
        rig.spool.deliveries.confirm(claim, [ImageResult(1, claim.images[0].file.receipt, 0, True)])
        asked.append((rig.spool.confirmations.ask(claim).transaction_uid, claim.images[0].file.sop_instance_uid))
        rig.spool.confirmations.confirming(claim, rig.world.clock.now() + WAIT_S)
    return asked


def test_older_deliveries_whose_target_is_silent_do_not_keep_a_younger_one_from_being_settled(rig, monkeypatch):
    rig = few_at_once(rig, monkeypatch)
    (transaction, uid) = many_confirming(rig, 8)[-1]
    rig.spool.confirmations.answered(transaction, [uid], {})
    for _ in range(3):
        rig.after(1)
    states = [row["state"] for row in sorted(rig.spool.deliveries.list(), key=lambda row: row["id"])]
    assert states == ["confirming"] * 7 + ["delivered"]


def test_a_clock_that_was_ahead_prolongs_no_wait_of_many_either(rig, monkeypatch):
    rig = few_at_once(rig, monkeypatch)
    rig.world.clock.jump_wall(YEAR_S)
    many_confirming(rig, 8)
    rig.world.clock.jump_wall(-YEAR_S)
    for _ in range(3):
        rig.after(1)
    rig.after(WAIT_S)
    for _ in range(3):
        rig.after(1)
    assert {row["state"] for row in rig.spool.deliveries.list()} == {"parked"}
