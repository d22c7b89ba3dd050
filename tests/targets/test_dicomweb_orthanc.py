"""STOW-RS to Orthanc's DICOMweb plugin: the very bytes arrive, in every transfer syntax, and its refusals are understood."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from battery import FLAT_BYTES, LARGE_BYTES, dataset_of, large_image, quiet, send_all, spool_image
from pydicom.data import get_testdata_file

from actors.dicom.part10 import read_part10
from actors.targets.interface import Target
from actors.targets.ladder import climb
from actors.targets.registry import make_target
from protocol.errors import AssociationRejected, NetworkError
from protocol.routing.targets import DicomWebTarget
from protocol.spool.images import ImageFile
from tests.orthanc import Orthanc, needs_dicomweb
from tests.peers import dataset_bytes, free_port

pytestmark = [pytest.mark.slow, needs_dicomweb]
# One file for each transfer syntax that pydicom ships and Orthanc takes.
BUNDLED = (
    "CT_small.dcm", "MR_small_implicit.dcm", "MR_small_bigendian.dcm", "image_dfl.dcm", "MR_small_RLE.dcm", "JPEG2000.dcm",
    "MR_small_jpeg_ls_lossless.dcm", "MR_small_jp2klossless.dcm", "JPEG-lossy.dcm", "SC_rgb_jpeg_gdcm.dcm",
)  # fmt: skip


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with Orthanc(tmp_path_factory.mktemp("archive") / "orthanc", "ARCHIVE", dicomweb=True) as made:
        yield made


@pytest.fixture(autouse=True)
def _empty(archive: Orthanc) -> None:
    for study in archive.json("/studies"):
        archive.delete(f"/studies/{study}")


def settings(archive: Orthanc, **more) -> DicomWebTarget:
    return DicomWebTarget(type="dicomweb", url=archive.dicomweb_url, **more)


def target(archive: Orthanc, **more) -> Target:
    made = make_target(settings(archive, **more))
    assert made is not None
    return made


def store(archive: Orthanc, images: list[ImageFile], **more):
    session = target(archive, **more).open(images, quiet)
    answers = send_all(session, images)
    session.close()
    return answers


def stored(archive: Orthanc, tmp_path: Path) -> dict[str, bytes]:
    found = {}
    for uid, data in archive.files().items():
        (tmp_path / "kept.dcm").write_bytes(data)
        found[uid] = dataset_bytes(tmp_path / "kept.dcm")
    return found


def as_in_the_spool(path: Path, number: int) -> ImageFile:
    """A foreign file; the spool keeps only that its data set begins somewhere."""
    found = read_part10(path)
    return ImageFile(
        number.to_bytes(16, "big"), path, found.dataset_offset, found.length or 0, found.sop_class_uid,
        found.sop_instance_uid, found.transfer_syntax_uid,
    )  # fmt: skip


@pytest.mark.parametrize(
    "more", [{}, {"images_per_request": 7}, {"chunked": True}, {"expect_continue": True}], ids=lambda more: str(more)
)
def test_the_very_bytes_arrive(archive, tmp_path, more):
    images = [spool_image(tmp_path, number, os.urandom(1000 * number)) for number in range(1, 16)]
    answers = store(archive, images, **more)
    assert [(answer.ok, answer.status) for answer in answers] == [(True, 0)] * 15
    assert stored(archive, tmp_path) == {image.sop_instance_uid: dataset_of(image) for image in images}


@pytest.mark.parametrize("name", BUNDLED)
def test_every_transfer_syntax_arrives_as_it_is(archive, tmp_path, name):
    image = as_in_the_spool(Path(str(get_testdata_file(name))), 1)
    assert [answer.words for answer in store(archive, [image])] == ["0000 stored"]
    data = dataset_of(image)
    assert stored(archive, tmp_path) == {image.sop_instance_uid: data + b"\0" * (len(data) % 2)}


def test_what_orthanc_cannot_understand_is_refused_and_the_rest_arrives(archive, tmp_path):
    images = [spool_image(tmp_path, number) for number in (1, 2, 3)]
    head = images[1].path.read_bytes()[: images[1].offset]
    images[1].path.write_bytes(head + b"x" * images[1].bytes)
    for more in ({}, {"images_per_request": 3}):
        answers = store(archive, images, **more)
        assert [answer.ok for answer in answers] == [True, False, True] and not answers[1].retryable
    assert set(stored(archive, tmp_path)) == {images[0].sop_instance_uid, images[2].sop_instance_uid}


def test_who_we_are_is_asked_and_checked(tmp_path, monkeypatch):
    monkeypatch.setenv("ARCHIVE_PASSWORD", "richtig")
    monkeypatch.setenv("OTHER_PASSWORD", "falsch")
    image = spool_image(tmp_path)
    with Orthanc(tmp_path / "orthanc", "ARCHIVE", dicomweb=True, users={"scanpost": "richtig"}) as archive:
        right = {"user": "scanpost", "password": "${ARCHIVE_PASSWORD}"}
        assert store(archive, [image], **right)[0].ok
        assert all(step.ok for step in climb(settings(archive, **right)))
        for wrong in ({}, {"user": "scanpost", "password": "${OTHER_PASSWORD}"}):
            with pytest.raises(AssociationRejected, match="401") as caught:
                store(archive, [image], **wrong)
            assert not caught.value.retryable and "falsch" not in str(caught.value)
            assert [(step.name, step.ok) for step in climb(settings(archive, **wrong))][-1] == ("login", False)


def test_the_ladder_reaches_the_top(archive):
    assert [(step.name, step.ok) for step in climb(settings(archive))] == [
        (name, True) for name in ("name", "tcp", "http", "login", "store")
    ]


def test_an_orthanc_without_the_plugin_is_told_as_such(tmp_path):
    with Orthanc(tmp_path / "orthanc", "PLAIN") as plain:
        with pytest.raises(AssociationRejected, match="404") as caught:
            store(plain, [spool_image(tmp_path)])
        assert caught.value.retryable
        assert [(step.name, step.ok) for step in climb(settings(plain))][-1] == ("store", False)


def test_an_archive_that_dies_in_the_middle_gets_the_rest_when_it_is_back(tmp_path):
    port = free_port()
    images = [spool_image(tmp_path, number) for number in range(1, 7)]
    with Orthanc(tmp_path / "orthanc", "ARCHIVE", dicomweb=True, http_port=port) as archive:
        session = target(archive).open(images, quiet)
        assert all(answer.ok for answer in send_all(session, images[:3]))
        archive.stop()
        with pytest.raises(NetworkError) as caught:
            session.send(images[3])
        assert caught.value.retryable
    with Orthanc(tmp_path / "orthanc", "ARCHIVE", dicomweb=True, http_port=port) as archive:
        assert all(answer.ok for answer in store(archive, images[3:]))
        assert len(archive.files()) == 6


def test_a_large_image_arrives_in_flat_memory(archive, tmp_path):
    image = large_image(tmp_path)
    tracemalloc.start()
    try:
        (answer,) = store(archive, [image])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert answer.ok and peak < FLAT_BYTES
    assert archive.json("/statistics")["TotalDiskSizeMB"] >= LARGE_BYTES >> 20
