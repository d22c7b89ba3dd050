"""Full disks, broken disks, strangers, garbage, dead neighbours, orders to stop: what the receiver answers and records."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from receiver_rig import (
    HOST,
    LaterClock,
    RawSender,
    TroubledFs,
    dataset,
    publish,
    receiver,
    send,
)

from protocol.errors import AssociationRejected, DiskFailed, OutOfSpace
from protocol.fsops import RealFs, Room
from protocol.header.scan import scan
from protocol.spool import open_spool
from protocol.spool.images import Incoming
from protocol.testing.images import TestImage

pytestmark = pytest.mark.slow


class Effects:
    """Raises `error` before each commit, as long as it is set."""

    error: Exception | None = None

    def step(self, name: str) -> None:
        if name == "commit.before" and self.error is not None:
            raise self.error


# ---- full ----------------------------------------------------------------------------------------------------------
def test_below_its_reserve_it_accepts_associations_and_refuses_images(tmp_path: Path) -> None:
    # known-failures 4
    fs, clock = TroubledFs(), LaterClock()
    fs.left = Room(4 * 10**9, None)
    with receiver(tmp_path / "home", fs=fs, clock=clock, spool__reserve_gb=5) as rig:
        with rig.associate() as association:
            assert send(association, TestImage(), tmp_path) == 0xA700
            rig.actor.one_pass([])
            fs.left, clock.ahead = None, 2.0
            assert send(association, TestImage(), tmp_path) == 0, "space is back, the association is the same"
            rig.actor.one_pass([])
        rig.until_recorded(1)
        assert list(rig.spool.places.quarantine.iterdir()) == []
        figures = rig.spool.accounting.figures()
        assert (figures.received, figures.refused) == (1, 1) and rig.healthy()
        (event,) = rig.events("image.rejected")
        assert (event["status"], event["sop_uid"]) == (0xA700, TestImage().sop_uid)
        assert [name for name, _ in rig.log.lines if name in ("refusing_images", "accepting_images_again")] == [
            "refusing_images",
            "accepting_images_again",
        ]


@pytest.mark.parametrize("durability", ["fsync", "relaxed"])
def test_what_was_acknowledged_before_the_database_filled_up_gets_its_row_when_there_is_room(
    durability: str, tmp_path: Path
) -> None:
    """The success is out when the file is safe; nothing more is taken until its row could be written."""
    effects = Effects()
    with receiver(tmp_path / "home", effects=effects, receiver__durability=durability) as rig:
        effects.error = OutOfSpace("commit: the disk is full")
        with rig.associate() as association:
            assert send(association, TestImage(instance=1), tmp_path) == 0xA700
            assert rig.log.of("association_not_recorded") and rig.log.of("event_not_recorded")
            effects.error = None
            assert send(association, TestImage(instance=1), tmp_path) == 0
            rig.until_recorded(1)
            effects.error = OutOfSpace("commit: the disk is full")
            assert send(association, TestImage(instance=2), tmp_path) == 0
            rig.until(lambda: rig.log.of("commit_failed"))
            assert send(association, TestImage(instance=3), tmp_path) == 0xA700
        rig.until(lambda: rig.log.of("end_not_recorded"))
        assert rig.spool.arrivals.open_ones()[0].associations_open == 1, (
            "the router must wait for what is still to come"
        )
        effects.error = None
        rig.actor.one_pass([])
        assert rig.spool.arrivals.open_ones()[0].associations_open == 0
        assert set(rig.stored()) == {TestImage(instance=n).sop_uid for n in (1, 2)} and rig.healthy()


def test_what_relaxed_acknowledged_before_the_database_filled_up_gets_its_row_at_an_orderly_end(tmp_path: Path) -> None:
    effects = Effects()
    with receiver(tmp_path / "home", effects=effects, receiver__durability="relaxed") as rig:
        with rig.associate() as association:
            assert send(association, TestImage(instance=1), tmp_path) == 0
            rig.until(lambda: rig.spool.accounting.figures().received == 1, "the row does not follow")
            effects.error = OutOfSpace("commit: the disk is full")
            assert send(association, TestImage(instance=2), tmp_path) == 0
            rig.until(lambda: rig.log.of("commit_failed"))
        rig.until(lambda: rig.log.of("end_not_recorded"))
        effects.error = None
    with receiver(tmp_path / "home") as rig:
        assert rig.found["adopted"] == 0 and rig.found["dead_workers"] == 0, "there was nothing to mend"
        assert set(rig.stored()) == {TestImage(instance=n).sop_uid for n in (1, 2)} and rig.healthy()


# ---- broken --------------------------------------------------------------------------------------------------------
def test_an_image_whose_sync_failed_is_not_acknowledged_and_ends_the_process(tmp_path: Path) -> None:
    # known-failures 14; the sync is never repeated
    fs, home = TroubledFs(), tmp_path / "home"
    with receiver(home, fs=fs, orderly=False) as rig, rig.associate() as association:
        assert send(association, TestImage(instance=1), tmp_path) == 0
        fs.sync_error = DiskFailed("sync file: Input/output error")
        assert send(association, TestImage(instance=2), tmp_path) == 0x0110
        with pytest.raises(DiskFailed):
            rig.actor.one_pass([])
        fs.sync_error = None
        assert send(association, TestImage(instance=3), tmp_path) == 0x0110, "nothing is acknowledged after that"
        with pytest.raises(AssociationRejected):
            rig.associate()
        with pytest.raises(DiskFailed):
            rig.actor.stop()
        rig.dies()  # the process ends
    with receiver(home) as rig, rig.associate() as association:
        assert rig.found["quarantined"] == 1 and rig.found["adopted"] == 0
        assert [send(association, TestImage(instance=n), tmp_path) for n in (1, 2, 3)] == [0, 0, 0]
        rig.until_recorded(5)
        figures = rig.spool.accounting.figures()
        assert (figures.received, figures.duplicates, figures.images["quarantined"]) == (4, 1, 1) and rig.healthy()


def test_after_a_commit_that_failed_nothing_is_acknowledged_and_its_image_is_adopted_at_the_next_start(
    tmp_path: Path,
) -> None:
    effects, home = Effects(), tmp_path / "home"
    with receiver(home, effects=effects, orderly=False) as rig, rig.associate() as association:
        assert send(association, TestImage(instance=1), tmp_path) == 0
        rig.until_recorded(1)
        effects.error = DiskFailed("commit: disk I/O error")
        assert send(association, TestImage(instance=2), tmp_path) == 0
        rig.until(lambda: rig.log.of("commit_failed"))
        assert send(association, TestImage(instance=3), tmp_path) == 0x0110
        with pytest.raises(DiskFailed):
            rig.actor.one_pass([])
        effects.error = None
        rig.dies()
    with receiver(home) as rig, rig.associate() as association:
        assert rig.found["adopted"] == 1
        assert send(association, TestImage(instance=2), tmp_path) == 0
        rig.until_recorded(3)
        figures = rig.spool.accounting.figures()
        assert (figures.received, figures.duplicates) == (2, 1) and rig.healthy()


# ---- strangers -----------------------------------------------------------------------------------------------------
def test_unknown_sources_are_turned_away_if_asked_for_and_a_new_revision_counts_at_once(tmp_path: Path) -> None:
    sources = {"mr1": {"calling_ae": "MR1"}}
    home = tmp_path / "home"
    with receiver(home, routing={"sources": sources}, receiver__unknown_sources="reject") as rig:
        with rig.associate("MR1") as association:
            assert send(association, TestImage(), tmp_path) == 0
        rig.until_closed()
        assert rig.spool.arrivals.open_ones()[0].source == "mr1"
        with pytest.raises(AssociationRejected):
            rig.associate("CT9")
        (event,) = rig.events("association.rejected")
        assert (event["calling_ae"], event["address"], event["reason"]) == ("CT9", HOST, "unknown source")
        publish(
            home, {"sources": {**sources, "ct9": {"calling_ae": "CT9"}, "mr1": {"calling_ae": "MR1", "accept": False}}}
        )
        rig.actor.one_pass([])
        rig.associate("CT9").release()
        with pytest.raises(AssociationRejected):
            rig.associate("MR1")


def test_garbage_becomes_an_event_and_a_flood_of_it_does_not_fill_the_outbox(tmp_path: Path) -> None:
    with receiver(tmp_path / "home") as rig:
        for _ in range(10):
            with socket.create_connection((HOST, rig.port), timeout=60) as sock:
                sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
                assert sock.recv(100)[:1] == b"\x07"
        rig.until(lambda: rig.events("association.rejected"))
        event = rig.events("association.rejected")[0]
        assert event["address"] == HOST and "PDU type 47" in event["reason"]
        recorded = len(rig.events("association.rejected"))
        assert recorded + rig.actor.figures()["notices_suppressed"] == 10 and recorded < 10
        with rig.associate() as association:
            assert send(association, TestImage(), tmp_path) == 0


def test_recording_that_fails_takes_no_other_association_down(tmp_path: Path) -> None:
    effects = Effects()
    with receiver(tmp_path / "home", effects=effects) as rig, rig.associate() as association:
        effects.error = RuntimeError("something nobody thought of")
        with socket.create_connection((HOST, rig.port), timeout=60) as sock:
            sock.sendall(b"\x00")
            assert sock.recv(100)[:1] == b"\x07"
        assert send(association, TestImage(), tmp_path) == 0
        rig.until(lambda: rig.log.of("commit_failed"))
        effects.error = None
        assert send(association, TestImage(), tmp_path) == 0
        rig.until_recorded(2)
        rig.actor.one_pass([])
        assert rig.spool.accounting.figures().duplicates == 1 and rig.healthy(), "the first one has its row, too"


# ---- deaths and ends -----------------------------------------------------------------------------------------------
def leave_behind(home: Path) -> TestImage:
    """What a receiver leaves that died between an image's file and its row."""
    spool = open_spool(home, create=True)
    worker = spool.workers.enter("receiver", "0")
    spool.images.association_opened(b"a" * 16, worker.owner, "CT1", "SCANPOST", HOST, None)
    for instance in (1, 2):
        image = TestImage(instance=instance)
        data = image.dataset()
        header = scan(data, image.transfer_syntax_uid)
        saved = spool.images.save(
            Incoming(b"a" * 16, "CT1", "SCANPOST", HOST, None, image.sop_class_uid, image.sop_uid,
                     image.transfer_syntax_uid, data, header)
        )  # fmt: skip
        if instance == 1:
            spool.images.commit([saved])
    worker._lock.release()
    spool.close()
    return image


