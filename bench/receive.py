"""P1, P2, P3: receiving with 1 and 8 associations; durability relaxed against storescp, fsync against Orthanc synced (a third as often)."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from bench import images, peers, senders
from bench.runs import Contender, Goal, Session, compare

# The parallel MR set is doubled: 2000 small images are over before eight senders have all started.
TIMES = {("MR", 8): 2.0}
OTHERS_EVERY = 3  # repetitions for what the goals are not judged by
# A relaxed run of the two that P1 and P2 compare takes a second, in which the machine moves by a fifth: more of them cost
# little, against the synced runs, and their medians are to be trusted.
RELAXED_TIMES = 3


def contender(peer: peers.Receiver, made: images.ImageSet) -> Contender:
    """Every part of the set in an association of its own."""

    def prepare() -> None:
        peer.forget()
        made.renew()

    commands = [senders.storescu(peer.port, folder) for folder in made.folders]
    return Contender(peer.name, lambda: senders.run(*commands), prepare, peer.cpu_s, peer.stored, peer.mark)


def receive(session: Session) -> None:
    """Both durabilities, both sets, 1 and 8 associations."""
    for name in session.sets:
        for parts in (1, 8):
            times = TIMES.get((name, parts), 1.0)
            made = images.make(name, session.folder / "sets", session.share, parts, times)
            words = f"{name}, {parts} association{'s' * (parts > 1)}"
            _relaxed(session, made, f"receive relaxed, {words}", "P1" if parts == 1 else "P2")
            _fsync(session, made, f"receive fsync, {words}", 2.0 if parts == 1 else 3.0)


def _relaxed(session: Session, made: images.ImageSet, title: str, goal: str) -> None:
    folder = session.folder
    with peers.present(
        partial(peers.storescp, folder / "storescp", "+B"), partial(peers.receiver, folder / "relaxed", "relaxed"),
        partial(peers.storescp, folder / "ignore", "--ignore"), partial(peers.orthanc, folder / "orthanc", False),
        partial(peers.pynetdicom, folder / "pynetdicom"),
    ) as (there, absent):  # fmt: skip
        session.absent(absent)
        judged = [contender(peer, made) for peer in there]
        contenders = judged[:2] + [replace(one, every=OTHERS_EVERY * RELAXED_TIMES) for one in judged[2:]]
        repetitions, goals = session.repetitions * RELAXED_TIMES, [Goal(goal, "scanpost relaxed", 1.0)]
        session.add(compare(title, made.count, contenders, repetitions, goals))


def _fsync(session: Session, made: images.ImageSet, title: str, times: float) -> None:
    folder = session.folder
    with peers.present(
        partial(peers.orthanc, folder / "orthanc", True), partial(peers.receiver, folder / "fsync", "fsync")
    ) as (there, absent):
        session.absent(absent)
        contenders = [contender(peer, made) for peer in there]
        session.add(compare(title, made.count, contenders, session.repetitions, [Goal("P3", "scanpost fsync", times)]))
