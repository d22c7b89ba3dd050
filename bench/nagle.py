"""P4: a sender with Nagle's algorithm on (Debian's DCMTK as it is, many scanners) against storescp and our receiver."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from bench import images, peers, senders
from bench.receive import contender
from bench.runs import Contender, Goal, Session, compare

PART = 0.25  # of a set: such a sender does 20 images a second


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
            goals = [Goal("P4", "scanpost relaxed", 30.0)]
            session.add(compare(f"sender with Nagle on, {name}", made.count, contenders, session.repetitions, goals))


def _slow(peer: peers.Receiver, made: images.ImageSet) -> Contender:
    command = senders.storescu(peer.port, made.folders[0])
    return replace(contender(peer, made), run=lambda: senders.run(command, nagle=True))
