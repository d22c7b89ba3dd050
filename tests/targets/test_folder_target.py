"""A folder target with file systems that are full, read-only, missing, not mounted or slow, and with what lies there already."""

from __future__ import annotations

import errno
import os
import resource
import stat
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.targets.folder_files import _IN_THE_WAY, SYNC_EVERY_BYTES
from actors.targets.ladder import climb
from actors.targets.registry import make_target
from protocol.errors import PeerTimeout, TargetUnreachable
from protocol.spool.images import ImageFile
from protocol.testing.images import TestImage
from tests.targets.battery import large_image, quiet, send_all, spool_image
from tests.targets.folder_peers import FolderPeer, folder_settings


@pytest.fixture
def peer(tmp_path) -> Iterator[FolderPeer]:
    peer = FolderPeer(tmp_path)
    yield peer
    peer.close()


@pytest.fixture
def spool(tmp_path) -> Path:
    folder = tmp_path / "spool"
    folder.mkdir()
    return folder


def send(target, *images: ImageFile):
    session = target.open(images, quiet)
    try:
        return send_all(session, images)
    finally:
        session.close()


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def uid(number: int = 1) -> str:
    return TestImage(instance=number).sop_uid


# ---- names and what lies there -------------------------------------------------------------------------------------
def test_images_lie_where_the_layout_says(peer, spool):
    target = peer.target(layout="{SenderAET}/{StudyInstanceUID}")
    values = {"SenderAET": "CT1", "StudyInstanceUID": "1.2"}
    assert send(target, spool_image(spool, values=values))[0].ok
    assert names(peer.top) == [f"CT1/1.2/{uid()}.dcm"]


def test_an_empty_layout_puts_all_images_into_the_top_folder(peer, spool):
    assert all(answer.ok for answer in send(peer.target(layout=""), spool_image(spool, 1), spool_image(spool, 2)))
    assert names(peer.top) == [f"{uid(1)}.dcm", f"{uid(2)}.dcm"]


@pytest.mark.parametrize(
    ("existing", "status", "words", "content"),
    [("replace", 0xB000, "replaced", b"newer!"), ("keep", 0x0111, "kept", b"older!")],
)
def test_another_version_of_an_image_is_replaced_or_kept_and_that_is_said(
    peer, spool, existing, status, words, content
):
    target = peer.target(existing=existing)
    send(target, spool_image(spool, content=b"older!"))
    (answer,) = send(target, spool_image(spool, content=b"newer!"))
    assert (answer.ok, answer.status) == (True, status) and words in answer.words
    assert peer.arrived()[uid()].endswith(content)


def test_the_same_image_again_is_not_written_again_but_made_durable(peer, spool):
    image = spool_image(spool)
    send(peer.target(), image)
    peer.fs.calls.clear()
    (answer,) = send(peer.target(), image)
    assert (answer.ok, answer.status) == (True, 0)
    assert "create" not in peer.fs.calls and {"sync_file", "sync_dir"} <= set(peer.fs.calls)


@pytest.mark.parametrize("number", sorted(_IN_THE_WAY))
def test_an_image_that_this_file_system_cannot_take_is_refused_and_the_others_are_sent(peer, spool, number):
    images = [spool_image(spool, count) for count in (1, 2, 3)]
    creations = iter([0, number, 0])

    def fail(name: str) -> None:
        if name == "create" and next(creations):
            raise OSError(number, os.strerror(number), "/secret/path")

    peer.fs.before = fail
    answers = send(peer.target(), *images)
    assert [answer.ok for answer in answers] == [True, False, True] and not answers[1].retryable
    assert answers[1].words == _IN_THE_WAY[number] and len(peer.arrived()) == 2


@pytest.mark.parametrize("what", ["a folder for the image", "a file for the folder"])
def test_something_else_in_the_place_of_an_image_keeps_only_that_image_back(peer, spool, what):
    target = peer.target(layout="{PatientID}")
    images = [spool_image(spool, number, values={"PatientID": f"P{number}"}) for number in (1, 2)]
    if what == "a folder for the image":
        (peer.top / "P1" / f"{uid(1)}.dcm" / "deeper").mkdir(parents=True)
    else:
        (peer.top / "P1").write_bytes(b"no folder")
    first, second = send(target, *images)
    assert not first.ok and not first.retryable and "in the place of" in first.words
    assert second.ok and (peer.top / "P2" / f"{uid(2)}.dcm").exists()


def test_a_folder_that_somebody_took_away_is_made_again(peer, spool):
    images = [spool_image(spool, 1), spool_image(spool, 2)]
    session = peer.target().open(images, quiet)
    assert session.send(images[0]).ok
    for folder in peer.top.iterdir():
        folder.rename(peer.top.parent / "fetched")
    assert session.send(images[1]).ok
    session.close()
    assert set(peer.arrived()) == {uid(2)}


# ---- file systems that are not as they should be -------------------------------------------------------------------
def test_a_missing_folder_is_not_made_unless_that_is_asked_for(peer, spool):
    image, top = spool_image(spool), peer.top
    top.rmdir()
    with pytest.raises(TargetUnreachable) as caught:
        send(peer.target(), image)
    assert caught.value.retryable and "mounted" in str(caught.value) and not top.exists()
    assert send(peer.target(create=True), image)[0].ok
    assert peer.arrived()


