"""The rows that several questions need: arrivals without their header values, deliveries of many arrivals in one query.
It must not decide which rows are wanted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, and_, literal_column, or_, select, union_all

from protocol.ledger.history.asked import Plain
from protocol.ledger.tables import arrival, cursor, delivery

ARRIVAL_COLUMNS = tuple(column for column in arrival.c if column.name != "headers")
Key = tuple[str, int]
"""Node and number of an arrival."""


def plain(connection: Connection, wanted: Any) -> list[Plain]:
    """The rows of a statement as dictionaries."""
    return [dict(row._mapping) for row in connection.execute(wanted)]


def nodes_of(connection: Connection) -> list[str]:
    """All nodes that write this ledger."""
    return [str(name) for name in connection.execute(select(cursor.c.node).distinct()).scalars()]


def aside(connection: Connection, column: Any) -> Any:
    """A column that is tested but must not choose the index. SQLite would take the one of the node, which finds all rows,
    because it spares a sort; PostgreSQL knows better by its statistics.
    """
    if connection.dialect.name != "sqlite":
        return column
    return literal_column(f"+{column.table.name}.{column.name}")


def together(parts: list[Any]) -> Any:
    """One statement of several with the same columns; each keeps its own order and limit."""
    wrapped = [select(part.subquery()) for part in parts]
    return wrapped[0] if len(wrapped) == 1 else union_all(*wrapped)


def of_keys(table: Any, keys: Iterable[Key]) -> Any:
    """The condition that a row belongs to one of these arrivals."""
    nodes: dict[str, list[int]] = defaultdict(list)
    for node, number in keys:
        nodes[node].append(number)
    return or_(*(and_(table.c.node == node, table.c.arrival.in_(numbers)) for node, numbers in nodes.items()))


def arrivals_of(connection: Connection, keys: Iterable[Key]) -> dict[Key, Plain]:
    """Arrivals by their keys, without header values."""
    keys = list(keys)
    if not keys:
        return {}
    rows = plain(connection, select(*ARRIVAL_COLUMNS).where(of_keys(arrival, keys)))
    return {(row["node"], row["arrival"]): row for row in rows}


def with_deliveries(connection: Connection, rows: list[Plain]) -> list[Plain]:
    """Each arrival with `deliveries`: its rows of the table delivery, in the order they were made. One query for all."""
    if not rows:
        return rows
    keys = [(row["node"], row["arrival"]) for row in rows]
    found: dict[Key, list[Plain]] = defaultdict(list)
    wanted = select(delivery).where(of_keys(delivery, keys)).order_by(delivery.c.delivery)
    for one in plain(connection, wanted):
        found[one["node"], one["arrival"]].append(one)
    return [{**row, "deliveries": found[key]} for key, row in zip(keys, rows, strict=True)]
