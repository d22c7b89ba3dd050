"""Policies of sources at work: who may open an association, what is taken of it, and which status and event say no."""

from __future__ import annotations

import socket
import struct
import threading
from pathlib import Path
from typing import Any

import pytest
from receiver_rig import CT, HOST, SERIES, LaterClock, RawSender, Rejected, Rig, dataset, publish, receiver, send

from actors.dicom import dimse
from actors.dicom.scu import Node, open_association
from actors.dicom.tls import ClientTls
from actors.dicom.upper import fragments
from protocol.errors import AssociationRejected
from protocol.testing.images import TestImage
from tests.certificates import Authority
from tests.peers import needs_dcmtk, storescu

pytestmark = pytest.mark.slow
MR = "1.2.840.10008.5.1.4.1.1.4"
ELSEWHERE = "127.0.0.2"
FOR_NOW, FOR_GOOD, CALLED = (2, 3, 2), (1, 1, 3), (1, 1, 7)


def source(**policy: Any) -> dict[str, Any]:
    """A routing configuration with one source, known by its AE title."""
    return {"sources": {"raw": {"calling_ae": "RAW", **policy}}}


def rejections(rig: Rig) -> list[str]:
    return [event["reason"] for event in rig.events("association.rejected")]


def refusals(rig: Rig) -> list[tuple[int, str]]:
    return [(event["status"], event["reason"]) for event in rig.events("image.rejected")]


# ---- who may come --------------------------------------------------------------------------------------------------
def test_a_source_has_its_own_number_of_associations_and_another_is_not_concerned(tmp_path: Path) -> None:
    with receiver(tmp_path / "home", routing=source(max_associations=1)) as rig:
        with RawSender(rig.port) as first, RawSender(rig.port, "OTHER"):
            with pytest.raises(Rejected) as caught:
                RawSender(rig.port)
            assert caught.value.args == FOR_NOW
            first.sock.sendall(first.begin(b"1.2.3.4", dataset())[:-5])  # half a message counts, too
            with pytest.raises(Rejected):
                RawSender(rig.port)
        rig.until_closed(2)
        RawSender(rig.port).release()
        assert rejections(rig)[0] == "source 'raw' has 1 associations open, its limit"


def test_an_address_has_its_own_number_of_associations(tmp_path: Path) -> None:
    with receiver(tmp_path / "home", receiver__max_associations_per_address=2) as rig:
        with RawSender(rig.port, "A"), RawSender(rig.port, "B"):
            with pytest.raises(Rejected) as caught:
                RawSender(rig.port, "C")
            assert caught.value.args == FOR_NOW
            RawSender(rig.port, "C", address=ELSEWHERE).release()
        rig.until_closed(3)
        assert rejections(rig) == ["127.0.0.1 has 2 associations open, the limit of an address"]


def test_all_ports_share_the_number_of_associations(tmp_path: Path) -> None:
    more = [{"host": HOST, "port": 0}]
    with receiver(tmp_path / "home", receiver__max_associations=2, receiver__listeners=more) as rig:
        one, other = rig.actor.ports
        with RawSender(one), RawSender(other):
            for port in (one, other):
                with pytest.raises(Rejected) as caught:
                    RawSender(port)
                assert caught.value.args == FOR_NOW
        assert "the limit of the receiver" in rejections(rig)[0]


def test_an_association_that_could_not_be_opened_does_not_count(tmp_path: Path) -> None:
    with receiver(tmp_path / "home", routing=source(max_associations=1)) as rig:
        opened = rig.actor.crew.reception._associations.opened

        def fail(*args: Any) -> Any:
            rig.actor.crew.reception._associations.opened = opened  # type: ignore[method-assign]
            raise RuntimeError("nobody thought of it")

        rig.actor.crew.reception._associations.opened = fail  # type: ignore[method-assign]
        with pytest.raises(AssertionError):  # aborted
            RawSender(rig.port)
        RawSender(rig.port).release()


