"""What a power cut leaves is legal: everything synced, and of the rest an ordered part."""

from pathlib import Path
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.testing.simfs import SimDisk

ROOT = Path("/disk")
FOLDERS = ["a", "b"]
NAMES = ["1", "2", "3"]

places = st.tuples(st.sampled_from(FOLDERS), st.sampled_from(NAMES))
steps = st.one_of(
    st.tuples(st.just("create"), places),
    st.tuples(st.just("write"), places, st.binary(min_size=1, max_size=6)),
    st.tuples(st.just("sync"), places),
    st.tuples(st.just("rename"), places, places),
    st.tuples(st.just("link"), places, places),
    st.tuples(st.just("unlink"), places),
    st.tuples(st.just("sync_dir"), st.sampled_from(FOLDERS)),
)


class Books:
    """For each folder every listing it ever had and the index of the one a sync made safe; for each file its bytes."""

    def __init__(self) -> None:
        self.disk = SimDisk(ROOT)
        self.fs = self.disk.process("p")
        self.listings: dict[str, list[dict[str, int]]] = {folder: [{}] for folder in FOLDERS}
        self.safe = dict.fromkeys(FOLDERS, 0)
        self.handles = []
        self.written: list[bytes] = []
        self.synced: list[int] = []
        for folder in FOLDERS:
            self.fs.makedirs(ROOT / folder)
        self.fs.sync_dir(ROOT)

    def now(self, folder: str) -> dict[str, int]:
        return self.listings[folder][-1]

    def do(self, step) -> None:
        kind, place, *more = step
        if kind == "sync_dir":
            self.fs.sync_dir(ROOT / place)
            self.safe[place] = len(self.listings[place]) - 1
            return
        folder, name = place
        path, number = ROOT / folder / name, self.now(folder).get(name)
        if kind == "create":
            if number is None:
                self.listings[folder].append({**self.now(folder), name: len(self.handles)})
                self.handles.append(self.fs.create(path))
                self.written.append(b"")
                self.synced.append(0)
        elif number is None:
            return
        elif kind == "write":
            self.handles[number].write(more[0])
            self.written[number] += more[0]
        elif kind == "sync":
            self.handles[number].sync()
            self.synced[number] = len(self.written[number])
        elif kind == "unlink":
            self.fs.unlink(path)
            self.listings[folder].append(without(self.now(folder), name))
        else:
            self.second_name(kind, path, number, *more[0])

    def second_name(self, kind: str, path: Path, number: int, folder: str, name: str) -> None:
        there = self.now(folder).get(name)
        if there == number or (kind == "link" and there is not None):
            return
        getattr(self.fs, kind)(path, ROOT / folder / name)
        old = path.parent.name
        if kind == "link" or old != folder:
            self.listings[folder].append({**self.now(folder), name: number})
        if kind == "rename" and old == folder:
            self.listings[folder].append({**without(self.now(folder), path.name), name: number})
        elif kind == "rename":
            self.listings[old].append(without(self.now(old), path.name))

    def legal_content(self, number: int, data: bytes) -> bool:
        """The synced part, then a part of the written rest, then zeros; never longer than what was written."""
        written, synced = self.written[number], self.synced[number]
        return synced <= len(data) <= len(written) and any(
            data == written[:cut] + bytes(len(data) - cut) for cut in range(synced, len(data) + 1)
        )

    def legal_listing(self, folder: str) -> bool:
        """Some listing at or after the safe one, with legal contents."""
        names = self.fs.listdir(ROOT / folder)
        return any(
            sorted(listing) == names
            and all(self.legal_content(listing[name], self.fs.read_bytes(ROOT / folder / name)) for name in names)
            for listing in self.listings[folder][self.safe[folder] :]
        )


def without(listing: dict[str, int], name: str) -> dict[str, int]:
    return {key: value for key, value in listing.items() if key != name}


@settings(max_examples=300, deadline=None)
@given(st.lists(steps, max_size=25), st.integers(0, 2**32))
def test_a_power_cut_leaves_a_legal_part(story, seed):
    books = Books()
    for step in story:
        books.do(step)
    books.disk.power_cut(Random(seed))
    books.fs = books.disk.process("p")
    for folder in FOLDERS:
        assert books.legal_listing(folder), folder


@settings(max_examples=100, deadline=None)
@given(st.lists(steps, max_size=25), st.integers(0, 2**32))
def test_what_a_power_cut_left_stays(story, seed):
    books = Books()
    for step in story:
        books.do(step)
    books.disk.power_cut(Random(seed))
    before = picture(books.disk)
    books.disk.power_cut(Random(seed + 1))
    assert picture(books.disk) == before


@settings(max_examples=100, deadline=None)
@given(st.lists(steps, max_size=25))
def test_killing_a_process_loses_nothing_that_was_written(story):
    books = Books()
    for step in story:
        books.do(step)
    before = picture(books.disk, "looker")
    books.disk.kill("p")
    assert picture(books.disk) == before


