"""A whole node to which everything else happens that raises an alert (see test_alerts_node.py): each is told at a real mail
server or webhook with its severity, and is over when it has been put right.

Not here, because no node that runs can be brought there in seconds: `disk.soon` (an hour of looks), `accounting.ledger` (ten
minutes after the start), `channel.mail` (a quarter of an hour; its twin `channel.webhook` is here), `spool.wal` (the same) and
`audit.away` (a minute), which are in test_slow_alerts_node.py; `ledger.encoding` (a PostgreSQL of another encoding),
`ledger.ahead` (where `ledger.gap` is) and `alerts.failed.*` (an error of our own), which are in tests/bookkeeper.
"""

from __future__ import annotations

import json
import re
import signal
import sqlite3
import time
from collections.abc import Callable, Set
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import psutil
import pytest

from protocol.wire.events import ActorStopped
from tests.http_peer import HttpPeer, Request
from tests.mailserver import Box, smtp_server
from tests.network import mishaps
from tests.network.evidence import arrival_of, send, series
from tests.network.mishaps import Deadly, Full
from tests.network.system import Node, rule, target, wait_until
from tests.network.test_alerts_node import mails
from tests.peers import free_port, needs_dcmtk
from tests.targets.test_target_commitment import Archive

pytestmark = [needs_dcmtk, pytest.mark.slow, pytest.mark.timeout(400)]

LIMIT_S = 60.0
FIRST = {
    "source.silent.most": "WARNING", "channel.webhook": "WARNING", "target.degraded.full": "WARNING",
    "target.missing.gone": "WARNING", "confirmation.unanswered.silent": "WARNING",
    "delivery.held.deadly.process_died": "WARNING", "commitment.nowhere.ASKS": "WARNING", "commitment.given_up": "WARNING",
    "commitment.unrouted": "WARNING", "arrival.aside.CT1": "INFO", "clock": "WARNING", "ledger.refused": "WARNING",
    "actor.down.bus": "CRITICAL", "actor.failing.cleaner": "CRITICAL", "actor.restarting.cleaner": "WARNING",
    "disk": "CRITICAL", "cleaning.routing": "WARNING", "cleaning.stuck": "WARNING", "spool.lock": "CRITICAL",
    "actor.hung.webgui": "CRITICAL", "commitment.relaxed": "WARNING", "routing.damaged": "WARNING",
}  # fmt: skip
LAST = {
    "ledger.gap": "CRITICAL", "audit.broken": "WARNING", "outbox.long": "WARNING", "channel.unset.mail": "WARNING",
    "source.silent.OLD1": "WARNING",
}  # fmt: skip
OVER = {
    "source.silent.most", "channel.webhook", "clock", "actor.down.bus", "actor.failing.cleaner", "disk", "cleaning.routing",
    "cleaning.stuck", "actor.hung.webgui", "commitment.relaxed", "arrival.aside.CT1", "outbox.long", "routing.damaged",
}  # fmt: skip
LINE = re.compile(r"^  (CRITICAL|WARNING|INFO) .*\((\S+), since [^,)]*(, over since [^)]*)?\)$", re.MULTILINE)


class People:
    """Who reads mails, and who hears the webhook; what each alert was said to be, and which are said to be over."""

    def __init__(self) -> None:
        self.box, self._told = Box(), list[tuple[str, str, bool]]()

    def hook(self, request: Request) -> tuple[int, dict[str, str], bytes]:
        alerts = json.loads(request.body)["alerts"]
        self._told += [(one["key"], one["severity"].upper(), one["what"] == "cleared") for one in alerts]
        return 200, {}, b""

    def read(self, *, over: bool = False) -> dict[str, str]:
        """The severity of each alert that was mailed; or those that were said to be over."""
        text = "\n".join(mails(self.box)).replace("\r", "")
        return {key: severity for severity, key, ended in LINE.findall(text) if bool(ended) == over}

    def heard(self, *, over: bool = False) -> dict[str, str]:
        """The same of what the webhook said."""
        return {key: severity for key, severity, ended in list(self._told) if ended == over}

    def wait(self, node: Node, *wanted: str) -> None:
        """Until all these were mailed."""
        wait_for(lambda: self.read().keys(), set(wanted), node)


