"""Names of events on the bus and the patterns that choose among them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import WireError
from protocol.wire.events import ActorStatus, AssociationOpened, DeliveryCompleted, DeliveryProgress, Head
from protocol.wire.messages import REGISTRY, Envelope, Event, envelope
from protocol.wire.topics import LEGAL, Patterns, escape, topic, unescape


def wrapped(body: Event) -> Envelope:
    return envelope(body, source="/n/a/0", time=1.0)


OPENED = wrapped(AssociationOpened("a1", "CT 1.OLD", "SCANPOST", "10.0.0.1"))
DONE = wrapped(DeliveryCompleted(1, 2, "pacs", 3, 4, 5.0, 0))
PROGRESS = wrapped(DeliveryProgress(1, 2, "pacs", 3, 4))
STATUS = wrapped(ActorStatus("router", 1, "ready", 1.0, "0", {}))
HEAD = wrapped(Head(1, 2, "b"))


def test_topic_is_root_type_and_shard() -> None:
    assert topic(DONE) == "ev.delivery.completed.pacs."
    assert topic(HEAD) == "sys.head."


def test_dots_and_spaces_of_an_ae_title_are_escaped() -> None:
    assert topic(OPENED) == "ev.association.opened.CT%201%2EOLD."


@given(st.text(min_size=1))
def test_every_shard_becomes_one_legal_part_and_comes_back(shard: str) -> None:
    part = escape(shard)
    assert LEGAL.fullmatch(f"ev.x.{part}.")
    assert "." not in part
    assert unescape(part) == shard


def test_every_registered_type_has_a_legal_topic() -> None:
    for name, cls in REGISTRY.items():
        assert LEGAL.fullmatch(f"{cls.ROOT}.{name}.")


@pytest.mark.parametrize("kind", ["", "Delivery", "a..b", "a b", ".a", "a.", "1a"])
def test_illegal_types_are_refused(kind: str) -> None:
    with pytest.raises(WireError):
        topic(replace(DONE, type=kind))


def test_unknown_root_is_refused() -> None:
    with pytest.raises(WireError):
        topic(replace(DONE, root="evil"))


@pytest.mark.parametrize(
    ("texts", "passing"),
    [
        ([], [OPENED, DONE]),
        (["delivery.*"], [DONE, PROGRESS]),
        (["delivery.*", "!*.progress"], [DONE]),
        (["!delivery.*"], [OPENED]),
        (["ev.*"], [OPENED, DONE]),
        (["tmp.delivery.*"], [PROGRESS]),
        (["sys.head"], [HEAD]),
        (["head"], [HEAD]),
        (["*"], [OPENED, DONE, PROGRESS, STATUS, HEAD]),
        (["*.opened", "actor.stat?s"], [OPENED, STATUS]),
        (["delivery"], []),
    ],
)
def test_patterns_choose(texts: list[str], passing: list[Envelope]) -> None:
    patterns = Patterns(texts)
    assert [one for one in (OPENED, DONE, PROGRESS, STATUS, HEAD) if patterns.match(one)] == passing


@pytest.mark.parametrize("texts", [[], ["delivery.*"], ["*.progress"], ["sys.head"], ["a*", "actor.status"], ["*"]])
def test_what_a_pattern_chooses_is_subscribed_to(texts: list[str]) -> None:
    patterns = Patterns(texts)
    for one in (OPENED, DONE, PROGRESS, STATUS, HEAD):
        if patterns.match(one):
            assert any(topic(one).startswith(prefix) for prefix in patterns.prefixes())


def test_longest_literal_prefix_is_subscribed_to() -> None:
    assert Patterns(["delivery.att*.failed"]).prefixes() == [
        "ev.delivery.att", "sys.delivery.att", "tmp.delivery.att",
    ]  # fmt: skip
    assert Patterns(["ev.delivery.completed", "ev.delivery.*"]).prefixes() == ["ev.delivery."]
    assert Patterns([]).prefixes() == ["ev."]


def test_patient_data_never_passes() -> None:
    assert not Patterns(["*"]).match(replace(DONE, root="phi"))


@pytest.mark.parametrize("text", ["", "!", "a b", "delivery.[ab]", "Delivery.*", "a;b", "x" + chr(0)])
def test_unusable_patterns_are_refused(text: str) -> None:
    with pytest.raises(WireError):
        Patterns([text])


def test_only_an_unfiltered_reader_knows_holes() -> None:
    assert Patterns([]).everything_recorded
    assert Patterns(["*"]).everything_recorded
    assert not Patterns(["delivery.*"]).everything_recorded
    assert not Patterns(["!delivery.*"]).everything_recorded
