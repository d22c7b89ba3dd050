"""P4: a sender with Nagle's algorithm on (Debian's DCMTK as it is, many scanners) against storescp and our receiver.

A second table shows the same sender with the algorithm off. Where thirty times storescp's rate is more than this sender
reaches at all, with large images, that is what P4 is judged by: there Nagle's algorithm must cost it nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from bench import images, peers, senders
from bench.receive import contender
from bench.runs import Contender, Result, Session, compare

PART = 0.25  # of a set: such a sender does 20 images a second
TIMES = 30.0  # storescp's rate
COSTS_NOTHING = 0.95  # of the rate without Nagle's algorithm
RELAXED, WITHOUT = "scanpost relaxed", "scanpost relaxed, Nagle off"


def nagle(session: Session) -> None:
    """One association of storescu without TCP_NODELAY; the receivers as ever."""
    folder = session.folder
    for name in session.sets:
        made = images.make(name, folder / "sets", session.share * PART)
        with peers.present(
            partial(peers.storescp, folder / "storescp", "+B"), partial(peers.receiver, folder / "relaxed", "relaxed"),
            partial(peers.receiver, folder / "fsync", "fsync"), partial(peers.orthanc, folder / "orthanc", True),
        ) as (there, absent):  # fmt: skip
            session.absent(absent)
            contenders = [_slow(peer, made) for peer in there]
            contenders += [replace(contender(peer, made), name=WITHOUT) for peer in there if peer.name == RELAXED]
            results = compare(f"sender with Nagle on, {name}", made.count, contenders, session.repetitions)
            session.add(judged(results))
            session.add(compared(f"the same sender with Nagle off and on, {name}", results))


def _slow(peer: peers.Receiver, made: images.ImageSet) -> Contender:
    command = senders.storescu(peer.port, made.folders[0])
    return replace(contender(peer, made), run=lambda: senders.run(command, nagle=True))


def judged(results: Sequence[Result]) -> list[Result]:
    """The rows with Nagle on; ours with P4, unless the sender itself is too slow for it."""
    shown = []
    for one in results:
        if one.contender == RELAXED and _within_reach(results):
            one = replace(one, goal=f"P4 >= {TIMES:g} x", met=(one.ratio or 0.0) >= TIMES)
        elif one.contender == RELAXED:
            one = replace(one, notes=f"{TIMES:g} x is more than this sender reaches with Nagle off")
        if one.contender != WITHOUT:
            shown.append(one)
    return shown


def compared(title: str, results: Sequence[Result]) -> list[Result]:
    """Our receiver without and with Nagle's algorithm at the sender; P4 is judged here where `judged` could not."""
    of = {one.contender: one for one in results}
    if RELAXED not in of or WITHOUT not in of:
        return []
    ratio = round(of[RELAXED].median / of[WITHOUT].median, 2)
    goal = "" if _within_reach(results) else f"P4 >= {COSTS_NOTHING:g} x"
    off = replace(of[WITHOUT], bench=title, ratio=1.0)
    met = ratio >= COSTS_NOTHING if goal else None
    return [
        off,
        replace(of[RELAXED], bench=title, contender="scanpost relaxed, Nagle on", ratio=ratio, goal=goal, met=met),
    ]


def _within_reach(results: Sequence[Result]) -> bool:
    without = next((one for one in results if one.contender == WITHOUT), None)
    return without is None or (without.ratio or 0.0) >= TIMES
