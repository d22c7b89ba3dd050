"""A target gets what it takes: as stored where it can, changed where it may be, refused image by image where not."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from pynetdicom import AE, AllStoragePresentationContexts, evt

from actors.targets import transcoding
from actors.targets.interface import Answer
from actors.targets.ladder import climb
from actors.targets.registry import make_target
from actors.targets.transcoding import NoRoom, Syntaxes, Transcoder
from protocol.clock import SystemClock
from protocol.errors import UnreadableImage
from protocol.routing import targets as settings
from protocol.routing.extras import lacking
from protocol.routing.syntaxes import EXPLICIT, IMPLICIT, JPEG_LS, NAMES, RLE
from protocol.spool import open_spool
from protocol.spool.images import ImageFile
from tests.dicom.dicom_fakes import RecordingHandler, running_scp
from tests.dispatcher.dispatcher_fakes import (
    FixedRouting,
    SilentLog,
    deliveries,
    make_slot,
    receive,
    route,
    series,
)
from tests.peers import HOST, StoreScp, needs_dcmtk
from tests.targets.test_dicom_target import image
from tests.transcode.transcode_files import BUNDLED, PLAIN, pixels, read, spooled

np = pytest.importorskip("numpy", reason="an extra is missing (pip install .[test])")
pytestmark = pytest.mark.skipif("transcode" in lacking(), reason="an extra is missing (pip install .[test])")
PATIENT = {"connect_timeout_s": 30.0, "acse_timeout_s": 30.0, "dimse_timeout_s": 30.0}


def dicom(port: int, **more) -> settings.DicomTarget:
    return settings.DicomTarget(type="dicom", host=HOST, port=port, called_ae="PACS", **{**PATIENT, **more})


def quiet() -> None:
    """Nobody listens for signs of life."""


def send_all(target, images: Sequence[ImageFile]) -> list[Answer]:
    session = target.open(images, quiet)
    try:
        return [session.send(one, after) for one, after in zip(images, [*images[1:], None], strict=True)]
    finally:
        session.close()


def named(name: str, number: int = 1) -> ImageFile:
    return spooled(next(path for path in (*BUNDLED, *PLAIN) if path.name == name), number)


class Archive:
    """pynetdicom as a storage SCP that takes every class in the syntaxes given; keeps (syntax, dataset bytes) by UID."""

    def __init__(self, *syntaxes: str) -> None:
        self.kept: dict[str, tuple[str, bytes]] = {}
        self.proposed: list[list[str]] = []
        self._ae = AE("PACS")
        self._ae.maximum_pdu_size = 0
        for uid in {one.sop_class_uid for one in map(spooled, (*BUNDLED, *PLAIN)) if one.sop_class_uid}:
            self._ae.add_supported_context(uid, list(syntaxes))

    @contextmanager
    def running(self):
        handlers = [(evt.EVT_C_STORE, self._store), (evt.EVT_REQUESTED, self._requested)]
        self.server = self._ae.start_server((HOST, 0), block=False, evt_handlers=handlers)
        try:
            yield self.server.server_address[1]
        finally:
            self.server.shutdown()

    def _requested(self, event) -> None:
        contexts = event.assoc.requestor.requested_contexts
        self.proposed.append([str(syntax) for one in contexts for syntax in one.transfer_syntax])

    def _store(self, event) -> int:
        dataset = event.request.DataSet.getvalue()
        self.kept[str(event.request.AffectedSOPInstanceUID)] = str(event.context.transfer_syntax), dataset
        return 0


def same_pixels(arrived: Path, sent: ImageFile) -> None:
    before, after = read(sent.path), read(arrived)
    assert after.SOPInstanceUID == before.SOPInstanceUID
    if (
        "PixelData" in before and sent.path.name != "JPGExtended.dcm"
    ):  # pydicom decodes no 12 bits; DCMTK judges it elsewhere
        np.testing.assert_array_equal(pixels(after), pixels(before))


# ---- what a DICOM target chooses -------------------------------------------------------------------------------------


@pytest.mark.slow
@needs_dcmtk
def test_a_node_that_takes_implicit_only_gets_every_image_uncompressed(tmp_path):
    images = [one for one in map(spooled, (*BUNDLED, *PLAIN)) if "cy" not in one.path.name and one.path.name not in
              ("badVR.dcm", "SC_rgb_jpeg_dcmtk.dcm") and read(one.path).get("SOPInstanceUID") == one.sop_instance_uid]  # fmt: skip
    images = list({one.sop_instance_uid: one for one in images}.values())
    with StoreScp(tmp_path / "in", options=["+xi"]) as store:
        answers = send_all(make_target(dicom(store.port, transcode="lossless"), tmp_path), images)
        arrived = {read(path).SOPInstanceUID: path for path in store.received()}
    assert [answer.words for answer in answers if not answer.ok] == []
    assert {answer.syntax for answer in answers if answer.syntax} == {IMPLICIT}
    assert len(arrived) == len(images) > 10
    for one in images:
        assert read(arrived[one.sop_instance_uid]).file_meta.TransferSyntaxUID == IMPLICIT
        same_pixels(arrived[one.sop_instance_uid], one)


@pytest.mark.slow
def test_what_is_stored_goes_first_then_uncompressed_then_lossless():
    image = named("MR_small_jp2klossless.dcm")
    stored = image.transfer_syntax_uid
    everything = [stored, IMPLICIT, RLE, JPEG_LS]
    for expected in (stored, IMPLICIT, JPEG_LS):
        archive = Archive(*everything)
        with archive.running() as port:
            more = {"transfer_syntaxes": [stored, *NAMES.keys() - {"jpeg2000-lossless"}]}
            (answer,) = send_all(make_target(dicom(port, transcode="lossless", **more)), [image])
        assert answer.ok and answer.syntax == ("" if expected == stored else expected)
        assert archive.kept[image.sop_instance_uid][0] == expected
        everything.remove(expected)


@pytest.mark.slow
def test_an_image_that_the_node_takes_as_it_is_stored_goes_out_byte_for_byte():
    archive, image = Archive(EXPLICIT, JPEG_LS), named("MR_small_jpeg_ls_lossless.dcm")
    with archive.running() as port:
        (answer,) = send_all(make_target(dicom(port, transcode="lossless")), [image])
    assert answer.ok and answer.syntax == ""
    assert archive.kept[image.sop_instance_uid] == (JPEG_LS, image.path.read_bytes()[image.offset :])
    assert archive.proposed == [[JPEG_LS, EXPLICIT, IMPLICIT]]


def test_without_leave_nothing_is_changed_and_nothing_else_is_proposed():
    archive, image = Archive(EXPLICIT, IMPLICIT), named("MR_small_jpeg_ls_lossless.dcm")
    with archive.running() as port:
        (answer,) = send_all(make_target(dicom(port)), [image])
    assert (answer.ok, answer.status) == (False, 0x0122) and "in JPEG-LS Lossless Image Compression: " in answer.words
    assert archive.proposed == [[JPEG_LS]] and not archive.kept


@pytest.mark.slow
def test_only_what_is_listed_is_proposed_and_what_is_not_listed_is_refused():
    archive, images = Archive(EXPLICIT, IMPLICIT, JPEG_LS), [named("CT_small.dcm", 1), named("MR_small_RLE.dcm", 2)]
    with archive.running() as port:
        answers = send_all(make_target(dicom(port, transfer_syntaxes=["explicit"])), images)
        assert [answer.ok for answer in answers] == [True, False]
        assert answers[1].words == "not sent, the target's `transfer_syntaxes` do not list RLE Lossless"
        answers = send_all(make_target(dicom(port, transfer_syntaxes=["implicit"])), images)
        assert [answer.status for answer in answers] == [0x0122, 0x0122]
        answers = send_all(make_target(dicom(port, transfer_syntaxes=["jpeg-ls"], transcode="lossless")), images)
        assert [(answer.ok, answer.syntax) for answer in answers] == [(True, JPEG_LS)] * 2
    assert archive.proposed[0] == [EXPLICIT] and set(archive.proposed[2]) == {JPEG_LS}


@pytest.mark.slow
def test_what_cannot_be_changed_is_refused_with_the_reason_and_the_rest_goes(tmp_path):
    good = named("MR_small_RLE.dcm", 1)
    data = bytearray(good.path.read_bytes())
    at = data.index(b"\xe0\x7f\x10\x00") + 12 + 16  # the RLE header behind the offset table
    data[at : at + 64] = b"\xff" * 64
    (tmp_path / "bad.dcm").write_bytes(data)
    bad = spooled(tmp_path / "bad.dcm", 2)
    archive = Archive(EXPLICIT)
    with archive.running() as port:
        answers = send_all(make_target(dicom(port, transcode="lossless")), [good, bad, named("CT_small.dcm", 3)])
    assert [answer.ok for answer in answers] == [True, False, True]
    assert "rle to explicit" in answers[1].words and not answers[1].retryable
    assert len(archive.kept) == 2


@pytest.mark.slow
def test_more_classes_than_an_association_can_propose_go_over_several(tmp_path):
    """Three contexts for each class."""
    classes = [str(one.abstract_syntax) for one in AllStoragePresentationContexts[:60]]
    images = [image(tmp_path, number, sop_class=one) for number, one in enumerate(classes, 1)]
    archive = Archive(IMPLICIT)
    for one in classes:
        archive._ae.add_supported_context(one, [IMPLICIT])
    with archive.running() as port:
        more = {"transfer_syntaxes": ["explicit", "implicit", "deflated"]}
        answers = send_all(make_target(dicom(port, transcode="lossless", **more)), images)
    assert all(answer.ok and answer.syntax == IMPLICIT for answer in answers)
    assert [len(found) for found in archive.proposed] == [126, 54] and len(archive.kept) == 60


@pytest.mark.slow
def test_a_kept_association_serves_the_next_delivery_with_changed_images_too():
    archive, images = Archive(IMPLICIT), [named("MR_small_RLE.dcm", 1), named("MR_small_RLE.dcm", 2)]
    with archive.running() as port:
        session = make_target(dicom(port, transcode="lossless")).open(images[:1], quiet)
        assert session.send(images[0]).ok
        assert session.again(images[1:], quiet)
        assert session.send(images[1]).syntax == IMPLICIT
        session.close()
    assert len(archive.proposed) == 1


@pytest.mark.slow
def test_a_node_that_ends_the_association_while_an_image_is_changed_gets_it_over_another(monkeypatch):
    archive, image = Archive(EXPLICIT), named("MR_small_RLE.dcm")
    change = Transcoder.result

    def slow(self, *arguments):
        changed = change(self, *arguments)
        (association,) = archive.server.active_associations
        association.abort()
        return changed

    monkeypatch.setattr(Transcoder, "result", slow)
    with archive.running() as port:
        (answer,) = send_all(make_target(dicom(port, transcode="lossless")), [image])
    assert answer.ok and len(archive.proposed) == 2 and archive.kept[image.sop_instance_uid][0] == EXPLICIT


def test_a_test_of_the_target_says_which_of_the_listed_ones_it_takes():
    with Archive(IMPLICIT, JPEG_LS).running() as port:
        steps = climb(dicom(port, transfer_syntaxes=["explicit", "jpeg-ls", "implicit"]))
    (text,) = [step.text for step in steps if step.name == "contexts"]
    assert text == "CT image storage accepted in jpeg-ls, implicit; not in explicit"


# ---- targets that cannot be asked ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_folder_gets_files_in_the_transfer_syntax_it_is_set_to_and_a_marker(tmp_path):
    images = [named("MR_small_RLE.dcm", 1), named("CT_small.dcm", 2)]
    images[1] = spooled(images[1].path, 2)
    out = tmp_path / "out"
    target = make_target(
        settings.FolderTarget(
            type="folder", path=str(out), create=True, layout="", done=".done", transfer_syntaxes=["explicit"],
            transcode="lossless",
        ),
        tmp_path,
    )  # fmt: skip
    answers = send_all(target, images)
    assert [(answer.ok, answer.syntax) for answer in answers] == [(True, EXPLICIT), (True, "")]
    for one in images:
        found = read(out / f"{one.sop_instance_uid}.dcm")
        assert found.file_meta.TransferSyntaxUID == EXPLICIT
        np.testing.assert_array_equal(pixels(found), pixels(read(one.path)))
    assert target.finishes
    target.finish(images, quiet)
    assert (out / ".done").exists()


def test_a_folder_that_may_not_get_it_refuses_it(tmp_path):
    target = make_target(
        settings.FolderTarget(type="folder", path=str(tmp_path), layout="", transfer_syntaxes=["explicit"])
    )
    (answer,) = send_all(target, [named("MR_small_RLE.dcm")])
    assert not answer.ok and RLE in answer.words and not list(tmp_path.iterdir())


# ---- the process that does it ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_results_have_no_name_and_nothing_is_left(tmp_path):
    transcoder = Transcoder(tmp_path)
    found = transcoder.result(named("MR_small_RLE.dcm"), (EXPLICIT,), quiet)
    assert found.path.stat().st_size == found.bytes and not list(tmp_path.iterdir())
    transcoder.close()
    assert not found.path.exists()


@pytest.mark.parametrize("kind", ["folder", "dicom"])
@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_damaged_file_of_ours_is_told_as_such_although_it_was_to_be_changed(tmp_path, kind, damage):
    path = tmp_path / "image.dcm"
    path.write_bytes(named("MR_small_RLE.dcm").path.read_bytes())
    image, good = spooled(path), named("MR_small_jpeg_ls_lossless.dcm", 2)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    else:
        path.unlink()
    there = Archive(EXPLICIT)
    with there.running() as port:
        more = {"transfer_syntaxes": ["explicit"], "transcode": "lossless"}
        folder = settings.FolderTarget(type="folder", path=str(tmp_path), **more)
        answers = send_all(make_target(folder if kind == "folder" else dicom(port, **more)), [image, good])
    assert [(one.ok, one.retryable, one.cause) for one in answers] == [
        (False, False, "image_damaged"),
        (True, False, ""),
    ]
    assert answers[0].words.startswith("not sent, the image file ")


@pytest.mark.slow
def test_a_codec_that_crashes_twice_costs_one_image_and_one_that_is_killed_once_none():
    transcoder, image, left = Transcoder(None), named("MR_small_RLE.dcm"), [signal.SIGSEGV, signal.SIGKILL]

    def crash() -> None:
        assert transcoder._process is not None
        if left:
            os.kill(transcoder._process.pid, left.pop())

    with pytest.raises(UnreadableImage, match="crashed"):
        transcoder.result(image, (EXPLICIT,), crash)
    left.append(signal.SIGKILL)
    assert transcoder.result(image, (EXPLICIT,), crash).transfer_syntax_uid == EXPLICIT and not left
    transcoder.close()


@pytest.mark.slow
def test_the_worker_stays_at_a_signal_for_its_group_and_goes_when_its_master_is_gone():
    transcoder, image = Transcoder(None), named("MR_small_RLE.dcm")
    transcoder.result(image, (EXPLICIT,), quiet)
    process = transcoder._process
    assert process is not None and process.stdin is not None
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(process.pid, number)
    assert transcoder.result(image, (EXPLICIT,), quiet).bytes and transcoder._process is process
    process.stdin.close()
    assert process.wait(60) == 0
    transcoder.close()


@pytest.mark.slow
def test_a_codec_that_hangs_is_killed_and_there_are_signs_of_life_meanwhile(monkeypatch):
    monkeypatch.setattr(transcoding, "SILENT_S", 1.0)
    transcoder, image, heard = Transcoder(None), named("MR_small_RLE.dcm"), []

    def stop() -> None:
        heard.append(1)
        assert transcoder._process is not None
        os.kill(transcoder._process.pid, signal.SIGSTOP)

    with pytest.raises(UnreadableImage, match="hung"):
        transcoder.result(image, (EXPLICIT,), stop)
    assert len(heard) >= 2 and transcoder._process is None
    transcoder.close()


@pytest.mark.slow
def test_what_was_begun_ahead_is_not_done_twice_and_what_is_not_asked_for_any_more_is_dropped():
    transcoder = Transcoder(None)
    first, second, third = named("MR_small_RLE.dcm", 1), named("MR_small_jp2klossless.dcm", 2), named("CT_small.dcm", 3)
    done = transcoder.result(first, (EXPLICIT,), quiet)
    transcoder.begin(second, (EXPLICIT,))
    worker = transcoder._process
    data = done.path.read_bytes()  # still there while the next one is written
    ahead = transcoder.result(second, (EXPLICIT,), quiet)
    assert ahead.path != done.path and done.path.read_bytes() == data and transcoder._process is worker
    transcoder.begin(first, (EXPLICIT,))
    assert transcoder.result(third, (IMPLICIT,), quiet).transfer_syntax_uid == IMPLICIT
    transcoder.close()


@pytest.mark.slow
def test_a_full_disk_puts_the_delivery_off_and_refuses_no_image(tmp_path):
    transcoder = Transcoder(tmp_path / "not there")
    with pytest.raises(NoRoom):
        transcoder.result(named("MR_small_RLE.dcm"), (EXPLICIT,), quiet)
    archive = Archive(EXPLICIT)
    with archive.running() as port:
        target = make_target(dicom(port, transcode="lossless"), tmp_path / "not there")
        (answer,) = send_all(target, [named("MR_small_RLE.dcm")])
    assert (answer.ok, answer.retryable) == (False, True) and "no room" in answer.words


@pytest.fixture(scope="module")
def worker():
    """Kept for many images, as in a long delivery."""
    transcoder = Transcoder(None)
    yield transcoder
    transcoder.close()


@pytest.mark.slow
@pytest.mark.parametrize("path", [one for one in BUNDLED if one.stat().st_size < 300_000], ids=lambda path: path.stem)
def test_damaged_pixels_are_refused_or_decoded_and_never_hang(path, tmp_path, worker):
    """Forty wrong bytes anywhere in the compressed frames, also in their headers; ten times over."""
    random = np.random.default_rng(len(path.name))
    data = path.read_bytes()
    start = data.rindex(b"\xe0\x7f\x10\x00") + 12
    refused = 0
    for attempt in range(10):
        broken = bytearray(data)
        last = start + 40 + (len(data) - start - 40) // (1 if attempt % 2 else 20)
        for at in random.integers(start + 8, last, 40):
            broken[at] = random.integers(0, 256)
        (tmp_path / "broken.dcm").write_bytes(broken)
        try:
            found = worker.result(spooled(tmp_path / "broken.dcm"), (EXPLICIT,), quiet)
            assert found.bytes == found.path.stat().st_size
        except UnreadableImage as exc:
            refused += 1
            assert str(exc) and path.stem not in str(exc)
    assert refused
    assert worker.result(spooled(path), (EXPLICIT,), quiet).bytes


def test_syntaxes_that_say_nothing_leave_each_image_as_it_is():
    image = named("MR_small_RLE.dcm")
    assert Syntaxes().ways(image) == (RLE,)
    assert Syntaxes(("implicit",)).ways(image) == ()
    assert Syntaxes(("implicit", RLE), "lossless").ways(image) == (RLE, IMPLICIT)


# ---- what a person sees ----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_delivery_says_how_many_of_its_images_were_transcoded(tmp_path):
    handler, log = RecordingHandler(), SilentLog()
    spool = open_spool(tmp_path / "home", source="/test/0", create=True)
    try:
        with running_scp(handler) as port:
            said = {
                "type": "dicom",
                "host": HOST,
                "port": port,
                "transfer_syntaxes": ["implicit"],
                "transcode": "lossless",
            }
            slot = make_slot(
                spool, FixedRouting({"pacs": said}), SystemClock(), lambda name: None, make=make_target, log=log
            )  # type: ignore[arg-type]
            arrival = receive(spool, series(1, 3))
            route(spool, arrival, "pacs")
            assert slot.run_once()
            slot.close()
        (row,) = deliveries(spool)
        assert (row["state"], row["sent"], row["transcoded"]) == ("delivered", 3, 3)
        assert spool.arrivals.story(arrival)["deliveries"][0]["transcoded"] == 3
        assert {one.transfer_syntax_uid for one in handler.stored} == {IMPLICIT}
        (line,) = [values for action, values in log.lines if action == "images_transcoded"]
        assert (line["images"], line["to"]) == (3, "implicit")
    finally:
        spool.close()
