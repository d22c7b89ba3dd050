"""What events change in the ledger's tables."""

import pytest

from protocol.ledger.projection import EVENT_ONLY, RULES, Change, project
from protocol.ledger.tables import metadata
from protocol.wire import events as e
from protocol.wire.messages import REGISTRY, Envelope
from tests.ledger.ledger_events import example, wrap

RECORDED = sorted(name for name, cls in REGISTRY.items() if cls.ROOT == "ev")


@pytest.mark.parametrize("name", RECORDED)
def test_every_recorded_type_is_projected_or_named_as_event_only(name):
    assert (name in RULES) != (name in EVENT_ONLY)
    for change in project(wrap(example(REGISTRY[name]), 1)):
        table = metadata.tables[change.table]
        assert set(change.key) | {"node"} == {column.name for column in table.primary_key}
        assert set(change.values) <= {column.name for column in table.c} - set(change.key)


def test_no_rule_is_for_a_type_that_does_not_exist():
    assert set(RULES) | EVENT_ONLY <= set(REGISTRY)


def test_an_unknown_type_changes_nothing():
    assert project(Envelope("1", "/n/a/0", "future.thing", "future.thing/1", "x/1", 1.0, data={"arrival": 1})) == []


def test_header_values_of_a_series_become_searchable():
    header = {"PatientName": "MÜLLER^Jörg", "PatientID": "4711", "AccessionNumber": "A1", "Modality": "CT"}
    change, mined = project(wrap(example(e.ArrivalCompleted), 1, phi={"header": header}))
    assert mined.table == "series" and mined.values["modality"] == "CT"
    assert change.values["headers"] == header
    assert (change.values["patient_folded"], change.values["patient_id"]) == ("müller^jörg", "4711")
    assert change.values["accession"] == "A1" and change.values["state"] == "closed"


def test_a_decision_gives_the_arrival_its_state():
    for outcome, state in (("route", "in_delivery"), ("hold", "held"), ("discard", "discarded")):
        change, *_ = project(wrap(example(e.ArrivalDecided, outcome=outcome), 1))
        assert change.values["state"] == state
    waiting, *_ = project(wrap(example(e.ArrivalDecided, outcome="route", command=4, state="waiting"), 1))
    assert waiting.values["state"] == "waiting"
    unknown, *_ = project(wrap(example(e.ArrivalDecided, outcome="something new"), 1))
    assert "state" not in unknown.values


def test_each_rule_that_decided_can_be_searched_by():
    _, *rules = project(wrap(example(e.ArrivalDecided, arrival=3, rules=["a", "b", "", "x" * 65, 7]), 1))
    assert [(one.table, one.key["rule"]) for one in rules] == [("arrival_rule", "a"), ("arrival_rule", "b")]
    (single,) = project(wrap(example(e.ArrivalImagesRouted, arrival=3, rules=["c"]), 1))
    assert single.key == {"arrival": 3, "rule": "c"}


def test_each_image_of_a_group_gets_its_answer():
    changes = project(wrap(example(e.ImagesSent, images=[["a" * 32, 0], ["b" * 32, 0xB000]]), 3))
    assert [(c.table, c.key["receipt"], c.values["status"]) for c in changes] == [
        ("delivery_image", "a" * 32, 0), ("delivery_image", "b" * 32, 0xB000)]  # fmt: skip


def test_a_retried_delivery_makes_its_arrival_unfinished_again():
    changes = project(wrap(example(e.DeliveryRetried, delivery=5, arrival=9), 1))
    assert [(c.table, c.values["state"]) for c in changes] == [("delivery", "waiting"), ("arrival", "in_delivery")]


def test_a_projection_is_a_function_of_the_event_alone():
    event = wrap(example(e.DeliveryCompleted), 4)
    first, second = project(event), project(event)
    assert first == second and isinstance(first[0], Change)
