"""What can go wrong with a node, brought about as people, scanners, targets and disks do it: one function for each mishap.
It must not look at alerts; a past is written into the spool only through its own functions, by a clock in hand.
"""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psutil
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE

from protocol.clock import ManualClock
from protocol.fsops import RealFs
from protocol.programs import Supervisord, manager
from protocol.routing.parse import build
from protocol.routing.versions import RoutingVersions
from protocol.settings import load_settings
from protocol.spool import open_spool
from protocol.spool.letters import Item
from protocol.spool.sightings import note
from protocol.testing.images import TestImage
from protocol.wire.events import ActorStopped
from tests.network.system import ROOT, Node
from tests.network.test_commitment import INSTANCE, PUSH_MODEL
from tests.peers import HOST
from tests.targets.test_target_commitment import Archive

HOUR_S, DAYS = 3600.0, 18
HOLDER = (
    "import os, signal, sys; from pathlib import Path; from protocol.spool.writelock import WriteLock;"
    "WriteLock(Path(sys.argv[1])).__enter__(); os.kill(os.getpid(), signal.SIGSTOP)"
)


# ---- a past -------------------------------------------------------------------------------------------------------
def sources_seen_until_yesterday(home: Path, *calling: str) -> None:
    """They sent in the four hours before this one of each day, and today they did not."""
    clock, now = ManualClock(0.0), time.time()
    with closing(open_spool(home, clock=clock, durability="relaxed", create=True)) as spool:
        for hour in (day * 24 + left for day in range(DAYS, 0, -1) for left in (4, 3, 2, 1)):
            clock.jump_wall(now - hour * HOUR_S - clock.now())
            with spool.database.write() as tx:
                for name in calling:
                    note(tx, name, HOST, "SCANPOST", "", None)
            spool.watching.note_hours()


def letter_that_nobody_took(home: Path, recipient: str, age_s: float, again_s: float) -> None:
    """It has waited for so long, and is tried again in a while."""
    with closing(open_spool(home, clock=ManualClock(time.time() - age_s), create=True)) as spool:
        spool.letters.tell([], [Item(recipient, {"kind": "test", "text": "of old"})])
        body = {"subject": "of old", "text": "of old", "count": 1, "items": []}
        letter = spool.letters.seal(spool.letters.items(recipient), body)
        spool.letters.failed(letter, "the server answers 503", time.time() + again_s)


def event_of_a_clock_that_was_ahead(node: Node, by_s: float) -> None:
    with closing(open_spool(node.home, clock=ManualClock(time.time() + by_s))) as spool:
        spool.outbox.record(ActorStopped("of-tomorrow", 1))


# ---- peers --------------------------------------------------------------------------------------------------------
class Full(Archive):
    """It is there, and has no room (A700)."""

    def _store(self, event: Any) -> int:
        return 0xA700


class Deadly(Archive):
    """Whoever sends an image to it dies; stands for an image that kills its sender."""

    def __init__(self, node: Node) -> None:
        super().__init__()
        self._node = node

    def _store(self, event: Any) -> int:
        port = event.assoc.requestor.port
        for process in self._node.processes():
            with suppress(
                psutil.Error
            ):  # one that ended meanwhile; an error here would be answered as a status of its own
                if any(one.laddr and one.laddr.port == port for one in process.net_connections("tcp")):
                    process.kill()
        return 0xA700


def ask_to_commit(node: Node, calling: str, image: TestImage) -> None:
    """A scanner asks before it sends the image, and hangs up."""
    entity = AE(calling)
    entity.add_requested_context(PUSH_MODEL)
    association = entity.associate(HOST, node.port, ae_title="SCANPOST")
    assert association.is_established
    asked, item = Dataset(), Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = image.sop_class_uid, image.sop_uid
    asked.TransactionUID, asked.ReferencedSOPSequence = f"{image.sop_uid}.1", [item]
    status, _ = association.send_n_action(asked, 1, PUSH_MODEL, INSTANCE)
    assert status.Status == 0
    association.release()


def be_seen(node: Node, *calling: str) -> None:
    """Each opens an association and ends it."""
    for name in calling:
        entity = AE(name)
        entity.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
        association = entity.associate(HOST, node.port, ae_title="SCANPOST")
        assert association.is_established
        association.release()


# ---- programs -----------------------------------------------------------------------------------------------------
def programs(node: Node) -> Supervisord:
    return manager(load_settings(node.home, {}, environ=node.environment))


def suspend(node: Node, actor: str) -> psutil.Process:
    process = psutil.Process(node.pid(actor))
    process.send_signal(signal.SIGSTOP)
    return process


def lock_holder_suspended(node: Node) -> subprocess.Popen[bytes]:
    """A program takes the spool's write lock and is suspended."""
    return subprocess.Popen([sys.executable, "-c", HOLDER, str(node.home / "run" / "spool.write.lock")], cwd=ROOT)


# ---- hands that should not --------------------------------------------------------------------------------------------
def publish_past_all_checks(node: Node, targets: dict[str, Any], **more: Any) -> None:
    """A version that lacks a target that is in use, as somebody copied it there."""
    versions = RoutingVersions(node.home / "config" / "routing", RealFs(), ManualClock(time.time()))
    current = versions.current()
    versions.publish(build({"targets": targets, **more}, "test"), "somebody", "by hand", current.number)


def forbid_the_ballast(node: Node) -> Path:
    """A folder stands where the cleaner makes it, and it is gone; the folder."""
    ballast = node.home / "spool" / "ballast"
    ballast.unlink()
    folder = ballast.with_suffix(".tmp")
    folder.mkdir()
    return folder


def folder_instead_of(node: Node, image: TestImage) -> Path:
    """Somebody replaced an image's file by a folder."""
    files = (path for path in (node.home / "spool" / "images").rglob("*") if path.is_file())
    path = next(path for path in files if image.sop_uid.encode() in path.read_bytes())
    path.unlink()
    path.mkdir()
    return path


def copy_of_the_ledger(node: Node, folder: Path) -> Path:
    """As it is now."""
    path = folder / "ledger-of-before.sqlite3"
    with (
        closing(sqlite3.connect(node.home / "ledger.sqlite3", timeout=30)) as there,
        closing(sqlite3.connect(path)) as copy,
    ):
        there.backup(copy)
    return path
