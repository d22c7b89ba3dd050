"""The receiver's worker processes as the receiver knows them: who gets a connection, and what becomes of the hung."""

from __future__ import annotations

import select
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from receiver_rig import HOST, WAIT_S, HeardWire, ListLog

from actors.receiver.counting import Desk
from actors.receiver.limits import Limits, Pace
from actors.receiver.talk import Line
from actors.receiver.workers import HUNG_S, LATE_S, Workers
from protocol.clock import SystemClock
from protocol.spool import open_spool
from tests.network.system import wait_until

pytestmark = pytest.mark.slow


class Rig:
    """Two workers, and a door that hands each connection over at once."""

    def __init__(self, home: Path) -> None:
        self.log = ListLog()
        self.died = 0
        self.handed: list[Line] = []  # to whom, one after the other
        self.clients: list[socket.socket] = []
        self.workers = Workers(
            home=home, instance="t", count=2, desk=Desk(Limits(100, None), Pace(SystemClock())), limit_s=5.0,
            wire=HeardWire(), log=self.log, died=self._died,
        )  # fmt: skip
        self.workers.start()
        self.door = socket.create_server((HOST, 0))

    def _died(self) -> None:
        self.died += 1

    def connect(self) -> Any:
        """An association with the worker that this connection is given to, and that worker; not yet answered."""
        client = socket.create_connection(self.door.getsockname())
        self.clients.append(client)
        sock, address = self.door.accept()
        self.workers.take(sock, address, 0)
        (taken,) = [child for child in self.children.values() if child.line is self.handed[-1]]
        return client, taken

    @property
    def children(self) -> Any:
        return self.workers._children

    def until(self, condition: Callable[[], object]) -> None:
        wait_until(condition, WAIT_S, "it did not happen")

    def hang(self, child: Any) -> None:
        """Stop that worker, and let what it said before be heard: it has nothing more to say."""
        child.process.send_signal(signal.SIGSTOP)
        stat = Path(f"/proc/{child.process.pid}/stat")
        self.until(lambda: stat.read_text().rsplit(")", 1)[1].split()[0] == "T")
        self.until(lambda: not select.select([child.line.fileno()], [], [], 0)[0])

    def attended(self, later_s: float = 0.0) -> Rig:
        self.workers.attend(time.monotonic() + later_s)
        return self


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    home = tmp_path / "home"
    open_spool(home, create=True).close()
    monkeypatch.setenv("SCANPOST_RECEIVER__HOST", HOST)
    rig, hand_over = Rig(home), Line.hand_over

    def noted(line: Line, *told: Any) -> bool:
        rig.handed.append(line)
        return hand_over(line, *told)

    monkeypatch.setattr(Line, "hand_over", noted)
    yield rig
    for child in rig.children.values():
        child.process.send_signal(signal.SIGCONT)
    rig.workers.stop(0.0)
    for one in (rig.door, *rig.clients):
        one.close()


def test_a_worker_that_hangs_is_killed_and_another_takes_its_place(rig: Rig) -> None:
    client, hung = rig.connect()
    rig.until(lambda: not hung.given)
    rig.hang(hung)
    hung.figures = Counter(stored=2, refusing=1, associations=1)
    rig.attended().attended(HUNG_S - 1)
    assert not rig.log.of("worker_hung"), "it may be slow"
    rig.attended(HUNG_S + 1)
    assert [line["worker"] for line in rig.log.of("worker_hung")] == [hung.number]
    rig.until(lambda: rig.attended().died)
    client.close()
    assert rig.log.of("worker_died")[0]["code"] == -signal.SIGKILL
    rig.attended(10.0)
    rig.until(lambda: rig.workers.figures()["workers"] == 2)
    figures = rig.workers.figures()
    assert (figures["stored"], figures["refusing"], figures["associations"]) == (2, 0, 0), "counts stay, states do not"


def test_who_answers_is_never_killed(rig: Rig) -> None:
    client, child = rig.connect()
    for _ in range(3):
        rig.attended()
        rig.until(lambda: child.owes > time.monotonic())
        rig.attended(HUNG_S + 1)  # it owed nothing until now
        rig.until(lambda: child.owes > time.monotonic() + HUNG_S + 1)
    client.close()
    assert not rig.log.of("worker_hung") and rig.died == 0


def test_who_is_late_gets_no_connection_while_others_can_take_it(rig: Rig) -> None:
    _, late = rig.connect()
    rig.until(lambda: not late.given)
    other = next(child for child in rig.children.values() if child is not late)
    rig.hang(late)
    for _ in range(4):
        late.asked(time.monotonic() - LATE_S - 1)
        assert rig.connect()[1] is other
        rig.until(lambda: not other.given)