def test_what_a_dead_receiver_left_is_mended_before_the_port_opens(tmp_path: Path) -> None:
    image = leave_behind(tmp_path / "home")
    with receiver(tmp_path / "home") as rig:
        assert (rig.found["dead_workers"], rig.found["associations_aborted"], rig.found["adopted"]) == (1, 1, 1)
        assert image.sop_uid in rig.stored()
        (arrival,) = rig.spool.arrivals.open_ones()
        assert (arrival.images, arrival.associations_open, arrival.associations_aborted) == (2, 0, 1)
        assert rig.spool.workers.dead() == [] and rig.healthy()


def test_a_neighbour_that_dies_meanwhile_is_mended_by_the_next_pass(tmp_path: Path) -> None:
    with receiver(tmp_path / "home") as rig, RawSender(rig.port) as sender:
        assert sender.store(b"1.2.3.4", dataset()) == 0
        image = leave_behind(tmp_path / "home")
        rig.actor.one_pass([])
        assert image.sop_uid in rig.stored()
        assert rig.until_closed() == ["aborted"], "the neighbour's association, not ours"
        sender.release()
        assert sorted(rig.until_closed(2)) == ["aborted", "released"]


class GhostFs(RealFs):
    """Lists, in every folder, names that are gone when one looks: renamed by their writer, removed by the cleaner."""

    def listdir(self, path: Path) -> list[str]:
        names = super().listdir(path)
        if "images" in path.parts or path.name == "quarantine":
            names += ["f" * 32 + ".tmp", "e" * 32 + ".dcm", "99991231"]
        return names


