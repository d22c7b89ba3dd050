"""Files and folders of the simulated disk, each with what programs see now and what a power cut leaves.
It knows nothing of paths, processes or faults; see simfs.py.

Rules, as strict as POSIX allows and never stricter than ext4 (one exception named below):
- a file's data survive up to the last sync; of the rest any prefix survives, followed by any number of zero bytes;
- a folder is an ordered list of changes; any prefix survives that reaches the last sync of the folder. Syncing a
  file does not make its name survive, syncing a folder makes neither the data in it nor its own name survive;
- a rename within a folder is one change; between folders it may leave both names, never none (here, as on ext4,
  making the old name's end durable makes the new name durable with all folders above it).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random


@dataclass(eq=False)
class SimFile:
    """An inode with data. `links` counts its visible names, `holder` is whoever has its lock."""

    number: int
    data: bytearray = field(default_factory=bytearray)
    durable: bytes = b""
    sync_failed: bool = False
    links: int = 0
    holder: object | None = None

    def sync(self) -> None:
        """Make the data durable, unless a sync failed before: the system then reports success and has lost them."""
        if not self.sync_failed:
            self.durable = bytes(self.data)

    def cut(self, random: Random) -> None:
        """Keep what a power cut leaves."""
        if self.data != self.durable:
            self.durable = _survivor(self.durable, bytes(self.data), random)
            self.data = bytearray(self.durable)
        self.sync_failed = False
        self.holder = None


@dataclass(eq=False)
class SimFolder:
    """An inode with names. `entries` is what programs see, `durable` what is safe, `pending` what lies between."""

    number: int
    entries: dict[str, Node] = field(default_factory=dict)
    durable: dict[str, Node] = field(default_factory=dict)
    pending: list[Change] = field(default_factory=list)
    named_by: Change | None = None  # the latest change that gave this folder its name

    def change(self, names: dict[str, Node | None], needs: Change | None = None) -> Change:
        """Apply `names` (None removes) as one change. It never becomes durable without `needs`."""
        made = Change(self, names, needs)
        for name, node in names.items():
            _count_links(self.entries.get(name), -1)
            _count_links(node, +1)
            if isinstance(node, SimFolder):
                node.named_by = made
        _apply(names, self.entries)
        self.pending.append(made)
        return made

    def settle(self, count: int) -> None:
        """Make the first `count` pending changes durable, with all they need."""
        for change in [self.pending.pop(0) for _ in range(count)]:
            _apply(change.names, self.durable)
            if change.needs is not None:
                change.needs.settle()

    def cut(self) -> None:
        """Forget what is not durable; settle first what shall survive."""
        self.pending.clear()
        self.named_by = None
        self.entries = dict(self.durable)


Node = SimFile | SimFolder


@dataclass(eq=False)
class Change:
    """One operation on one folder: names that came, went, or now mean another inode."""

    folder: SimFolder
    names: dict[str, Node | None]
    needs: Change | None = None

    def settle(self) -> None:
        """Become durable in a durable place: with everything earlier in the folder and the folder's own name."""
        if self in self.folder.pending:
            self.folder.settle(self.folder.pending.index(self) + 1)
        if self.folder.named_by is not None:
            self.folder.named_by.settle()


def power_cut(root: SimFolder, everything: list[Node], random: Random) -> list[Node]:
    """Leave a legal remainder of `everything` below `root`; returns the inodes that still have a name."""
    for node in everything:
        if isinstance(node, SimFolder):
            node.settle(_how_much(len(node.pending), random))
    for node in everything:
        if isinstance(node, SimFolder):
            node.cut()
        else:
            node.cut(random)
            node.links = 0
    return _reachable(root)


def _reachable(root: SimFolder) -> list[Node]:
    found: dict[int, Node] = {root.number: root}
    todo = [root]
    while todo:
        for node in todo.pop().entries.values():
            _count_links(node, +1)
            if node.number not in found and isinstance(node, SimFolder):
                todo.append(node)
            found[node.number] = node
    return [found[number] for number in sorted(found)]


def _survivor(durable: bytes, data: bytes, random: Random) -> bytes:
    if not data.startswith(durable):  # overwritten, as lock texts are: the old text, or a piece of the new one
        if random.random() < 0.5:
            return durable
        durable = b""
    size = len(durable) + _how_much(len(data) - len(durable), random)
    written = len(durable) + _how_much(size - len(durable), random)
    return data[:written] + bytes(size - written)


def _how_much(most: int, random: Random) -> int:
    """A number from 0 to `most`; the ends, where the errors live, come up often."""
    drawn = random.random()
    if drawn < 0.3:
        return 0
    return most if drawn < 0.6 else random.randint(0, most)


def _apply(names: dict[str, Node | None], entries: dict[str, Node]) -> None:
    for name, node in names.items():
        if node is None:
            entries.pop(name, None)
        else:
            entries[name] = node


def _count_links(node: Node | None, by: int) -> None:
    if isinstance(node, SimFile):
        node.links += by
