"""What one event adds to the figures, for every type that counts, and that labels are those the metrics declare."""

import pytest

from protocol.spool.figures.counting import RULES, Added, count
from protocol.spool.figures.metrics import METRICS, labels_of
from protocol.wire import events as e
from protocol.wire.messages import REGISTRY
from tests.ledger.ledger_events import example

T = 1_800_000_000.0


def added(event):
    return count(event.TYPE, T, event.data())


@pytest.mark.parametrize("type", sorted(RULES))
def test_every_type_adds_only_metrics_that_exist_under_the_labels_they_declare(type):
    fields = {"counted": [["rule", "true", 2]]} if type == "arrival.images.routed" else {}
    found = added(example(REGISTRY[type], **fields))
    assert found, "counts nothing"
    for one in found:
        histogram = not one.metric.endswith(".sum") and METRICS[one.metric].histogram
        assert len(one.labels) == len(labels_of(one.metric)) + histogram
        assert all(isinstance(label, str) for label in one.labels)


def test_every_metric_is_counted_by_some_event():
    counted = {one.metric for type in RULES for one in added(example(REGISTRY[type], **(
        {"counted": [["rule", "true", 2]]} if type == "arrival.images.routed" else {})))}  # fmt: skip
    assert {metric.removesuffix(".sum") for metric in counted} == set(METRICS)


def test_a_delivery_counts_from_the_last_image_and_its_attempt_by_itself():
    done = example(e.DeliveryCompleted, target="pacs", last_image=T - 3, sending_s=0.2)
    assert added(done) == [
        Added("sends", ("pacs", "delivered"), 1),
        Added("sending_s", ("pacs", "2"), 1), Added("sending_s.sum", ("pacs",), 0.2),
        Added("end_to_end_s", ("pacs", "6"), 1), Added("end_to_end_s.sum", ("pacs",), 3.0),
    ]  # fmt: skip


def test_what_a_person_had_sent_is_no_latency_of_the_node():
    assert not [one for one in added(example(e.DeliveryCompleted, last_image=0.0)) if "end_to_end" in one.metric]


def test_a_clock_that_was_set_back_makes_no_negative_latency():
    (_, bucket, total) = added(example(e.ArrivalCompleted, calling_ae="CT1", last_image=T + 50))
    assert bucket == Added("completion_s", ("CT1", "0"), 1) and total.amount == 0.0


def test_answers_of_earlier_versions_are_counted_by_their_status():
    data = {"delivery": 1, "arrival": 1, "target": "pacs", "images": [["00", 0], ["01", 0xB000], ["02", 0xA700]]}
    assert count("delivery.images.sent", T, data) == [
        Added("sent_images", ("pacs",), 2), Added("sent_bytes", ("pacs",), 0),
        Added("refused_by_target_images", ("pacs",), 1),
    ]  # fmt: skip


def test_parking_is_counted_once_though_two_events_tell_it():
    failed = example(e.AttemptFailed, target="pacs", retry_at=0.0, cause="busy")
    assert added(failed) == [Added("sends", ("pacs", "parked"), 1), Added("failures", ("pacs", "busy"), 1)]
    assert added(example(e.DeliveryParked, target="pacs")) == []
