"""Folders that come and go while images are written into them."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from protocol.fsops import RealFs
from protocol.spool.durable import DurableNames


class Watched(RealFs):
    """Tells what was synced, and lets a test act at the worst moment."""

    def __init__(self) -> None:
        self.synced: list[Path] = []
        self.after_mkdir = lambda: None
        self.before_mkdir = lambda: None

    def makedirs(self, path):
        self.before_mkdir()
        touched = super().makedirs(path)
        if touched:
            self.after_mkdir()
        return touched

    def sync_dir(self, path):
        self.synced.append(path)
        super().sync_dir(path)


@pytest.fixture
def top(tmp_path):
    (tmp_path / "images").mkdir()
    return tmp_path / "images"


def write(names, path):
    file = names.create(path)
    file.write(b"image")
    file.close()
    names.settle(path)


def test_a_folder_that_another_thread_is_making_again_is_not_taken_for_durable(top):
    fs = Watched()
    names = DurableNames(fs, top, sync=True)
    folder = top / "20260101" / "series"
    write(names, folder / "one.dcm")
    (folder / "one.dcm").unlink()
    folder.rmdir()  # the cleaner
    fs.synced.clear()
    other = threading.Thread(target=write, args=(names, folder / "two.dcm"))
    synced_by_other = []

    def interrupted():
        fs.after_mkdir = lambda: None
        other.start()
        other.join(0.3)  # it may have to wait for us
        synced_by_other.extend(fs.synced if not other.is_alive() else [folder.parent])

    fs.after_mkdir = interrupted
    file = names.create(folder / "three.dcm")
    other.join(60)
    file.close()
    assert folder.parent in synced_by_other and folder.parent in fs.synced
    assert (folder / "two.dcm").exists()


def test_a_day_that_the_cleaner_removes_while_its_series_is_made_is_made_again(top):
    fs = Watched()
    names = DurableNames(fs, top, sync=True)
    day = top / "20260101"
    day.mkdir()
    fails = [FileNotFoundError("the day went between the look and the making")]

    def once():
        if fails:
            raise fails.pop()

    fs.before_mkdir = once
    write(names, day / "series" / "one.dcm")
    assert (day / "series" / "one.dcm").exists()
