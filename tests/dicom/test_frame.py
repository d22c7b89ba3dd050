"""Images cut into PDUs: whatever the sizes, the bytes are those of the plain way, and damaged files are never sent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from actors.dicom import dimse, frame
from actors.dicom.frame import Frame, OutgoingImage
from actors.dicom.upper import fragments
from protocol.errors import UnreadableImage

CT, EXPLICIT, DEFLATED = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99"
HEAD = b"head"


def image_of(folder: Path, data: bytes, uid: str = "1.2.3", syntax: str = EXPLICIT, **more) -> OutgoingImage:
    path = folder / "image"
    path.write_bytes(HEAD + data)
    return OutgoingImage(path, len(HEAD), CT, uid, syntax, **more)


def sent(one: Frame, image: OutgoingImage, context_id: int, message_id: int) -> bytes:
    one.load(image)
    out = bytes(one.request(context_id, message_id))
    while one.load_more():
        out += one.data(context_id)
    return out


def plain(image: OutgoingImage, data: bytes, context_id: int, message_id: int, max_send: int) -> bytes:
    """As the PDUs would be put together without any frame."""
    command = dimse.store_request(message_id, image.sop_class_uid, image.sop_instance_uid)
    parts = fragments(context_id, command, True, True, max_send) + fragments(context_id, data, False, True, max_send)
    return b"".join(bytes(part) for part in parts)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    max_send=st.sampled_from([8, 20, 128, 4096]),
    sizes=st.lists(
        st.tuples(st.integers(1, 9000), st.sampled_from([1, 3, 255]), st.sampled_from(["1.2", "1.2.3", "1" * 64])),
        min_size=1, max_size=6,
    ),
)  # fmt: skip
@example(max_send=4096, sizes=[(4090 * 3, 1, "1.2"), (4090, 1, "1.2"), (4091, 3, "1.2"), (4089, 3, "1.2")])
def test_one_frame_sends_image_after_image_like_the_plain_way(tmp_path, monkeypatch, max_send, sizes):
    monkeypatch.setattr(frame, "CHUNK_BYTES", 5000)  # several chunks without large files
    one = Frame(max_send)
    for number, (size, context_id, uid) in enumerate(sizes):
        data = os.urandom(size)
        image = image_of(tmp_path, data, uid)
        assert sent(one, image, context_id, number + 1) == plain(image, data, context_id, number + 1, max_send)


def test_a_uid_of_absurd_length_is_sent_as_it_is(tmp_path):
    image = image_of(tmp_path, b"data", "1" * 600)
    assert sent(Frame(131072), image, 1, 7) == plain(image, b"data", 1, 7, 131072)


def test_a_deflated_dataset_of_odd_length_gets_the_nul_that_it_lacks(tmp_path):
    image = image_of(tmp_path, b"odd", syntax=DEFLATED)
    assert sent(Frame(4096), image, 1, 1) == plain(image, b"odd\0", 1, 1, 4096)


@pytest.mark.parametrize(("there", "length"), [(0, None), (0, 10), (9, 10), (5, 0)])
def test_a_file_shorter_than_it_has_to_be_is_never_begun(tmp_path, there, length):
    one, image = Frame(4096), image_of(tmp_path, bytes(there), length=length)
    with pytest.raises(UnreadableImage):
        one.load(image)
    assert one.image is None


def test_a_file_that_is_cut_while_it_is_sent_is_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr(frame, "CHUNK_BYTES", 5000)
    one, image = Frame(4096), image_of(tmp_path, bytes(20_000))
    one.load(image)
    os.truncate(image.path, 6000)
    with pytest.raises(UnreadableImage, match="ends too early"):
        while one.load_more():
            pass


def test_what_is_no_file_is_unreadable_and_hangs_nobody(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", tmp_path, tmp_path / "missing"):
        with pytest.raises(UnreadableImage):
            Frame(4096).load(OutgoingImage(path, 0, CT, "1.2", EXPLICIT, 10))


def test_no_file_stays_open(tmp_path, monkeypatch):
    monkeypatch.setattr(frame, "CHUNK_BYTES", 5000)
    before = len(os.listdir("/proc/self/fd"))
    for end in (Frame.clear, lambda one: one.load(image_of(tmp_path, b"small"))):
        one = Frame(4096)
        one.load(image_of(tmp_path, bytes(20_000)))
        assert len(os.listdir("/proc/self/fd")) == before + 1
        end(one)
        assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("with_class", [True, False])
def test_the_plain_success_is_recognised_and_nothing_else(with_class):
    usual = {dimse.COMMAND_FIELD: dimse.C_STORE_RSP, dimse.ANSWERED_ID: 7, dimse.DATA_SET_TYPE: 0x0101, dimse.STATUS: 0}
    if with_class:
        usual |= {dimse.AFFECTED_CLASS: CT, dimse.AFFECTED_INSTANCE: "1.2.3"}

    def plain_success(**more: int) -> bool:
        changes = {getattr(dimse, name): value for name, value in more.items()}
        data = dimse.encode({**usual, **changes})
        return dimse.is_plain_success(data, 0, len(data), 7)

    assert plain_success()
    for change in ({"ANSWERED_ID": 8}, {"STATUS": 0xB000}, {"COMMAND_FIELD": 1}, {"DATA_SET_TYPE": 1}):
        assert not plain_success(**change)
    whole = dimse.encode(usual)
    assert not any(dimse.is_plain_success(whole, 0, end, 7) for end in range(50 if not with_class else 80))


def test_a_file_is_not_closed_twice_when_an_interrupt_falls_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C comes between any two lines: the number may be another file's by the time everything is put away."""
    closed: list[int] = []

    def close(fd: int) -> None:
        close_it(fd)
        closed.append(fd)
        if len(closed) == 1:
            raise KeyboardInterrupt

    close_it = os.close
    monkeypatch.setattr(frame.os, "close", close)
    one = Frame(16384)
    with pytest.raises(KeyboardInterrupt):
        one.load(image_of(tmp_path, b"ab"))
    one.clear()
    assert len(closed) == 1
