"""Care of the spool as a whole: backup, restore, rebuild, start, status."""

from __future__ import annotations

import json
import time

import pytest

from protocol.clock import ManualClock
from protocol.errors import SpoolDamaged, SpoolError, SpoolMissing
from protocol.header.scan import scan
from protocol.spool import open_spool
from protocol.spool.arrivals import TargetChoice, Verdict
from protocol.spool.images import Incoming
from protocol.spool.maintenance import REBUILT, backup, check, prepare, rebuild, restore
from protocol.spool.status import node_status
from protocol.testing.images import TestImage


def receive(spool, *images):
    saved = []
    for image in images:
        data = image.dataset()
        header = scan(data, image.transfer_syntax_uid)
        saved.append(
            spool.images.save(
                Incoming(bytes(16), "CT1", "SCANPOST", "127.0.0.1", None, image.sop_class_uid, image.sop_uid,
                         image.transfer_syntax_uid, data, header)))  # fmt: skip
    return spool.images.commit(saved)


def lose_database(home):
    for file in (home / "spool").glob("spool.sqlite3*"):
        file.unlink()


def test_a_lost_database_is_rebuilt_from_the_files_and_everything_is_held(tmp_path):
    spool = open_spool(tmp_path, create=True)
    receive(spool, *(TestImage(series=s, instance=i) for s in (1, 2) for i in (1, 2, 3)))
    for arrival in [a.id for a in spool.arrivals.open_ones()]:
        spool.arrivals.close(arrival, "idle")
        spool.arrivals.decide(arrival, Verdict("route", 1, [TargetChoice("pacs")]))
    highest = max(row["id"] for row in spool.arrivals.list())
    spool.images.commit(
        [spool.images.save(Incoming(bytes(16), "CT1", "S", "1", None, "1.2", "1.2", "1.2", b"junk", None, "junk"))]
    )
    spool.close()
    lose_database(tmp_path)
    with pytest.raises(SpoolMissing):
        open_spool(tmp_path, create=True)
    clock = ManualClock()
    found = rebuild(tmp_path, clock=clock)
    assert (found.images, found.quarantined, found.arrivals) == (6, 1, 2)
    spool = open_spool(tmp_path)
    rows = spool.arrivals.list()
    assert {row["state"] for row in rows} == {"held"} and {row["reason"] for row in rows} == {REBUILT}
    assert spool.deliveries.claim("me", {"pacs": 5}, clock.now() + 1e9) is None, "nothing is sent by itself"
    assert spool.accounting.balance(files=True) == [] and min(row["id"] for row in rows) > highest
    command = spool.commands.ask("series.release", "test", {})
    spool.arrivals.release(rows[0]["id"], command)
    assert spool.arrivals.undecided() == [rows[0]["id"]]
    with pytest.raises(SpoolError):
        rebuild(tmp_path)
    spool.close()


def test_a_backup_of_nothing_says_so_and_leaves_nothing(tmp_path):
    with pytest.raises(SpoolMissing, match="there is no spool"):
        backup(tmp_path / "home", tmp_path / "copies")
    assert list(tmp_path.iterdir()) == []


def test_a_restored_backup_begins_an_epoch_adopts_what_came_since_and_sends_nothing_by_itself(tmp_path):
    home, copies = tmp_path / "home", tmp_path / "copies"
    spool = open_spool(home, create=True)
    (first,) = receive(spool, TestImage(series=1))
    spool.arrivals.close(first.arrival, "idle")
    spool.arrivals.decide(first.arrival, Verdict("route", 1, [TargetChoice("pacs")]))
    before = spool.outbox.head()
    backup(home, copies)
    receive(spool, TestImage(series=2), TestImage(series=2, instance=2))
    spool.close()
    clock = ManualClock()
    assert restore(home, copies, clock=clock)["adopted"] == 2
    spool = open_spool(home)
    assert spool.outbox.head().epoch > before.epoch
    types = [event.type for event in spool.outbox.read(before)]
    assert types[0] == "spool.epoch.begun" and types.count("image.received") == 2
    assert spool.deliveries.list()[0]["state"] == "held" and spool.accounting.balance(files=True) == []
    with pytest.raises(SpoolError):
        backup(home, copies)
    spool.close()


def test_a_damaged_database_stops_the_node_with_one_line(tmp_path):
    prepare(tmp_path, node="n", durability="fsync", source="/n/test/0").close()
    with open(tmp_path / "spool" / "spool.sqlite3", "r+b") as file:
        file.seek(0)
        file.write(b"\xff" * 4096)
    with pytest.raises(SpoolDamaged):
        prepare(tmp_path, node="n", durability="fsync", source="/n/test/0")


