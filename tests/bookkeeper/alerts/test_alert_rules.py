"""Notifications of rules: who is told of what, grouped, in harmless words, and once whatever dies."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from protocol.testing.crash import Scenario, moments, run_at_every_point
from protocol.testing.images import TestImage
from protocol.testing.spoolworld import SpoolWorld
from protocol.wire.events import ArrivalDelivered
from tests.bookkeeper.alerts.alert_rig import HOUR, MINUTE, AlertRig

OPS = "mail:ops@example.org"


def rule(name: str, *notify: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "when": "Modality == 'CT'",
        "action": "route",
        "targets": ["pacs"],
        "notify": list(notify),
        **more,
    }


def on(*what: str, to: str = OPS, **more: Any) -> dict[str, Any]:
    return {"on": list(what), "to": to, **more}


def told(node: AlertRig) -> list[tuple[str, str, str, int]]:
    """(recipient, rule, on, arrival) of all that was sent, each letter once."""
    letters = {one.id: one for one in node.sent}.values()
    return sorted(
        (letter.recipient, item["rule"], item["on"], item["arrival"])
        for letter in letters
        for item in letter.body["items"]
        if item["kind"] == "rule"
    )


def test_completed_and_failed_are_told_to_whom_the_rule_says(rig) -> None:
    node = rig()
    node.publish(
        "pacs", "archive", rules=[rule("stroke", on("failed"), on("completed", to="webhook:http://chat.example.org/"))]
    )
    node.after(5)
    first = node.series(1, "pacs", rules=("stroke",))
    node.deliver()
    second = node.series(2, "pacs", rules=("stroke",))
    node.park("timeout")
    node.series(3, "pacs", rules=("other",))
    node.park()
    node.after(3 * MINUTE)
    assert told(node) == [
        (OPS, "stroke", "failed", second),
        ("webhook:http://chat.example.org/", "stroke", "completed", first),
    ]
    why = "The target took the connection and then did not answer in time"
    assert f"rule stroke: 1 series not delivered to pacs ({why}): {second}" in node.texts(OPS)


def test_a_hundred_parked_at_once_are_one_mail(rig) -> None:
    node = rig()
    node.publish("pacs", rules=[rule("stroke", on("failed"))])
    node.after(5)
    for study in range(1, 41):
        node.series(study, "pacs", rules=("stroke",))
    node.park()
    node.after(5 * MINUTE)
    assert len(node.subjects(OPS)) == 1 and len(told(node)) == 40
    assert node.subjects(OPS) == ["[scanpost node1] 40 series not delivered"]


def test_a_failure_at_a_target_of_another_rule_is_not_told(rig) -> None:
    node = rig()
    groups = {"both": {"mode": "failover", "members": ["pacs", "research"]}}
    rules = [rule("stroke", on("failed"), targets=["archive"]), rule("grouped", on("failed"), targets=["both"])]
    node.publish("pacs", "archive", "research", rules=rules, groups=groups)
    node.after(5)
    id = node.series(1, "pacs", rules=("stroke", "grouped"))
    node.park()
    node.after(3 * MINUTE)
    assert told(node) == [(OPS, "grouped", "failed", id)]


def test_received_held_and_discarded(rig) -> None:
    node = rig()
    rules = [
        rule("odd", on("received", "held"), action="hold", targets=[]),
        rule("bin", on("discarded"), action="discard", targets=[]),
    ]
    node.publish("pacs", rules=rules)
    node.after(5)
    held = node.series(1, rules=("odd",), outcome="hold")
    gone = node.series(2, rules=("bin",), outcome="discard")
    node.after(3 * MINUTE)
    assert told(node) == [(OPS, "bin", "discarded", gone), (OPS, "odd", "held", held), (OPS, "odd", "received", held)]


def test_patient_data_is_hidden_unless_the_settings_allow_it(rig) -> None:
    text = "{PatientName} ({PatientID}), series {arrival} of {source}: {modality}, {images} images, {on} at {target}"
    for allowed in (False, True):
        node = rig(**{"alerts.patient_names": allowed})
        node.publish("pacs", rules=[rule("stroke", on("failed", text=text))])
        node.after(5)
        id = node.series(1, "pacs", rules=("stroke",))
        node.park()
        node.after(3 * MINUTE)
        rest = f"series {id} of CT1: CT, 2 images, failed at pacs"
        expected = f"Test^Image (T1), {rest}" if allowed else f"(hidden) ((hidden)), {rest}"
        assert f"    {expected}\n" in node.texts(OPS)
        assert ("Test^Image" in str([one.body for one in node.sent])) == allowed
        assert not any(
            "Test^Image" in str(one) for one in (*node.subjects(OPS), *node.log.lines, *node.events("letter.sent"))
        )


def test_without_a_mail_server_somebody_is_told_that_nobody_is(rig) -> None:
    node = rig(**{"alerts.smtp.host": ""})
    node.publish("pacs", rules=[rule("stroke", on("failed"))])
    node.after(5)
    node.series(1, "pacs", rules=("stroke",))
    node.park()
    node.after(HOUR, step=60)
    assert "channel.unset.mail" in node.standing() and node.spool.letters.piles() == []


def test_what_happened_before_there_was_anybody_to_tell_is_not_told(rig) -> None:
    node = rig()
    node.publish("pacs", rules=[rule("stroke")])
    node.after(5)
    node.series(1, "pacs", rules=("stroke",))
    node.park()
    node.after(MINUTE)
    node.publish("pacs", rules=[rule("stroke", on("failed"))])
    node.after(5 * MINUTE)
    assert told(node) == []


def test_what_happens_while_nobody_looks_is_told_afterwards(rig) -> None:
    node = rig()
    node.publish("pacs", rules=[rule("stroke", on("failed"))])
    node.after(5)
    id = node.series(1, "pacs", rules=("stroke",))
    node.park()
    node.hire()
    node.after(3 * MINUTE)
    assert told(node) == [(OPS, "stroke", "failed", id)]
    before = node.spool.outbox.head()
    node.spool.outbox.confirm("bookkeeper", before)
    assert node.spool.outbox.trim(node.now + 1, ["bookkeeper"]) > 0


def test_no_event_is_trimmed_that_was_not_seen(rig) -> None:
    node = rig()
    node.publish("pacs", rules=[rule("stroke", on("failed"))])
    node.after(5)
    seen = node.spool.outbox.confirmed("notifier")
    node.series(1, "pacs", rules=("stroke",))
    node.spool.outbox.confirm("bookkeeper", node.spool.outbox.head())
    node.spool.outbox.trim(node.now + 1, ["bookkeeper"])
    assert node.spool.outbox.oldest().seq == seen.seq + 1


def test_an_event_of_a_form_that_nobody_knows_stops_nothing(rig) -> None:
    """known-failures 27"""
    node = rig()
    node.publish("pacs", rules=[rule("stroke", on("failed", "completed"))])
    node.after(5)
    with node.spool.database.write() as tx:
        tx.emit(ArrivalDelivered(1, "CT1"))
        tx.execute("UPDATE event SET body = x'c1ff' WHERE seq = (SELECT max(seq) FROM event)")
        tx.emit(ArrivalDelivered("\x00" * 5, "CT1"))  # type: ignore[arg-type]
    id = node.series(1, "pacs", rules=("stroke",))
    node.park()
    node.after(3 * MINUTE)
    assert told(node) == [(OPS, "stroke", "failed", id)]
    assert [line[1] for line in node.log.lines if line[0] == "error"] == ["event_not_told"]


# ---- kill -9 at every effect


class CrashWorld(SpoolWorld):
    """Series that were parked, delivered and held, and not told yet; what recipients got outlives the node."""

    def __init__(self, home: Path, seed: int = 1) -> None:
        super().__init__(home, seed)
        self.got: list[Any] = []
        self.arrivals: list[int] = []

    def desk(self) -> AlertRig:
        node = AlertRig(self.home, world=self)
        node.sent = self.got
        return node


def prepare(world: CrashWorld) -> None:
    node = world.desk()
    node.publish("pacs", rules=[rule("stroke", on("failed", "completed"), on("failed", to="mail:ward@example.org"))])
    node.after(5)
    world.receive(TestImage(study=9))
    for study in range(1, 4):
        world.arrivals.append(node.series(study, "pacs", rules=("stroke",)))
    node.deliver()
    world.arrivals.append(node.series(4, "pacs", rules=("stroke",)))
    node.park()
    for name in list(node.locks):
        node.end(name)


def live(world: CrashWorld) -> None:
    node = world.desk()
    node.after(3 * MINUTE, step=30)


def check(world: CrashWorld) -> None:
    live(world)
    letters = {one.id: one for one in world.got}
    assert all(letters[one.id].body == one.body for one in world.got), "the same number, the same letter"
    items = Counter(
        (letter.recipient, item.get("rule", item.get("key")), item.get("on", item.get("what")), item.get("arrival", 0))
        for letter in letters.values()
        for item in letter.body["items"]
    )
    *delivered, parked = world.arrivals
    expected = {(OPS, "stroke", "completed", one) for one in delivered} | {(OPS, "stroke", "failed", parked)}
    expected |= {
        ("mail:ward@example.org", "stroke", "failed", parked),
        ("mail", "delivery.parked.pacs.images_refused", "raised", 0),
    }
    assert set(items) == expected and set(items.values()) == {1}
    assert max(Counter(one.id for one in world.got).values()) <= 2, (
        "a death repeats letters at most that were being sent"
    )


@pytest.mark.slow
def test_killed_at_any_point_nothing_is_lost_and_nothing_told_twice(tmp_path) -> None:
    number = itertools.count()
    scenario = Scenario(
        "notifications", lambda seed: CrashWorld(tmp_path / f"w{next(number)}", seed), live, check, prepare
    )
    assert run_at_every_point(scenario, power=False, points=lambda names: moments([f"x {name}" for name in names])) > 20