def test_addresses_that_are_not_allowed_are_closed_before_dicom_and_become_events(tmp_path: Path) -> None:
    with receiver(tmp_path / "home", receiver__allow=[f"{HOST}/32", "fd00::/8"]) as rig:
        with socket.create_connection((HOST, rig.port), timeout=60, source_address=(ELSEWHERE, 0)) as sock:
            assert sock.recv(1) == b""
        rig.actor.one_pass([])
        (event,) = rig.events("association.rejected")
        assert (event["address"], event["reason"]) == (ELSEWHERE, "the address is not in receiver.allow")
        RawSender(rig.port).release()


def test_who_came_and_who_was_rejected_can_be_looked_up(tmp_path: Path) -> None:
    with receiver(tmp_path / "home", routing=source(), receiver__unknown_sources="reject") as rig:
        RawSender(rig.port).release()
        with pytest.raises(Rejected) as caught:
            RawSender(rig.port, "CT9", address=ELSEWHERE)
        assert caught.value.args == FOR_GOOD
        seen = {one.calling_ae: one for one in rig.spool.sightings.all()}
        assert (seen["RAW"].source, seen["RAW"].associations, seen["RAW"].address) == ("raw", 1, HOST)
        assert (seen["CT9"].source, seen["CT9"].rejected, seen["CT9"].reason) == (None, 1, "unknown source")


