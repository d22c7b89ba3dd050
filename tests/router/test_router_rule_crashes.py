"""The router dying before and after each of its effects with studies that wait, single images sent at once, fan-out, groups,
quotas and revisions that change under way: no arrival without decision, none decided twice, no image lost or sent twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from router_rig import RoutedWorld

from protocol.spool import studies
from protocol.spool.outbox import Cursor
from protocol.spool.settling import arrival_row
from protocol.spool.studies import Studies
from protocol.testing.crash import Scenario, ScenarioFailed, moments_of_one, run_at_every_point
from protocol.testing.fakes import digest
from protocol.testing.images import TestImage
from protocol.testing.promises import check_promises

QUIET_S = 20.0
CT, CT2, PT, MR = (TestImage(series=series, instance=instance, modality=modality)
                   for series, instance, modality in ((1, 1, "CT"), (1, 2, "CT"), (2, 1, "PT"), (3, 1, "MR")))  # fmt: skip
GROUP = {"both": {"mode": "failover", "members": ["archive", "research"]}}
FIRST = {"name": "first", "when": "Modality == 'CT' and InstanceNumber == 1", "trigger": "image", "action": "route",
         "targets": ["research"]}  # fmt: skip
SERIES = {"name": "series", "when": "Modality == 'CT'", "action": "route", "targets": ["archive", "research", "both"]}
STUDY = {"name": "study", "when": "any_image(Modality == 'CT') and any_image(Modality == 'PT')", "trigger": "study",
         "action": "route", "targets": ["pacs"], "study": {"quiet_s": QUIET_S}, "quota": {"max": 5}}  # fmt: skip
REST = {"name": "rest", "when": "True", "action": "route", "targets": ["archive"], "fallback": True}
LATER = {**STUDY, "name": "study-2", "targets": ["pacs", "both"]}


class RuledWorld(RoutedWorld):
    """A world with a rule of each kind. What it delivers to a group arrives under the group's name."""

    def __init__(self, home: Any, seed: int = 1, *rules: dict[str, Any]) -> None:
        super().__init__(home, seed, *rules, groups=GROUP)
        self.target("both")

    def publish(self, *rules: dict[str, Any]) -> None:
        """The next revision, whose name says it if a death came in between."""
        if self.rig.versions.current().number == 1:
            self.rig.publish(*rules, groups=GROUP)


def comes(world: RuledWorld, *images: TestImage) -> None:
    world.receive(*images)
    world.rig.work()
    world.rig.after(6)


def a_study(world: RuledWorld) -> None:
    comes(world, CT, CT2)
    comes(world, PT)
    world.rig.after(QUIET_S)


def images_at_once(world: RuledWorld) -> None:
    association = world.connect()
    world.send(association, CT)
    world.rig.work()
    world.send(association, CT2)
    world.rig.after(1)
    world.spool.images.association_closed(association.id, "released")
    world.rig.work()
    world.rig.after(6)


def a_late_series(world: RuledWorld) -> None:
    comes(world, CT, PT)
    world.rig.after(QUIET_S)
    comes(world, CT2, TestImage(series=4, modality="PT"))
    world.rig.after(QUIET_S)


def nobody_wants_it(world: RuledWorld) -> None:
    comes(world, MR)
    world.rig.after(QUIET_S)


def new_rules(world: RuledWorld) -> None:
    """The study rule is renamed, and the image rule is gone, while a study waits and a series comes in."""
    comes(world, CT)
    world.publish(SERIES, LATER, REST)
    comes(world, PT)
    world.rig.after(QUIET_S)


def a_person_steps_in(world: RuledWorld) -> None:
    comes(world, MR)
    comes(world, PT)
    arrivals = [row["id"] for row in world.spool.arrivals.list()]
    world.spool.commands.ask("series.hold", "ann", {"arrival": arrivals[0]})
    world.spool.commands.ask("series.release", "ann", {"arrival": arrivals[0]})
    world.rig.work()
    world.rig.after(QUIET_S)


@dataclass(frozen=True)
class Story:
    run: Callable[[RuledWorld], None]
    rules: tuple[dict[str, Any], ...] = (FIRST, SERIES, STUDY, REST)


STORIES = {
    "a study": Story(a_study),
    "images at once": Story(images_at_once),
    "a late series": Story(a_late_series),
    "nobody wants it": Story(nobody_wants_it),
    "new rules": Story(new_rules),
    "a person steps in": Story(a_person_steps_in),
}


def wanted(world: RuledWorld) -> Counter[tuple[str, str]]:
    """Where each image that is kept has to be, once, by the rules of the stories; also one that was never acknowledged."""
    with world.spool.database.read() as connection:
        rows = connection.execute(
            "SELECT i.sop_uid, a.modality FROM image i JOIN arrival a ON a.id = i.arrival WHERE i.superseded IS NULL"
        ).fetchall()
    paired = {"CT", "PT"} <= {row["modality"] for row in rows}
    renamed = world.rig.versions.current().number == 2
    places: Counter[tuple[str, str]] = Counter()
    for row in rows:
        targets = {"archive", "research", "both"} if row["modality"] == "CT" else set[str]()
        if paired:
            targets |= {"pacs", "both"} if renamed else {"pacs"}
        for target in targets or {"archive"}:
            places[target, row["sop_uid"]] = 1
    return places


