"""Uploads: files, folders and ZIPs become series like any other; what is no image, too much or hostile is told and left out."""

import io
import os
import struct
import zipfile

import pytest
from aiohttp import FormData
from webgui_fakes import HOME, PAGE

from protocol.spool.part10 import fresh
from protocol.testing.images import TestImage
from webgui.areas.upload import archives, taking


def part10(image):
    return fresh(image.sop_class_uid, image.sop_uid, image.transfer_syntax_uid) + image.dataset()


def zipped(files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


async def upload(client, files, path="/api/v1/upload", status=200):
    form = FormData(quote_fields=False)
    form.add_field("note", "no file", content_type="text/plain")
    for name, data in files.items():
        form.add_field("files", data, filename=name, content_type="application/octet-stream")
    answer = await client.post(path, data=form, headers=HOME | ({} if path.startswith("/api") else PAGE))
    assert answer.status == status, await answer.text()
    return await answer.json() if path.startswith("/api") else await answer.text()


def outcomes(told):
    return {one["name"]: (one["outcome"], one["reason"]) for one in told["files"]}


async def test_files_become_a_series_of_the_sender_upload_and_are_routed(real, real_admin):
    told = await upload(real_admin, {"a.dcm": part10(TestImage()), "folder/b": part10(TestImage(instance=2))})
    assert told["counts"] == {"stored": 2}
    real.route()
    (arrival,) = real.spool.arrivals.list()
    assert told["series"] == [arrival["id"]]
    assert (arrival["calling_ae"], arrival["images"], arrival["state"], arrival["why"]) == (
        "UPLOAD",
        2,
        "in_delivery",
        "released",
    )
    assert [row["target"] for row in real.spool.deliveries.of_arrival(arrival["id"])] == ["pacs"]
    assert real.spool.accounting.balance(files=True) == []


async def test_the_bytes_of_the_data_set_are_stored_as_they_came(real, real_admin):
    await upload(real_admin, {"a.dcm": part10(TestImage(content=os.urandom(3_000_001)))})
    (row,) = real.spool.browsing.images(real.spool.arrivals.list()[0]["id"])
    stored = real.spool.images.open(bytes.fromhex(row["receipt"]))
    assert stored.path.stat().st_size - stored.offset == stored.bytes > 3_000_000


async def test_the_same_file_twice_is_a_duplicate(real_admin):
    await upload(real_admin, {"a.dcm": part10(TestImage())})
    assert (await upload(real_admin, {"a.dcm": part10(TestImage())}))["counts"] == {"duplicate": 1}


async def test_a_zip_is_unpacked_and_its_paths_are_names_only(real, real_admin, tmp_path):
    data = zipped(
        {
            "../../../../evil.dcm": part10(TestImage()),
            "/etc/passwd": part10(TestImage(instance=2)),
            "readme.txt": b"hello",
        }
    )
    told = await upload(real_admin, {"cd.zip": data})
    assert told["counts"] == {"stored": 2, "skipped": 1}
    assert outcomes(told)["cd.zip/readme.txt"] == ("skipped", "no DICOM file")
    assert not list(tmp_path.rglob("evil.dcm")) and not list((real.settings.home / "uploads").iterdir())


async def test_what_is_no_image_is_left_out_with_the_reason(real, real_admin):
    image = TestImage()
    nested = zipped({"z": zipped({"a": b"b"})})
    files = {"text": b"hello", "bare": image.dataset(), "empty": b"", "cut": part10(image)[:200], "inner.zip": nested}
    told = await upload(real_admin, {**files, "broken.zip": b"PK\3\4" + b"x" * 300})
    found = outcomes(told)
    assert told["counts"] == {"skipped": 6}
    assert "without file meta" in found["bare"][1] and "inside an archive" in found["inner.zip/z"][1]
    assert "cannot be read" in found["broken.zip/file"][1]
    assert real.spool.arrivals.list() == []


async def test_what_cannot_be_placed_goes_to_quarantine_like_from_a_scanner(real, real_admin):
    image = TestImage()
    wrong = fresh(image.sop_class_uid, "1.2.3.4", image.transfer_syntax_uid) + image.dataset()
    told = await upload(real_admin, {"wrong.dcm": wrong, "good.dcm": part10(image)})
    assert told["counts"] == {"quarantined": 1, "stored": 1}
    assert len(real.spool.quarantine.list()) == 1 and real.spool.accounting.balance(files=True) == []


async def test_a_bomb_is_stopped_by_what_it_unpacks_to(real, real_admin, monkeypatch):
    monkeypatch.setattr(archives, "RATIO_FROM", 1 << 20)
    told = await upload(real_admin, {"bomb.zip": zipped({"zeros": bytes(20 << 20), "a.dcm": part10(TestImage())})})
    assert outcomes(told)["bomb.zip/zeros"] == ("skipped", "it unpacks to far too much")
    assert told["counts"] == {"skipped": 1, "stored": 1}


async def test_a_zip_that_lies_about_sizes_cannot_fill_the_disk(real_admin, monkeypatch):
    data = bytearray(zipped({"zeros": bytes(4 << 20)}))
    for at in (22, data.index(b"PK\1\2") + 24):  # local and central header: uncompressed size
        data[at : at + 4] = struct.pack("<L", 10)
    monkeypatch.setattr(taking, "MOST_BYTES", 1 << 20)
    answer = await upload(real_admin, {"liar.zip": bytes(data)}, status=200)
    assert answer["counts"] == {"skipped": 1} and "damaged" in outcomes(answer)["liar.zip/zeros"][1]


@pytest.mark.parametrize(("name", "limit", "files"), [
    ("MOST_BYTES", 100_000, {"a": bytes(200_000)}),
    ("MOST_BYTES", 100_000, {"a.zip": zipped({"a": bytes(200_000)})}),
    ("MOST_FILES", 2, {"a.zip": zipped(dict.fromkeys("abc", b"x"))}),
])  # fmt: skip
async def test_one_upload_has_limits(real, real_admin, monkeypatch, name, limit, files):
    monkeypatch.setattr(taking, name, limit)
    told = await upload(real_admin, {"good.dcm": part10(TestImage()), **files}, status=422)
    assert "one upload may have" in told["error"]
    assert real.spool.arrivals.list()[0]["images"] == 1
    assert not list((real.settings.home / "uploads").iterdir())


async def test_nothing_chosen_is_told(real_admin):
    assert "choose" in (await upload(real_admin, {}, status=422))["error"]
    assert (await real_admin.post("/api/v1/upload", json={}, headers=HOME)).status == 422


async def test_a_node_that_is_drained_or_short_of_disk_takes_nothing(real, real_admin, monkeypatch):
    monkeypatch.setattr("webgui.areas.upload.placing.Placing.check_room", _full)
    assert "reserve" in (await upload(real_admin, {"a": part10(TestImage())}, status=409))["error"]
    monkeypatch.undo()
    real.answering()
    real.spool.commands.ask("node.drain", "ann", {"reason": "maintenance"})
    while real.spool.draining.state() is None:
        real.stop.wait(0.01)
    assert "drained" in (await upload(real_admin, {"a": part10(TestImage())}, status=409))["error"]


def _full(self, more):
    from protocol.errors import StepRefused

    raise StepRefused("the disk of this node is at its reserve")


async def test_an_upload_stands_in_the_audit_without_names_of_files(real_admin, accounts):
    await upload(real_admin, {"DOE_JOHN.dcm": part10(TestImage())})
    entry = accounts.audit_trail(1)[0]
    assert (entry.who, entry.action, entry.after["counts"]) == ("ann", "upload", {"stored": 1})
    assert "DOE" not in str(entry)


async def test_the_plain_form_shows_the_report_and_names_stay_text(real_admin):
    text = await upload(real_admin, {"<script>x": b"no image", "a.dcm": part10(TestImage())}, path="/upload")
    assert "1 stored" in text and "1 left out" in text and "<script>x" not in text and "&lt;script&gt;x" in text


async def test_who_may_only_look_cannot_upload(real, real_viewer):
    assert (await real_viewer.get("/upload", headers=PAGE)).status == 403
    await upload(real_viewer, {"a": part10(TestImage())}, status=403)
    assert real.spool.arrivals.list() == []


async def test_a_process_that_dies_in_an_upload_leaves_an_aborted_association(real, real_admin, monkeypatch):
    from webgui.areas.upload.placing import Placing

    monkeypatch.setattr(Placing, "close", lambda self, whole: self._worker._lock.release())
    await upload(real_admin, {"a.dcm": part10(TestImage())})
    (dead,) = real.spool.workers.dead("receiver")
    assert real.spool.images.abort_dead(dead) == 1
    real.route()
    assert real.spool.arrivals.list()[0]["why"] in ("aborted", "idle")