def wait_for(found: Callable[[], Set[str]], wanted: Set[str], node: Node) -> None:
    wait_until(lambda: found() >= wanted, LIMIT_S, lambda: f"{wanted - found()} not in {found()}\n{node.logs()}")


def configure(node: Node, smtp: int, hook: str, *more: str) -> None:
    """Write scanpost.toml; whoever starts reads it. `more`: further lines, as `section.key = value`."""
    lines = [
        'alerts.group_s = 0', 'alerts.clear_after_s = 1', 'alerts.actor_down_s = 2', f'alerts.webhook.url = "{hook}"',
        'cleaner.window = "always"', 'cleaner.sweep_s = 1',
    ]  # fmt: skip
    if smtp:
        lines += ['alerts.smtp.host = "127.0.0.1"', f'alerts.smtp.port = {smtp}', 'alerts.smtp.sender = "node@example.org"',
                  'alerts.smtp.to = ["ops@example.org"]']  # fmt: skip
    lines += [*more] if any("reserve_gb" in one for one in more) else [*more, "spool.reserve_gb = 0.1"]
    (node.home / "config").mkdir(parents=True, exist_ok=True)
    (node.home / "config" / "scanpost.toml").write_text("\n".join(lines) + "\n")


CT, MR = rule("ct", "Modality == 'CT'", "full", "silent", "deadly", "gone"), rule("mr", "Modality == 'MR'", "away")
NOTIFIED = {**MR, "notify": [{"on": ["failed"], "to": "mail:ward@example.org"}]}
DEAF = {"calling_ae": "DEAF", "commitment": {"policy": "spool", "port": free_port(), "report_s": 1.0}}
SOURCES = {"asks": {"calling_ae": "ASKS", "commitment": "spool"}, "deaf": DEAF}


def test_everything_else_that_may_go_wrong_is_told_as_it_should_and_so_is_that_it_is_over(tmp_path):
    people, node = People(), Node(tmp_path / "home")
    del node.environment["SCANPOST_SPOOL__RESERVE_GB"]  # written below
    mishaps.sources_seen_until_yesterday(node.home, "OLD1", "OLD2", "OLD3")
    mishaps.letter_that_nobody_took(node.home, "webhook", 1200.0, 15.0)
    full, deadly, silent = Full(), Deadly(node), Archive(silent=True)
    with ExitStack() as stack:
        smtp, hook = stack.enter_context(smtp_server(people.box)), stack.enter_context(HttpPeer(people.hook)).url
        ports = [stack.enter_context(one.serve()) for one in (full, silent, deadly)]
        once = {"first_s": 1, "factor": 1, "max_s": 1, "give_up_after_s": 3600, "max_attempts": None}
        targets = {
            "full": target(ports[0], retry=once), "silent": target(ports[1], commitment={"answer_s": 0.5, "wait_s": 1.0}),
            "deadly": target(ports[2]), "gone": target(free_port()), "away": target(free_port()),
        }  # fmt: skip
        configure(node, smtp, hook)
        node.route(targets, [CT, NOTIFIED], sources=SOURCES)
        stack.enter_context(node)
        page = mishaps.suspend(node, "webgui")
        ledger = mishaps.copy_of_the_ledger(node, tmp_path)
        stuck = scanners_and_targets(node, tmp_path, targets)
        programs(node, people, lambda *more: configure(node, smtp, hook, *more))
        people.wait(node, *FIRST)
        assert {key: severity for key, severity in people.read().items() if key in FIRST} == FIRST
        put_right(node, page, stuck)
        while_nobody_books(node, ledger)
        configure(node, 0, hook)
        mishaps.programs(node).start("bookkeeper:bookkeeper")
        wait_for(lambda: people.heard().keys(), LAST.keys(), node)
        assert LAST.items() <= people.heard().items()
        wait_for(lambda: people.heard(over=True).keys() | people.read(over=True).keys(), OVER, node)
    assert all("Test^Image" not in mail for mail in mails(people.box)), "the patient's name is in no mail"


