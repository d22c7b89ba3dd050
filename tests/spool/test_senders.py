"""Known senders, strangers and late series, as a page or a command shows them."""

from __future__ import annotations

from protocol.routing.parse import build
from protocol.routing.sources import Source
from protocol.spool.arrivals import LateSeries
from protocol.spool.senders import free_name, recognised_by, senders
from protocol.spool.sightings import Sighting

SOURCES = {"mr1": Source(calling_ae="MR1", label="MR, ground floor"), "quiet": Source(address="10.9.0.0/16")}


def seen(calling_ae: str, address: str = "10.0.0.1", subject: str = "", last: float = 20.0, **more) -> Sighting:
    return Sighting(calling_ae, address, "SCANPOST", subject, None, 10.0, last, more.get("associations", 1),
                    more.get("rejected", 0), more.get("reason", ""))  # fmt: skip


def test_known_ones_gather_what_was_seen_of_them_and_strangers_stand_apart() -> None:
    found = senders(SOURCES, "reject", [
        seen("MR1", last=30.0, associations=3), seen("MR1", "10.0.0.2", rejected=1),
        seen("CT9", rejected=4, associations=0, reason="unknown source"),
    ], [])  # fmt: skip
    mr1 = found["sources"]["mr1"]
    assert (mr1["label"], mr1["last_seen"], mr1["associations"], mr1["rejected"]) == ("MR, ground floor", 30.0, 4, 1)
    assert mr1["policy"]["accept"] is True and len(mr1["seen"]) == 2
    assert found["sources"]["quiet"]["last_seen"] is None and found["unknown_sources"] == "reject"
    (stranger,) = found["unknown"]
    assert (stranger["calling_ae"], stranger["rejected"], stranger["reason"]) == ("CT9", 4, "unknown source")
    assert (stranger["name"], stranger["source"]) == ("ct9", {"calling_ae": "CT9", "address": "10.0.0.1"})


def test_what_is_offered_to_paste_is_a_configuration_that_knows_the_stranger() -> None:
    strangers = [
        seen("MR1", subject="CN=mr1,O=Hospital"), seen("BER?", "fe80::1%eth0"), seen("A\\B"), seen("  ", "10.0.0.7"),
        seen("MR-1", "10.0.0.8"), seen("mr_1!", "10.0.0.9"), seen("MR.1", "10.0.0.10"), seen("", "nowhere", "no subject"),
    ]  # fmt: skip
    found = senders({}, "accept", strangers, [])["unknown"]
    names = [one["name"] for one in found]
    assert len(set(names)) == len(strangers)
    offered = {one["name"]: one["source"] for one in found if one["source"]}
    assert len(offered) == len(strangers) - 1, "of the last one nothing can be said"
    known = build({"sources": offered}, "test").sources
    again = senders(known, "accept", strangers[:-1], [])
    assert again["unknown"] == [] and all(one["associations"] for one in again["sources"].values())


def test_a_stranger_is_recognised_by_what_a_configuration_may_say() -> None:
    assert recognised_by(seen("A\\B", subject="CN=a")) == {"address": "10.0.0.1", "certificate": "CN=a"}
    assert [free_name("MR1", {"mr1", "mr1-2"}), free_name("???", set())] == ["mr1-3", "source"]
    assert free_name("A" * 16, ()) == "a" * 16


def test_late_series_suggest_the_time_that_was_too_short() -> None:
    late = [LateSeries("MR1", "mr1", "released", 3, 41.0), LateSeries("MR1", "mr1", "spread", 1, 100.0),
            LateSeries("CT9", "gone", "idle", 1, 0.5)]  # fmt: skip
    found = senders(SOURCES, "accept", [], late)
    assert found["sources"]["mr1"]["suggested"] == {"quiet_s": 55, "idle_s": 125}
    assert found["late"][2] == {"calling_ae": "CT9", "source": None, "addenda": 1, "closed": "idle", "longest_s": 0.5,
                                "suggested": {"idle_s": 5}}  # fmt: skip
