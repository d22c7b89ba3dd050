"""A whole node to which the things happen that people are told of only after a while: its bookkeeper is the real one, with
short waits (hasty_bookkeeper). Each alert comes, says what to do, and is over when that was done.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from protocol.spool.database import WAL_ALERT_BYTES
from tests.mailserver import Box, smtp_server
from tests.network import mishaps
from tests.network.evidence import send, series
from tests.network.system import ROOT, Node, rule, target, wait_until
from tests.peers import StoreScp, free_port, needs_dcmtk

# Much of a minute, most of it waiting: apart from what runs each time.
pytestmark = [needs_dcmtk, pytest.mark.soak, pytest.mark.timeout(300)]

GB = 10**9
SAYS = {
    "disk.soon": "images will be refused at about", "accounting.ledger": "see `scanpost accounting --ledger`",
    "channel.mail": "`scanpost alerts letters` says whose", "spool.wal": "end commands of scanpost that hang",
    "audit.away": "see audit_not_written in log/bookkeeper.log",
}  # fmt: skip


@contextmanager
def hasty_bookkeeper(node: Node) -> Iterator[None]:
    """In place of the node's own."""
    mishaps.programs(node).stop("bookkeeper:bookkeeper")
    process = subprocess.Popen([sys.executable, "-m", "tests.network.hasty_bookkeeper"], cwd=ROOT, env=node.environment,
                               stdout=node.home.joinpath("log", "hasty.log").open("w"), stderr=subprocess.STDOUT)  # fmt: skip
    try:
        yield
    finally:
        process.terminate()
        process.wait(60)


def standing(node: Node) -> dict[str, str]:
    """What each alert says that stands and is not over yet."""
    with closing(node.spool()) as spool:
        return {one.key: one.text for one in spool.alerts.all() if one.cleared is None and one.gone is None}


@contextmanager
def told(node: Node, key: str) -> Iterator[None]:
    """The alert comes, what is done inside mends what it tells, and it goes."""
    wait_until(lambda: key in standing(node), 60, lambda: f"{key} not in {standing(node)}\n{node.logs()}", 0.5)
    assert SAYS[key] in standing(node)[key]
    yield
    wait_until(lambda: key not in standing(node), 60, lambda: f"{key} still in {standing(node)}\n{node.logs()}", 0.5)


def test_what_is_told_only_after_a_while_is_told_by_a_node_and_so_is_its_end(tmp_path):
    box, images = Box(), series(1, 3)
    box.answer = "451 not now"
    reserve = max(0.1, shutil.disk_usage(tmp_path).free / GB - 20)
    with ExitStack() as stack:
        smtp, pacs = stack.enter_context(smtp_server(box)), stack.enter_context(StoreScp(tmp_path / "pacs"))
        node = Node(tmp_path / "home", environment={
            "SCANPOST_ALERTS__SMTP__HOST": "127.0.0.1", "SCANPOST_ALERTS__SMTP__PORT": str(smtp),
            "SCANPOST_ALERTS__SMTP__SENDER": "node@example.org", "SCANPOST_ALERTS__SMTP__TO": '["ops@example.org"]',
            "SCANPOST_ALERTS__GROUP_S": "0", "SCANPOST_ALERTS__CLEAR_AFTER_S": "1", "SCANPOST_ALERTS__DISK_H": "0.2",
            "SCANPOST_ALERTS__TARGET_DOWN_S": "1", "SCANPOST_SPOOL__RESERVE_GB": f"{reserve:.2f}",
        })  # fmt: skip
        node.route({"pacs": target(pacs.port), "away": target(free_port())},
                   [rule("all", "True", "pacs"), rule("mr", "Modality == 'MR'", "away")])  # fmt: skip
        stack.enter_context(node)
        stack.enter_context(hasty_bookkeeper(node))
        send(node, tmp_path / "scanner", images)
        send(node, tmp_path / "more", series(2, 1, modality="MR"))  # its target is down: a mail
        with told(node, "channel.mail"):
            box.answer = "250 ok"
        assert box.taken, "the mail that waited"
        disk(node, tmp_path)
        log(node)
        audit(node)
        ledger(node)


def disk(node: Node, folder: Path) -> None:
    """Somebody fills it."""
    filler = folder / "filler"
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, GB)
        with told(node, "disk.soon"):
            filler.unlink()
            file.truncate(0)


def log(node: Node) -> None:
    """Some program reads from the spool and does not let go, while much is written."""
    with closing(sqlite3.connect(node.home / "spool" / "spool.sqlite3", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM event").fetchall()
        with closing(node.spool()) as spool:
            while spool.database.wal_bytes() <= WAL_ALERT_BYTES:
                with spool.database.write() as tx:
                    tx.execute("CREATE TABLE IF NOT EXISTS filler (content BLOB)")
                    tx.execute("INSERT INTO filler VALUES (zeroblob(8000000))")
                    tx.execute("DELETE FROM filler")
        with told(node, "spool.wal"):
            reader.execute("ROLLBACK")


def audit(node: Node) -> None:
    """Another program has the accounts locked."""
    with closing(sqlite3.connect(node.home / "accounts.sqlite3", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        node.cli("target", "pause", "away", "--reason", "moved")
        with told(node, "audit.away"):
            other.execute("ROLLBACK")
    wait_until(
        lambda: [one for one in node.json("audit", "list") if one["action"] == "target.pause"], 30, node.logs, 0.5
    )


def ledger(node: Node) -> None:
    """Somebody deletes an image from the ledger, and puts it back."""
    with closing(sqlite3.connect(node.home / "ledger.sqlite3", timeout=30)) as other:
        with other:
            other.execute("CREATE TABLE aside AS SELECT * FROM image LIMIT 1")
            other.execute("DELETE FROM image WHERE receipt IN (SELECT receipt FROM aside)")
        with told(node, "accounting.ledger"), other:
            other.execute("INSERT INTO image SELECT * FROM aside")
            other.execute("DROP TABLE aside")
