"""An image that is adopted after a death is treated as the living receiver would have treated it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from protocol.errors import DiskFailed, SpoolError
from protocol.fsops import RealNewFile
from protocol.header.scan import Header
from protocol.spool import Spool, open_spool
from protocol.spool.days import DAY_S
from protocol.spool.images import Incoming, Origin
from protocol.spool.intake import Intake, Writer
from protocol.spool.places import series_key
from protocol.testing.images import TestImage
from protocol.testing.spoolworld import SpoolWorld


@pytest.mark.parametrize(
    ("charsets", "name"), [({"mr1": "ISO_IR 100"}, "Tést^Image"), ({"x": "ISO_IR 100"}, "T\ufffdst^Image")]
)
def test_the_character_set_of_its_source_counts_for_an_adopted_image(tmp_path, charsets, name) -> None:
    spool = open_spool(tmp_path, create=True)
    try:
        worker = spool.workers.enter("receiver", "0")
        spool.images.association_opened(b"a" * 16, worker.owner, "MR1", "SCANPOST", "10.0.0.1", "mr1")
        image = TestImage()
        data = image.dataset().replace(b"Test^Image", "Tést^Image".encode("latin_1"))
        header = Header({"StudyInstanceUID": image.study_uid, "SeriesInstanceUID": image.series_uid,
                         "SOPInstanceUID": image.sop_uid})  # fmt: skip
        spool.images.save(
            Incoming(b"a" * 16, "MR1", "SCANPOST", "10.0.0.1", "mr1", image.sop_class_uid, image.sop_uid,
                     image.transfer_syntax_uid, data, header)
        )  # fmt: skip
        worker._lock.release()  # it died between the file and its row
        assert spool.adoption.adopt(charsets=charsets)["adopted"] == 1
        (arrival,) = spool.arrivals.list()
        assert arrival["source"] == "mr1"
        assert spool.arrivals.subject(arrival["id"]).images[0]["PatientName"] == name
    finally:
        spool.close()


@pytest.mark.parametrize("ahead_s", [0.0, 365 * DAY_S], ids=["right before", "ahead before"])
@pytest.mark.parametrize("again", [True, False], ids=["at its start", "while it runs"])
def test_an_image_that_came_while_the_clock_was_wrong_is_found_when_it_is_right(tmp_path, again, ahead_s) -> None:
    world = SpoolWorld(tmp_path, 1, durability="early")
    try:
        world.route_to = ("pacs",)
        world.clock.jump_wall(ahead_s)
        world.receive(TestImage(instance=1), TestImage(instance=2))
        world.close_arrivals()
        world.decide()
        association = None if again else world.connect()
        if again:
            world.kill()
        world.clock.jump_wall(-ahead_s - 5 * DAY_S)
        if again:
            world.restart()
            world.recover()
        world.send(association or world.connect(), TestImage(instance=3))  # acknowledged; its row is still to come
        world.kill()
        world.clock.jump_wall(5 * DAY_S + 60)
        world.restart()
        world.recover()
        assert sum(row["images"] for row in world.spool.arrivals.list(limit=10)) == 3
        assert world.spool.accounting.balance(files=True) == []
    finally:
        world.close()


# ---- what the file says of itself ------------------------------------------------------------------------------------
@pytest.fixture
def spool(tmp_path) -> Iterator[Spool]:
    opened = open_spool(tmp_path, create=True)
    yield opened
    opened.close()


def writer_of(spool: Spool, source: str = "mr1") -> Writer:
    """The writer of an association whose receiver is dead."""
    worker = spool.workers.enter("receiver", "0")
    spool.images.association_opened(b"a" * 16, worker.owner, "MR1", "SCANPOST", "10.0.0.1", source)
    worker._lock.release()
    return spool.images.writer(Origin(b"a" * 16, "MR1", "SCANPOST", "10.0.0.1", source))


def begin(writer: Writer, image: TestImage, cut: int) -> Intake:
    """All bytes of an image, in one piece or two, and not finished."""
    data = memoryview(image.dataset())
    intake = writer.begin(image.sop_class_uid, image.sop_uid, image.transfer_syntax_uid)
    key = series_key(image.study_uid, image.series_uid, "MR1")
    if cut:
        intake.write(key, [data[:cut]], False)
    intake.write(key, [data[cut:]], True)
    return intake


def test_what_was_finished_is_adopted_and_what_nobody_had_judged_yet_is_not(spool) -> None:
    writer, whole = writer_of(spool), TestImage(instance=3)
    begin(writer, TestImage(instance=1), 50).finish(sync=True)
    begin(writer, TestImage(instance=2), 50)
    key = series_key(whole.study_uid, whole.series_uid, "MR1")
    named = whole.sop_class_uid, whole.sop_uid, whole.transfer_syntax_uid
    writer.put(key, *named, [memoryview(whole.dataset())], sync=True)
    found = spool.adoption.adopt()
    assert (found["adopted"], found["quarantined"]) == (2, 1)
    assert [(one["sop_uid"], one["reason"]) for one in spool.quarantine.list()] == [
        (TestImage(instance=2).sop_uid, "writing was interrupted before it was acknowledged")
    ]


def test_files_made_ahead_go_once_no_receiver_lives(spool) -> None:
    writer, folder = writer_of(spool), ""
    for number in range(1, 6):
        folder = begin(writer, TestImage(instance=number), 0).finish(sync=True).rpartition("/")[0]
        writer.prepare()
    there = lambda: [path.stat().st_size for path in (spool.places.images / folder).iterdir()]  # noqa: E731
    assert there().count(0) > 1 and len(there()) > 6
    living = spool.workers.enter("receiver", "1")
    assert spool.adoption.adopt()["adopted"] == 5 and 0 in there(), "a living one may be about to fill them"
    living.leave()
    spool.adoption.adopt()
    assert len(there()) == 5 and 0 not in there()


@pytest.mark.parametrize("sync", [True, False])
def test_an_image_whose_file_lost_its_name_is_not_acknowledged(spool, sync) -> None:
    writer = writer_of(spool)
    for number in (1, 2):
        begin(writer, TestImage(instance=number), 0).finish(sync=sync)
        writer.prepare()
    for path in spool.places.images.rglob("*.dcm"):
        if not path.stat().st_size:
            path.unlink()
    intake = begin(writer, TestImage(instance=3), 0)
    with pytest.raises(SpoolError, match="was removed"):
        intake.finish(sync=sync)
    intake.abandon()


@pytest.mark.parametrize(("resend", "outcome"), [((), "duplicate"), (("mr1",), "adopted")])
def test_a_repetition_whose_row_was_still_to_come_counts_as_its_source_says(spool, resend, outcome) -> None:
    writer = writer_of(spool)
    begin(writer, TestImage(), 0).finish(sync=True)
    assert spool.adoption.adopt()["adopted"] == 1
    begin(writer, TestImage(), 0).finish(sync=True)
    assert spool.adoption.adopt(resend=resend)[outcome] == 1


def test_a_sync_that_failed_leaves_nothing_that_could_be_taken_for_whole(spool, monkeypatch) -> None:
    def fail(self: RealNewFile) -> None:
        raise DiskFailed("sync file: Input/output error")

    intake = begin(writer_of(spool), TestImage(), 0)
    monkeypatch.setattr(RealNewFile, "sync", fail)
    with pytest.raises(DiskFailed):
        intake.finish(sync=True)
    monkeypatch.undo()
    assert spool.adoption.adopt()["quarantined"] == 1


def test_of_versions_that_came_before_a_death_the_last_one_stands(spool) -> None:
    """Also one whose file was made ahead, and so is named before those that came before it."""
    early, late = writer_of(spool), spool.images.writer(Origin(b"a" * 16, "MR1", "SCANPOST", "10.0.0.1", "mr1"))
    for number in (3, 4):
        begin(early, TestImage(instance=number), 0).finish(sync=True)
    early.prepare()
    for writer, content in ((late, b"first"), (late, b"corrected"), (early, b"first")):
        begin(writer, TestImage(instance=2, content=content), 0).finish(sync=True)
    assert spool.adoption.adopt()["adopted"] == 5, "the third is no repetition of the first: there is one between"
    (arrival,) = spool.arrivals.list()
    images = [one for one in spool.arrivals.story(arrival["id"])["images"] if one["sop_uid"].endswith(".2")]
    (newest,) = [one["receipt"] for one in images if one["superseded"] is None]
    (file,) = spool.places.images.rglob(f"{newest}.dcm")
    assert len(images) == 3 and newest == min(one["receipt"] for one in images) and b"first" in file.read_bytes()


def test_what_is_no_image_of_ours_is_left_alone(spool) -> None:
    folder = spool.places.images / begin(writer_of(spool), TestImage(), 0).finish(sync=True).rpartition("/")[0]
    for place in (folder, spool.places.quarantine):
        for name in ("notes.txt", "notes"):
            (place / name).write_text("somebody was here")
    found = spool.adoption.adopt()
    assert (found["adopted"], found["quarantined"], found["left_alone"]) == (1, 0, 0)
    assert (folder / "notes.txt").exists() and (spool.places.quarantine / "notes").exists()


def test_what_lies_in_quarantine_without_a_row_gets_one_whatever_lies_beside_it(tmp_path) -> None:
    world = SpoolWorld(tmp_path, 1)
    try:
        association = world.connect()
        world.send(association, *(TestImage(instance=number) for number in range(1, 10)), reason="cannot be read")
        for number in (10, 11, 12):
            world.spool.images.save(world.incoming(association, TestImage(instance=number), "cannot be read"))
        assert world.spool.adoption.adopt()["left_alone"] == 3, "its writer lives"
        world.kill()
        world.restart()
        assert world.spool.adoption.adopt()["quarantined"] == 3
        assert len(world.spool.quarantine.list()) == 12 and world.spool.accounting.balance(files=True) == []
    finally:
        world.close()
