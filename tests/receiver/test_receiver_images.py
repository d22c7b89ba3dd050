"""Images over real sockets into a real spool: whole series, duplicates, bad objects, ends in the middle."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from receiver_rig import SERIES, RawSender, Rig, dataset, files_below, receiver, send

from actors.dicom.bulk import send_files
from actors.dicom.part10 import read_part10
from actors.dicom.scu import Node
from protocol.testing.images import TestImage
from tests.peers import StoreScp, dataset_bytes, dcmsend, needs_dcmtk, storescu

pytestmark = pytest.mark.slow
SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "transfer-syntaxes"


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with receiver(tmp_path / "home") as running:
        yield running


def sent(paths: list[Path]) -> dict[str, list[bytes]]:
    return {read_part10(path).sop_instance_uid: [dataset_bytes(path)] for path in paths}


def test_whole_series_arrive_bit_by_bit_and_stand_in_one_arrival_each(rig: Rig) -> None:
    files = files_below(SERIES)
    report = send_files(Node("127.0.0.1", rig.port, "SCANPOST", "CT1"), files)
    assert report.failed == 0 and report.sent == len(files) > 70
    assert rig.until_closed(report.associations) == ["released"] * report.associations
    assert rig.stored() == sent(files)
    arrivals = rig.spool.arrivals.list(limit=100)
    assert len({arrival["series_uid"] for arrival in arrivals}) == len(arrivals) > 10
    assert {"CT", "MR", "CR"} <= {arrival["modality"] for arrival in arrivals}
    assert sum(arrival["images"] for arrival in arrivals) == len(files)
    assert all(one.associations == 1 and one.associations_open == 0 for one in rig.spool.arrivals.open_ones())
    assert rig.healthy()


@needs_dcmtk
@pytest.mark.parametrize(("folder", "tool"), [(SERIES, storescu), (SERIES, dcmsend), (SHARED, dcmsend)])
def test_what_dcmtk_sends_is_what_another_receiver_gets(rig: Rig, tmp_path: Path, folder: Path, tool) -> None:
    # DCMTK re-encodes what it reads; what it really sends is what storescp writes "exactly as read"
    if not folder.is_dir():
        pytest.skip(f"{folder.name} is not there")
    files = files_below(folder)
    with StoreScp(tmp_path / "reference", options=["+uf"]) as reference:
        assert tool(reference.port, files, ["-nh"], calling="CT1").returncode == 0
        done = tool(rig.port, files, ["-nh"], calling="CT1")
        assert done.returncode == 0, done.stderr
        expected = sent(reference.received())
    assert set(rig.until_closed()) == {"released"}
    assert rig.stored() == expected and len(expected) >= 30
    assert rig.healthy()


def test_eight_associations_at_a_time_share_commits_and_lose_nothing(rig: Rig, tmp_path: Path) -> None:
    together = threading.Barrier(8)

    def run(series: int) -> list[int]:
        with rig.associate(f"CT{series}") as association:
            together.wait(60)
            return [send(association, TestImage(series=series, instance=n), tmp_path) for n in range(1, 26)]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(run, range(1, 9))) == [[0] * 25] * 8
    rig.until_closed(8)
    assert len(rig.stored()) == 200
    assert [arrival["images"] for arrival in rig.spool.arrivals.list()] == [25] * 8
    assert rig.reception.committer.commits < 200, "no two images ever shared a commit"
    assert rig.actor.figures()["stored"] == 200 and rig.healthy()


def test_the_same_image_again_is_acknowledged_and_kept_once(rig: Rig, tmp_path: Path) -> None:
    with rig.associate() as association:
        assert [send(association, TestImage(), tmp_path) for _ in range(3)] == [0, 0, 0]
    rig.until_closed()
    figures = rig.spool.accounting.figures()
    assert (figures.received, figures.duplicates) == (1, 2)
    assert len(list(rig.spool.places.images.rglob("*.dcm"))) == 1 and rig.healthy()


def test_the_same_uid_with_other_content_keeps_both_and_marks_the_older(rig: Rig, tmp_path: Path) -> None:
    with rig.associate() as association:
        for content in (b"first.", b"second"):
            assert send(association, TestImage(content=content), tmp_path) == 0
    rig.until_closed()
    assert [len(versions) for versions in rig.stored().values()] == [2]
    assert len(rig.events("image.superseded")) == 1 and rig.healthy()


def test_a_malformed_data_set_is_quarantined_and_its_association_goes_on(rig: Rig) -> None:
    # known-failures 24
    broken = b"\x08\x00\x16\x00UI\xff\x7fnonsense"
    with RawSender(rig.port) as sender:
        assert sender.store(b"1.2.3.1", dataset(sop=b"1.2.3.1")) == 0
        assert sender.store(b"1.2.3.2", broken) == 0
        assert sender.store(b"1.2.3.3", dataset(sop=b"1.2.3.3")) == 0
        sender.release()
    assert rig.until_closed() == ["released"]
    (opened,) = rig.log.of("association_opened")
    agreed = opened["agreed"]()
    assert opened["calling_ae"] == "RAW" and agreed["accepted"] == 1 and agreed["our_max_pdu"] > 0
    answered = [(line["sop_instance"](), line["status"](), line["bytes"]) for line in rig.log.of("store_answered")]
    assert [(uid, status) for uid, status, _ in answered] == [(f"1.2.3.{n}", "0000") for n in (1, 2, 3)]
    assert answered[1][2] == len(broken)
    (event,) = rig.events("image.quarantined")
    kept = rig.spool.places.quarantine / event["receipt"]
    assert kept.read_bytes().endswith(broken) and event["bytes"] == len(broken)
    figures = rig.spool.accounting.figures()
    assert figures.received == 3 and figures.images["quarantined"] == 1 and rig.healthy()


EVIL = [
    b"../../evil",
    b"",
    b"1.2\x00.3",
    b"1." + b"2" * 64,
    b"1.2/3",
    b"/etc/passwd",
    b"error",
    b"1.2.*",
    b"\xff\xfe1.2",
]


@pytest.mark.parametrize("uid", EVIL, ids=lambda uid: uid.decode("latin-1")[:12].replace("\x00", "NUL") or "empty")
def test_no_uid_gets_out_of_the_spool_or_loses_an_image(rig: Rig, uid: bytes) -> None:
    # known-failures 36, 37
    before = {path for path in rig.home.parent.rglob("*") if rig.home not in path.parents}
    odd = [
        (b"1.2.3.4", dataset(study=uid)),
        (b"1.2.3.4", dataset(series=uid)),
        (b"1.2.3.4", dataset(sop=uid)),
        (uid, dataset(sop=uid)),
        (uid, dataset()),
    ]
    with RawSender(rig.port) as sender:
        assert [sender.store(*one) for one in odd] == [0] * 5
        assert sender.store(b"1.2.3.9", dataset(sop=b"1.2.3.9")) == 0
        sender.release()
    rig.until_closed()
    figures = rig.spool.accounting.figures()
    assert (figures.received, figures.images["quarantined"]) == (6, 5)
    assert {path for path in rig.home.parent.rglob("*") if rig.home not in path.parents} == before
    assert len(list(rig.spool.places.images.rglob("*.dcm"))) == 1 and rig.healthy()


@pytest.mark.parametrize("missing", ["study", "series", "sop"])
def test_a_missing_uid_never_mixes_series(rig: Rig, missing: str) -> None:
    with RawSender(rig.port) as sender:
        assert sender.store(b"1.2.3.4", dataset(**{missing: None})) == 0
        sender.release()
    (event,) = rig.events("image.quarantined")
    assert event["reason"] == f"the {missing.replace('sop', 'SOP')} instance UID is missing"
    assert rig.spool.arrivals.open_ones() == []


@pytest.mark.parametrize(
    ("uid", "why"),
    [
        ("1.2." + "3" * 61, "longer than 64 characters"),
        ("1.2.x", "it is not of digits and single dots"),
        ("1.2..3", "it is not of digits and single dots"),
    ],
)
def test_what_is_wrong_with_a_uid_is_told(rig: Rig, uid: str, why: str) -> None:
    with RawSender(rig.port) as sender:
        assert sender.store(uid.encode(), dataset(sop=uid.encode())) == 0
        sender.release()
    (event,) = rig.events("image.quarantined")
    assert event["reason"] == f"the SOP instance UID is invalid: {why}"


def test_a_command_without_an_instance_uid_is_quarantined_with_just_that_reason(rig: Rig) -> None:
    with RawSender(rig.port) as sender:
        assert sender.store(b"", dataset()) == 0
        sender.release()
    (event,) = rig.events("image.quarantined")
    assert event["reason"] == "the C-STORE command names no SOP instance UID"


def test_a_command_that_names_another_image_than_its_data_set_is_quarantined(rig: Rig) -> None:
    with RawSender(rig.port) as sender:
        assert sender.store(b"1.2.3.5", dataset(sop=b"1.2.3.4")) == 0
        sender.release()
    assert "not the one of the C-STORE command" in rig.events("image.quarantined")[0]["reason"]


def test_what_cannot_be_read_or_placed_is_refused_if_the_settings_say_so(tmp_path: Path) -> None:
    with receiver(tmp_path / "home", receiver__unreadable="refuse") as rig, RawSender(rig.port) as sender:
        assert sender.store(b"1.2.3.1", b"\x08\x00\x16\x00UI\xff\x7fnonsense") == 0xC000
        assert sender.store(b"../../evil", dataset(sop=b"../../evil")) == 0xA900
        assert sender.store(b"1.2.3.4", dataset()) == 0
        sender.release()
        rig.until_closed()
        figures = rig.spool.accounting.figures()
        assert (figures.received, figures.refused, figures.images["quarantined"]) == (1, 2, 0)
        first, second = rig.events("image.rejected")
        assert (first["sop_uid"], first["status"], second["sop_uid"]) == ("1.2.3.1", 0xC000, "")


def test_an_association_that_dies_in_the_middle_keeps_what_was_acknowledged(rig: Rig) -> None:
    # known-failures 10, 13
    with RawSender(rig.port) as sender:
        assert sender.store(b"1.2.3.1", dataset(sop=b"1.2.3.1")) == 0
        assert sender.store(b"1.2.3.2", dataset(sop=b"1.2.3.2")) == 0
        sender.sock.sendall(sender.begin(b"1.2.3.3", dataset(sop=b"1.2.3.3"))[:-9])
    assert rig.until_closed() == ["aborted"]
    assert set(rig.stored()) == {"1.2.3.1", "1.2.3.2"}
    (arrival,) = rig.spool.arrivals.open_ones()
    assert (arrival.images, arrival.associations_open, arrival.associations_aborted) == (2, 0, 1)


def test_the_router_is_told_of_images_and_of_the_end_of_their_association(rig: Rig, tmp_path: Path) -> None:
    with rig.associate() as association:
        assert send(association, TestImage(), tmp_path) == 0
        rig.until(lambda: rig.wire.arrivals)
        (arrival,) = rig.spool.arrivals.open_ones()
        assert rig.wire.arrivals == [(arrival.id, {})] and arrival.associations_open == 1
    rig.until(lambda: len(rig.wire.arrivals) == 2)
    number, told = rig.wire.arrivals[1]
    assert number == arrival.id and told["how"] == "released"
    assert rig.spool.arrivals.open_ones()[0].associations_open == 0, "the end was recorded before it was told"


def test_no_patient_data_in_logs_and_events(rig: Rig, tmp_path: Path) -> None:
    with rig.associate() as association:
        send(association, TestImage(), tmp_path)
    with RawSender(rig.port) as sender:
        sender.store(b"Smith^John", TestImage().dataset())
        sender.store(b"1.2", TestImage().dataset()[:-30])
        sender.release()
    rig.until_closed(2)
    recorded = " ".join(f"{rig.events(kind)}" for kind in ("image.received", "image.quarantined", "arrival.opened"))
    for text in (repr(rig.log.lines), recorded):
        assert "Test^Image" not in text and "Smith" not in text and "'T1'" not in text
