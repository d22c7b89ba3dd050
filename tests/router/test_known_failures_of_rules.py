"""How routers lose, stall or mistake images through their rules, each as a story through the whole router.
The numbers are those of the list that this project was begun with.
"""

from __future__ import annotations

import pytest
from router_rig import ALL, CT, MR_ONLY, TARGETS, Rig

from protocol.errors import RoutingError
from protocol.records import record
from protocol.routing.parse import build
from protocol.testing.images import TestImage

A, B = (TestImage(instance=number) for number in (1, 2))
REST = {"name": "rest", "when": "True", "action": "route", "targets": ["archive"], "fallback": True}


@pytest.mark.parametrize("targets", [[], ["gone"]])
def test_3_a_rule_without_a_target_or_with_one_that_is_not_there_never_becomes_current(rig, targets):
    node: Rig = rig(CT)
    with pytest.raises(RoutingError):
        build({"targets": TARGETS, "rules": [{**CT, "targets": targets}]}, "test")
    assert node.series(A)["state"] == "in_delivery"


def test_3_a_target_that_is_removed_while_series_are_under_way_loses_none(rig):
    node: Rig = rig(ALL)
    arrival = node.series(A)["id"]
    node.publish(CT, targets={"pacs": TARGETS["pacs"]})
    node.work()
    assert node.deliveries(arrival) == {"archive": "held", "pacs": "waiting"}
    assert "target.missing.archive" in node.spool.notices.alerts()
    node.publish(ALL)
    node.work()
    assert node.ask("queue.release", target="archive").state == "done"
    assert node.deliveries(arrival)["archive"] == "waiting"


def test_28_rules_see_every_image_not_an_arbitrary_one(rig):
    odd = {"name": "odd", "when": "any_image(InstanceNumber == 7)", "action": "route", "targets": ["pacs"]}
    every = {"name": "every", "when": "all_images(InstanceNumber > 3)", "action": "route", "targets": ["research"]}
    node: Rig = rig(odd, every)
    for order in ((1, 7), (7, 1)):
        images = [TestImage(study=order[0], instance=number) for number in order]
        assert node.deliveries(node.series(*images)["id"]) == {"pacs": "waiting"}


@pytest.mark.parametrize("when", ["PatientAge > 3", "StudyDescription == 'x'", "not exists(Modality)"])
def test_28_a_missing_tag_is_unknown_and_shown_so(rig, when):
    node: Rig = rig({**CT, "when": when})
    arrival = node.series(A)
    rule = node.spool.arrivals.story(arrival["id"])["decisions"][0]["explanation"]["rules"][0]
    assert arrival["state"] == "discarded"
    assert rule["result"] == ("false" if when.startswith("not") else "unknown")
    assert rule["explanation"].get("reason", "a value is missing") == "a value is missing"


def test_29_every_fallback_counts_and_none_runs_beside_another_rule(rig):
    more = {**REST, "name": "more", "targets": ["research"]}
    node: Rig = rig(CT, REST, more)
    assert node.deliveries(node.series(A)["id"]) == {"pacs": "waiting"}
    other = node.series(TestImage(study=2, modality="MR"))
    assert node.deliveries(other["id"]) == {"archive": "waiting", "research": "waiting"}


def test_30_the_same_image_twice_is_stored_and_sent_once_and_a_changed_one_is_told(rig):
    node: Rig = rig(ALL)
    node.series(A, A, B)
    node.deliver_all()
    assert {name: target.repeated for name, target in node.world.targets.items()} == dict.fromkeys(
        node.world.targets, 0
    )
    changed = TestImage(instance=1, content=b"other")
    node.series(changed)
    node.deliver_all()
    assert len(node.events("image.superseded")) == 1 and len(node.events("image.duplicate")) == 1
    assert all(len(node.world.targets[name].received[A.sop_uid]) == 2 for name in ("archive", "pacs"))


def test_31_a_late_image_is_sent_alone_and_by_the_rules_of_its_series(rig):
    node: Rig = rig({**CT, "when": "count_images() >= 2"})
    node.series(A, B)
    node.deliver_all()
    node.series(TestImage(instance=3))
    node.deliver_all()
    pacs = node.world.targets["pacs"]
    assert (pacs.images, pacs.repeated) == (3, 0)


def test_32_two_senders_of_one_series_are_two_arrivals_and_rules_tell_them_apart(rig):
    node: Rig = rig({**CT, "when": "SenderAET == 'CT2'"})
    node.world.receive(A, calling_ae="CT1")
    node.world.receive(B, calling_ae="CT2")
    node.work()
    node.after(5)
    states = {row["calling_ae"]: row["state"] for row in node.spool.arrivals.list()}
    assert states == {"CT1": "discarded", "CT2": "in_delivery"}


@pytest.mark.parametrize(
    "attack",
    ["().__class__.__bases__[0].__subclasses__()", "sum(range(10**9)) > 1", "'a' * 10**9 == Modality",
     "__import__('os').system('true')", "Modality.__class__ == 1", "(lambda: True)()", "[x for x in ImageType]"],
)  # fmt: skip
def test_41_an_expression_that_tries_to_escape_never_becomes_current(rig, attack):
    node: Rig = rig(CT)
    with pytest.raises(RoutingError) as refused:
        node.publish({**CT, "when": attack})
    assert "character" in str(refused.value), "the place is told"
    assert node.versions.current().number == 1
    assert node.series(A)["state"] == "in_delivery"


def test_7_and_28_a_rule_that_is_an_error_for_a_series_discards_nothing(rig):
    broken = {"name": "broken", "when": "SeriesInstanceUID > 3", "action": "route", "targets": ["pacs"]}
    drop = {"name": "drop", "when": "True", "action": "discard"}
    node: Rig = rig(broken, drop, {**REST, "action": "discard", "targets": []}, MR_ONLY)
    assert node.series(A)["state"] == "held"
    assert node.series(TestImage(study=2, modality="MR"))["state"] == "in_delivery"


@record
class OddImage(TestImage):
    """Its Specific Character Set and its patient's name do not go together."""

    charset: bytes = b""

    def dataset(self) -> bytes:
        data = super().dataset().replace(b"Test^Image", b"\x1b$B\xff\xfe^\x1b(J\x80")
        padded = self.charset + b" " * (len(self.charset) % 2)
        return b"\x08\x00\x05\x00CS" + len(padded).to_bytes(2, "little") + padded + data


@pytest.mark.parametrize(
    "charset",
    [b"ISO 2022 IR 6", b"\\ISO 2022 IR 87", b"ISO 2022 IR 100\\ISO 2022 IR 58", b"ISO_IR 192", b"NONSENSE", b"\\"],
)
def test_25_an_odd_character_set_is_decided_once_and_stops_nothing(rig, charset):
    named = {"name": "named", "when": "contains(PatientName, 'nobody')", "action": "route", "targets": ["research"]}
    node: Rig = rig(named, CT)
    odd = node.series(OddImage(charset=charset))
    assert odd["state"] == "in_delivery" and node.deliveries(odd["id"]) == {"pacs": "waiting"}
    assert node.series(TestImage(study=2))["state"] == "in_delivery"
    assert not [line for line in node.log.lines if line["level"] in ("error", "critical")]
    assert len(node.spool.arrivals.story(odd["id"])["decisions"]) == 1