def scanners_and_targets(node: Node, folder: Path, targets: dict[str, Any]) -> Path:
    """What comes in and goes out; a folder in the place of a discarded image."""
    ct, mr, nobodys = series(1, 1), series(2, 1, modality="MR"), series(5, 1, modality="US")
    send(node, folder / "nobodys", nobodys)
    send(node, folder / "ct", ct)
    send(node, folder / "mr", mr)
    for study, name in ((3, "ASKS"), (4, "DEAF")):
        asked = series(study, 1, modality="MR" if name == "DEAF" else "US")
        mishaps.ask_to_commit(node, name, asked[0])
        send(node, folder / name, asked, calling=name)
    wait_until(
        lambda: "gone" in node.status()["targets"] and node.status()["targets"]["gone"]["waiting"], LIMIT_S, node.logs
    )
    hold = ("series", "hold", str(arrival_of(node, mr[0])), "--reason", "second reading")
    wait_until(lambda: not node.cli(*hold, check=False).returncode, LIMIT_S, node.logs)  # not while it is being sent
    del targets["gone"]
    mishaps.publish_past_all_checks(
        node, targets, sources=SOURCES, rules=[{**CT, "targets": CT["targets"][:-1]}, NOTIFIED]
    )
    with closing(node.spool()) as spool:
        spool.outbox.record(ActorStopped("a name with\0a NUL", 1))  # known-failures 27
    return mishaps.folder_instead_of(node, nobodys[0])


def programs(node: Node, people: People, configure: Callable[..., None]) -> None:
    """What happens to the node itself."""
    newest_version(node).write_text("cut of")
    mishaps.programs(node).stop("bus:bus")
    folder = mishaps.forbid_the_ballast(node)
    people.wait(node, "actor.failing.cleaner", "actor.down.bus")
    folder.rmdir()
    mishaps.programs(node).start("bus:bus")

    configure("spool.reserve_gb = 1000000")
    mishaps.event_of_a_clock_that_was_ahead(node, 18.0)
    node.kill("cleaner")
    people.wait(node, "disk", "clock")
    with mishaps.lock_holder_suspended(node) as holder:
        assert holder.wait(LIMIT_S) == -signal.SIGKILL

    configure()
    versions = {file: file.read_bytes() for file in (node.home / "config" / "routing").iterdir()}
    for file in versions:
        file.write_text("no JSON")
    node.kill("cleaner")
    people.wait(node, "cleaning.routing")
    for file, content in versions.items():
        file.write_bytes(content)

    configure('receiver.durability = "relaxed"', "cleaner.retention_discarded_h = 0")
    node.kill("router")
    node.kill("cleaner")  # the third time
    people.wait(node, "cleaning.stuck", "commitment.relaxed")
    configure()


def newest_version(node: Node) -> Path:
    """A file of the routing above all others."""
    return node.home / "config" / "routing" / "000099.json"


def put_right(node: Node, page: psutil.Process, stuck: Path) -> None:
    """All that can be."""
    newest_version(node).unlink()
    page.send_signal(signal.SIGCONT)
    stuck.rmdir()
    mishaps.be_seen(node, "OLD2", "OLD3")
    (held,) = node.json("series", "list", "--state", "held", "--source", "CT1")
    node.cli("series", "release", str(held["id"]))
    node.kill("router")


def while_nobody_books(node: Node, ledger: Path) -> None:
    """The ledger is put back as it was, of what came since the outbox keeps nothing, two million events come, and the audit is cut."""
    mishaps.programs(node).stop("bookkeeper:bookkeeper")
    for name in ("-wal", "-shm"):
        node.home.joinpath(f"ledger.sqlite3{name}").unlink(missing_ok=True)
    ledger.replace(node.home / "ledger.sqlite3")
    with closing(node.spool()) as spool:
        spool.letters.happened(spool.outbox.head(), [])  # what the bookkeeper says of itself each minute
        while spool.outbox.trim(time.time() + 60, {"bookkeeper"}):
            pass
        told = int(spool.notices.standing("audit.head")["audit.head"].partition(" ")[0])
        with spool.database.write() as tx:  # numbers may have gaps
            tx.execute("UPDATE sqlite_sequence SET seq = seq + 2100000 WHERE name = 'event'")
        spool.outbox.record(ActorStopped("the-last-of-many", 1))
        wait_until(lambda: spool.notices.alerts("outbox.long"), LIMIT_S, node.logs)
    with closing(sqlite3.connect(node.home / "accounts.sqlite3")) as accounts, accounts:
        accounts.execute("DROP TRIGGER audit_is_kept")
        accounts.execute("DELETE FROM audit WHERE number >= ?", (told,))