def test_a_file_in_the_place_of_the_top_folder_is_no_folder(peer, spool):
    peer.top.rmdir()
    peer.top.write_bytes(b"")
    with pytest.raises(TargetUnreachable):
        send(peer.target(), spool_image(spool))


def test_what_has_to_be_mounted_is_not_filled_while_it_is_not(peer, spool, monkeypatch):
    monkeypatch.setattr(os.path, "ismount", lambda place: False)  # wherever this machine keeps what tests write
    with pytest.raises(TargetUnreachable) as caught:
        send(peer.target(mounted=True, create=True), spool_image(spool))
    assert caught.value.retryable and names(peer.top) == []


@pytest.mark.parametrize("when", ["between two images", "while one is written"])
def test_a_mount_that_is_gone_in_the_middle_of_a_delivery_leaves_nothing_on_the_disk_below_it(
    peer, spool, monkeypatch, when
):
    there = [True]
    monkeypatch.setattr(os.path, "ismount", lambda place: there[0] and Path(place) == peer.top)
    images = [spool_image(spool, number) for number in (1, 2)]
    session = peer.target(mounted=True, layout="").open(images, quiet)
    assert session.send(images[0]).ok
    before = names(peer.top)
    if when == "between two images":
        there[0] = False  # the empty folder it was mounted at has the same name
    else:
        peer.fs.before = lambda name: there.__setitem__(0, there[0] and name != "create")
    with pytest.raises(TargetUnreachable) as caught:
        session.send(images[1])
    session.abort()
    assert caught.value.retryable and "mounted" in str(caught.value) and names(peer.top) == before


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A real file system of 1 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small file system")
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this machine does not let us mount a small file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.slow
def test_a_full_disk_is_tried_again_leaves_nothing_behind_and_goes_on_when_there_is_room(small_disk, spool):
    target = make_target(folder_settings(small_disk, mounted=True))
    images = [spool_image(spool, number, bytes(400_000)) for number in (1, 2, 3)]
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(100_000))
    session = target.open(images, quiet)
    assert session.send(images[0]).ok and session.send(images[1]).ok
    with pytest.raises(TargetUnreachable) as caught:
        session.send(images[2])
    session.abort()
    assert caught.value.retryable and "No space left" in str(caught.value)
    assert [Path(name).suffix for name in names(small_disk)] == [".dcm", ".dcm", ""]
    ballast.unlink()
    (small_disk / names(small_disk)[0]).unlink()  # a consumer fetched it
    assert send(target, images[2])[0].ok


@pytest.mark.slow
def test_a_read_only_disk_is_tried_again(small_disk, spool):
    target, image = make_target(folder_settings(small_disk)), spool_image(spool)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(TargetUnreachable) as caught:
        send(target, image)
    assert caught.value.retryable and "Read-only" in str(caught.value)
    assert [step.ok for step in climb(folder_settings(small_disk))] == [True, False]
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    assert send(target, image)[0].ok


def test_an_image_above_the_largest_file_that_is_allowed_is_refused_and_the_rest_is_sent(peer, spool):
    images = [spool_image(spool, 1), spool_image(spool, 2, bytes(300_000)), spool_image(spool, 3)]
    target, (soft, hard) = peer.target(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        answers = send(target, *images)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [answer.ok for answer in answers] == [True, False, True] and "too large" in answers[1].words
    assert len(peer.arrived()) == 2


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.ESTALE, errno.ENOTCONN])
@pytest.mark.parametrize("call", ["create", "rename", "sync_dir", "makedirs", "exists"])
def test_every_other_fault_of_the_file_system_is_tried_again_and_says_no_path(peer, spool, number, call):
    image, target = spool_image(spool), peer.target()
    session = target.open([image], quiet)

    def fail(name: str) -> None:
        if name == call:
            raise OSError(number, os.strerror(number), "/secret/path")

    peer.fs.before = fail
    with pytest.raises(TargetUnreachable) as caught:
        session.send(image)
    session.abort()
    assert caught.value.retryable and os.strerror(number) in str(caught.value) and "secret" not in str(caught.value)
    peer.fs.before = lambda name: None
    assert send(target, image)[0].ok


def test_a_share_that_knows_no_sync_of_folders_is_good_enough(peer, spool):
    def fail(name: str) -> None:
        if name == "sync_dir":
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    peer.fs.before = fail
    assert send(peer.target(), spool_image(spool))[0].ok


@pytest.mark.slow
def test_a_large_image_is_synced_in_parts(peer, spool):
    synced: list[int] = []
    create = peer.fs.create

    class Counting:
        def __init__(self, file):
            self.file, self.since = file, 0

        def __getattr__(self, name):
            return getattr(self.file, name)

        def write(self, data):
            self.since += len(data)
            self.file.write(data)

        def sync(self):
            synced.append(self.since)
            self.since = 0
            self.file.sync()

    peer.fs.create = lambda path: Counting(create(path))
    assert send(peer.target(), large_image(spool))[0].ok
    assert len(synced) >= 2 and max(synced) < SYNC_EVERY_BYTES + (1 << 20)


