"""Which source an association belongs to."""

from __future__ import annotations

import pytest

from protocol.routing.sources import Source, SourceMatch, source_for

SOURCES = {
    "any-mr": Source(calling_ae="MR", quiet_s=3.0),
    "ward": Source(address="10.0.0.0/8", idle_s=90.0),
    "room": Source(address="10.0.1.0/24"),
    "mr-in-room": Source(calling_ae="MR", address="10.0.1.7", quiet_s=1.0, idle_s=2.0),
    "six": Source(address="fd00::5"),
}


@pytest.mark.parametrize(
    ("calling_ae", "address", "match"),
    [
        ("MR", "192.168.0.1", SourceMatch("any-mr", 3.0, None)),
        ("MR  ", "not an address", SourceMatch("any-mr", 3.0, None)),
        ("mr", "192.168.0.1", SourceMatch(None)),
        ("CT", "10.9.9.9", SourceMatch("ward", None, 90.0)),
        ("CT", "10.0.1.9", SourceMatch("room")),
        ("MR", "10.0.1.9", SourceMatch("room")),
        ("MR", "10.0.1.7", SourceMatch("mr-in-room", 1.0, 2.0)),
        ("MR", "::ffff:10.0.1.7", SourceMatch("mr-in-room", 1.0, 2.0)),
        ("CT", "fd00::5%eth0", SourceMatch("six")),
        ("CT", "fd00::6", SourceMatch(None)),
    ],
)
def test_the_most_specific_source_wins(calling_ae: str, address: str, match: SourceMatch) -> None:
    assert source_for(SOURCES, calling_ae, address) == match


def test_the_order_in_the_file_does_not_matter_where_one_is_more_specific() -> None:
    backwards = dict(reversed(SOURCES.items()))
    assert source_for(backwards, "MR", "10.0.1.7").name == "mr-in-room"
    assert source_for(backwards, "CT", "10.0.1.9").name == "room"
