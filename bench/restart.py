"""P9: the start of a node whose spool holds many images until `ready`: after an orderly stop, and after a power cut."""

from __future__ import annotations

from pathlib import Path

from bench import large_spool, node
from bench.runs import Session, measured
from protocol.spool import open_spool

IMAGES = 1_000_000
LIMIT_S = 30.0
# The spool is synthetic: its series must neither be sent nor deleted while the start is timed.
QUIET = {"SCANPOST_CLEANER__RETENTION_DELIVERED_H": "10000", "SCANPOST_CLEANER__RETENTION_DISCARDED_H": "10000"}
TARGETS = {"pacs": {"type": "dicom", "host": "127.0.0.1", "port": 9, "called_ae": "PACS", "calling_ae": "SCANPOST"}}
RULES = [{"name": "all", "when": "True", "action": "route", "targets": ["pacs"]}]


def restart(session: Session) -> None:
    """The page cache is warm: after a real power cut the disk's speed comes on top."""
    home = session.folder / "restart"
    count = large_spool.make(home, max(1000, round(IMAGES * session.share)))
    title = f"start with {count:,} images in the spool until ready"
    orderly, cut = [], []
    for _ in range(session.repetitions):
        orderly.append(_start(home))
        _forget_boot(home)
        cut.append(_start(home))
    goal = f"P9 < {LIMIT_S:g} s"
    session.add([
        measured(title, "after an orderly stop", orderly, "s", limit=LIMIT_S, goal=goal),
        measured(title, "after a power cut (database checked)", cut, "s", limit=LIMIT_S, goal=goal),
    ])  # fmt: skip
    with node.running(session.folder / "empty", TARGETS, RULES, QUIET) as running:
        session.add([measured(title, "an empty spool, for comparison", [running.ready_s], "s", notes="a mark")])


def _start(home: Path) -> float:
    with node.running(home, TARGETS, RULES, QUIET) as running:
        return running.ready_s


def _forget_boot(home: Path) -> None:
    """As if the machine had started anew without an orderly stop of the node."""
    spool = open_spool(home)
    with spool.database.write() as tx:
        tx.execute("UPDATE meta SET value = 'another' WHERE key = 'boot'")
    spool.close()
