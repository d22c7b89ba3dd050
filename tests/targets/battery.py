"""One battery of tests that every type of target passes, and what a type brings along for it: a `Peer`.

It must not know any type. A new type subclasses `TargetBattery` in a test file of its own and gives it a fixture `peer`.
"""

from __future__ import annotations

import os
import threading
import tracemalloc
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from actors.targets.interface import Answer, Session, Target
from protocol.errors import NetworkError
from protocol.spool.images import ImageFile
from protocol.spool.part10 import FileMeta, encode
from protocol.testing.images import TestImage

PATIENT = "Geheim^Patient"
HOSTILE_VALUES: list[Any] = [
    "../../etc/passwd", "/etc/passwd", "..", "a/b\\c", "nul", "CON", "", " ", "a\0b", "x\r\nHost: evil", "-rf", "~root",
    "*?<>|\":;&$`'!#%{}", "Müller^Jürgen", "山田^太郎", "\u202eevil", "\ud800", "x" * 3000, ["A", "B"], 7, 1.5,
]  # fmt: skip
LARGE_BYTES = 64 << 20
FLAT_BYTES = 16 << 20


class Peer(ABC):
    """The other side of one type: a place that a test can look into, take away and let hang. Made for one test."""

    timeout_s = 20.0
    """Of each wait of the targets made from now on: what is there answers in this time on a machine that is very busy."""
    secrets: Sequence[str] = ()
    """What must never be seen in words: passwords, tokens, keys of the settings that `target` makes."""

    @abstractmethod
    def target(self) -> Target:
        """A target made anew from settings, as for an attempt; with the shortest waits that a busy machine can keep."""

    @abstractmethod
    def arrived(self) -> Mapping[str, bytes]:
        """The data sets that are there, whole, by their SOP instance UID."""

    @abstractmethod
    def go_away(self) -> None:
        """Be gone, also for sessions that are open."""

    @abstractmethod
    def come_back(self) -> None:
        """Be there again, after `go_away`, with what had arrived."""

    @abstractmethod
    def hang(self) -> None:
        """From now on say nothing any more to whatever is asked, without ending a connection."""

    @abstractmethod
    def close(self) -> None:
        """Let go of everything; also what hangs."""

    def large_arrived(self, image: ImageFile) -> bool:
        """Whether the large image is there; for peers that would have to load it for `arrived`."""
        return image.sop_instance_uid in self.arrived()


def spool_image(
    folder: Path, number: int = 1, content: bytes = b"pixels", values: Mapping[str, Any] | None = None
) -> ImageFile:
    """An image as the spool has it, with the header values that layouts use."""
    one = TestImage(instance=number, content=content)
    data = one.dataset()
    receipt = number.to_bytes(16, "big")
    head = encode(
        FileMeta(
            one.sop_class_uid, one.sop_uid, one.transfer_syntax_uid, "CT1", "SCANPOST", "10.9.8.7", receipt, receipt
        )
    )
    path = folder / f"{number}.spooled"
    path.write_bytes(head + data)
    known = {"StudyInstanceUID": one.study_uid, "SeriesInstanceUID": one.series_uid, "PatientID": PATIENT}
    return ImageFile(
        receipt, path, len(head), len(data), one.sop_class_uid, one.sop_uid, one.transfer_syntax_uid, values or known
    )  # fmt: skip


def large_image(folder: Path) -> ImageFile:
    """LARGE_BYTES of pixels, mostly a hole in the file."""
    small = spool_image(folder, 1, bytes(2))
    head = small.path.read_bytes()
    length = small.bytes + LARGE_BYTES
    at = len(head) - 2 - 4  # the length of the pixel data
    with open(small.path, "r+b") as file:
        file.seek(at)
        file.write((2 + LARGE_BYTES).to_bytes(4, "little"))
        file.truncate(len(head) + LARGE_BYTES)
    return ImageFile(
        small.receipt, small.path, small.offset, length, small.sop_class_uid, small.sop_instance_uid,
        small.transfer_syntax_uid, small.values,
    )  # fmt: skip


class CountedPace:
    """A bandwidth cap that lets everything go after a moment."""

    piece = 2000

    def __init__(self) -> None:
        self.booked = self.largest = 0
        self._lock = threading.Lock()

    def take(self, size: int) -> float:
        with self._lock:
            self.booked, self.largest = self.booked + size, max(self.largest, size)
        return 0.0001

    def wait(self, size: int, alive: Callable[[], None]) -> None:
        self.take(size)
        alive()


def dataset_of(image: ImageFile) -> bytes:
    return image.path.read_bytes()[image.offset :]


def quiet() -> None:
    """Nobody listens for signs of life."""


def send_all(session: Session, images: Sequence[ImageFile]) -> list[Answer]:
    return [session.send(one, after) for one, after in zip(images, [*images[1:], None], strict=True)]


