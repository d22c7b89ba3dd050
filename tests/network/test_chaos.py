"""kill -9 of everything while images are under way: nothing acknowledged is lost, nothing is stuck, the ledger is exact.

Two scanners and two slow targets are processes of their own and write down what they saw; the killer (seeded) looks for
actors with work in hand. Beside the real bookkeeper runs one that only listens to the bus: it must be found wanting.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from sqlalchemy import func, select

from protocol.ledger import tables
from protocol.ledger.engine import reader, reading
from tests.network.system import ROOT, USUAL, Node, rule, target, wait_until
from tests.peers import free_port

pytestmark = pytest.mark.slow

SEED = int(os.environ.get("SCANPOST_CHAOS_SEED", "20261123"))
IMAGES = 300
WITH_WORK = int(os.environ.get("SCANPOST_CHAOS_KILLS", "2"))  # more for a long look
DISPATCHERS = 3
OTHERS = ("bus", "cleaner", "webgui")


class Bystanders:
    """The processes around the node, with their records."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: list[subprocess.Popen[str]] = []
        self.ports = [free_port(), free_port()]

    def python(self, *arguments: str, environment: dict[str, str] | None = None) -> subprocess.Popen[str]:
        process = subprocess.Popen([sys.executable, "-m", *arguments], cwd=ROOT, text=True, stdout=subprocess.PIPE,
                                   env=environment)  # fmt: skip
        self.running.append(process)
        return process

    def sinks(self) -> None:
        for number, port in enumerate(self.ports):
            process = self.python("tests.network.sink", str(port), str(self.folder / f"sink{number}"), "0.03")
            assert process.stdout is not None and process.stdout.readline() == "listening\n"

    def scanners(self, port: int) -> list[subprocess.Popen[str]]:
        return [
            self.python(
                "tests.network.scanner", str(port), str(self.folder / f"scanner{study}"), str(study), str(IMAGES // 2)
            )
            for study in (1, 2)
        ]

    def record(self, pattern: str) -> list[tuple[str, str]]:
        """(SOP instance UID, digest) pairs of all records of that kind; a line being written is left out."""
        lines = [
            line for path in sorted(self.folder.glob(pattern)) for line in path.read_text().splitlines(keepends=True)
        ]
        return [tuple(line.split()) for line in lines if line.endswith("\n")]

    def stop(self) -> None:
        for process in self.running:
            process.kill()
            process.wait()


class Killer:
    """Chooses who dies and counts who died with work in hand."""

    def __init__(self, node: Node, random: random.Random) -> None:
        self.node, self.random = node, random
        self.with_work: Counter[str] = Counter()
        self.deaths: Counter[str] = Counter()
        self.spool = node.spool()
        self.pause = threading.Event()
        self.received = 0  # when everything was killed last

    def is_up(self, actor: str) -> bool:
        """Whether it has its seat; somebody who is just being started has not."""
        return self.spool.fs.is_locked(self.spool.places.run / f"{actor}.lock")

    def has_work(self, actor: str) -> bool:
        """Evidence, seen in the spool a moment before the kill."""
        if not self.is_up(actor):
            return False
        with self.spool.database.read() as connection:

            def some(sql: str, *values: object) -> bool:
                return connection.execute(sql, values).fetchone() is not None

            if actor == "receiver":
                return some("SELECT 1 FROM association WHERE state = 'open'")
            if actor == "router":
                return some("SELECT 1 FROM arrival WHERE state IN ('open', 'closed')")
            if actor.startswith("dispatcher"):
                return some(
                    "SELECT 1 FROM delivery WHERE state = 'sending' AND owner LIKE ?", f"dispatcher/{actor[11:]}-%"
                )
        return actor == "bookkeeper" and self.spool.outbox.backlog("bookkeeper") > 0

    def kill_one(self, actor: str) -> None:
        """With work in hand if there is soon any, else not at all."""
        for _ in range(200):
            if self.has_work(actor):
                break
            self.pause.wait(0.005)
        else:
            return
        if self.node.kill(actor) is not None:
            self.deaths[actor] += 1
            self.with_work[actor] += 1

    def kill_others(self) -> None:
        """Those whose work leaves no trace in the spool, some at a time."""
        for actor in self.random.sample(OTHERS, 2) if self.deaths["bus"] < WITH_WORK - 2 else OTHERS:
            if self.is_up(actor) and self.node.kill(actor) is not None:
                self.deaths[actor] += 1

    def recovered(self) -> None:
        """Until images come in again: killing everything while it starts, again and again, would meet no work at all."""
        more = self.received + IMAGES // 20
        wait_until(
            lambda: self.spool.accounting.figures().received >= more, 90, lambda: f"images\n{self.node.logs()}", 0.1
        )

    def next_victim(self) -> str:
        """Whoever has died least with work in hand; the dispatchers count together."""
        dispatchers = sum(self.with_work[f"dispatcher-{n}"] for n in range(DISPATCHERS))
        counts = {"receiver": self.with_work["receiver"], "router": self.with_work["router"],
                  "bookkeeper": self.with_work["bookkeeper"], "dispatcher": dispatchers}  # fmt: skip
        chosen = self.random.choice([actor for actor, count in counts.items() if count < WITH_WORK] or list(counts))
        return f"dispatcher-{self.random.randrange(DISPATCHERS)}" if chosen == "dispatcher" else chosen

    def kill_all(self) -> None:
        """Every actor and its children at the same moment."""
        self.recovered()
        for process in self.node.processes():
            with suppress(psutil.Error):  # it ended by itself since it was listed
                if any(word in " ".join(process.cmdline()) for word in ("-m actors", "actors.dispatcher", "-m webgui")):
                    process.send_signal(signal.SIGKILL)
        self.deaths["all at once"] += 1
        self.received = self.spool.accounting.figures().received

    def kill_supervisord(self) -> None:
        self.recovered()
        os.kill(int((self.node.home / "run" / "supervisord.pid").read_text()), signal.SIGKILL)
        self.deaths["supervisord"] += 1
        self.received = self.spool.accounting.figures().received

    def enough(self) -> bool:
        dispatchers = sum(self.with_work[f"dispatcher-{n}"] for n in range(DISPATCHERS))
        busy = (
            all(self.with_work[actor] >= WITH_WORK for actor in ("receiver", "router", "bookkeeper"))
            and dispatchers >= WITH_WORK
        )
        others = all(self.deaths[actor] >= WITH_WORK - 1 for actor in OTHERS)  # and twice with all
        return busy and others and self.deaths["all at once"] >= 2 and self.deaths["supervisord"] >= 1


@pytest.mark.timeout(600)
def test_kill_nine_at_any_moment_loses_nothing_and_repeats_no_history(tmp_path):
    chance = random.Random(SEED)
    around = Bystanders(tmp_path)
    node = Node(
        tmp_path / "home", dispatchers=DISPATCHERS,
        environment={**USUAL, "SCANPOST_DISPATCHER__SLOTS": "2",
                     "SCANPOST_CLEANER__RETENTION_DELIVERED_H": "0", "SCANPOST_CLEANER__RETENTION_DISCARDED_H": "0",
                     "SCANPOST_CLEANER__WINDOW": "00:00-00:00", "SCANPOST_CLEANER__SWEEP_S": "0.5"},
    )  # fmt: skip
    one, two = around.ports
    node.route({"one": target(one, "SINK"), "two": target(two, "SINK")}, [rule("all", "True", "one", "two")])
    try:
        around.sinks()
        node.up()
        control_url = f"sqlite:///{tmp_path}/hearsay.sqlite3"
        scanners = around.scanners(node.port)
        killer = Killer(node, chance)
        control = None
        for round_ in range(400):  # as many as a busy machine needs to catch everybody with work in hand
            if control is None or control.poll() is not None:
                control = around.python("tests.network.hearsay_beside",
                                        environment={**node.environment, "SCANPOST_LEDGER__URL": control_url})  # fmt: skip
            if round_ % 12 == 8 and killer.deaths["all at once"] < 2:
                killer.kill_all()
            elif round_ % 24 == 14 and killer.deaths["supervisord"] < 2:
                killer.kill_supervisord()
            elif round_ % 4 == 1:
                killer.kill_others()
            else:
                killer.kill_one(killer.next_victim())
            if round_ % 16 == 4:
                control.kill()
                control.wait()
            if killer.enough():
                break
            killer.pause.wait(chance.uniform(0.05, 0.6))
        assert killer.enough(), f"seed {SEED}: {dict(killer.with_work)} {dict(killer.deaths)}\n{node.logs()}"
        for scanner in scanners:
            scanner.send_signal(signal.SIGTERM)
        for scanner in scanners:
            assert scanner.wait(90) == 0
        finish(node, around)
        control.kill()
        control.wait()
        check_images(node, around)
        check_ledger(node, killer, control_url)
        print(f"seed {SEED}: deaths {dict(killer.deaths)}, with work {dict(killer.with_work)}")
    finally:
        node.stop()
        around.stop()


def finish(node: Node, around: Bystanders) -> None:
    """Wait until every image went its way and was deleted, and the bookkeeper has caught up."""

    def settled() -> bool:
        status = node.status()
        images = status["images"]
        return (
            images["received"] == images["deleted"] + images["quarantined"]
            and status["outbox"]["bookkeeper_behind"] == 0
        )

    wait_until(
        settled,
        120,
        lambda: f"seed {SEED}: everything is delivered, deleted and booked: {node.cli('status').stdout}\n{node.logs()}",
        0.5,
    )


def check_images(node: Node, around: Bystanders) -> None:
    acknowledged = set(around.record("scanner*"))
    assert len(acknowledged) >= IMAGES
    for number in range(2):
        got = set(around.record(f"sink{number}"))
        assert not acknowledged - got, (
            f"seed {SEED}: {len(acknowledged - got)} acknowledged images are not at target {number}"
        )
    doctor = node.cli("doctor", "--json", check=False)
    assert doctor.returncode == 0, f"seed {SEED}: {doctor.stdout}"
    assert json.loads(doctor.stdout)["healthy"]


def check_ledger(node: Node, killer: Killer, control_url: str) -> None:
    """Each event of the outbox stands in the ledger exactly once, each image was received and sent to each target once."""
    outbox = []
    at = killer.spool.outbox.oldest()._replace(seq=0)
    while page := killer.spool.outbox.read(at):
        outbox += page
        at = at._replace(seq=page[-1].seq)
    killer.spool.close()
    ids = booked(f"sqlite:///{node.home}/ledger.sqlite3")
    expected = [event.id for event in outbox]
    assert len(ids) == len(set(ids)) and set(expected) <= set(ids), (
        f"seed {SEED}: {len(set(expected) - set(ids))} events missing"
    )
    received = [event.data["receipt"] for event in outbox if event.type == "image.received"]
    assert len(received) == len(set(received))
    sent = Counter((event.data["target"], receipt) for event in outbox if event.type == "delivery.images.sent"
                   for receipt, _ in event.data["images"])  # fmt: skip
    assert set(sent.values()) == {1} and set(sent) == {
        (name, receipt) for name in ("one", "two") for receipt in received
    }
    heard = booked(control_url)
    assert set(expected) - set(heard), "the negative control lost nothing: this test would not notice a loss"


def booked(url: str) -> list[str]:
    engine = reader(url)
    try:
        with reading(engine) as connection:
            assert connection.execute(select(func.count()).select_from(tables.event)).scalar() is not None
            return [row[0] for row in connection.execute(select(tables.event.c.id))]
    finally:
        engine.dispose()