def test_an_unclean_boot_in_relaxed_mode_begins_an_epoch_a_clean_one_does_not(tmp_path):
    spool = prepare(tmp_path, node="n", durability="relaxed", source="/n/test/0")
    epoch = spool.outbox.head().epoch
    with spool.database.write() as tx:
        tx.execute("UPDATE meta SET value = 'another boot' WHERE key = 'boot'")
    spool.close()
    spool = prepare(tmp_path, node="n", durability="relaxed", source="/n/test/0")
    assert spool.outbox.head().epoch > epoch and check(spool, thorough=True) == []
    epoch = spool.outbox.head().epoch
    spool.close()
    spool = prepare(tmp_path, node="n", durability="relaxed", source="/n/test/0")
    assert spool.outbox.head().epoch == epoch
    spool.close()


def test_the_status_document_counts_every_image_and_says_who_is_missing(tmp_path):
    spool = open_spool(tmp_path, create=True)
    receive(spool, TestImage(), TestImage(instance=2))
    told = node_status(spool, configured_targets=["pacs"], needed={"router": 1}, reserve_bytes=0, reserve2_bytes=0)
    assert told["images"]["received"] == told["images"]["open"] == 2 and not told["ready"]
    assert told["targets"]["pacs"]["state"] == "up" and told["disk"]["state"] == "ok"
    lock = spool.fs.lock(spool.places.run / "router.lock")
    lock.write('{"state": "ready", "pid": 1, "started": 0, "version": "x"}')
    told = node_status(spool, configured_targets=["pacs"], needed={"router": 1}, reserve_bytes=0, reserve2_bytes=0)
    assert told["ready"] and told["actors"]["router"]["state"] == "ready"
    socket = spool.fs.lock(spool.places.run / "bus-in.ipc.lock")  # what guards a socket is no actor
    told = node_status(spool, configured_targets=["pacs"], needed={"router": 1}, reserve_bytes=0, reserve2_bytes=0)
    assert list(told["actors"]) == ["router"]
    for state, age_s, shown in (
        ("ready", 50, "ready"),
        ("ready", 70, "hung"),
        ("failing", 70, "hung"),
        ("recovering", 70, "recovering"),
    ):
        lock.write(json.dumps({"state": state, "pid": 1, "beat": time.time() - age_s}))
        told = node_status(spool, configured_targets=["pacs"], needed={"router": 1}, reserve_bytes=0, reserve2_bytes=0)
        assert (told["actors"]["router"]["state"], told["ready"]) == (shown, shown == "ready")
    socket.release()
    lock.release()
    spool.close()


def test_after_a_rebuild_the_newer_version_of_an_object_is_the_newer_one(tmp_path):
    for attempt in range(4):  # receipts are random: their order must not decide
        home, clock = tmp_path / str(attempt), ManualClock()
        spool = open_spool(home, create=True, clock=clock)
        for content in (b"first", b"second", b"third!"):
            receive(spool, TestImage(content=content))
            clock.advance(1)
        newest = spool.arrivals.story(spool.arrivals.list()[0]["id"])["images"][-1]["receipt"]
        spool.close()
        lose_database(home)
        rebuild(home, clock=clock)
        spool = open_spool(home)
        images = spool.arrivals.story(spool.arrivals.list()[0]["id"])["images"]
        assert [image["receipt"] for image in images if image["superseded"] is None] == [newest]
        spool.close()


def test_records_that_nothing_names_any_more_are_purged(tmp_path):
    clock = ManualClock()
    spool = open_spool(tmp_path, create=True, clock=clock)
    for number in (1, 2):
        spool.images.association_opened(bytes([number]) * 16, "receiver/0/x", "CT1", "SCANPOST", "127.0.0.1", None)
    spool.images.association_closed(bytes([1]) * 16, "released")
    command = spool.commands.ask("target.resume", "test", {"target": "pacs"})
    spool.targets.resume("pacs", "test", command)
    waiting = spool.commands.ask("target.resume", "test", {"target": "pacs"})
    clock.advance(100)
    assert spool.purging.records(clock.now() - 200) == 0
    assert spool.purging.records(clock.now()) == 2, "one association, one answered command"
    assert [one.id for one in spool.commands.pending("router")] == [waiting]
    spool.close()
