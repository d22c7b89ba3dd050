"""One battery for every FsOps: what the simulated disk does is what the machine does."""

import subprocess
import sys
from pathlib import Path

import pytest

from protocol.fsops import FsOps, RealFs
from protocol.testing.simfs import SimDisk


@pytest.fixture(params=["real", "simulated"])
def fs(request, tmp_path) -> FsOps:
    return RealFs() if request.param == "real" else SimDisk(tmp_path).process("tested")


@pytest.fixture
def home(fs, tmp_path) -> Path:
    folder = tmp_path / "home"
    fs.makedirs(folder)
    return folder


def test_what_was_written_is_read(fs, home):
    file = fs.create(home / "a")
    file.write(b"one")
    file.write(memoryview(b"-two"))
    file.sync()
    file.close()
    assert fs.read_bytes(home / "a") == b"one-two"
    assert fs.size(home / "a") == 7


def test_what_is_not_synced_is_visible_all_the_same(fs, home):
    file = fs.create(home / "a")
    file.write(b"one")
    assert fs.read_bytes(home / "a") == b"one"
    file.close()


def test_a_file_of_somebody_else_can_be_synced(fs, home):
    file = fs.create(home / "a")
    file.write(b"one")
    fs.sync_file(home / "a")
    file.close()
    assert fs.read_bytes(home / "a") == b"one"


def test_a_new_file_is_empty(fs, home):
    fs.create(home / "a").close()
    assert fs.exists(home / "a")
    assert fs.size(home / "a") == 0


def test_create_refuses_a_name_that_is_taken(fs, home):
    fs.write_new(home / "a", b"first")
    with pytest.raises(FileExistsError):
        fs.create(home / "a")
    with pytest.raises(FileExistsError):
        fs.write_new(home / "a", b"second")
    assert fs.read_bytes(home / "a") == b"first"


def test_create_needs_its_folder(fs, home):
    with pytest.raises(FileNotFoundError):
        fs.create(home / "none" / "a")


def test_a_file_is_no_folder(fs, home):
    fs.write_new(home / "a", b"")
    with pytest.raises(NotADirectoryError):
        fs.create(home / "a" / "b")
    with pytest.raises(NotADirectoryError):
        fs.listdir(home / "a")
    assert not fs.exists(home / "a" / "b")


def test_a_closed_file_takes_no_more(fs, home):
    file = fs.create(home / "a")
    file.close()
    file.close()
    with pytest.raises((OSError, ValueError)):
        file.write(b"late")
    with pytest.raises((OSError, ValueError)):
        file.sync()


def test_open_read_seeks_and_fills_buffers(fs, home):
    fs.write_new(home / "a", b"0123456789")
    with fs.open_read(home / "a") as file:
        file.seek(4)
        assert file.read(3) == b"456"
        buffer = bytearray(8)
        assert file.readinto(buffer) == 3
        assert bytes(buffer[:3]) == b"789"
        assert file.read() == b""


@pytest.mark.parametrize(
    "look", ["read_bytes", "open_read", "size", "listdir", "unlink", "rmdir", "sync_file", "sync_dir"]
)
def test_what_is_missing_is_reported(fs, home, look):
    with pytest.raises(FileNotFoundError):
        getattr(fs, look)(home / "none")


def test_a_missing_file_does_not_exist(fs, home):
    assert not fs.exists(home / "none")
    assert not fs.exists(home / "none" / "deeper")


def test_rename_moves_within_and_between_folders(fs, home):
    fs.makedirs(home / "x")
    fs.write_new(home / "a", b"1")
    fs.rename(home / "a", home / "b")
    fs.rename(home / "b", home / "x" / "c")
    assert fs.listdir(home) == ["x"]
    assert fs.read_bytes(home / "x" / "c") == b"1"


def test_rename_replaces_the_target(fs, home):
    fs.write_new(home / "a", b"new")
    fs.write_new(home / "b", b"old")
    fs.rename(home / "a", home / "b")
    assert fs.listdir(home) == ["b"]
    assert fs.read_bytes(home / "b") == b"new"


def test_rename_moves_a_folder_with_what_is_in_it(fs, home):
    fs.makedirs(home / "x" / "y")
    fs.write_new(home / "x" / "y" / "a", b"1")
    fs.rename(home / "x", home / "z")
    assert fs.read_bytes(home / "z" / "y" / "a") == b"1"
    assert not fs.exists(home / "x")


def test_rename_refuses_what_cannot_be(fs, home):
    fs.makedirs(home / "x" / "y")
    fs.write_new(home / "a", b"1")
    with pytest.raises(FileNotFoundError):
        fs.rename(home / "none", home / "b")
    with pytest.raises(FileNotFoundError):
        fs.rename(home / "a", home / "none" / "b")
    with pytest.raises(IsADirectoryError):
        fs.rename(home / "a", home / "x")
    with pytest.raises(NotADirectoryError):
        fs.rename(home / "x", home / "a")


def test_a_file_being_written_goes_on_under_its_new_name(fs, home):
    file = fs.create(home / "a.tmp")
    file.write(b"1")
    fs.rename(home / "a.tmp", home / "a")
    file.write(b"2")
    file.close()
    assert fs.read_bytes(home / "a") == b"12"


def test_link_gives_a_second_name_and_refuses_a_taken_one(fs, home):
    fs.write_new(home / "a", b"1")
    fs.link(home / "a", home / "b")
    with pytest.raises(FileExistsError):
        fs.link(home / "a", home / "b")
    fs.unlink(home / "a")
    assert fs.read_bytes(home / "b") == b"1"
    with pytest.raises(FileNotFoundError):
        fs.link(home / "a", home / "c")


