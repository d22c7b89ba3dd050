"""What leaves the spool as a file: a fresh file meta, the bytes of the data set, and nothing of ours."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import pydicom
import pytest

from actors.targets.part10 import CHUNK_BYTES, Part10File
from protocol.errors import UnreadableImage
from protocol.spool.images import ImageFile
from protocol.spool.part10 import FileMeta, encode
from protocol.testing.images import TestImage
from protocol.version import IMPLEMENTATION_CLASS_UID

DEFLATED = "1.2.840.10008.1.2.1.99"


def stored(folder: Path, data: bytes, syntax: str = TestImage().transfer_syntax_uid) -> ImageFile:
    """A file as the spool has it, with sender, address and receipt in its own file meta."""
    one = TestImage()
    meta = FileMeta(one.sop_class_uid, one.sop_uid, syntax, "SECRETCALLER", "CALLED", "10.1.2.3", b"r" * 16, b"a" * 16)
    head = encode(meta)
    path = folder / "image.dcm"
    path.write_bytes(head + data)
    return ImageFile(b"r" * 16, path, len(head), len(data), one.sop_class_uid, one.sop_uid, syntax)


def whole(image: ImageFile, **more: str) -> bytes:
    with Part10File(image, **more) as file:
        data = b"".join(file)
        assert len(data) == file.size
        return data


def test_another_program_reads_the_file_and_finds_our_name_and_no_private_element(tmp_path):
    data = whole(stored(tmp_path, TestImage().dataset()))
    (tmp_path / "out.dcm").write_bytes(data)
    found = pydicom.dcmread(tmp_path / "out.dcm")
    assert found.SOPInstanceUID == TestImage().sop_uid == found.file_meta.MediaStorageSOPInstanceUID
    assert found.file_meta.ImplementationClassUID == IMPLEMENTATION_CLASS_UID
    assert [element.tag.element for element in found.file_meta] == [0x0, 0x1, 0x2, 0x3, 0x10, 0x12, 0x13]
    assert not any(word in data for word in (b"SECRETCALLER", b"10.1.2.3", b"r" * 16, b"a" * 16))


def test_the_sending_ae_title_stands_in_it_where_the_target_has_one(tmp_path):
    (tmp_path / "out.dcm").write_bytes(whole(stored(tmp_path, TestImage().dataset()), source_ae="ROUTER"))
    assert pydicom.dcmread(tmp_path / "out.dcm").file_meta.SourceApplicationEntityTitle == "ROUTER"


@pytest.mark.parametrize("size", [2, CHUNK_BYTES - 1, CHUNK_BYTES, 3 * CHUNK_BYTES + 6])
def test_the_data_set_comes_bit_by_bit(tmp_path, size):
    data = os.urandom(size)
    image = stored(tmp_path, data)
    assert whole(image).endswith(data) and len(whole(image)) < len(data) + 600


def test_it_can_be_read_like_a_file_in_pieces_of_any_size(tmp_path):
    image = stored(tmp_path, os.urandom(5001))
    with Part10File(image) as file:
        pieces = list(iter(lambda: file.read(7), b""))
        assert file.read() == b""
    assert b"".join(pieces) == whole(image) and max(map(len, pieces)) == 7


def test_a_deflated_data_set_of_odd_length_gets_its_padding(tmp_path):
    assert whole(stored(tmp_path, b"odd", DEFLATED)).endswith(b"odd\0")
    assert whole(stored(tmp_path, b"odd")).endswith(b"odd")


@pytest.mark.parametrize("damage", ["gone", "cut", "empty", "folder", "fifo"])
def test_a_damaged_file_is_told_before_the_first_byte_and_without_its_path(tmp_path, damage):
    image = stored(tmp_path, b"data")
    if damage == "cut":
        image.path.write_bytes(image.path.read_bytes()[:-1])
    elif damage == "empty":
        image = ImageFile(b"", image.path, image.offset, 0, "1", "2", "3")
    else:
        image.path.unlink()
        if damage == "folder":
            image.path.mkdir()
        elif damage == "fifo":
            os.mkfifo(image.path)
    with pytest.raises(UnreadableImage) as caught, Part10File(image):
        pass
    assert str(tmp_path) not in str(caught.value)


def test_a_file_that_is_cut_while_it_is_read_is_an_error_and_no_short_file(tmp_path):
    image = stored(tmp_path, bytes(3 * CHUNK_BYTES))
    with Part10File(image) as file:
        file.read()
        os.truncate(image.path, image.offset + CHUNK_BYTES)
        with pytest.raises(UnreadableImage):
            list(file)


def test_a_large_image_is_never_in_memory_as_a_whole(tmp_path):
    image = stored(tmp_path, b"")
    with open(image.path, "r+b") as file:
        file.truncate(image.offset + (64 << 20))
    image = ImageFile(b"", image.path, image.offset, 64 << 20, "1", "2", "3")
    tracemalloc.start()
    with Part10File(image) as part10:
        assert sum(map(len, part10)) == part10.size
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * CHUNK_BYTES
