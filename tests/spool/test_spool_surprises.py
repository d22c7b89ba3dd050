"""What lies about in a spool that did not come from us, or from a former life, must neither stop nor corrupt it."""

from __future__ import annotations

import shutil

import pytest

from protocol.clock import ManualClock
from protocol.errors import SpoolError
from protocol.fsops import RealFs
from protocol.header.scan import scan
from protocol.spool import open_spool
from protocol.spool.arrivals import TargetChoice, Verdict
from protocol.spool.images import Incoming
from protocol.spool.maintenance import backup, check, rebuild, restore
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


def leave_log_behind(spool):
    """The database is gone, its write-ahead log is not: a person moved the one and forgot the other."""
    database = spool.places.database
    log = database.with_name(database.name + "-wal")
    shutil.copyfile(log, log.with_name("kept"))
    assert log.stat().st_size > 0
    spool.close()
    database.unlink()
    log.with_name("kept").rename(log)


def test_the_log_of_a_lost_database_is_not_played_into_the_rebuilt_one(tmp_path):
    spool = open_spool(tmp_path, create=True)
    receive(spool, *(TestImage(series=s, instance=i) for s in range(1, 9) for i in (1, 2)))
    leave_log_behind(spool)
    assert rebuild(tmp_path).images == 16
    spool = open_spool(tmp_path)
    assert check(spool, thorough=True) == []
    assert {row["state"] for row in spool.arrivals.list()} == {"held"}
    assert spool.accounting.balance(files=True) == []
    spool.close()
    assert [path.name for path in (tmp_path / "spool").glob("*-wal.before-*")], "kept aside, not removed"


def test_the_log_of_a_lost_database_is_not_played_into_a_fresh_one(tmp_path):
    spool = open_spool(tmp_path, create=True)
    spool.commands.ask("target.test", "test", {})
    leave_log_behind(spool)
    spool = open_spool(tmp_path, create=True)
    assert check(spool, thorough=True) == [] and spool.commands.pending("router") == []
    spool.close()


def test_the_log_of_an_interrupted_restore_is_not_played_into_the_next(tmp_path):
    home, copies = tmp_path / "home", tmp_path / "copies"
    spool = open_spool(home, create=True)
    receive(spool, TestImage())
    backup(home, copies)
    receive(spool, *(TestImage(series=2, instance=i) for i in range(1, 20)))
    log = spool.places.database.with_name("spool.sqlite3-wal")
    shutil.copyfile(log, log.with_name("spool.sqlite3.restoring-wal"))
    spool.close()
    assert restore(home, copies)["adopted"] == 19
    spool = open_spool(home)
    assert check(spool, thorough=True) == [] and spool.accounting.balance(files=True) == []
    spool.close()


@pytest.mark.parametrize("how", [rebuild, lambda home: restore(home, home / "copies")], ids=["rebuild", "restore"])
def test_the_database_is_not_exchanged_under_a_living_actor(tmp_path, how):
    spool = open_spool(tmp_path, create=True)
    receive(spool, TestImage())
    backup(tmp_path, tmp_path / "copies")
    spool.close()
    if how is rebuild:
        spool.places.database.unlink()
    before = sorted(path.name for path in spool.places.spool.iterdir())
    seat = RealFs().lock(spool.places.run / "receiver.lock")
    with pytest.raises(SpoolError, match="running"):
        how(tmp_path)
    assert sorted(path.name for path in spool.places.spool.iterdir()) == before
    seat.release()
    how(tmp_path)


def test_foreign_folders_and_files_among_the_images_stop_nothing(tmp_path):
    (tmp_path / "spool" / "images" / "lost+found").mkdir(parents=True)
    (tmp_path / "spool" / "images" / "lost+found").chmod(0)
    spool = open_spool(tmp_path, create=True)
    image = TestImage()
    data = image.dataset()
    spool.images.save(
        Incoming(bytes(16), "CT1", "SCANPOST", "127.0.0.1", None, image.sop_class_uid, image.sop_uid,
                 image.transfer_syntax_uid, data, scan(data, image.transfer_syntax_uid)))  # fmt: skip
    (day,) = (path for path in spool.places.images.iterdir() if path.name != "lost+found")
    (spool.places.images / ".DS_Store").write_text("a file where folders are")
    (day / "desktop.ini").write_text("another")
    assert spool.adoption.adopt(everything=True)["adopted"] == 1
    spool.close()
    spool.places.database.unlink()
    assert rebuild(tmp_path).images == 1
    assert (spool.places.images / ".DS_Store").exists() and (day / "desktop.ini").exists()


@pytest.mark.parametrize("again", ["adopt", "rebuild"])
def test_two_unreadable_files_of_one_name_both_survive_in_quarantine(tmp_path, again):
    spool = open_spool(tmp_path, create=True)
    for number in (1, 2):
        folder = spool.places.images / "20260101" / f"{number:064x}"
        folder.mkdir(parents=True)
        (folder / "copy.dcm").write_bytes(b"content %d" % number)
    if again == "adopt":
        assert spool.adoption.adopt(everything=True)["quarantined"] == 2
        assert spool.accounting.balance(files=True) == []
        spool.close()
    else:
        spool.close()
        spool.places.database.unlink()
        assert rebuild(tmp_path).quarantined == 2
    kept = [path.read_bytes() for path in spool.places.quarantine.iterdir() if not path.suffix]
    assert sorted(kept) == [b"content 1", b"content 2"]


