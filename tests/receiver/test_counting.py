"""Workers that ask the process that accepts: over real socket pairs and threads, with deaths and silence."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from actors.receiver.counting import COUNTED, WORDS, Asking, Desk, Here, Message
from actors.receiver.limits import Limits, Pace
from protocol.clock import ManualClock

WAIT_S = 60.0


class Line:
    """One worker's line to the desk, as JSON, each end heard by a thread of its own."""

    def __init__(self, desk: Desk, name: str) -> None:
        self._ours, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.asking = Asking(lambda message: self._say(self._ours, message), WAIT_S)
        self._threads = [
            threading.Thread(target=self._serve, args=(desk, name)), threading.Thread(target=self._listen)
        ]  # fmt: skip
        for thread in self._threads:
            thread.start()

    @staticmethod
    def _say(sock: socket.socket, message: Message) -> bool:
        try:
            sock.send(json.dumps(message).encode())
            return True
        except OSError:
            return False

    def _serve(self, desk: Desk, name: str) -> None:
        while data := self._theirs.recv(65536):
            message = json.loads(data)
            assert message["is"] in WORDS
            answer = desk.hear(name, message)
            if answer is not None:
                self._say(self._theirs, answer)
        desk.lost(name)

    def _listen(self) -> None:
        while data := self._ours.recv(65536):
            message = json.loads(data)
            assert message["is"] == COUNTED
            self.asking.answered(message)

    def end(self) -> None:
        """The worker dies."""
        for sock in (self._ours, self._theirs):
            sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(WAIT_S)
        self._ours.close()
        self._theirs.close()


@contextmanager
def workers(limits: Limits, count: int) -> Iterator[list[Line]]:
    desk = Desk(limits, Pace(ManualClock()))
    lines = [Line(desk, f"worker-{number}") for number in range(count)]
    try:
        yield lines
    finally:
        for line in lines:
            try:
                line.end()
            except OSError:
                continue


def key(number: int) -> bytes:
    return number.to_bytes(16, "big")


def test_a_limit_holds_over_all_workers_and_a_place_given_back_serves_another_worker() -> None:
    limits = Limits(10)
    with workers(limits, 3) as (a, b, c):
        assert a.asking.enter(key(1), "mr1", "10.0.0.1", source_most=2) is None
        assert b.asking.enter(key(2), "mr1", "10.0.0.1", source_most=2) is None
        assert "its limit" in str(c.asking.enter(key(3), "mr1", "10.0.0.1", source_most=2))
        assert c.asking.enter(key(4), None, "10.0.0.1") is None
        a.asking.leave(key(1))
        assert a.asking.enter(key(5), "mr1", "10.0.0.1", source_most=2) is None, "said in the same order as meant"


def test_many_threads_of_many_workers_never_get_in_beyond_the_limit() -> None:
    limits, together = Limits(1000, per_address=7), threading.Barrier(8)
    with workers(limits, 4) as lines:

        def run(number: int) -> int:
            together.wait(WAIT_S)
            asking = lines[number % 4].asking
            return sum(asking.enter(key(number * 100 + n), None, "10.0.0.1") is None for n in range(25))

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(run, range(8))) == 7 == len(limits)


def test_a_worker_that_dies_gives_its_places_back() -> None:
    limits = Limits(2)
    with workers(limits, 2) as (one, other):
        assert one.asking.enter(key(1), None, "x") is other.asking.enter(key(2), None, "x") is None
        assert other.asking.enter(key(3), None, "x") is not None
        one.end()
        assert other.asking.enter(key(3), None, "x") is None and len(limits) == 2


def test_a_desk_that_is_gone_lets_nobody_in_and_holds_nobody_up() -> None:
    said: list[Message] = []
    deaf = Asking(lambda message: False)
    assert "does not answer" in str(deaf.enter(key(1), None, "x")) and deaf.delay("mr1", 1.0) == 0.0
    silent = Asking(lambda message: not said.append(message), wait_s=0.01)
    assert "does not answer" in str(silent.enter(key(1), None, "x"))
    assert [message["is"] for message in said] == ["enter", "leave"], "it may have been counted all the same"
    silent.answered({"is": COUNTED, "ask": 1, "reason": None})  # too late: nobody waits
    assert silent._asked == {}


def test_the_end_of_hearing_lets_go_of_who_waits() -> None:
    heard = threading.Event()
    asking = Asking(lambda message: not heard.set(), wait_s=WAIT_S * 10)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(asking.enter, key(1), None, "x")
        assert heard.wait(WAIT_S)
        asking.end()
        assert "does not answer" in str(answer.result(WAIT_S))


def test_the_pace_of_a_source_is_one_for_all_workers_and_for_the_process_itself() -> None:
    clock = ManualClock()
    limits, pace = Limits(10), Pace(clock)
    desk, here = Desk(limits, pace), Here(limits, pace)
    delays = []
    for ask in range(8):
        answer = desk.hear("w", {"is": "pace", "ask": ask, "source": "mr1", "per_s": 2.0})
        assert answer is not None and answer["ask"] == ask
        delays += [answer["delay_s"], here.delay("mr1", 2.0)]
    assert delays == [0.0, 0.0, 0.0] + [0.5 * n for n in range(1, 14)]
    assert here.enter(key(1), None, "x") is None and len(limits) == 1
    here.leave(key(1))
    assert len(limits) == 0