def test_renaming_onto_another_name_of_the_same_file_changes_nothing(fs, home):
    fs.write_new(home / "a", b"1")
    fs.link(home / "a", home / "b")
    fs.rename(home / "a", home / "b")
    assert fs.listdir(home) == ["a", "b"]


def test_an_open_file_outlives_its_name(fs, home):
    fs.write_new(home / "a", b"1")
    with fs.open_read(home / "a") as file:
        fs.unlink(home / "a")
        assert file.read() == b"1"
    assert fs.listdir(home) == []


def test_unlink_is_for_files_and_rmdir_for_empty_folders(fs, home):
    fs.makedirs(home / "x")
    fs.write_new(home / "x" / "a", b"1")
    with pytest.raises(IsADirectoryError):
        fs.unlink(home / "x")
    with pytest.raises(NotADirectoryError):
        fs.rmdir(home / "x" / "a")
    with pytest.raises(OSError):
        fs.rmdir(home / "x")
    fs.unlink(home / "x" / "a")
    fs.rmdir(home / "x")
    assert fs.listdir(home) == []


def test_makedirs_names_the_folders_to_sync(fs, home):
    assert fs.makedirs(home / "x" / "y" / "z") == [home, home / "x", home / "x" / "y"]
    assert fs.makedirs(home / "x" / "y" / "z") == []
    assert fs.makedirs(home / "x" / "w") == [home / "x"]
    for folder in (home, home / "x", home / "x" / "y"):
        fs.sync_dir(folder)


def test_makedirs_refuses_a_file_in_the_way(fs, home):
    fs.write_new(home / "a", b"")
    with pytest.raises((FileExistsError, NotADirectoryError)):
        fs.makedirs(home / "a")
    with pytest.raises((FileExistsError, NotADirectoryError)):
        fs.makedirs(home / "a" / "b")


def test_listdir_is_sorted(fs, home):
    for name in ("c", "a", "b"):
        fs.write_new(home / name, b"")
    fs.makedirs(home / "aa")
    assert fs.listdir(home) == ["a", "aa", "b", "c"]


def test_there_is_room(fs, home):
    room = fs.room(home)
    assert room.bytes > 0
    assert room.inodes is None or room.inodes > 0


def test_a_lock_is_held_once(fs, home):
    lock = fs.lock(home / "l")
    assert lock is not None
    assert fs.is_locked(home / "l")
    assert fs.lock(home / "l") is None
    lock.release()
    lock.release()
    assert not fs.is_locked(home / "l")
    assert fs.exists(home / "l")
    again = fs.lock(home / "l")
    assert again is not None
    again.release()


def test_probing_does_not_take_the_lock(fs, home):
    fs.write_new(home / "l", b"")
    assert not fs.is_locked(home / "l")
    assert not fs.is_locked(home / "l")
    lock = fs.lock(home / "l")
    assert lock is not None
    lock.release()


def test_nobody_holds_what_is_no_lock_file(fs, home):
    assert not fs.is_locked(home / "none")
    assert not fs.is_locked(home)


def test_a_lock_needs_its_folder(fs, home):
    with pytest.raises(FileNotFoundError):
        fs.lock(home / "none" / "l")
    with pytest.raises(IsADirectoryError):
        fs.lock(home)


def test_a_lock_says_who_holds_it(fs, home):
    assert fs.lock_text(home / "l") == ""
    lock = fs.lock(home / "l")
    lock.write("a long text from before")
    lock.write("pid 7")
    assert fs.lock_text(home / "l") == "pid 7"
    lock.release()
    assert fs.lock_text(home / "l") == "pid 7"


def test_a_lock_belongs_to_the_file_not_to_the_name(fs, home):
    lock = fs.lock(home / "l")
    fs.rename(home / "l", home / "m")
    assert fs.is_locked(home / "m")
    assert not fs.is_locked(home / "l")
    lock.release()


HOLDER = """
import sys; from pathlib import Path; from protocol.fsops import RealFs
held = RealFs().lock(Path(sys.argv[1])); print("held", flush=True); sys.stdin.read()
"""


def test_a_lock_is_gone_when_its_holder_is_killed(tmp_path):
    path = tmp_path / "l"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout.readline() == b"held\n"
        assert RealFs().is_locked(path) and RealFs().lock(path) is None
        holder.kill()
    assert not RealFs().is_locked(path)


def test_a_simulated_lock_is_gone_when_its_holder_is_killed(tmp_path):
    disk = SimDisk(tmp_path)
    assert disk.process("holder").lock(tmp_path / "l") is not None
    other = disk.process("other")
    assert other.is_locked(tmp_path / "l") and other.lock(tmp_path / "l") is None
    disk.kill("holder")
    assert not other.is_locked(tmp_path / "l")


def test_parts_are_written_in_one_go_and_written_over(fs, home):
    file = fs.create(home / "a")
    file.write_all([b"head", memoryview(b"-body"), b""] + [b"x"] * 2000)
    file.write_at(2, b"AD")
    file.close()
    assert fs.read_bytes(home / "a") == b"heAD-body" + b"x" * 2000


@pytest.mark.parametrize(
    "sizes", [[0], [1, 0, 300_000, 5], [135_168, 1], [131_072] * 5, [135_169], [70_000, 70_000, 7]]
)
def test_parts_of_any_size_come_out_as_they_went_in(fs, home, sizes):
    parts = [bytes([at + 1]) * size for at, size in enumerate(sizes)]
    file = fs.create(home / "a")
    file.write_all([memoryview(part) for part in parts])
    file.close()
    assert fs.read_bytes(home / "a") == b"".join(parts)
