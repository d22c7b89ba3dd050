"""Who was seen: known, unknown and rejected senders, bounded in number."""

from __future__ import annotations

import pytest

from protocol.clock import ManualClock
from protocol.spool import open_spool, sightings


@pytest.fixture
def clock():
    return ManualClock(1_800_000_000.0)


@pytest.fixture
def spool(tmp_path, clock):
    spool = open_spool(tmp_path, create=True, clock=clock)
    yield spool
    spool.close()


def test_associations_and_rejections_of_a_pair_are_counted_with_the_latest_words(spool, clock):
    spool.images.association_opened(b"1" * 16, "me", "MR1", "SCANPOST", "10.0.0.1", None)
    clock.advance(10)
    spool.images.association_rejected("MR1", "OTHER", "10.0.0.1", "unknown source", None, "CN=mr1")
    spool.images.association_opened(b"2" * 16, "me", "MR1", "SCANPOST", "10.0.0.2", "mr1")
    spool.images.association_rejected("", "", "10.0.0.9", "PDU type 47 before an association")
    one, two = sorted(spool.sightings.all(), key=lambda one: one.address)
    assert one == sightings.Sighting(
        "MR1", "10.0.0.1", "OTHER", "CN=mr1", None, 1_800_000_000.0, 1_800_000_010.0, 1, 1, "unknown source"
    )
    assert (two.source, two.associations, two.rejected, two.reason) == ("mr1", 1, 0, "")


def test_a_flood_of_invented_titles_drops_the_oldest_strangers_and_no_known_source(spool, clock, monkeypatch):
    monkeypatch.setattr(sightings, "KEPT", 5)
    spool.images.association_opened(b"k" * 16, "me", "MR1", "SCANPOST", "10.0.0.1", "mr1")
    for number in range(20):
        clock.advance(1)
        spool.images.association_rejected(f"X{number}", "SCANPOST", "10.0.0.66", "unknown source")
    assert [one.calling_ae for one in spool.sightings.all()] == ["X19", "X18", "X17", "X16", "MR1"]
