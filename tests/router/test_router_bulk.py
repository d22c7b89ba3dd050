"""Acts on all that match: exactly those that a list with the same filters shows, each once, whatever dies in the middle."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from router_rig import ALL, CT, MR_ONLY, Rig, RoutedWorld

from actors.router import queue, series
from protocol.causes import Cause
from protocol.errors import SpoolError
from protocol.selection import Selection
from protocol.spool.cleaning import Retention
from protocol.spool.outbox import Cursor
from protocol.states import ARRIVAL_STEPS, ArrivalState
from protocol.testing.crash import Scenario, moments_of_one, run_at_every_point
from protocol.testing.images import TestImage

A = TestImage()
MODALITIES = ("CT", "MR")


def park(node: Rig, *, cause: str = Cause.TIMEOUT, target: str = "pacs", count: int = 1) -> list[int]:
    ids = []
    for _ in range(count):
        claim = node.world.claim({target: 9})
        assert claim is not None
        node.spool.deliveries.park(claim, "no", cause)
        ids.append(claim.delivery)
    return ids


def states(node: Rig) -> Counter[str]:
    return Counter(row["state"] for row in node.spool.deliveries.list(limit=5000))


def two_scanners(node: Rig) -> dict[str, int]:
    """One series of each of two scanners; {calling AE: arrival}."""
    return {name: node.series(TestImage(study=at), calling_ae=name)["id"] for at, name in enumerate(("CT1", "MR1"), 1)}


@pytest.mark.parametrize(
    ("where", "arrivals"),
    [
        ({"source": "MR1"}, ["MR1"]),
        ({"target": "archive", "source": "CT1"}, ["CT1"]),
        ({"modality": "CT"}, ["CT1", "MR1"]),
        ({"modality": "US"}, []),
        ({"study": "of MR1"}, ["MR1"]),
        ({"series": "of CT1"}, ["CT1"]),
        ({"rule": "all"}, ["CT1", "MR1"]),
        ({"rule": "none"}, []),
        ({"until": 1.0}, []),
        ({"since": 1.0}, ["CT1", "MR1"]),
        ({"states": ["waiting"]}, ["CT1", "MR1"]),
        ({"states": ["retrying"]}, []),
    ],
)
def test_what_a_list_shows_is_what_an_act_touches(rig, where, arrivals):
    node: Rig = rig(ALL)
    ids = two_scanners(node)
    for name in ("study", "series"):
        if name in where:
            where = {**where, name: node.arrival(ids[where[name][3:]])[f"{name}_uid"]}
    listed = node.spool.deliveries.select(
        Selection(**{name: tuple(value) if name == "states" else value for name, value in where.items()})
    )
    answer = node.ask("queue.hold", where=where, reason="maintenance")
    held = [row for row in node.spool.deliveries.list() if row["state"] == "held"]
    assert {row["arrival"] for row in held} == {ids[name] for name in arrivals}
    assert sorted(row["id"] for row in held) == sorted(row["id"] for row in listed)
    assert (answer.state, answer.answer) == ("done", f"hold: {len(listed)} deliver{'y' if len(listed) == 1 else 'ies'}")


def test_parked_ones_of_one_cause_are_retried(rig):
    node: Rig = rig(CT)
    for study in (1, 2, 3):
        node.series(TestImage(study=study))
    park(node, count=2)
    (full,) = park(node, cause=Cause.OUT_OF_SPACE)
    assert node.ask("queue.retry", where={"states": ["parked"], "cause": "out_of_space"}).answer == "retry: 1 delivery"
    row = node.spool.deliveries.get(full)
    assert (row["state"], row["cause"], row["error"]) == ("waiting", "", "")
    assert {(one.cause, one.count, one.state) for one in node.spool.deliveries.causes()} == {("timeout", 2, "parked")}


@pytest.mark.parametrize(
    ("kind", "arguments", "says"),
    [
        ("queue.retry", {"where": {"states": ["parkd"]}}, "no state 'parkd'"),
        ("queue.retry", {"where": {"states": "parked"}}, "list of states"),
        ("queue.retry", {"where": {"states": ["delivered"]}}, "not for delivered"),
        ("queue.retry", {"where": {"source": 7}}, "source must be a name"),
        ("queue.retry", {"where": {"since": "noon"}}, "since must be a time"),
        ("queue.retry", {"where": {"since": float("inf")}}, "since must be a time"),
        ("queue.retry", {"where": ["parked"]}, "where must name"),
        ("queue.retry", {"where": {}}, "either ids"),
        ("queue.retry", {"where": {"source": "CT1"}, "ids": [1]}, "either ids"),
        ("queue.retry", {"where": {"target": "nowhere"}}, "no target 'nowhere'"),
        ("series.hold", {}, "either arrivals"),
        ("series.release", {"where": {"states": ["delivered"]}}, "not for delivered"),
    ],
)
def test_a_selection_that_cannot_be_meant_is_answered_with_the_reason(rig, kind, arguments, says):
    node: Rig = rig(CT)
    node.series(A)
    answer = node.ask(kind, **arguments)
    assert answer.state == "failed" and says in answer.answer
    assert states(node) == {"waiting": 1}


def test_what_comes_after_the_act_began_is_not_meant(rig, monkeypatch):
    monkeypatch.setattr(queue, "CHUNK", 1)
    monkeypatch.setattr(queue, "CHUNKS_AT_ONCE", 1)
    node: Rig = rig(CT)
    for study in (1, 2):
        node.series(TestImage(study=study))
    command = node.spool.commands.ask("queue.hold", "ann", {"target": "pacs"})
    node.router.one_pass([])
    node.world.receive(TestImage(study=3))
    (arrival,) = node.spool.arrivals.open_ones()
    node.spool.arrivals.close(arrival.id, "idle")
    node.work()
    assert node.spool.commands.find(command).answer == "hold: 2 deliveries"
    assert states(node) == {"held": 2, "waiting": 1}


def test_one_that_failed_again_while_the_act_went_on_is_not_retried_twice(rig, monkeypatch):
    monkeypatch.setattr(queue, "CHUNK", 1)
    monkeypatch.setattr(queue, "CHUNKS_AT_ONCE", 1)
    node: Rig = rig(CT)
    for study in (1, 2):
        node.series(TestImage(study=study))
    park(node, count=2)
    command = node.spool.commands.ask("queue.retry", "ann", {"target": "pacs"})
    node.router.one_pass([])
    claim = node.world.claim()
    node.spool.deliveries.retry(claim, node.world.clock.now() + 60, "again")
    node.work()
    assert node.spool.commands.find(command).answer == "retry: 2 deliveries"
    assert states(node) == {"retrying": 1, "waiting": 1}


# ---- arrivals


def test_everything_of_a_scanner_is_routed_again_whatever_became_of_it(rig):
    node: Rig = rig(MR_ONLY)
    discarded, held = (node.series(TestImage(study=study))["id"] for study in (1, 2))
    assert node.ask("series.hold", arrival=held).state == "done"
    other = node.series(TestImage(study=3), calling_ae="CT2")["id"]
    answer = node.ask(
        "series.route", where={"source": "CT1"}, target="pacs", priority="urgent", reason="second opinion"
    )
    assert answer.answer == "route: 2 arrivals"
    assert {node.arrival(id)["state"] for id in (discarded, held)} == {"in_delivery"}
    assert node.arrival(other)["state"] == "discarded"
    assert {row["priority"] for row in node.spool.deliveries.list()} == {0}
    decided = [one.data for one in node.events("arrival.decided") if one.data["command"]]
    assert {(one["by"], one["reason"]) for one in decided} == {("ann", "routed by ann: second opinion")}


def test_several_arrivals_are_done_one_by_one_and_the_rest_is_told(rig):
    node: Rig = rig(CT)
    first, second = (node.series(TestImage(study=study))["id"] for study in (1, 2))
    node.deliver_all()
    now = node.world.clock.now() + 1
    assert node.spool.cleaning.mark(first, Retention(now, now))
    answer = node.ask("series.reroute", ids=[first, second, 7])
    assert answer.state == "done" and answer.answer.startswith(
        "reroute: 1 arrival; not 1: is deleted: its files are gone"
    )
    assert "not 1: there is no arrival" in answer.answer
    assert answer.progress.done == 1 and sum(count for count, _ in answer.progress.skipped.values()) == 2
    assert [one["outcome"] for one in node.spool.arrivals.story(first)["acts"]] == [
        f"refused: arrival {first} is deleted: its files are gone, so it can only come from its sender again"
    ]


def test_a_list_of_more_arrivals_than_one_pass_takes_is_done_to_each(rig, monkeypatch):
    monkeypatch.setattr(series, "AT_ONCE", 2)
    node: Rig = rig(CT)
    ids = [node.series(TestImage(study=study))["id"] for study in range(1, 6)]
    answer = node.ask("series.hold", ids=ids)
    assert (answer.state, answer.progress.done, answer.progress.total) == ("done", 5, 5)
    assert [node.arrival(id)["state"] for id in ids] == ["held"] * 5


def test_an_arrival_at_which_the_database_is_busy_is_not_left_out(rig):
    node: Rig = rig(CT)
    ids = [node.series(TestImage(study=study))["id"] for study in (1, 2, 3)]
    hold, busy = node.spool.arrivals.hold, [ids[1]]

    def sometimes(id, *more):
        if id in busy:
            busy.remove(id)
            raise SpoolError("database is locked")
        return hold(id, *more)

    node.spool.arrivals.hold = sometimes
    command = node.spool.commands.ask("series.hold", "ann", {"ids": ids})
    for _ in range(3):
        node.after(1)
    assert node.spool.commands.find(command).answer == "hold: 3 arrivals" and not busy
    assert [len(node.spool.arrivals.story(id)["acts"]) for id in ids] == [1, 1, 1]


def test_an_act_that_could_be_done_to_nothing_has_failed(rig):
    node: Rig = rig(CT)
    ids = [node.series(TestImage(study=study))["id"] for study in (1, 2)]
    answer = node.ask("series.release", ids=ids)
    assert (answer.state, answer.answer) == (
        "failed",
        f"release: 0 arrivals; not 2: is in_delivery, not held (such as {ids[0]})",
    )


@pytest.mark.parametrize("kind", ["series.route", "series.reroute", "series.hold", "series.discard"])
def test_deleted_arrivals_say_that_their_files_are_gone(rig, kind):
    node: Rig = rig(MR_ONLY)
    arrival = node.series(A)["id"]
    now = node.world.clock.now() + 1
    assert node.spool.cleaning.mark(arrival, Retention(now, now))
    answer = node.ask(kind, arrival=arrival, target="pacs")
    assert answer.state == "failed" and "its files are gone" in answer.answer


def test_an_arrival_whose_deliveries_are_parked_or_held_is_decided_again_and_one_on_its_way_is_not(rig):
    node: Rig = rig(ALL)
    arrival = node.series(A)["id"]
    assert "is on its way" in node.ask("series.reroute", arrival=arrival).answer
    park(node)
    (other,) = [row["id"] for row in node.spool.deliveries.list() if row["state"] == "waiting"]
    node.ask("queue.hold", ids=[other])
    node.publish({**CT, "targets": ["research"]})
    assert node.ask("series.reroute", arrival=arrival, reason="wrong rule").state == "done"
    assert node.deliveries() == {"pacs": "cancelled", "archive": "cancelled", "research": "waiting"}
    node.deliver_all()
    assert node.arrival(arrival)["state"] == "delivered" and node.spool.accounting.balance() == []
    assert ArrivalState.CLOSED in ARRIVAL_STEPS[ArrivalState.IN_DELIVERY]


# ---- who and why


@pytest.mark.parametrize(
    ("kind", "event", "more"),
    [
        ("queue.hold", "delivery.held", {}),
        ("queue.retry", "delivery.retried", {}),
        ("queue.cancel", "delivery.cancelled", {}),
        ("queue.priority", "delivery.prioritised", {"priority": "urgent"}),
        ("queue.redirect", "delivery.redirected", {"to": "research"}),
    ],
)
@pytest.mark.parametrize("by_id", [True, False], ids=["by id", "all that match"])
def test_every_act_on_a_delivery_says_who_and_why_in_its_event_and_in_the_story(rig, kind, event, more, by_id):
    node: Rig = rig(CT)
    arrival = node.series(A)["id"]
    (id,) = park(node)
    which = {"ids": [id]} if by_id else {"where": {"states": ["parked"]}}
    answer = node.ask(kind, **which, reason="asked by ward 3", **more)
    assert answer.state == "done", answer.answer
    (told,) = node.events(event)
    assert (told.data["by"], told.data["reason"], told.data["command"]) == ("ann", "asked by ward 3", answer.id)
    (act,) = node.spool.arrivals.story(arrival)["acts"]
    assert act | {"time": 0.0} == {"command": answer.id, "time": 0.0, "by": "ann", "kind": kind, "reason": "asked by ward 3",
                                   "delivery": id, "outcome": "done"}  # fmt: skip
    (asked,), (answered,) = node.events("command.asked"), node.events("command.answered")
    assert asked.data["reason"] == answered.data["reason"] == "asked by ward 3"


@pytest.mark.parametrize(
    ("kind", "event"),
    [
        ("series.hold", "arrival.held"),
        ("series.discard", "arrival.discarded"),
        ("series.release", "arrival.released"),
        ("series.reroute", "arrival.released"),
    ],
)
def test_every_act_on_an_arrival_says_who_and_why(rig, kind, event):
    node: Rig = rig({"name": "stop", "when": "True", "action": "hold"}, CT)
    arrival = node.series(A)["id"]
    if kind == "series.hold":
        node.ask("series.release", arrival=arrival)
    answer = node.ask(kind, arrival=arrival, reason="asked by ward 3")
    assert answer.state == "done", answer.answer
    told = [one for one in node.events(event) if one.data["command"] == answer.id]
    assert [(one.data["by"], one.data["reason"]) for one in told] == [("ann", "asked by ward 3")]
    assert node.spool.arrivals.story(arrival)["acts"][-1]["reason"] == "asked by ward 3"


def test_a_refused_act_stands_in_the_story_with_the_reason(rig):
    node: Rig = rig(CT)
    arrival = node.series(A)["id"]
    answer = node.ask("series.release", arrival=arrival)
    (act,) = node.spool.arrivals.story(arrival)["acts"]
    assert act["outcome"] == f"refused: {answer.answer}" and act["by"] == "ann"


def test_acts_are_listed_by_who_kind_and_time(rig):
    node: Rig = rig(CT)
    node.series(A)
    node.ask("queue.hold", target="pacs")
    node.world.clock.advance(100)
    later = node.world.clock.now()
    node.ask("queue.release", target="pacs", reason="done")
    node.spool.commands.ask("target.pause", "ben", {"target": "pacs"})
    assert [one.kind for one in node.spool.commands.list()] == ["target.pause", "queue.release", "queue.hold"]
    assert [one.kind for one in node.spool.commands.list(by="ben")] == ["target.pause"]
    assert [(one.kind, one.reason) for one in node.spool.commands.list(kind="queue", since=later)] == [
        ("queue.release", "done")
    ]
    assert [one.kind for one in node.spool.commands.list(state="done", limit=1)] == ["queue.release"]


# ---- deaths

MANY = 1000


def many_parked(world: RoutedWorld) -> None:
    """One real series that was parked, and rows like its own: what is claimed, sent or routed is not the matter here."""
    world.receive(A)
    world.rig.work()
    world.rig.after(5)
    (id,) = park(world.rig)
    with world.spool.database.write() as tx:
        for table, column in (("arrival", "id"), ("delivery", "id")):
            names = [row["name"] for row in tx.all(f"SELECT name FROM pragma_table_info('{table}') WHERE name <> 'id'")]
            others = ", ".join("n.n + arrival" if name == "arrival" else name for name in names)
            first = tx.one(f"SELECT max({column}) FROM {table}")[0]
            tx.execute(
                f"WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {MANY - 1})"
                f" INSERT INTO {table} (id, {', '.join(names)}) SELECT {first} + n.n, {others} FROM {table}, n WHERE {table}.id = {first}"
            )
    assert world.spool.deliveries.get(id)["state"] == "parked" and states(world.rig) == {"parked": MANY}


def retry_all(world: RoutedWorld) -> None:
    world.spool.commands.ask("queue.retry", "ann", {"all_parked": True, "reason": "mended"})
    world.rig.work()


def each_once(world: RoutedWorld) -> None:
    world.rig.work()
    commands = world.spool.commands.list()
    if not commands:
        return  # died before it was written down: nobody was told that it was
    (command,) = commands
    assert (command.state, command.answer) == ("done", f"retry: {MANY} deliveries")
    assert states(world.rig) == {"waiting": MANY}
    seen = world.spool.outbox.read(Cursor(0, 0), 10_000)
    retried = Counter(one.data["delivery"] for one in seen if one.type == "delivery.retried")
    assert len(retried) == MANY and set(retried.values()) == {1}
    assert len([one for one in seen if one.type == "command.answered"]) == 1


@pytest.mark.slow
@pytest.mark.parametrize("power", [False, True], ids=["kill", "power cut"])
def test_an_act_on_a_thousand_deliveries_that_dies_anywhere_touches_each_once_and_is_answered_once(power, folder):
    count = iter(range(100_000))

    def world(seed: int) -> RoutedWorld:
        return RoutedWorld(folder / f"w{next(count)}", seed, CT)

    run_at_every_point(
        Scenario("retry all", world, retry_all, each_once, many_parked), power=power, points=moments_of_one
    )


def three_discarded(world: RoutedWorld) -> None:
    world.rig.publish(MR_ONLY)
    for study in (1, 2, 3):
        world.rig.series(TestImage(study=study))


def route_all(world: RoutedWorld) -> None:
    world.spool.commands.ask("series.route", "ann", {"where": {"states": ["discarded"]}, "targets": ["pacs"]})
    world.rig.work()


def each_routed_once(world: RoutedWorld) -> None:
    world.rig.work()
    if not world.spool.commands.list():
        return
    assert [one.answer for one in world.spool.commands.list()] == ["route: 3 arrivals"]
    assert Counter(row["arrival"] for row in world.spool.deliveries.list()).total() == 3
    decided = Counter(one.data["arrival"] for one in world.rig.events("arrival.decided") if one.data["command"])
    assert len(decided) == 3 and set(decided.values()) == {1}


def test_routing_all_that_match_is_finished_by_the_next_router_each_once(folder, monkeypatch):
    monkeypatch.setattr(series, "AT_ONCE", 2)
    count = iter(range(100_000))

    def world(seed: int) -> RoutedWorld:
        return RoutedWorld(folder / f"w{next(count)}", seed, CT)

    run_at_every_point(
        Scenario("route all", world, route_all, each_routed_once, three_discarded), power=False, points=moments_of_one
    )


def test_a_part_that_breaks_inside_says_how_many_were_done(rig, monkeypatch):
    monkeypatch.setattr(queue, "CHUNK", 1)
    node: Rig = rig(CT)
    for study in (1, 2):
        node.series(TestImage(study=study))
    carried, calls = node.spool.bulk.deliveries, []

    def breaks(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise RuntimeError("Doe^John")
        return carried(*arguments)

    node.spool.bulk.deliveries = breaks
    answer = node.ask("queue.hold", target="pacs")
    assert answer.state == "failed" and "1 were done before" in answer.answer and "Doe" not in answer.answer


def test_an_arrival_that_breaks_the_act_does_not_stop_it_for_the_others(rig):
    node: Rig = rig(MR_ONLY)
    bad, good = (node.series(TestImage(study=study))["id"] for study in (1, 2))
    decide = node.spool.arrivals.decide

    def breaks(id, verdict, **more):
        if id == bad:
            raise RuntimeError("Doe^John")
        return decide(id, verdict, **more)

    node.spool.arrivals.decide = breaks
    answer = node.ask("series.route", where={"source": "CT1"}, target="pacs")
    node.spool.arrivals.decide = decide
    assert answer.state == "done" and answer.answer.startswith(
        "route: 1 arrival; not 1: it went wrong inside (RuntimeError)"
    )
    assert "Doe" not in answer.answer + str(node.log.lines) and "series_act_broke" in node.log.actions()
    assert [node.arrival(id)["state"] for id in (bad, good)] == ["discarded", "in_delivery"]


def test_reasons_are_counted_together_and_are_not_without_end():
    from protocol.spool.acts import MOST_REASONS, OTHER_REASONS, Progress

    progress = Progress(9, 9)
    for number in range(2 * MOST_REASONS):
        progress = progress.skip(number, f"reason {number}")
    assert len(progress.skipped) == MOST_REASONS + 1 and progress.skipped[OTHER_REASONS][0] == MOST_REASONS
    assert replace(progress, skipped={}).answer("hold", "deliveries") == "hold: 0 deliveries"