def test_a_look_that_fails_does_not_stay_open(tmp_path):
    spool = open_spool(tmp_path, create=True)
    with pytest.raises(SpoolError), spool.database.read() as connection:
        connection.execute("SELECT * FROM nothing")
    with pytest.raises(ZeroDivisionError), spool.database.read() as connection:
        connection.execute("SELECT * FROM meta")
        1 / 0  # noqa: B018
    assert not spool.database._reader.in_transaction
    receive(spool, TestImage())
    busy, _, _ = spool.database._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    assert not busy, "an open look would keep the log from being emptied"
    spool.close()


def test_a_log_that_was_large_once_becomes_small_again(tmp_path, monkeypatch):
    monkeypatch.setattr("protocol.spool.database.WAL_ALERT_BYTES", 1 << 20)
    spool = open_spool(tmp_path, create=True)
    with spool.database.write() as tx:
        tx.many("INSERT INTO meta VALUES (?, ?)", [(f"x{n}", "x" * 1000) for n in range(4000)])
    assert spool.database.wal_bytes() > 3 << 20
    for _ in range(3):
        receive(spool, TestImage())
    assert spool.database.wal_bytes() <= 1 << 20
    spool.close()


def test_due_times_of_a_wrong_clock_do_not_outlive_it(tmp_path):
    clock = ManualClock()
    clock.jump_wall(400 * 86_400)
    spool = open_spool(tmp_path, create=True, clock=clock)
    for series in (1, 2):
        (receipt,) = receive(spool, TestImage(series=series))
        spool.arrivals.close(receipt.arrival, "idle")
        spool.arrivals.decide(receipt.arrival, Verdict("route", 1, [TargetChoice("pacs")]))
    claim = spool.deliveries.claim("me", {"pacs": 1}, clock.now())
    spool.deliveries.retry(claim, clock.now() + 60, "no answer")
    spool.targets.leave_alone("pacs", clock.now() + 60)
    clock.jump_wall(-400 * 86_400)
    assert spool.deliveries.claim("me", {"pacs": 1}, clock.now()) is None
    assert spool.deliveries.mend_times(clock.now(), 3600) == 2
    assert spool.deliveries.mend_times(clock.now(), 3600) == 0
    for _ in range(2):
        assert spool.deliveries.claim("me", {"pacs": 9}, clock.now()) is not None
    spool.close()


def test_a_restored_database_has_its_epoch_and_its_holds_before_it_has_its_name(tmp_path, monkeypatch):
    home, copies = tmp_path / "home", tmp_path / "copies"
    spool = open_spool(home, create=True)
    (receipt,) = receive(spool, TestImage())
    spool.arrivals.close(receipt.arrival, "idle")
    spool.arrivals.decide(receipt.arrival, Verdict("route", 1, [TargetChoice("pacs")]))
    backup(home, copies)
    before = spool.outbox.head()
    receive(spool, TestImage(series=2))
    spool.close()

    def die(*args, **more):
        raise KeyboardInterrupt

    monkeypatch.setattr("protocol.spool.maintenance.open_spool", die)
    clock = ManualClock()
    with pytest.raises(KeyboardInterrupt):
        restore(home, copies, clock=clock)
    spool = open_spool(home)
    assert spool.outbox.head().epoch > before.epoch
    assert spool.deliveries.claim("me", {"pacs": 9}, clock.now() + 1e9) is None
    types = [event.type for event in spool.outbox.read(before)]
    assert types == ["spool.epoch.begun", "delivery.held"], "what was held is told"
    spool.close()


def test_an_interrupted_backup_is_no_backup(tmp_path, monkeypatch):
    spool = open_spool(tmp_path, create=True)
    folder = tmp_path / "copies"
    folder.mkdir()
    (folder / "spool.sqlite3.part").write_bytes(b"half of one")
    with pytest.raises(SpoolError):
        restore(tmp_path, folder)
    assert backup(tmp_path, folder).exists() and [path.name for path in folder.iterdir()] == ["spool.sqlite3"]
    spool.close()


def test_what_an_owner_without_a_row_holds_is_found(tmp_path):
    spool = open_spool(tmp_path, create=True)
    (receipt,) = receive(spool, TestImage())
    spool.arrivals.close(receipt.arrival, "idle")
    spool.arrivals.decide(receipt.arrival, Verdict("route", 1, [TargetChoice("pacs")]))
    worker = spool.workers.enter("dispatcher", "0-1")
    claim = spool.deliveries.claim(worker.owner, {"pacs": 9}, spool.database.clock.now() + 1)
    assert spool.workers.dead("dispatcher") == []
    spool.workers.forget(worker.owner)
    assert spool.workers.dead("dispatcher") == [worker.owner] and spool.workers.dead("receiver") == []
    assert spool.deliveries.reap(worker.owner) == 1
    assert spool.deliveries.get(claim.delivery)["state"] == "waiting" and spool.workers.dead() == []
    spool.close()