def test_files_that_vanish_while_it_looks_do_not_stop_the_mending(tmp_path: Path) -> None:
    image = leave_behind(tmp_path / "home")
    with receiver(tmp_path / "home", fs=GhostFs()) as rig:
        assert rig.found["adopted"] == 1 and image.sop_uid in rig.stored()


def test_a_stop_aborts_idle_associations_after_its_limit_and_leaves_nothing_open(tmp_path: Path) -> None:
    with receiver(tmp_path / "home", orderly=False) as rig, RawSender(rig.port) as sender:
        assert sender.store(b"1.2.3.4", dataset()) == 0
        rig.actor.stop()
        assert [event["how"] for event in rig.events("association.closed")] == ["aborted"]
        assert rig.spool.workers.count("receiver") == 0 and rig.spool.workers.dead() == []
        with pytest.raises(OSError):
            socket.create_connection((HOST, rig.port), timeout=5)
        assert set(rig.stored()) == {"1.2.3.4"}


def test_more_listeners_take_images_too(tmp_path: Path) -> None:
    more = [{"host": HOST, "port": 0, "ae_title": "SECOND"}]
    with receiver(tmp_path / "home", receiver__listeners=more) as rig:
        for number, port in enumerate(rig.actor.ports):
            uid = f"1.2.3.{number}".encode()
            with RawSender(port) as sender:
                assert sender.store(uid, dataset(sop=uid)) == 0
                sender.release()
        rig.until_closed(2)
        assert len(rig.stored()) == 2
