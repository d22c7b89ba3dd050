"""What whole-system tests need to send images and to look at what came of them: files, events, the ledger, targets.
It must not start or stop a node (system.py does) and never changes a spool.
"""

from __future__ import annotations

import hashlib
import struct
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from sqlalchemy import select

from protocol.errors import LedgerError
from protocol.ledger import tables
from protocol.ledger.engine import reader, reading
from protocol.testing.images import TestImage
from protocol.wire.messages import Envelope
from tests.network.system import Node, wait_until
from tests.peers import StoreScp, dataset_bytes, dcmsend

CT_STORAGE, MR_STORAGE = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
OUTSIDERS = "2.25.99"  # implementation class UID in file metas that no product wrote


# ---- images -------------------------------------------------------------------------------------------------------
def series(study: int, count: int, *, modality: str = "CT", number: int = 1, pixels: int = 2000) -> list[TestImage]:
    """Images of one series with contents of their own."""
    sop_class = MR_STORAGE if modality == "MR" else CT_STORAGE
    return [
        TestImage(study, number, at + 1, bytes([study, number, at]) * (pixels // 3), modality, sop_class)
        for at in range(count)
    ]


def part10(image: TestImage) -> bytes:
    """A file as a scanner's software would write it (PS3.10 section 7.1)."""
    meta = b"".join((
        struct.pack("<HH2s2xI2s", 2, 1, b"OB", 2, b"\0\1"),
        _uid(0x0002, image.sop_class_uid), _uid(0x0003, image.sop_uid), _uid(0x0010, image.transfer_syntax_uid),
        _uid(0x0012, OUTSIDERS),
    ))  # fmt: skip
    return b"\0" * 128 + b"DICM" + struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(meta)) + meta + image.dataset()


def _uid(element: int, value: str) -> bytes:
    raw = value.encode() + b"\0" * (len(value) % 2)
    return struct.pack("<HH2sH", 2, element, b"UI", len(raw)) + raw


def send(node: Node, folder: Path, images: Sequence[TestImage], calling: str = "CT1") -> None:
    """DCMTK's dcmsend sends them in one association; every one must be acknowledged."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for image in images:
        files.append(folder / f"{image.sop_uid}.dcm")
        files[-1].write_bytes(part10(image))
    done = dcmsend(node.port, files, ["--verbose"], calling=calling)
    assert done.returncode == 0, f"dcmsend: {done.stdout}{done.stderr}\n{node.logs()}"


def digest(image: TestImage) -> str:
    return hashlib.sha256(image.dataset()).hexdigest()


def digests(images: Iterable[TestImage]) -> Counter[str]:
    """How often each data set should be somewhere."""
    return Counter(digest(image) for image in images)


def arrived(sink: StoreScp) -> Counter[str]:
    """How often each data set is at a target. Only for a target that is not writing just now."""
    return Counter(hashlib.sha256(dataset_bytes(path)).hexdigest() for path in sink.received())


# ---- events -------------------------------------------------------------------------------------------------------
def events(node: Node, *types: str) -> list[Envelope]:
    """The events of the outbox, in order; of these types, or all."""
    spool = node.spool()
    try:
        at = spool.outbox.oldest()
        at = at._replace(seq=max(0, at.seq - 1))
        found: list[Envelope] = []
        while page := spool.outbox.read(at):
            found += page
            at = at._replace(epoch=page[-1].epoch, seq=page[-1].seq)
    finally:
        spool.close()
    return [event for event in found if not types or event.type in types]


def booked(url: str) -> list[str] | None:
    """Ids of the events in a ledger; None while it cannot be read."""
    engine = reader(url)
    try:
        with reading(engine) as connection:
            return [row[0] for row in connection.execute(select(tables.event.c.id))]
    except LedgerError:
        return None
    finally:
        engine.dispose()


def is_complete(node: Node, url: str) -> bool:
    """Every event of the outbox stands in the ledger exactly once, and nothing else does."""
    in_ledger = booked(url)
    return in_ledger is not None and Counter(in_ledger) == Counter(event.id for event in events(node))


# ---- figures, read without a command: a waiting test asks often -----------------------------------------------------
def images(node: Node) -> dict[str, int]:
    """How many images are in each state; `received` too."""
    spool = node.spool()
    try:
        figures = spool.accounting.figures()
    finally:
        spool.close()
    return {"received": figures.received, **figures.images}


# ---- arrivals and deliveries --------------------------------------------------------------------------------------
def arrival_of(node: Node, image: TestImage) -> int:
    """Number of the newest arrival of an image's series; it may follow the acknowledgement of its first image."""

    def opened() -> list[int]:
        found = [event for event in events(node, "arrival.opened") if event.data["series_uid"] == image.series_uid]
        return [int(event.data["arrival"]) for event in found]

    return int(wait_until(opened, 60, f"an arrival of {image.series_uid}")[-1])


def doctor(node: Node) -> dict[str, list[tuple[str, str]]]:
    """Findings of `scanpost doctor`, by level; it must exit 0."""
    found: dict[str, list[tuple[str, str]]] = {"good": [], "warning": [], "bad": []}
    for finding in node.json("doctor")["findings"]:
        found[finding["level"]].append((finding["check"], finding["text"]))
    return found
