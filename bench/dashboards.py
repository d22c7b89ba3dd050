"""P12: fifty open dashboards while images come in as fast as they can, against the same node with none. Everything runs on one
machine, so the viewers' own program is charged to the page, too; what it used is told beside. The page ticks for viewers once
a second however many they are.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from bench import images, node, peers, senders
from bench.runs import Contender, Goal, Result, Session, compare, measured
from protocol.accounts import Accounts

COUNT = 50
TIMES = 3.0  # of the set: some seconds are needed for the page to tick often
ALONE, WATCHED = "nobody watches", f"{COUNT} dashboards"


def dashboards(session: Session) -> None:
    """MR images over one association, relaxed: the most images a second there are."""
    made = images.make("MR", session.folder / "sets", session.share, 1, TIMES)
    more = {"SCANPOST_RECEIVER__DURABILITY": "relaxed", "SCANPOST_WEBGUI__PORT": str(peers.free_port())}
    with node.running(session.folder / "node", {}, [], more) as running:
        url = f"http://127.0.0.1:{more['SCANPOST_WEBGUI__PORT']}"
        cookie = _cookie(running.home)
        told: list[dict[str, float]] = []

        def send() -> float:
            begun = time.perf_counter()
            senders.run(senders.storescu(running.port, made.folders[0]))
            return time.perf_counter() - begun

        def send_watched() -> float:
            page, took = running.programs()["webgui"][0], 0.0
            with _viewers(url, cookie, told) as process:
                before, viewing = _cpu(page), _cpu(process)
                took = send()
                told.append({"page": (_cpu(page) - before) / took, "viewers": (_cpu(process) - viewing) / took})
            return took

        senders.run(
            senders.storescu(running.port, made.folders[0])
        )  # the first images start what is started when needed
        contenders = [Contender(ALONE, send, made.renew), Contender(WATCHED, send_watched, made.renew)]
        goal = Goal("P12", WATCHED, 0.95)
        session.add(
            compare(f"receive relaxed, MR, {made.count} images", made.count, contenders, session.repetitions, [goal])
        )
    session.add(_shares(told))


def _shares(told: list[dict[str, float]]) -> list[Result]:
    title, found = "while they watch", [one for one in told if "page" in one]
    counts = [one for one in told if "frames" in one]
    notes = ", ".join(
        f"{sum(one[what] for one in counts):.0f} {what}" for what in ("frames", "pages", "failed", "lost")
    )
    return [
        measured(title, name, [100 * one[key] for one in found], "% of a core", notes=notes if key == "viewers" else "")
        for name, key in (("the page", "page"), ("the viewers' own program", "viewers"))
    ]


def _cookie(home: Path) -> str:
    accounts = Accounts(home / "accounts.sqlite3")
    try:
        accounts.add_user("bench", "viewer", "a password for the bench")
        return accounts.open_session("bench", "127.0.0.1")
    finally:
        accounts.close()


def _cpu(process: psutil.Process) -> float:
    return sum(process.cpu_times()[:2])


@contextmanager
def _viewers(url: str, cookie: str, told: list[dict[str, float]]) -> Iterator[psutil.Process]:
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.viewers", url, cookie, str(COUNT)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdin is not None and process.stdout is not None
    try:
        if process.stdout.readline().strip() != "open":
            raise RuntimeError("the dashboards did not open")
        yield psutil.Process(process.pid)
        process.stdin.close()
        told.append(json.loads(process.stdout.readline()))
        process.wait(30)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
