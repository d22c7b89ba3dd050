"""How the ledger stands: where it is, its revision, how far its bookkeeper is, its size and about how many rows it has.
It only reads and counts nothing row by row, so that it answers at once whatever the size.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, func, inspect, select, text

from protocol.ledger.engine import normalised, reader, reading
from protocol.ledger.migrate import NEWEST, revision
from protocol.ledger.mining.filling import DONE, FILLER
from protocol.ledger.record import CONSUMER
from protocol.ledger.tables import cursor, metadata

Plain = dict[str, Any]


def shown(url: str) -> str:
    """The URL without its password. Raises LedgerError for one that cannot be used."""
    return normalised(url).render_as_string(hide_password=True).replace("+psycopg2", "").replace("+pysqlite", "")


def standing(url: str) -> Plain:
    """`url`, `database`, `revision`, `newest_revision`, `bytes`, `rows` (estimates by table), `cursors` and `mining` (one per node).

    Raises LedgerUnavailable, or LedgerError for a URL that cannot be used.
    """
    engine = reader(url)
    try:
        with reading(engine) as connection:
            there = set(inspect(connection).get_table_names())
            return {
                "url": shown(url),
                "database": _version(connection),
                "revision": revision(connection),
                "newest_revision": NEWEST,
                "bytes": size_of(connection),
                "rows": {name: estimate(connection, name) for name in sorted(metadata.tables) if name in there},
                "cursors": cursors(connection) if "cursor" in there else [],
                "mining": fillings(connection) if "cursor" in there else [],
            }
    finally:
        engine.dispose()


def cursors(connection: Connection) -> list[Plain]:
    """How far the bookkeeper of each node is, and when it moved last."""
    wanted = select(cursor).where(cursor.c.consumer == CONSUMER).order_by(cursor.c.node)
    return [dict(row._mapping) for row in connection.execute(wanted)]


def fillings(connection: Connection) -> list[Plain]:
    """How far each node is with mining rows of its past: `node`, `done`, `upto` (a series)."""
    wanted = select(cursor).where(cursor.c.consumer == FILLER).order_by(cursor.c.node)
    return [{"node": row.node, "done": row.epoch == DONE, "upto": row.seq} for row in connection.execute(wanted)]


def size_of(connection: Connection) -> int:
    """Bytes that the database takes."""
    if connection.dialect.name == "postgresql":
        return int(connection.execute(select(func.pg_database_size(func.current_database()))).scalar_one())
    pages, page = (int(connection.execute(text(f"PRAGMA {name}")).scalar_one()) for name in ("page_count", "page_size"))
    return pages * page


def estimate(connection: Connection, name: str) -> int:
    """About how many rows a table has, without reading them."""
    if connection.dialect.name == "postgresql":
        wanted = text("SELECT reltuples::bigint FROM pg_class WHERE oid = to_regclass(:name)")
        found = int(connection.execute(wanted, {"name": name}).scalar() or 0)
        if found > 0:
            return found
        few = select(text("1")).select_from(metadata.tables[name]).limit(10_000).subquery()
        return int(
            connection.execute(select(func.count()).select_from(few)).scalar_one()
        )  # never analysed: small or new
    return int(connection.execute(text(f'SELECT max(rowid) FROM "{name}"')).scalar() or 0)


def _version(connection: Connection) -> str:
    kind = connection.dialect.name
    question = "SHOW server_version" if kind == "postgresql" else "SELECT sqlite_version()"
    return f"{kind} {connection.execute(text(question)).scalar_one()}"