# ---- hanging -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("call", ["exists", "create", "rename"])
def test_who_was_given_up_changes_nothing_when_it_gets_on_and_nobody_hangs_beside_it(peer, spool, call):
    image, hung = spool_image(spool), threading.Event()
    session = peer.target(timeout_s=2.0).open([image], quiet)

    def stop(name: str) -> None:
        if name == call:
            hung.set()
            peer.fs.released.wait()

    peer.fs.before = stop
    before = {thread.ident for thread in threading.enumerate()}
    with pytest.raises(PeerTimeout) as caught:
        session.send(image)
    assert caught.value.retryable and hung.is_set()
    (stuck,) = (thread for thread in threading.enumerate() if thread.name == "target-hand" and thread.ident in before)
    for _ in range(3):
        with pytest.raises(PeerTimeout, match="still hangs"):
            peer.target().open([image], quiet)
    assert {thread.ident for thread in threading.enumerate()} <= before, "no thread was added to the one that hangs"
    session.abort()
    peer.fs.released.set()
    stuck.join()
    peer.fs.before = lambda name: None
    assert call == "rename" or names(peer.top) == []
    assert send(peer.target(), image)[0].ok and list(peer.arrived()) == [uid()]


def test_who_was_given_up_in_the_sync_of_a_file_does_not_give_it_its_name_later(peer, spool):
    image, create = spool_image(spool), peer.fs.create

    class Stuck:
        def __init__(self, file):
            self.file = file

        def __getattr__(self, name):
            return getattr(self.file, name)

        def sync(self):
            peer.fs.released.wait()

    peer.fs.create = lambda path: Stuck(create(path))
    session = peer.target(timeout_s=2.0).open([image], quiet)
    before = [thread for thread in threading.enumerate() if thread.name == "target-hand"]
    with pytest.raises(PeerTimeout):
        session.send(image)
    peer.fs.released.set()
    for thread in before:
        thread.join()
    assert names(peer.top) == [], "somebody else may have begun anew meanwhile"


# ---- leftovers, rights, markers ------------------------------------------------------------------------------------
def test_what_a_dead_attempt_left_is_removed_and_what_others_have_under_way_is_not(peer, spool):
    image = spool_image(spool)
    send(peer.target(), image)
    (folder,) = (path.parent for path in peer.top.rglob("*.dcm"))
    (folder / f"{uid()}.dcm").unlink()
    dead, living = f".{image.receipt.hex()}.deadbeef.part", f".{bytes(16).hex()}.deadbeef.part"
    for name in (dead, living, ".hidden"):
        (folder / name).write_bytes(b"half")
    assert send(peer.target(), image)[0].ok
    assert sorted(os.listdir(folder)) == sorted([living, ".hidden", f"{uid()}.dcm"])


@pytest.mark.parametrize(
    ("mode", "file", "folder"), [("0664", 0o664, 0o775), ("0600", 0o600, 0o700), (None, 0o640, 0o750)]
)
def test_files_and_folders_have_the_rights_that_are_set(peer, spool, mode, file, folder):
    old = os.umask(0o022)
    try:
        assert send(peer.target(mode=mode), spool_image(spool))[0].ok
    finally:
        os.umask(old)
    (path,) = peer.top.rglob("*.dcm")
    made = [path, *path.parents[:3]]
    assert [stat.S_IMODE(one.stat().st_mode) for one in made] == [file, folder, folder, folder]


def test_a_marker_is_written_only_when_the_delivery_is_finished_and_in_each_folder(peer, spool):
    target = peer.target(layout="{PatientID}", done=".done")
    images = [spool_image(spool, number, values={"PatientID": f"P{number % 2}"}) for number in (1, 2, 3)]
    send(target, *images)
    assert target.finishes and not any(name.endswith(".done") for name in names(peer.top))
    for _ in range(2):  # after a crash it is told again
        target.finish(images, quiet)
        assert [name for name in names(peer.top) if not name.endswith(".dcm")] == ["P0/.done", "P1/.done"]
    assert not peer.target().finishes


def test_a_marker_that_cannot_be_written_is_tried_again(peer, spool):
    target, image = peer.target(done="ready"), spool_image(spool)
    send(target, image)
    peer.go_away()
    with pytest.raises(TargetUnreachable) as caught:
        target.finish([image], quiet)
    assert caught.value.retryable and not peer.top.exists()


# ---- the test of the way -------------------------------------------------------------------------------------------
def test_the_steps_say_where_it_is_that_it_can_be_written_and_what_room_is_left(peer):
    steps = climb(folder_settings(peer.top))
    assert [(step.name, step.ok) for step in steps] == [("folder", True), ("writable", True), ("space", True)]
    assert "GB free" in steps[2].text and names(peer.top) == []


def test_the_steps_end_at_a_folder_that_is_not_there(peer):
    peer.go_away()
    (step,) = climb(folder_settings(peer.top))
    assert (step.name, step.ok) == ("folder", False) and str(peer.top) in step.text
