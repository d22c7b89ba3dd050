"""Acts that are taken back, also those on all that match; stopping a long one; keeping series longer than their retention."""

from __future__ import annotations

import pytest
from router_rig import ALL, CT, Rig

from actors.router import series
from protocol.acts import CAN, can_undo, undo_of
from protocol.errors import StepRefused
from protocol.spool.cleaning import Retention
from protocol.testing.images import TestImage

DAY = 86_400.0


def undo(node: Rig, command: int):
    kind, arguments = undo_of(node.spool.commands.find(command).kind, command)
    return node.ask(kind, **arguments, reason="undone")


def states(node: Rig) -> list[str]:
    return [row["state"] for row in reversed(node.spool.arrivals.list(limit=100))]


def test_what_an_act_on_all_that_match_held_is_released_again_and_nothing_else(rig):
    node: Rig = rig(CT)
    ours = [node.series(TestImage(study=at), calling_ae="CT1")["id"] for at in (1, 2)]
    other = node.series(TestImage(study=3), calling_ae="MR1")["id"]
    node.ask("series.hold", arrival=other)
    held = node.ask("series.hold", where={"source": "CT1"})
    assert states(node) == ["held", "held", "held"]
    answer = undo(node, held.id)
    assert (answer.state, answer.progress.done) == ("done", 2), answer.answer
    assert [node.arrival(id)["state"] for id in (*ours, other)] == ["in_delivery", "in_delivery", "held"]
    assert undo(node, answer.id).progress.done == 2 and states(node) == ["held", "held", "held"]


def test_undoing_a_hold_of_what_was_delivered_does_not_send_it_again(rig):
    node: Rig = rig(CT)
    arrival = node.series()["id"]
    node.deliver_all()
    held = node.ask("series.hold", arrival=arrival)
    answer = undo(node, held.id)
    assert answer.state == "failed" and "send it again" in answer.answer
    assert node.arrival(arrival)["state"] == "held"


def test_an_undone_discard_is_held_and_sends_nothing(rig):
    node: Rig = rig({"name": "stop", "when": "True", "action": "hold"})
    arrival = node.series()["id"]
    discarded = node.ask("series.discard", where={"states": ["held"]})
    assert node.arrival(arrival)["state"] == "discarded"
    undo(node, discarded.id)
    assert node.arrival(arrival)["state"] == "held" and node.deliveries() == {}


def test_priorities_are_each_as_they_were_before(rig):
    node: Rig = rig(ALL)
    node.series()
    first, second = sorted(row["id"] for row in node.spool.deliveries.list())
    node.ask("queue.priority", ids=[first], priority="offpeak")
    urgent = node.ask("queue.priority", where={"states": ["waiting"]}, priority="urgent")
    assert [node.spool.deliveries.get(id)["priority"] for id in (first, second)] == [0, 0]
    undo(node, urgent.id)
    assert [node.spool.deliveries.get(id)["priority"] for id in (first, second)] == [2, 1]


def test_a_long_act_that_is_stopped_ends_where_it_is_and_can_be_undone(rig, monkeypatch):
    monkeypatch.setattr(series, "AT_ONCE", 1)
    node: Rig = rig(CT)
    for at in range(1, 5):
        node.series(TestImage(study=at))
    long = node.spool.commands.ask("series.hold", "ann", {"where": {"modality": "CT"}})
    stop = node.spool.commands.ask("act.stop", "ben", {"act": long})
    node.work()
    found = node.spool.commands.find(long)
    assert found.state == "done" and found.answer == "stopped by ben after 1 of 4"
    assert node.spool.commands.find(stop).answer == f"act {long} is stopped after 1 of 4"
    assert states(node).count("held") == 1
    undo(node, long)
    assert states(node).count("held") == 0
    again = node.ask("act.stop", act=long)
    assert again.state == "failed" and "has ended already" in again.answer


def test_what_cannot_be_taken_back_says_so():
    for kind in CAN:
        if not can_undo(kind):
            with pytest.raises(StepRefused, match="cannot be undone"):
                undo_of(kind, 1)


def test_a_series_is_kept_as_long_as_a_person_wants_and_undo_brings_the_time_before_back(rig):
    node: Rig = rig(CT)
    arrival = node.series()["id"]
    node.deliver_all()
    until = node.world.clock.now() + 30 * DAY
    first = node.ask("series.keep", arrival=arrival, until=until, reason="second reading")
    assert first.state == "done" and "is kept until" in first.answer
    second = node.ask("series.keep", where={"states": ["delivered"]}, until=until + DAY)
    assert node.arrival(arrival)["keep_until"] == until + DAY
    undo(node, second.id)
    assert node.arrival(arrival)["keep_until"] == until
    told = [(one.data["until"], one.data["by"], one.data["reason"]) for one in node.events("arrival.kept")]
    assert told == [(until, "ann", "second reading"), (until + DAY, "ann", ""), (until, "ann", "undone")]

    def gone(at: float) -> bool:
        return node.spool.cleaning.mark(arrival, Retention(at, at, at=at))

    assert node.spool.cleaning.deletable(Retention(until, until, at=until - 1)) == [] and not gone(until - 1)
    node.ask("series.keep", arrival=arrival)
    assert node.arrival(arrival)["keep_until"] is None
    assert gone(until - 1)
    late = node.ask("series.keep", arrival=arrival, until=until)
    assert late.state == "failed" and "is deleted" in late.answer


@pytest.mark.parametrize("until", [1.0, True, "tomorrow", 1e300, float("nan")])
def test_a_time_to_keep_until_that_is_none_is_refused(rig, until):
    node: Rig = rig(CT)
    arrival = node.series()["id"]
    answer = node.ask("series.keep", arrival=arrival, until=until)
    assert answer.state == "failed" and "until" in answer.answer and node.arrival(arrival)["keep_until"] is None