class TargetBattery:
    """The promises of actors/targets/interface.py, as tests."""

    @pytest.fixture
    def peer(self, tmp_path: Path) -> Iterator[Peer]:
        """To be given by the type's own test class."""
        raise NotImplementedError

    @pytest.fixture
    def spool(self, tmp_path: Path) -> Path:
        folder = tmp_path / "spool"
        folder.mkdir()
        return folder

    # ---- what works --------------------------------------------------------------------------------------------------
    def test_a_session_is_opened_and_closed_without_an_image(self, peer, spool):
        target = peer.target()
        target.open([spool_image(spool)], quiet).close()
        assert peer.arrived() == {}
        assert target.patience_s > 0 and target.sessions >= 1 and target.reuse_s >= 0

    def test_one_image_arrives_bit_by_bit(self, peer, spool):
        image = spool_image(spool)
        session = peer.target().open([image], quiet)
        answer = session.send(image)
        session.close()
        assert (answer.ok, answer.status, answer.retryable) == (True, 0, False)
        assert peer.arrived() == {image.sop_instance_uid: dataset_of(image)}

    def test_with_a_bandwidth_cap_each_byte_of_an_image_is_waited_for_and_the_waiting_is_no_silence(self, peer, spool):
        images = [spool_image(spool, number, os.urandom(20_000)) for number in (1, 2)]
        target, pace, signs = peer.target(), CountedPace(), []
        target.pace = pace
        session = target.open(images, lambda: signs.append(pace.booked))
        answers = send_all(session, images)
        session.close()
        assert [answer.status for answer in answers] == [0, 0]
        assert peer.arrived() == {image.sop_instance_uid: dataset_of(image) for image in images}
        size = sum(image.bytes for image in images)
        assert size <= pace.booked <= size + 10_000 and pace.largest <= pace.piece
        assert len(signs) >= size // pace.piece and max(signs) == pace.booked

    def test_many_images_arrive_and_each_has_its_answer(self, peer, spool):
        images = [spool_image(spool, number, os.urandom(2 * number)) for number in range(1, 21)]
        session = peer.target().open(images, quiet)
        answers = send_all(session, images)
        session.close()
        assert [(answer.ok, answer.status) for answer in answers] == [(True, 0)] * 20
        assert peer.arrived() == {one.sop_instance_uid: dataset_of(one) for one in images}

    def test_an_answer_comes_only_when_the_image_is_there(self, peer, spool):
        images = [spool_image(spool, number) for number in (1, 2, 3)]
        session = peer.target().open(images, quiet)
        for count, image in enumerate(images, 1):
            assert session.send(image).ok
            assert len(peer.arrived()) == count
        session.close()

    def test_an_image_that_is_there_already_is_a_success_again(self, peer, spool):
        image = spool_image(spool)
        for _ in range(2):
            session = peer.target().open([image], quiet)
            assert session.send(image).ok
            session.close()
        assert peer.arrived() == {image.sop_instance_uid: dataset_of(image)}

    def test_two_sessions_send_at_the_same_time(self, peer, spool):
        images = [spool_image(spool, number) for number in range(1, 13)]
        target = peer.target()
        both = [target.open(images, quiet), target.open(images, quiet)]
        faults: list[BaseException] = []

        def run(session: Session, own: Sequence[ImageFile]) -> None:
            try:
                assert all(session.send(one).ok for one in own)
            except BaseException as exc:
                faults.append(exc)

        threads = [threading.Thread(target=run, args=(both[at], images[at::2])) for at in (0, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for session in both:
            session.close()
        assert not faults and len(peer.arrived()) == 12

    # ---- images of ours that are no good -------------------------------------------------------------------------
    @pytest.mark.parametrize("damage", ["gone", "cut", "empty", "no bytes"])
    def test_a_damaged_spool_file_is_an_answer_and_the_rest_is_sent(self, peer, spool, damage):
        images = [spool_image(spool, number) for number in (1, 2, 3)]
        path = images[1].path
        if damage == "gone":
            path.unlink()
        elif damage == "cut":
            path.write_bytes(path.read_bytes()[:-1])
        elif damage == "empty":
            path.write_bytes(b"")
        else:
            images[1] = ImageFile(
                images[1].receipt, path, images[1].offset, 0, images[1].sop_class_uid, images[1].sop_instance_uid,
                images[1].transfer_syntax_uid, images[1].values,
            )  # fmt: skip
            path.write_bytes(path.read_bytes()[: images[1].offset])
        session = peer.target().open(images, quiet)
        answers = send_all(session, images)
        session.close()
        assert [answer.ok for answer in answers] == [True, False, True]
        assert (
            answers[1].words and not answers[1].retryable and answers[1].status >= 0xA000 or answers[1].status == 0x110
        )
        assert set(peer.arrived()) == {images[0].sop_instance_uid, images[2].sop_instance_uid}
        assert str(spool) not in answers[1].words

    @pytest.mark.slow
    def test_a_large_image_goes_through_in_flat_memory_with_signs_of_life(self, peer, spool):
        image = large_image(spool)
        alive: list[int] = []
        session = peer.target().open([image], lambda: alive.append(1))
        before = len(alive)
        tracemalloc.start()
        try:
            answer = session.send(image)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        session.close()
        assert answer.ok and peer.large_arrived(image)
        assert peak < FLAT_BYTES and len(alive) - before > 5

    @pytest.mark.parametrize("at", range(len(HOSTILE_VALUES)))
    def test_whatever_the_header_says_the_image_arrives_and_stays_apart_from_others(self, peer, spool, at):
        value = HOSTILE_VALUES[at]
        values = dict.fromkeys(("PatientID", "PatientName", "StudyInstanceUID", "SeriesInstanceUID"), value)
        images = [spool_image(spool, 1, values=values), spool_image(spool, 2)]
        session = peer.target().open(images, quiet)
        answers = send_all(session, images)
        session.close()
        assert [answer.ok for answer in answers] == [True, True]
        assert peer.arrived() == {one.sop_instance_uid: dataset_of(one) for one in images}

    # ---- a target that is not what it should be ------------------------------------------------------------------
    def test_a_target_that_is_away_is_an_error_that_repeating_can_help(self, peer, spool):
        images = [spool_image(spool)]
        peer.go_away()
        with pytest.raises(NetworkError) as caught:
            peer.target().open(images, quiet)
        assert caught.value.retryable
        peer.come_back()
        session = peer.target().open(images, quiet)
        assert session.send(images[0]).ok
        session.close()

    def test_a_target_that_goes_away_in_the_middle_gets_the_rest_when_it_is_back(self, peer, spool):
        images = [spool_image(spool, number) for number in (1, 2, 3)]
        session = peer.target().open(images, quiet)
        assert session.send(images[0]).ok
        peer.go_away()
        with pytest.raises(NetworkError) as caught:
            session.send(images[1])
        assert caught.value.retryable and not session.again(images, quiet)
        session.abort()
        peer.come_back()
        session = peer.target().open(images[1:], quiet)
        assert [answer.ok for answer in send_all(session, images[1:])] == [True, True]
        session.close()
        assert peer.arrived() == {one.sop_instance_uid: dataset_of(one) for one in images}

    @pytest.mark.slow
    def test_a_target_that_hangs_is_given_up_and_its_session_never_used_again(self, peer, spool):
        images = [spool_image(spool, number) for number in (1, 2)]
        peer.timeout_s = 3.0
        session = peer.target().open(images, quiet)
        assert session.send(images[0]).ok
        peer.hang()
        with pytest.raises(NetworkError) as caught:
            session.send(images[1])
        assert caught.value.retryable and not session.again(images, quiet)
        session.close()
        session.abort()

    # ---- sessions ------------------------------------------------------------------------------------------------
    def test_a_session_serves_the_next_delivery_or_says_that_it_does_not(self, peer, spool):
        first, second = [spool_image(spool, 1)], [spool_image(spool, 2)]
        target = peer.target()
        session = target.open(first, quiet)
        assert session.send(first[0]).ok
        if not session.again(second, quiet):
            session.close()
            session = target.open(second, quiet)
        assert session.send(second[0]).ok
        session.close()
        assert not session.again(first, quiet), "a closed session takes nothing"
        assert len(peer.arrived()) == 2

    @pytest.mark.parametrize("first", ["close", "abort"])
    def test_to_end_a_session_never_raises_whatever_happened_before(self, peer, spool, first):
        image = spool_image(spool)
        sessions = [peer.target().open([image], quiet) for _ in range(2)]
        assert sessions[0].send(image).ok
        peer.go_away()
        for session in sessions:
            getattr(session, first)()
            session.close()
            session.abort()

    # ---- what is said --------------------------------------------------------------------------------------------
    def test_no_secret_no_patient_and_no_path_of_the_spool_is_in_any_words(self, peer, spool):
        images = [spool_image(spool, number) for number in (1, 2, 3)]
        images[1].path.unlink()
        session = peer.target().open(images, quiet)
        said = [answer.words for answer in send_all(session, images[:2])]
        peer.go_away()
        for act in (lambda: session.send(images[2]), lambda: peer.target().open(images, quiet)):
            with pytest.raises(NetworkError) as caught:
                act()
            said.append(str(caught.value))
        session.abort()
        for word in (*peer.secrets, PATIENT, "Geheim", str(spool), "10.9.8.7"):
            assert word not in " ".join(said), word
