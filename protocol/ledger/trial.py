"""A backtest over the ledger: the work divided among processes by study, their counts added up. It only reads.
It must not judge anything (protocol/routing/backtest does), nor keep a process alive that nobody waits for.

A helper process is `python -m protocol.ledger.trial`: it gets its job as one line of JSON on its standard input (never as
arguments: the URL may hold a password), answers with lines of JSON, and ends when its input does.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from queue import Empty, SimpleQueue
from typing import Any
from zoneinfo import ZoneInfo

from protocol.errors import LedgerUnavailable, ScanpostError
from protocol.ledger.engine import reader, reading
from protocol.ledger.headers import SHARES
from protocol.ledger.recorded import Window, completed_count, count_of, recorded
from protocol.records import record
from protocol.routing.backtest.asked import Asked, Spans
from protocol.routing.backtest.cases import Reads
from protocol.routing.backtest.document import document_of
from protocol.routing.backtest.whole import Backtest, Cancelled, needs_order
from protocol.routing.model import RoutingConfiguration
from protocol.routing.parse import dump, parse

WORTH_A_HELPER = 20_000
"""Arrivals below which starting a process takes longer than what it saves."""
SLICES = 16
"""Parts that the work is handed out in, so that processes of different speed end together."""
MOST_PROCESSES = 8
LOOK_S = 0.05

Progress = Callable[[int, int], None]
Stop = Callable[[], bool]


@record
class Trial:
    """What to hold against what: a window of a node's past, a draft, and the active configuration or None.

    `spans`: see protocol/routing/backtest/asked.
    """

    url: str
    node: str
    window: Window
    draft: RoutingConfiguration
    active: RoutingConfiguration | None = None
    time_zone: str = ""
    spans: Spans | None = None

    @property
    def zone(self) -> ZoneInfo | None:
        """The node's zone; None: the machine's."""
        return ZoneInfo(self.time_zone) if self.time_zone else None

    def to_line(self) -> str:
        """As one line for a helper."""
        return json.dumps({
            "url": self.url, "node": self.node, "window": self.window, "draft": dump(self.draft),
            "active": None if self.active is None else dump(self.active), "time_zone": self.time_zone, "spans": self.spans,
        })  # fmt: skip

    @classmethod
    def from_line(cls, line: str) -> Trial:
        """The inverse of `to_line`."""
        told = json.loads(line)
        active = None if told["active"] is None else parse(told["active"], "the active configuration")
        return cls(
            told["url"],
            told["node"],
            tuple(told["window"]),
            parse(told["draft"], "the draft"),
            active,
            told["time_zone"],
            told["spans"],
        )

    def begun(self) -> Backtest:
        """Counts for it, all zero."""
        return Backtest(self.draft, self.active, self.zone, asked=Asked(self.spans))


def run(
    trial: Trial, *, progress: Progress | None = None, cancelled: Stop | None = None, processes: int = 0, values: bool = False
) -> dict[str, Any]:  # fmt: skip
    """The document of the backtest (protocol/routing/backtest/document).

    `progress` is told (done, all); `cancelled` is asked now and then. `processes` 0: as many as are of use. Raises
    Cancelled, LedgerUnavailable.
    """
    engine = reader(trial.url)
    try:
        with reading(engine) as connection:
            total = count_of(connection, trial.node, trial.window)
            unrecorded = max(0, completed_count(connection, trial.node, trial.window) - total)
    finally:
        engine.dispose()
    tell, stop = progress or (lambda done, of: None), cancelled or (lambda: False)
    made = _divided(trial, total, processes or _useful(trial, total), tell, stop)
    return document_of(made, trial.draft, trial.active, trial.window, unrecorded=unrecorded, values=values)


def _useful(trial: Trial, total: int) -> int:
    """How many processes help. With quotas each decision depends on those before: then one."""
    if total < WORTH_A_HELPER or needs_order(*_sets(trial)):
        return 1
    return min(len(os.sched_getaffinity(0)), MOST_PROCESSES)


def _sets(trial: Trial) -> Sequence[RoutingConfiguration]:
    return [one for one in (trial.draft, trial.active) if one is not None]


def _divided(trial: Trial, total: int, processes: int, progress: Progress, cancelled: Stop) -> Backtest:
    """Work on slices ourselves while helpers work on others."""
    slices = SLICES if processes > 1 else 1
    parts = [(at * SHARES // slices, (at + 1) * SHARES // slices) for at in range(slices)]
    work = _Work(parts, total, progress)
    made = trial.begun()
    helpers = [_Helper(trial, work) for _ in range(processes - 1)]
    try:
        while (part := work.take()) is not None:
            for count in _judged(trial, made, part):
                work.add(count)
                if cancelled():
                    raise Cancelled
        made.finish()
        for helper in helpers:
            made.merge(helper.result(cancelled))
    finally:
        for helper in helpers:
            helper.end()
    progress(total, total)
    return made


def _judged(trial: Trial, made: Backtest, part: tuple[int, int]) -> Iterator[int]:
    """Judge one part of the past; tells after each page how many arrivals it had."""
    engine, each_image = reader(trial.url), Reads(*_sets(trial)).each_image
    try:
        for page in recorded(engine, trial.node, trial.window, each_image=each_image, shares=part):
            made.add(page)
            yield len(page)
        made.finish()  # a study is whole within its share
    finally:
        engine.dispose()


class _Work:
    """What is left to do, and how much is done; asked by several threads."""

    def __init__(self, parts: Sequence[tuple[int, int]], total: int, progress: Progress) -> None:
        self._parts, self._total, self._progress = list(parts), total, progress
        self._lock = threading.Lock()
        self._done = 0

    def take(self) -> tuple[int, int] | None:
        """The next part, None if none is left."""
        with self._lock:
            return self._parts.pop() if self._parts else None

    def add(self, count: int) -> None:
        """So many arrivals more are done."""
        with self._lock:
            self._done += count
            self._progress(min(self._done, self._total), self._total)


class _Helper:
    """A process of its own, and the thread that hands it parts until none is left."""

    def __init__(self, trial: Trial, work: _Work) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "protocol.ledger.trial"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._answers: SimpleQueue[Mapping[str, Any]] = SimpleQueue()
        self._thread = threading.Thread(target=self._attend, args=(trial, work), name="backtest", daemon=True)
        self._thread.start()

    def result(self, cancelled: Stop) -> Mapping[str, Any]:
        """Its counts. Raises Cancelled, LedgerUnavailable, ScanpostError."""
        while True:
            try:
                found = self._answers.get(timeout=LOOK_S)
            except Empty:
                if cancelled():
                    raise Cancelled from None
                continue
            if "state" in found:
                state: Mapping[str, Any] = found["state"]
                return state
            raise (LedgerUnavailable if found.get("away") else ScanpostError)(str(found.get("error")))

    def end(self) -> None:
        """Whatever it does: end it."""
        self._process.kill()
        self._process.wait()
        self._thread.join()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()

    def _attend(self, trial: Trial, work: _Work) -> None:
        try:
            self._answers.put(self._talk(trial, work))
        except (OSError, ValueError) as exc:  # it died, or was ended
            self._answers.put({"error": f"a helper process of the backtest ended: {type(exc).__name__}"})

    def _talk(self, trial: Trial, work: _Work) -> Mapping[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._say(trial.to_line())
        for line in self._process.stdout:
            told: Mapping[str, Any] = json.loads(line)
            if "done" in told:
                work.add(told["done"])
            elif "ready" in told:
                self._say(json.dumps(work.take()))
            else:
                return told
        return {"error": "a helper process of the backtest ended"}

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()


def main() -> int:
    """The helper's side: parts come in until `null` does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who started it, and he ends this process
    trial = Trial.from_line(sys.stdin.readline())
    made = trial.begun()
    try:
        while True:
            _answer(ready=True)
            line = sys.stdin.readline()
            if not line:
                return 1
            part = json.loads(line)
            if part is None:
                break
            for count in _judged(trial, made, tuple(part)):
                _answer(done=count)
        _answer(state=made.state())
    except ScanpostError as exc:
        _answer(error=str(exc), away=isinstance(exc, LedgerUnavailable))
        return 1
    return 0


def _answer(**told: Any) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
