"""P8: claiming, sending nothing and completing, with 100,000 deliveries to ten targets waiting, against a queue that has only
what is claimed.
"""

from __future__ import annotations

import time

from bench import large_spool
from bench.runs import Contender, Goal, Session, compare, measured, percentile
from protocol.spool import open_spool
from protocol.spool.deliveries import ImageResult
from protocol.spool.spool import Spool

WAITING = 100_000
CLAIMS = 2_000
TARGETS = 10


def queue(session: Session) -> None:
    """Two spools, one owner in each; the order of targets is the dispatcher's rotation."""
    waiting, claims = round(WAITING * session.share), round(CLAIMS * session.share)
    spools = []
    for name, count in (("few", claims * (session.repetitions + 1)), ("many", waiting)):
        home = session.folder / name
        large_spool.make_waiting(home, count, [f"target{number}" for number in range(TARGETS)])
        spools.append(open_spool(home, durability="relaxed"))
    few, many = spools
    waits: dict[str, list[float]] = {}
    empty, full = "an empty queue", f"{waiting:,} waiting"
    contenders = [
        Contender(name, lambda spool=spool, name=name: _claim(spool, claims, waits.setdefault(name, [])))
        for name, spool in ((empty, few), (full, many))
    ]
    title = f"claim, confirm, complete, {claims} deliveries"
    session.add(compare(title, claims, contenders, session.repetitions, [Goal("P8", full, 0.8)]))
    session.add(
        [measured("one claim, 95 % are below", name, [percentile(found, 0.95)], "ms") for name, found in waits.items()]
    )
    for spool in spools:
        spool.close()


def _claim(spool: Spool, claims: int, waits: list[float]) -> None:
    limits = {f"target{number}": 2 for number in range(TARGETS)}
    last = ""
    for _ in range(claims):
        begun = time.perf_counter()
        claim = spool.deliveries.claim("bench", limits, time.time(), last)
        waits.append(1000 * (time.perf_counter() - begun))
        if claim is None:
            raise RuntimeError("the queue is empty")
        last = claim.target
        spool.deliveries.confirm(claim, [ImageResult(one.position, one.file.receipt, 0, True) for one in claim.images])
        spool.deliveries.complete(claim)