def check(world: RuledWorld) -> None:
    """The night after: the router starts again and does the rest; all is decided, and each image is where it belongs."""
    world.recover()
    world.rig.router.recover()
    check_promises(world)
    for _ in range(6):
        world.rig.after(61)
    for row in world.spool.arrivals.list(state="held"):  # died between hold and release
        world.rig.ask("series.release", arrival=row["id"])
    for _ in range(2):
        world.rig.after(61)
    world.rig.deliver_all()
    check_promises(world)
    states = Counter(row["state"] for row in world.spool.arrivals.list())
    assert set(states) <= {"delivered"}, f"not everything was decided and delivered: {states}"
    assert not world.spool.studies.open_ones() and not world.spool.studies.deciding()
    check_once(world)
    got = Counter({(name, uid): len(times) for name, target in world.targets.items()
                   for uid, times in target.received.items()})  # fmt: skip
    assert got == wanted(world), f"too much {got - wanted(world)}, missing {wanted(world) - got}"
    for promise in world.promises:
        data = digest(promise.image.dataset())
        assert all(data in target.received.get(promise.image.sop_uid, [data]) for target in world.targets.values())


def check_once(world: RuledWorld) -> None:
    """Events, decisions, counters and quotas tell of the same things, each once."""
    seen = world.spool.outbox.read(Cursor(0, 0), 10_000)
    for kind in ("arrival.completed", "study.decided", "delivery.created", "command.answered"):
        told = Counter(one.subject for one in seen if one.type == kind)
        assert max(told.values(), default=1) == 1, f"{kind} more than once: {told}"
    decided = [one for one in seen if one.type == "arrival.decided"]
    with world.spool.database.read() as connection:
        rows = connection.execute("SELECT count(*) FROM decision WHERE outcome <> 'images'").fetchone()[0]
        used = connection.execute("SELECT coalesce(sum(used), 0) FROM rule_quota").fetchone()[0]
    assert rows == len(decided) == sum(world.spool.rules.counts().get("", {}).values())
    studies = [one for one in seen if one.type == "study.decided" and one.data["outcome"] == "route"]
    late = [one for one in studies if one.data["study_uid"] in {two.data["study_uid"] for two in studies
            if two.data["wait"] < one.data["wait"] and two.data["rule"] == one.data["rule"]}]  # fmt: skip
    assert used == len(studies) - len(late), "a quota counts each study once"


@pytest.mark.parametrize("power", [False, True], ids=["kill", "power cut"])
@pytest.mark.parametrize("name", STORIES)
def test_whatever_the_rules_a_router_that_dies_anywhere_is_completed_by_the_next(name, power, folder, request):
    count = iter(range(100_000))
    story = STORIES[name]

    def world(seed: int) -> RuledWorld:
        return RuledWorld(folder / f"w{next(count)}", seed, *story.rules)

    every = 1 if request.config.getoption("--soak") else 3 if power else 2
    n = run_at_every_point(Scenario(name, world, story.run, check), power=power, points=moments_of_one, every=every)
    assert n > 20


@pytest.mark.parametrize("name", STORIES)
def test_without_a_death_the_stories_do_what_they_are_named_after(name, folder):
    world = RuledWorld(folder / "w", 1, *STORIES[name].rules)
    STORIES[name].run(world)
    told = {one.type for one in world.spool.outbox.read(Cursor(0, 0), 10_000)}
    expected = {
        "a study": "study.decided", "images at once": "arrival.images.routed", "a late series": "arrival.images.routed",
        "nobody wants it": "study.decided", "new rules": "study.decided", "a person steps in": "arrival.released",
    }  # fmt: skip
    assert expected[name] in told
    check(world)
    world.close()


def test_an_answer_that_is_marked_before_it_is_given_is_found_out(folder, monkeypatch):
    """The control: two transactions where there has to be one."""
    later: list[tuple[int, Any]] = []
    apply, give = Studies.apply, studies._give
    monkeypatch.setattr(studies, "_give", lambda tx, arrival, verdict: later.append((arrival["id"], verdict)))

    def torn(self: Studies, wait: int) -> bool:
        more = apply(self, wait)
        with self._db.write() as tx:
            while later:
                id, verdict = later.pop()
                give(tx, arrival_row(tx, id), verdict)
        return more

    monkeypatch.setattr(Studies, "apply", torn)
    count = iter(range(1000))

    def world(seed: int) -> RuledWorld:
        later.clear()
        return RuledWorld(folder / f"c{next(count)}", seed, *STORIES["a study"].rules)

    with pytest.raises(ScenarioFailed, match="missing"):
        run_at_every_point(Scenario("torn", world, a_study, check), power=False, points=moments_of_one)
