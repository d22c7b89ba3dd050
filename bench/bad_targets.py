"""Eight targets, of which one is down, one hangs, one takes a byte a second and one refuses every third image: how the other
four are served, against a node that has only those. Each target that answers needs 20 ms for an image, as a busy PACS would, so
that targets are what limits, not the processor: the refusing one costs as much of it as a good one. Two dispatchers with eight
slots each, everything goes to everybody.

Beside it: how long an urgent series takes in the middle of it, and how the memory of the dispatchers grows meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import psutil

from bench import images, node, senders, sinks
from bench.runs import Result, Session, measured

GOOD = ["good:0.02"] * 4
BAD = ["down", "hangs", "trickles", "refuses:0.02"]
DISPATCHERS, SLOTS = 2, 8
PART = 0.25  # of the usual set
QUIET_S = 0.5
LIMIT_S = 600.0
RETRY = {"first_s": 2.0, "factor": 2.0, "max_s": 10.0, "give_up_after_s": None, "max_attempts": None}


def bad_targets(session: Session) -> None:
    """Alone and among bad ones in turn."""
    made = images.make("MR", session.folder / "sets", PART * session.share)
    urgent = images.make("MR", session.folder / "urgent", 6 / images.SETS["MR"][2])
    urgent.series[0][:] = [0] * urgent.count
    rates: dict[str, list[float]] = {"four good targets alone": [], "the same among four bad ones": []}
    urgent_s: dict[str, list[float]] = {name: [] for name in rates}
    grown: list[float] = []
    for repetition in range(session.repetitions):
        for name, bad in list(zip(rates, ([], BAD), strict=True))[:: 1 if repetition % 2 == 0 else -1]:
            found = _Run(session, made, urgent, bad)
            rates[name].append(found.rate)
            urgent_s[name].append(found.urgent_s)
            if bad:
                grown.append(found.grown_mb)
    session.add(_results(made, rates, urgent_s, grown))


class _Run:
    """One node, from its start to the last image at the good targets."""

    def __init__(self, session: Session, made: images.ImageSet, urgent: images.ImageSet, bad: list[str]) -> None:
        made.renew()
        urgent.renew()
        home = session.folder / f"node{time.monotonic_ns()}"
        with sinks.running(*GOOD, *bad) as targets:
            names = [f"target{number}" for number in range(len(targets.ports))]
            settings = {name: _target(port) for name, port in zip(names, targets.ports, strict=True)}
            rules = [
                {"name": "urgent", "when": "SenderAET == 'URGENT'", "targets": names[:4], "action": "route",
                 "priority": "urgent", "stop": True},
                {"name": "all", "when": "True", "action": "route", "targets": names},
            ]  # fmt: skip
            more = {"SCANPOST_ROUTER__QUIET_S": str(QUIET_S), "SCANPOST_DISPATCHER__SLOTS": str(SLOTS)}
            with node.running(home, settings, rules, more, dispatchers=DISPATCHERS) as running:
                self._serve(running, targets, made, urgent)

    def _serve(self, running: node.Node, targets: sinks.Sinks, made: images.ImageSet, urgent: images.ImageSet) -> None:
        begun = time.perf_counter()
        senders.run(senders.storescu(running.port, made.folders[0]))
        _until(lambda: min(targets.taken()[:4]) >= made.count // 4, "a quarter is through")
        memory = _memory(running)
        sent = time.perf_counter()
        senders.run(["storescu", "-aet", "URGENT", *senders.storescu(running.port, urgent.folders[0])[1:]])
        self.urgent_s = self._urgent(running, sent)
        _until(lambda: min(targets.taken()[:4]) >= made.count + urgent.count, "all is at the good targets")
        self.rate = 4 * (made.count + urgent.count) / (time.perf_counter() - begun)
        after = _memory(running)
        self.grown_mb = max(after[pid] - before for pid, before in memory.items() if pid in after)

    def _urgent(self, running: node.Node, sent: float) -> float:
        """Seconds from the urgent series' first byte until it is delivered to all four."""
        from protocol.spool import open_spool

        spool = open_spool(running.home, source="/bench/looker/0")
        try:

            def delivered() -> bool:
                with spool.database.read() as connection:
                    (count,) = connection.execute(
                        "SELECT count(*) FROM delivery WHERE priority = 0 AND state = 'delivered'"
                    ).fetchone()
                return int(count) == 4

            _until(delivered, "the urgent series is delivered")
            return time.perf_counter() - sent
        finally:
            spool.close()


def _target(port: int) -> Mapping[str, Any]:
    return {
        "type": "dicom",
        "host": "127.0.0.1",
        "port": port,
        "called_ae": "SINK",
        "retry": RETRY,
        "acse_timeout_s": 10.0,
    }


def _until(found: Any, what: str) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not found():
        if time.monotonic() > deadline:
            raise RuntimeError(f"not within {LIMIT_S:g} s: {what}")
        time.sleep(0.02)


def _memory(running: node.Node) -> dict[int, float]:
    """MB of each process of the dispatchers."""
    found = {}
    for process in running.programs().get("dispatcher", []):
        with suppress(psutil.Error):
            found[process.pid] = process.memory_full_info().pss / 1e6
    return found


def _results(
    made: images.ImageSet, rates: dict[str, list[float]], urgent_s: dict[str, list[float]], grown: list[float]
) -> list[Result]:
    title = f"four good targets of eight, {made.count} MR images to each"
    alone, among = rates
    base = measured(title, alone, rates[alone], "images/s")
    ratios = [bad / good for good, bad in zip(rates[alone], rates[among], strict=True)]
    median = sorted(ratios)[len(ratios) // 2]
    served = Result(
        title, among, [round(rate, 1) for rate in rates[among]], "images/s", sorted(rates[among])[len(ratios) // 2],
        round(median, 2), "good targets >= 0.9 x", median >= 0.9,
    )  # fmt: skip
    return [
        base,
        served,
        *(measured("an urgent series of 6 images in between", name, found, "s") for name, found in urgent_s.items()),
        measured("memory of the process that grew most, end less quarter", among, grown, "MB PSS"),
    ]
