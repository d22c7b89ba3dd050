"""Which other nodes that write this ledger have series of a study. It must not tell whose study it is."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from protocol.ledger.tables import arrival

MOST = 10_000
"""Series that are counted: a phantom may have very many."""


def elsewhere(connection: Connection, node: str, study_uid: str) -> list[tuple[str, int]]:
    """(name, series) of every node but this one that has some of the study, the most first."""
    found = (
        select(arrival.c.node).where(arrival.c.study_uid == study_uid, arrival.c.node != node).limit(MOST).subquery()
    )
    wanted = select(found.c.node, func.count().label("series")).group_by(found.c.node)
    rows = connection.execute(wanted.order_by(func.count().desc(), found.c.node))
    return [(row.node, row.series) for row in rows]
