"""What happens while compiled code takes images alike: a new policy, a full disk, files that go, a peer that does not listen.
The next image meets it as it would without that code.
"""

from __future__ import annotations

import errno
import gc
import os
import resource
import subprocess
import sys
import threading
from array import array
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from receiver_rig import RawSender, Rig, publish, receiver
from test_alike_taken import EARLY, HELPER, SMALL, image

from actors.dicom import fast, pdus
from actors.receiver import admission, alike
from protocol.errors import DiskFailed
from protocol.fsops import RealFs, Room
from protocol.spool.durable import DurableNames

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        HELPER is None, reason="the compiled helper is not there; install gcc, python3-dev and libxxhash"
    ),
]
GB = 10**9


class Watched:
    """A receiver of which a test knows how many images compiled code took, and when it waits for the next."""

    def __init__(self, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rig, self.monkeypatch = rig, monkeypatch
        self.taken, self.waiting = 0, threading.Semaphore(0)
        take, lend = alike.Alike._taken, alike.Alike._lent

        def counted(one: alike.Alike, taken: Any, lent: Any) -> None:
            self.taken += len(taken)
            take(one, taken, lent)

        def waits(one: alike.Alike) -> Any:
            found = lend(one)
            self.waiting.release()
            return found

        monkeypatch.setattr(alike.Alike, "_taken", counted)
        monkeypatch.setattr(alike.Alike, "_lent", waits)

    def begin(self, sender: RawSender, count: int = 5, size: int = SMALL) -> None:
        """Store some images alike, until compiled code waits for the next with nothing on its hands."""
        for number in range(1, count + 1):
            assert self.store(sender, number, size) == 0
        self.rig.until(lambda: self.taken >= count - 3, "the images were not taken as alike")
        while self.waiting.acquire(timeout=0.06):
            pass

    def store(self, sender: RawSender, number: int, size: int = SMALL) -> int:
        return sender.store(f"1.2.1.{number}".encode(), image(f"1.2.1.{number}", number, size))


@pytest.fixture(params=["fsync", "relaxed"])
def node(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    routing = {"sources": {"raw": {"calling_ae": "RAW"}}}
    with receiver(tmp_path / "home", routing=routing, receiver__durability=request.param, spool__reserve_gb=5) as rig:
        monkeypatch.setattr(RealFs, "room", lambda fs, path: Room(100 * GB, None))
        monkeypatch.setattr(admission, "LOOK_AGAIN_S", 0.0)
        monkeypatch.setattr(alike, "COMPANY_S", 0.01)
        yield Watched(rig, monkeypatch)


def test_a_new_policy_counts_for_the_next_image_though_compiled_code_waits_for_it(node: Watched) -> None:
    rig = node.rig
    with RawSender(rig.port) as sender:
        node.begin(sender)
        publish(rig.home, {"sources": {"raw": {"calling_ae": "RAW", "accept": False}}})
        rig.actor.one_pass([])
        assert node.store(sender, 6) == 0x0124
        publish(rig.home, {"sources": {"raw": {"calling_ae": "RAW"}}})
        rig.actor.one_pass([])
        before = node.taken
        assert [node.store(sender, number) for number in range(6, 16)] == [0] * 10
        sender.release()
    rig.until_closed()
    assert node.taken > before and len(rig.stored()) == 15 and rig.healthy()


def test_a_disk_that_filled_up_while_compiled_code_waited_is_a700_for_the_next_image(node: Watched) -> None:
    rig = node.rig
    with RawSender(rig.port) as sender:
        node.begin(sender)
        node.monkeypatch.setattr(RealFs, "room", lambda fs, path: Room(5 * GB, None))
        assert [node.store(sender, 6), node.store(sender, 7)] == [0xA700, 0xA700]
        node.monkeypatch.setattr(RealFs, "room", lambda fs, path: Room(100 * GB, None))
        assert [node.store(sender, number) for number in range(6, 16)] == [0] * 10
        sender.release()
    rig.until_closed()
    assert len(rig.stored()) == 15 and rig.healthy()


def test_near_the_reserve_each_object_is_asked_about(node: Watched) -> None:
    rig = node.rig
    with RawSender(rig.port) as sender:
        node.begin(sender)
        taken = node.taken
        left = 5 * GB + 3 * SMALL
        node.monkeypatch.setattr(admission, "LOOK_AGAIN_S", 1e9)
        node.monkeypatch.setattr(RealFs, "room", lambda fs, path: Room(left, None))
        rig.reception._reserve._next_look = 0
        answers = [node.store(sender, number) for number in range(6, 12)]
        assert sorted(answers) == [0, 0, 0xA700, 0xA700, 0xA700, 0xA700] and node.taken == taken


def test_no_more_files_can_be_opened_for_a_while_and_the_association_goes_on(node: Watched) -> None:
    rig, create = node.rig, DurableNames.create

    def none(names: DurableNames, path: Any) -> Any:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with RawSender(rig.port) as sender:
        node.begin(sender)
        node.monkeypatch.setattr(DurableNames, "create", none)
        answers = [node.store(sender, number) for number in range(6, 40)]
        node.monkeypatch.setattr(DurableNames, "create", create)
        assert set(answers) <= {0, 0x0110}
        assert node.store(sender, 50) == 0
        sender.release()
    assert rig.until_closed() == ["released"]
    assert len(rig.stored()) == 6 + answers.count(0) and rig.healthy()


def series_folder(rig: Rig) -> Path:
    (folder,) = {path.parent for path in rig.spool.places.images.rglob("*.dcm")}
    return folder


def test_what_goes_to_a_file_that_was_removed_is_not_acknowledged(node: Watched) -> None:
    rig = node.rig
    with RawSender(rig.port) as sender:
        node.begin(sender)
        rig.until_recorded(5)
        known = {rig.spool.images.open(bytes.fromhex(one["receipt"])).path for one in rig.events("image.received")}
        spare = [path for path in series_folder(rig).iterdir() if path not in known]
        assert spare, "some are made ahead"
        for path in spare:
            path.unlink()
        answers = [node.store(sender, number, EARLY) for number in range(6, 6 + len(spare) + 2)]
        assert set(answers) <= {0, 0x0110} and answers[-2:] == [0, 0]
        sender.release()
    rig.until_closed()
    assert len(rig.stored()) == 5 + answers.count(0) and rig.healthy()


def test_a_folder_that_was_removed_while_compiled_code_waits_is_made_anew(node: Watched) -> None:
    rig = node.rig
    with RawSender(rig.port) as sender:
        node.begin(sender)
        rig.until_recorded(5)
        folder = series_folder(rig)
        folder.rename(rig.home / "elsewhere")
        for path in (rig.home / "elsewhere").iterdir():
            path.unlink()
        answers = [node.store(sender, number) for number in range(6, 40)]
        assert set(answers) <= {0, 0x0110} and answers[-1] == 0
        sender.release()
    rig.until_closed()
    assert len(list(folder.iterdir())) == answers.count(0)


def test_a_sender_that_aborts_without_reading_its_answers_has_aborted(node: Watched) -> None:
    rig = node.rig
    with RawSender(rig.port) as sender:
        node.begin(sender)
        stream = b"".join(sender.begin(f"1.2.1.{n}".encode(), image(f"1.2.1.{n}", n, SMALL)) for n in range(6, 30))
        sender.sock.sendall(stream + pdus.encode_abort(0, 0))
    rig.until_closed()
    assert len(rig.stored()) >= 5 and rig.healthy()
    rig.until(lambda: rig.log.of("association_closed"))
    (closed,) = rig.log.of("association_closed")
    assert closed["images"] == len(rig.stored())


def test_associations_that_are_over_hold_no_file_though_nobody_searches_for_garbage(node: Watched) -> None:
    rig = node.rig
    gc.disable()
    try:
        for count in range(1, 6):
            with RawSender(rig.port) as sender:
                assert [node.store(sender, number) for number in range(6)] == [0] * 6
                sender.release()
            rig.until_closed(count)
        assert node.taken
        rig.until(lambda: open_below(rig.spool.places.images) == [], "a file or folder stays open")
    finally:
        gc.enable()


def open_below(folder: Path) -> list[str]:
    """What this process has open there."""
    found = []
    for one in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            found.append(os.readlink(one))
    return [path for path in found if path.startswith(str(folder))]


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Writing beyond it fails in the middle, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_file_that_cannot_be_written_to_its_end_is_a700_and_nothing_is_left_of_it(node: Watched) -> None:
    rig, size = node.rig, 600_000  # the database is smaller
    with RawSender(rig.port) as sender:
        node.begin(sender)
        rig.until_recorded(5)
        taken, opened = node.taken, len(os.listdir("/proc/self/fd"))
        with files_of_at_most(size - 1):
            answers = [node.store(sender, number, size) for number in range(6, 12)]
            assert answers == [0xA700] * 6
            assert [node.store(sender, number) for number in range(6, 12)] == [0] * 6
        assert [node.store(sender, number, size) for number in range(12, 22)] == [0] * 10
        assert node.taken > taken
        assert abs(len(os.listdir("/proc/self/fd")) - opened) < 20, "as many are open as files were made ahead"
        sender.release()
    rig.until_closed()
    assert len(rig.stored()) == 21 and rig.healthy()
    rows = {rig.spool.images.open(bytes.fromhex(one["receipt"])).path for one in rig.events("image.received")}
    assert set(series_folder(rig).iterdir()) == rows


@pytest.mark.parametrize("what", [2, 3], ids=["file", "folder"])
def test_a_sync_that_failed_is_not_answered_with_success_and_ends_the_process(
    node: Watched, monkeypatch: pytest.MonkeyPatch, what: int
) -> None:
    class Failing:
        """The next image is read, and the disk says that it cannot keep it."""

        AGAIN = HELPER.AGAIN

        def receive(self, plan: Any, fd: int, buffer: bytearray, start: int, end: int, *rest: Any) -> Any:
            limits, files = rest[:4], list(array("i", rest[6]))
            file = files[0] if files[0] >= 0 else os.open(os.devnull, os.O_WRONLY)
            state = fast.helper.receive(fd, buffer, True, start, end, 0, 0, False, 0, limits[0], 0, 0.0, *limits[1:])
            return state, (), (file, *files[1:]), b"", what, errno.EIO

    rig = node.rig
    with RawSender(rig.port) as sender:
        node.begin(sender)
        monkeypatch.setattr(alike, "helper", Failing())
        answers = [node.store(sender, number) for number in range(6, 9)]
        assert answers[-1] == 0x0110, "the first may have been waited for by then"
        with pytest.raises(DiskFailed):
            rig.reception.failure.check()
        assert answers.count(0) == rig.spool.accounting.figures().received - 5
        monkeypatch.setattr(alike, "helper", HELPER)
    rig.until_closed()
    rig.reception.failure._first = None  # so that it can be stopped


SHIM = """
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
int fsync(int fd)
{
    struct stat found;
    if (fstat(fd, &found) == 0 && S_ISDIR(found.st_mode)) {
        int log = open(getenv("SYNCED_FOLDERS"), O_WRONLY | O_APPEND | O_CREAT, 0600);
        if (write(log, ".", 1) == 1)
            close(log);
    }
    return (int)syscall(SYS_fsync, fd);
}
"""
CUT = """
import os, socket, sys
from array import array
from actors.dicom import pdus
from actors.receiver import alike
from protocol.header.alike import Likeness
from protocol.header.scan import scan
from receiver_rig import CT
from test_alike_taken import EARLY, image, request
from actors.dicom.upper import fragments

folder, cls = sys.argv[1], CT[0].encode()
data = image("1.2.1.1", 1, 3 * EARLY)
like = Likeness(memoryview(data), CT[1], scan(data, CT[1]).values)
plan = alike.helper.plan(1, like.explicit, 2**40, like.head, like.stop, like.table, cls + bytes(len(cls) % 2), bytes(144), b"",
                         bytes(16), folder)
ours, theirs = socket.socketpair()
ours.setblocking(True)
cut = request("1.2.1.2", image("1.2.1.2", 2, 3 * EARLY))[:-1]
def send():
    for control, piece in cut:
        theirs.sendall(b"".join(bytes(one) for one in fragments(1, piece, bool(control & 1), bool(control & 2), 2**20)))
    theirs.close()
import threading
thread = threading.Thread(target=send)
thread.start()
receipts = b"".join(bytes([n]) * 16 for n in range(1, 7))
first = os.open(f"{folder}/{receipts[:16].hex()}.dcm", os.O_CREAT | os.O_WRONLY)
state, taken, files, owed, failed, number = alike.helper.receive(
    plan, ours.fileno(), bytearray(768 * 1024), 0, 0, 2**20, 10.0, __import__("time").monotonic() + 10, 1024, True, receipts,
    array("i", [first, -1, -1, -1, -1, -1]), 5, 0.05, 2**40, bytearray(2), bytearray(1))
thread.join()
print(len(taken), failed, number, sum(fd >= 0 for fd in files[1:]))
"""


def test_files_made_ahead_have_durable_names_though_the_image_under_way_was_cut_off(tmp_path: Path) -> None:
    """Whoever gets them back fills and acknowledges them: with fsync that must outlive a power cut."""
    (tmp_path / "shim.c").write_text(SHIM)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", tmp_path / "shim.so", tmp_path / "shim.c"], check=True)
    (tmp_path / "images").mkdir()
    synced = tmp_path / "synced"
    root, here = Path(alike.__file__).parents[2], Path(__file__).parent
    environment = {
        **os.environ, "LD_PRELOAD": str(tmp_path / "shim.so"), "SYNCED_FOLDERS": str(synced),
        "PYTHONPATH": os.pathsep.join(map(str, (root, here))),
    }  # fmt: skip
    command = [sys.executable, "-c", CUT, str(tmp_path / "images")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr[-1000:]
    taken, failed, number, open_ones = map(int, done.stdout.split())
    assert (taken, failed, number) == (0, 1, 0) and open_ones > 0
    assert synced.exists(), "files are given back whose names a power cut may take"
