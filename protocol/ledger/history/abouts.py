"""What people call series: a few header values of arrivals, for the lines of a list. Patient data, and nothing else."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from sqlalchemy import Connection, select

from protocol.ledger.history.asked import Plain
from protocol.ledger.history.rows import Key, of_keys
from protocol.ledger.tables import arrival


def abouts(connection: Connection, keys: Iterable[Key], names: Collection[str]) -> dict[Key, Plain]:
    """Header values with these keywords, of each arrival that still has any."""
    keys = list(keys)
    if not keys:
        return {}
    wanted = select(arrival.c.node, arrival.c.arrival, arrival.c.headers).where(
        of_keys(arrival, keys), arrival.c.headers.is_not(None)
    )
    return {
        (row.node, row.arrival): {name: row.headers[name] for name in names if row.headers.get(name) not in (None, "")}
        for row in connection.execute(wanted)
    }


def all_values(connection: Connection, key: Key) -> Plain:
    """Every header value that the ledger keeps of an arrival; {} if it keeps none."""
    wanted = select(arrival.c.headers).where(of_keys(arrival, [key]))
    found = connection.execute(wanted).scalar_one_or_none()
    return found if isinstance(found, dict) else {}