# ---- listeners -----------------------------------------------------------------------------------------------------
def test_each_port_accepts_its_own_called_titles_and_tls_makes_a_certificate_a_source(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    ours, scanner, stranger = (authority.issue(name) for name in ("node", "mr7", "other"))
    tls = {"cert": str(ours.cert), "key": str(ours.key), "ca": str(authority.cert), "port": 0}
    listeners = [
        {"host": HOST, "port": 0, "ae_title": "ARCHIVE", "accept_any_called_ae": False, "called_ae_titles": ["OLDPACS"]},
        {"host": HOST, "port": 0, "tls": True},
    ]  # fmt: skip
    routing = {"sources": {"mr7": {"certificate": "mr7"}, "spoof": {"calling_ae": "MR7"}}}
    with receiver(
        tmp_path / "home", routing=routing, receiver__listeners=listeners,
        **{f"receiver__tls__{key}": value for key, value in tls.items()},
    ) as rig:  # fmt: skip
        main, titled, secured, tls_port = rig.actor.ports
        for called, accepted in (("ARCHIVE", True), ("OLDPACS", True), ("SCANPOST", False)):
            if accepted:
                RawSender(titled, called=called).release()
                continue
            with pytest.raises(Rejected) as caught:
                RawSender(titled, called=called)
            assert caught.value.args == CALLED
        RawSender(main, called="WHATEVER").release()
        for port in (secured, tls_port):
            for pair, title, source in ((scanner, "MR7", "mr7"), (stranger, "MR7", "spoof"), (scanner, "X", "mr7")):
                files = ClientTls(str(authority.cert), str(pair.cert), str(pair.key))
                open_association(Node(HOST, port, "SCANPOST", title, 131072, 5, 10, 10, files), [CT]).release()
                assert rig.spool.sightings.all()[0].source == source
        rig.until_closed(9)
        called = {event["called_ae"] for event in rig.events("association.opened")}
        assert called == {"ARCHIVE", "OLDPACS", "WHATEVER", "SCANPOST"}
        assert rejections(rig) == ["'SCANPOST' is no AE title of ours"]
        assert any(one.subject == "CN=mr7" for one in rig.spool.sightings.all())


# ---- what is taken -------------------------------------------------------------------------------------------------
def test_a_larger_object_than_a_source_may_store_is_refused_for_good_and_the_association_goes_on(
    tmp_path: Path,
) -> None:
    with receiver(tmp_path / "home", routing=source(max_object_mb=0.1)) as rig, RawSender(rig.port) as sender:
        large = dataset() + b"\xe0\x7f\x10\x00OB\0\0" + struct.pack("<I", 100_000) + bytes(100_000)
        assert sender.store(b"1.2.3.4", large) == 0x0124
        assert sender.store(b"1.2.3.4", dataset()) == 0
        assert refusals(rig) == [(0x0124, "larger than the 0.1 MB that source 'raw' may store")]
        assert rig.events("image.rejected")[0]["sop_uid"] == "1.2.3.4"
        sender.release()
        rig.until_closed()
        assert len(rig.stored()) == 1 and rig.healthy()


def test_a_larger_object_than_the_receiver_takes_at_all_is_out_of_resources(tmp_path: Path) -> None:
    with receiver(tmp_path / "home", receiver__max_object_gb=0.0001) as rig, RawSender(rig.port) as sender:
        large = dataset() + b"\xe0\x7f\x10\x00OB\0\0" + struct.pack("<I", 300_000) + bytes(300_000)
        assert sender.store(b"1.2.3.4", large) == 0xA700
        assert sender.store(b"1.2.3.4", dataset()) == 0
        assert refusals(rig) == [(0xA700, "larger than the 0.1 MB that this receiver takes")]
        assert list(rig.spool.places.quarantine.iterdir()) == []


def test_a_source_stores_only_its_sop_classes(tmp_path: Path) -> None:
    with receiver(tmp_path / "home", routing=source(sop_classes=[MR])) as rig, RawSender(rig.port) as sender:
        assert sender.store(b"1.2.3.4", dataset()) == 0x0124
        assert refusals(rig) == [(0x0124, "source 'raw' may not store this SOP class")]
    with receiver(tmp_path / "other", routing=source(sop_classes=[MR, CT[0]])) as rig, RawSender(rig.port) as sender:
        assert sender.store(b"1.2.3.5", dataset(sop=b"1.2.3.5")) == 0


def test_a_source_that_is_not_accepted_any_more_stores_nothing_in_its_open_association(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with receiver(home, routing=source()) as rig, RawSender(rig.port) as sender:
        assert sender.store(b"1.2.3.4", dataset()) == 0
        publish(home, source(accept=False))
        rig.actor.one_pass([])
        assert sender.store(b"1.2.3.5", dataset(sop=b"1.2.3.5")) == 0x0124
        assert refusals(rig) == [(0x0124, "source 'raw' is not accepted")]
        publish(home, source())
        rig.actor.one_pass([])
        assert sender.store(b"1.2.3.5", dataset(sop=b"1.2.3.5")) == 0
        sender.release()


@pytest.mark.parametrize(("policy", "status"), [({}, 0xB007), ({"unreadable": "refuse"}, 0xA900)])
def test_another_sop_class_in_the_data_set_than_in_the_command(tmp_path: Path, policy: dict, status: int) -> None:
    with receiver(tmp_path / "home", routing=source(**policy)) as rig, RawSender(rig.port) as sender:
        assert sender.store(b"1.2.3.4", dataset().replace(CT[0].encode(), MR.encode())) == status
        sender.release()
        rig.until_closed()
        reason = "the SOP class of the data set is not the one of the C-STORE command"
        assert refusals(rig) == ([(0xA900, reason)] if policy else [])
        (image,) = rig.events("image.received") if not policy else (None,)
        assert image is None or image["sop_class_uid"] == CT[0], "what the target will be asked"
        assert rig.healthy()


def test_a_class_that_is_none_of_storage_and_a_request_without_data_get_their_status_and_event(tmp_path: Path) -> None:
    with receiver(tmp_path / "home") as rig, RawSender(rig.port) as sender:
        for other in ("1.2.840.10008.1.1", MR):
            assert sender.store(b"1.2.3.4", dataset(), other) == 0x0122, "not the class of the presentation context"
        command = dimse.encode({
            dimse.AFFECTED_CLASS: CT[0], dimse.COMMAND_FIELD: dimse.C_STORE_RQ, dimse.MESSAGE_ID: 1,
            dimse.PRIORITY: 0, dimse.DATA_SET_TYPE: dimse.NO_DATA_SET, dimse.AFFECTED_INSTANCE: b"1.2.3.5\0",
        })  # fmt: skip
        sender.sock.sendall(b"".join(bytes(part) for part in fragments(1, command, True, True, 16384)))
        assert sender.answer() == 0xC000
        assert sender.store(b"1.2.3.6", dataset(sop=b"1.2.3.6")) == 0
        assert [(status, uid) for status, uid in ((e["status"], e["sop_uid"]) for e in rig.events("image.rejected"))] == [
            (0x0122, "1.2.3.4"), (0x0122, "1.2.3.4"), (0xC000, "1.2.3.5"),
        ]  # fmt: skip


@pytest.mark.parametrize(("general", "own"), [("quarantine", "refuse"), ("refuse", "quarantine")])
def test_a_source_may_differ_in_what_becomes_of_unreadable_objects(tmp_path: Path, general: str, own: str) -> None:
    garbage = b"\x08\x00\x16\x00UI\xff\x7fnonsense"
    with receiver(tmp_path / "home", routing=source(unreadable=own), receiver__unreadable=general) as rig:
        for title, policy in (("RAW", own), ("OTHER", general)):
            with RawSender(rig.port, title) as sender:
                assert sender.store(b"1.2.3.1", garbage) == (0xC000 if policy == "refuse" else 0)
                # known-failures 24: one malformed object in a series; the rest of it arrives
                uid = f"1.2.3.{len(title)}".encode()
                assert sender.store(uid, dataset(sop=uid)) == 0
                sender.release()
        rig.until_closed(2)
        figures = rig.spool.accounting.figures()
        assert (figures.received, figures.refused, figures.images["quarantined"]) == (3, 1, 1) and rig.healthy()


def test_texts_are_read_in_the_character_set_of_the_source_where_the_object_names_none(tmp_path: Path) -> None:
    def named(uid: bytes) -> bytes:
        whole, name = dataset(sop=uid, series=b"1.2." + uid), "Müller^Jörg".encode("latin_1")
        cut = whole.index(struct.pack("<HH", 0x0020, 0x000D))
        name += b" " * (len(name) % 2)
        return whole[:cut] + struct.pack("<HH2sH", 0x0010, 0x0010, b"PN", len(name)) + name + whole[cut:]

    def patient(rig: Rig) -> str:
        newest = rig.spool.arrivals.list(limit=1)[0]["id"]
        return str(rig.spool.arrivals.subject(newest).images[0]["PatientName"])

    home = tmp_path / "home"
    with receiver(home, routing=source(charset="ISO_IR 100")) as rig, RawSender(rig.port) as sender:
        assert sender.store(b"1.2.3.1", named(b"1.2.3.1")) == 0
        rig.until_recorded(1)
        assert patient(rig) == "Müller^Jörg"
        publish(home, source())
        rig.actor.one_pass([])
        assert sender.store(b"1.2.3.2", named(b"1.2.3.2")) == 0
        rig.until_recorded(2)
        assert "\ufffd" in patient(rig), "a new revision counts for an association that is open"
        sender.release()


@pytest.mark.parametrize("durability", ["fsync", "relaxed"])
def test_a_repetition_is_a_duplicate_or_a_new_image_as_the_source_says(tmp_path: Path, durability: str) -> None:
    with receiver(tmp_path / "home", routing=source(resend="deliver"), receiver__durability=durability) as rig:
        for title, duplicates in (("RAW", 0), ("OTHER", 1)):
            for _ in range(2):
                with RawSender(rig.port, title) as sender:
                    assert sender.store(b"1.2.3.4", dataset()) == 0
                    sender.release()
            rig.until(lambda title=title: len(rig.events("association.closed")) == (2 if title == "RAW" else 4))
            assert rig.spool.accounting.figures().duplicates == duplicates
        received = [event["calling_ae"] for event in rig.events("image.received")]
        assert sorted(received) == ["OTHER", "RAW", "RAW"] and rig.healthy()


# ---- how fast ------------------------------------------------------------------------------------------------------
class Turns(threading.Event):
    """Waits by moving the clock, and remembers for how long."""

    def __init__(self, clock: LaterClock) -> None:
        super().__init__()
        self.clock, self.waits = clock, list[float]()

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.waits.append(timeout)
        self.clock.ahead += timeout
        return False


def test_a_source_that_sends_faster_than_it_may_waits_for_its_answers_and_nothing_is_refused(tmp_path: Path) -> None:
    clock = LaterClock()
    with receiver(tmp_path / "home", clock=clock, routing=source(max_images_per_s=2)) as rig:
        turns = rig.actor.crew.reception.outcomes.stopping = Turns(clock)
        began = clock.monotonic()
        with RawSender(rig.port) as sender, RawSender(rig.port, "OTHER") as other:
            for number in range(1, 13):
                uid = f"1.2.3.{number}".encode()
                assert sender.store(uid, dataset(sop=uid)) == 0
                assert other.store(uid, dataset(sop=uid)) == 0, "another source is not made to wait"
            took = clock.monotonic() - began
            assert took >= 12 / 2 - 1 - 0.5 and len(turns.waits) <= 12
            sender.release()
            other.release()
        rig.until_closed(2)
        figures = rig.spool.accounting.figures()
        assert (figures.received, figures.refused) == (24, 0)


class Noticed(threading.Event):
    """Tells that somebody waits for it, and makes them wait twenty times as long."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting = threading.Event()

    def wait(self, timeout: float | None = None) -> bool:
        self.waiting.set()
        return super().wait(20 * (timeout or 0))


def test_an_order_to_stop_ends_the_wait_and_the_image_is_acknowledged(tmp_path: Path) -> None:
    with receiver(tmp_path / "home", routing=source(max_images_per_s=0.1), orderly=False) as rig:
        stopping = rig.actor.crew.reception.outcomes.stopping = Noticed()
        with RawSender(rig.port) as sender:
            assert sender.store(b"1.2.3.1", dataset(sop=b"1.2.3.1")) == 0
            sender.sock.sendall(sender.begin(b"1.2.3.2", dataset(sop=b"1.2.3.2")))
            assert stopping.waiting.wait(60)
            rig.actor.stop()
            assert sender.answer() == 0
        assert len(rig.stored()) == 2


def test_a_flood_of_rejected_associations_leaves_the_others_in_peace(tmp_path: Path) -> None:
    with receiver(tmp_path / "home", routing=source(max_associations=1)) as rig, rig.associate("CT1") as association:
        with RawSender(rig.port):
            for _ in range(30):
                with pytest.raises(Rejected):
                    RawSender(rig.port)
            assert [send(association, TestImage(instance=n), tmp_path) for n in range(1, 6)] == [0] * 5
        assert len(rejections(rig)) <= 3, "the same notice once a second"


def test_a_rejection_for_now_is_told_to_the_sender_as_such(tmp_path: Path) -> None:
    with receiver(tmp_path / "home", receiver__max_associations=1) as rig, rig.associate("CT1"):
        with pytest.raises(AssociationRejected) as caught:
            rig.associate("CT2")
        assert caught.value.retryable


# ---- an association per image --------------------------------------------------------------------------------------
@needs_dcmtk
def test_dcmtk_with_an_association_per_image_is_seen_to_spread_its_series(tmp_path: Path) -> None:
    series = sorted((SERIES / "98892001" / "CT5N").iterdir())[:3]
    with receiver(tmp_path / "home") as rig:
        assert storescu(rig.port, series, ["-nh"], calling="CT5").returncode == 0
        rig.until_closed(1)
        (whole,) = rig.spool.arrivals.open_ones()
        assert (whole.images, whole.followed) == (3, False)
        for number, path in enumerate(series, 2):
            assert storescu(rig.port, [path], ["-nh"], calling="CT6").returncode == 0
            rig.until_closed(number)
        spread = next(one for one in rig.spool.arrivals.open_ones() if one.calling_ae == "CT6")
        assert (spread.images, spread.associations, spread.associations_released, spread.followed) == (3, 3, 3, True)
