"""Who may send, how much room is left, and how many notices of refused peers are recorded."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from actors.receiver.admission import MIN_INODES, NOTICES_PER_S, Doors, Notices, Policy, Reserve
from protocol.clock import ManualClock
from protocol.errors import OutOfSpace
from protocol.fsops import Room
from protocol.routing.parse import build
from protocol.routing.versions import Version


def version(**sources: dict) -> Version:
    return Version(1, "", 0.0, "", 0, build({"sources": sources}, "test"))


def test_unknown_sources_are_taken_or_turned_away_by_one_switch():
    known = version(mr1={"calling_ae": "MR1"}, old={"calling_ae": "OLD", "accept": False})
    accept, reject = Policy(known, "accept"), Policy(known, "reject")

    def said(policy: Policy, calling_ae: str) -> tuple[str, str | None]:
        terms = policy.terms(calling_ae, "10.0.0.1")
        return terms.rejection, terms.source

    assert said(accept, "MR1") == said(reject, "MR1") == ("", "mr1")
    assert said(accept, "CT9") == ("", None)
    assert said(reject, "CT9") == ("unknown source", None)
    assert said(accept, "OLD") == ("source 'old' is not accepted", "old")


def test_only_addresses_of_the_list_may_connect_and_without_a_list_all():
    doors = Doors(("10.0.0.0/8", "fd00::/64"))
    assert [doors.open_to(address) for address in ("10.1.1.1", "::ffff:10.1.1.1", "fd00::1", "11.0.0.1", "?")] == [
        True, True, True, False, False,
    ]  # fmt: skip
    assert Doors(()).open_to("11.0.0.1")


def test_rules_keywords_are_scanned_and_one_nobody_knows_does_not_stop_receiving():
    rules = build({"rules": [{"name": "a", "when": "Manufacturer == 'X'", "action": "discard"}]}, "test")
    policy = Policy(Version(1, "", 0.0, "", 0, rules), "accept")
    assert "Manufacturer" in policy.keywords and not policy.unusable

    @dataclass(frozen=True)
    class Newer:
        sources: dict
        targets: dict
        keywords: frozenset

    newer = replace(version(), configuration=Newer({}, {}, frozenset({"NoSuchElement"})))
    policy = Policy(newer, "accept")
    assert policy.keywords == frozenset() and "NoSuchElement" in policy.unusable


class Disk:
    def __init__(self, room: Room) -> None:
        self.left, self.looks = room, 0

    def room(self, path: Path) -> Room:
        self.looks += 1
        return self.left


def test_the_reserve_counts_what_it_lets_in_and_looks_once_a_second():
    clock, disk = ManualClock(), Disk(Room(1500, None))
    reserve = Reserve(disk, Path("/"), 1000, clock)
    reserve.take(300)
    with pytest.raises(OutOfSpace):
        reserve.take(300)
    reserve.take(200)
    assert disk.looks == 1
    clock.advance(1.0)
    assert reserve.short() == "" and disk.looks == 2
    disk.left = Room(999, None)
    assert reserve.short() == ""
    clock.advance(1.0)
    assert reserve.short() == "the reserve of disk space is reached"


def test_inodes_have_a_reserve_of_their_own():
    clock, disk = ManualClock(), Disk(Room(10**12, MIN_INODES + 1))
    reserve = Reserve(disk, Path("/"), 0, clock)
    reserve.take(1)
    with pytest.raises(OutOfSpace, match="inodes"):
        reserve.take(1)


def test_a_flood_of_notices_is_cut_and_counted():
    clock = ManualClock()
    notices = Notices(clock)
    assert notices.wanted("10.0.0.1", "not DICOM") and not notices.wanted("10.0.0.1", "not DICOM")
    assert notices.wanted("10.0.0.2", "not DICOM")
    clock.advance(1.0)
    assert notices.wanted("10.0.0.1", "not DICOM")
    assert sum(notices.wanted(f"10.0.1.{number}") for number in range(200)) == NOTICES_PER_S - 1
    assert notices.suppressed == 1 + 200 - (NOTICES_PER_S - 1)