def picture(disk: SimDisk, process: str = "p") -> dict[str, bytes]:
    fs = disk.process(process)
    found = {f"{at}/{name}": fs.read_bytes(ROOT / at / name) for at in FOLDERS for name in fs.listdir(ROOT / at)}
    disk.kill(process)
    return found


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(["nobody", "old", "new"]))
def test_a_rename_between_folders_never_loses_both_names(seed, synced):
    disk = SimDisk(ROOT)
    fs = disk.process("p")
    fs.makedirs(ROOT / "old")
    fs.makedirs(ROOT / "new" / "deep")
    fs.write_new(ROOT / "old" / "x", b"1")
    for folder in (ROOT / "old", ROOT) if synced != "old" else (ROOT / "old",):
        fs.sync_dir(folder)
    fs.sync_dir(ROOT)
    fs.rename(ROOT / "old" / "x", ROOT / "new" / "deep" / "x")
    if synced != "nobody":
        fs.sync_dir(ROOT / synced)
    disk.power_cut(Random(seed))
    fs = disk.process("p")
    assert fs.exists(ROOT / "old" / "x") or fs.exists(ROOT / "new" / "deep" / "x")
    if synced == "old":
        assert not fs.exists(ROOT / "old" / "x")


def outcomes(story, look, cuts: int = 60) -> set:
    """Everything `look` sees after power cuts at the end of `story`."""
    seen = set()
    for seed in range(cuts):
        disk = SimDisk(ROOT)
        story(disk.process("p"))
        disk.power_cut(Random(seed))
        seen.add(look(disk.process("p")))
    return seen


def exists(*names: str):
    return lambda fs: tuple(fs.exists(ROOT.joinpath(name)) for name in names)


def test_a_synced_file_can_lose_its_name():
    assert outcomes(lambda fs: fs.write_new(ROOT / "x", b"1"), exists("x")) == {(True,), (False,)}


def test_a_synced_folder_does_not_make_data_safe():
    def story(fs):
        fs.create(ROOT / "x").write(b"1234")
        fs.sync_dir(ROOT)

    seen = outcomes(story, lambda fs: fs.read_bytes(ROOT / "x"), cuts=300)
    assert {b"", b"1234", b"12", b"\0\0\0\0", b"1\0\0"} <= seen


def test_a_file_synced_by_somebody_else_is_safe():
    def story(fs):
        fs.create(ROOT / "x").write(b"1234")
        fs.sync_dir(ROOT)
        fs.sync_file(ROOT / "x")

    assert outcomes(story, lambda fs: fs.read_bytes(ROOT / "x")) == {b"1234"}


def test_a_synced_folder_can_lose_its_own_name():
    def story(fs):
        fs.makedirs(ROOT / "d")
        fs.write_new(ROOT / "d" / "x", b"1")
        fs.sync_dir(ROOT / "d")

    assert outcomes(story, exists("d", "d/x")) == {(False, False), (True, True)}


def test_a_rename_within_a_folder_is_one_change():
    def story(fs):
        fs.write_new(ROOT / "x.tmp", b"1")
        fs.sync_dir(ROOT)
        fs.rename(ROOT / "x.tmp", ROOT / "x")

    assert outcomes(story, exists("x.tmp", "x")) == {(True, False), (False, True)}


def test_an_unlink_that_was_not_synced_can_come_back():
    def story(fs):
        fs.write_new(ROOT / "x", b"1")
        fs.sync_dir(ROOT)
        fs.unlink(ROOT / "x")

    assert outcomes(story, exists("x")) == {(True,), (False,)}


def test_changes_of_one_folder_keep_their_order():
    def story(fs):
        fs.create(ROOT / "1").close()
        fs.create(ROOT / "2").close()

    assert outcomes(story, exists("1", "2")) == {(False, False), (True, False), (True, True)}


def test_changes_of_two_folders_have_no_order():
    def story(fs):
        for name in "ab":
            fs.makedirs(ROOT / name)
        fs.sync_dir(ROOT)
        for name in "ab":
            fs.create(ROOT / name / "x").close()

    assert (False, True) in outcomes(story, exists("a/x", "b/x"))


def test_a_hard_link_that_was_not_synced_can_go_alone():
    def story(fs):
        fs.write_new(ROOT / "x", b"1")
        fs.sync_dir(ROOT)
        fs.link(ROOT / "x", ROOT / "y")

    assert outcomes(story, exists("x", "y")) == {(True, False), (True, True)}


def test_a_lock_text_is_the_old_one_or_part_of_the_new_one():
    def story(fs):
        lock = fs.lock(ROOT / "l")
        fs.sync_dir(ROOT)
        lock.write("abc")

    assert outcomes(story, lambda fs: fs.lock_text(ROOT / "l")) >= {"", "abc"}


def test_all_locks_are_free_after_a_power_cut():
    def story(fs):
        fs.lock(ROOT / "l")
        fs.sync_dir(ROOT)

    assert outcomes(story, lambda fs: fs.is_locked(ROOT / "l")) == {False}
