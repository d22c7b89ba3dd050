"""The receiver as a process of its own: killed in the middle of several associations, and stopped in order."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from receiver_rig import CT, HOST, receiver, send

from actors.dicom.scu import Node, open_association
from protocol.errors import NetworkError
from protocol.following import follow
from protocol.settings import load_settings
from protocol.spool import open_spool
from protocol.testing.images import TestImage
from tests.network.system import wait_until

pytestmark = pytest.mark.slow
ASSOCIATIONS = 4


class Process:
    """`python -m actors receiver` on a free port, ready when the constructor returns.

    What its associations have left when it is told to stop, or is killed, is a minute, as its successor may be slow to start.
    """

    MAIN = (
        "import runpy, sys; from actors.receiver.actor import ReceiverActor; ReceiverActor.STOP_LIMIT_S = 60.0\n"
        "sys.argv = ['actors', 'receiver']; runpy.run_module('actors', run_name='__main__', alter_sys=True)"
    )

    def __init__(self, home: Path, **variables: str) -> None:
        clean = {key: value for key, value in os.environ.items() if not key.startswith("SCANPOST_")}
        settings = {"HOME": str(home), "BUS__ENABLED": "false", "RECEIVER__HOST": HOST, "RECEIVER__PORT": "0",
                    "SPOOL__RESERVE_GB": "0", "SPOOL__RESERVE2_GB": "0", "RECEIVER__WORKERS": "2"}  # fmt: skip
        self.process = subprocess.Popen(
            [sys.executable, "-c", self.MAIN], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={**clean, **{f"SCANPOST_{key}": value for key, value in (settings | variables).items()}},
        )  # fmt: skip
        self.said: list[dict[str, Any]] = []
        self.port = int(self.until("listening")["port"])
        self.until("ready")

    def until(self, action: str) -> dict[str, Any]:
        assert self.process.stdout is not None
        for text in self.process.stdout:
            line: dict[str, Any] = json.loads(text)
            self.said.append(line)
            if line["action"] == action:
                return line
        raise AssertionError(f"ended before {action}: {self.said}")

    def once(self, action: str) -> dict[str, Any]:
        """As `until`, or the line has come already: which of two is written first is not always the same."""
        return next((line for line in self.said if line["action"] == action), None) or self.until(action)

    def workers(self) -> list[psutil.Process]:
        return [one for one in self._below() if one.name() == "worker"]

    def _below(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def kill(self) -> None:
        """All of it: kill -9 of the receiver alone leaves its workers to finish."""
        children = self._below() if self.process.poll() is None else []
        for one in (self.process, *children):
            with suppress(psutil.NoSuchProcess):
                one.kill()
        psutil.wait_procs(children, 10)
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    open_spool(home, create=True).close()
    return home


@pytest.fixture
def process(home: Path, request: pytest.FixtureRequest) -> Iterator[Process]:
    running = Process(home, RECEIVER__DURABILITY=getattr(request, "param", "fsync"))
    yield running
    running.kill()


def test_workers_wait_for_their_turn_and_who_accepts_does_not(process: Process) -> None:
    assert os.sched_getscheduler(process.process.pid) == os.SCHED_OTHER
    assert [os.sched_getscheduler(one.pid) for one in process.workers()] == [os.SCHED_BATCH] * 2


@pytest.mark.parametrize("process", ["fsync", "relaxed"], indirect=True)
def test_kill_9_loses_no_acknowledged_image(home: Path, process: Process, tmp_path: Path) -> None:
    enough, acknowledged, begun = threading.Event(), [], set()
    kill_after = random.Random(7).randrange(40, 120)

    def run(series: int) -> None:
        node = Node(HOST, process.port, "SCANPOST", f"CT{series}", dimse_timeout_s=60)
        try:
            with open_association(node, [CT]) as association:
                for instance in range(1, 10_000):
                    image = TestImage(series=series, instance=instance)
                    assert send(association, image, tmp_path) == 0
                    acknowledged.append(image.sop_uid)
                    begun.add(series)
                    if len(acknowledged) >= kill_after and len(begun) == ASSOCIATIONS:
                        enough.set()
        except NetworkError:
            return  # it died, as intended

    with ThreadPoolExecutor(ASSOCIATIONS) as pool:
        runs = [pool.submit(run, series) for series in range(1, ASSOCIATIONS + 1)]
        assert enough.wait(90)
        process.kill()
        for one in runs:
            one.result(90)
    with receiver(home) as rig:
        stored = rig.stored()
        assert set(acknowledged) <= set(stored) and len(acknowledged) >= kill_after
        assert len(stored) <= len(acknowledged) + ASSOCIATIONS, "at most one image under way for each association"
        assert rig.found["associations_aborted"] == ASSOCIATIONS and rig.found["dead_workers"] == 2
        assert {one.associations_open for one in rig.spool.arrivals.open_ones()} == {0}
        assert rig.healthy()


def test_kill_9_of_a_worker_costs_its_own_associations_and_another_takes_its_place(
    home: Path, process: Process, tmp_path: Path
) -> None:
    node = Node(HOST, process.port, "SCANPOST", "CT1", dimse_timeout_s=60)
    with open_association(node, [CT]) as one, open_association(node, [CT]) as other:  # the load is spread
        assert [send(one, TestImage(instance=1), tmp_path), send(other, TestImage(instance=2), tmp_path)] == [0, 0]
        process.workers()[0].kill()
        process.until("worker_died")
        outcomes = []
        for number, association in ((3, one), (4, other)):
            try:
                outcomes.append(send(association, TestImage(instance=number), tmp_path))
            except NetworkError:
                outcomes.append(-1)
        assert sorted(outcomes) == [-1, 0], "the other worker's association goes on"
    process.once("mended")  # a pass may meet the free lock before the exit is told
    with open_association(node, [CT]) as again:
        assert send(again, TestImage(instance=5), tmp_path) == 0
    spool = open_spool(home)
    try:
        assert spool.workers.dead() == []
        wait_until(lambda: spool.accounting.figures().received == 4, 60, "the rows follow")
        assert spool.accounting.balance(files=True) == []
    finally:
        spool.close()


def test_workers_of_a_receiver_that_was_killed_finish_while_its_successor_serves(
    home: Path, process: Process, tmp_path: Path
) -> None:
    orphans = process.workers()
    with open_association(Node(HOST, process.port, "SCANPOST", "CT1"), [CT]) as association:
        assert send(association, TestImage(instance=1), tmp_path) == 0
        process.process.kill()
        process.process.wait()
        successor = Process(home, RECEIVER__PORT=str(process.port))
        try:
            assert send(association, TestImage(instance=2), tmp_path) == 0
            with open_association(Node(HOST, process.port, "SCANPOST", "CT1"), [CT]) as new:
                assert send(new, TestImage(instance=3), tmp_path) == 0
            association.release()
            assert not psutil.wait_procs(orphans, 60)[1], "they end when their associations have"
        finally:
            successor.kill()
    with receiver(home) as rig:
        assert len(rig.stored()) == 3 and rig.events("association.closed")[0]["how"] == "released" and rig.healthy()


def test_of_two_workers_those_associations_are_logged_that_open_next_and_each_until_its_end(
    home: Path, process: Process, tmp_path: Path
) -> None:
    follow(load_settings(home, environ={}), 2, "anna", time.time())
    with ExitStack() as both:  # at the same time: each worker has one
        opened = [
            both.enter_context(open_association(Node(HOST, process.port, "SCANPOST", name), [CT]))
            for name in ("CT1", "CT2")
        ]
        with open_association(Node(HOST, process.port, "SCANPOST", "CT3"), [CT]) as third:
            assert [send(one, TestImage(1, 1, number), tmp_path) for number, one in enumerate([*opened, third])] == [
                0,
                0,
                0,
            ]
    process.process.send_signal(signal.SIGTERM)
    process.until("stopped")
    lines = [(line["action"], line["calling_ae"]) for line in process.said if line["level"] == "debug"]
    assert sorted(lines) == [
        (action, name) for action in ("association_opened", "store_answered") for name in ("CT1", "CT2")
    ]
    assert len({line["pid"] for line in process.said if line["level"] == "debug"}) == 2


def test_an_order_to_stop_ends_it_with_zero_and_nothing_is_left_to_mend(home: Path, process: Process) -> None:
    with open_association(Node(HOST, process.port, "SCANPOST", "CT1"), [CT]):
        pass
    process.process.send_signal(signal.SIGTERM)
    process.until("stopped")
    assert process.process.wait(60) == 0
    spool = open_spool(home)
    try:
        assert spool.workers.dead() == [] and spool.workers.count("receiver") == 0
    finally:
        spool.close()


def test_a_port_in_use_is_one_clear_line(home: Path, process: Process, tmp_path: Path) -> None:
    other = tmp_path / "other"
    open_spool(other, create=True).close()
    with pytest.raises(AssertionError, match=f"cannot listen on {HOST}:{process.port}"):
        Process(other, RECEIVER__PORT=str(process.port))
