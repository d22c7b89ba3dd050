"""Brings the ledger's database to the form this program knows: `upgrade`. Steps are additive and never go back.
What the steps are stands in migrations/versions; this file must not name a table of the ledger.
"""

from __future__ import annotations

from sqlalchemy import Connection, Engine, inspect, text

from protocol.errors import LedgerError
from protocol.ledger.engine import database_errors

NEWEST = "0006"
"""The revision that this program's tables have: the name of the last step."""
_ONE_AT_A_TIME = 0x5CA47057  # advisory lock: several nodes may start on one PostgreSQL
_KEPT_IN = "alembic_version"


def upgrade(engine: Engine, to: str = "head") -> None:
    """Make or change the tables, all steps in one transaction; does nothing if they are as they should be.

    `to`: a schema number on the way, for tests of what was left there. Raises LedgerUnavailable, or LedgerError if a newer
    program wrote the ledger.
    """
    with database_errors(), engine.begin() as connection:
        upgrade_on(connection, to)


def upgrade_on(connection: Connection, to: str = "head") -> None:
    """`upgrade` inside the caller's transaction."""
    if connection.dialect.name == "postgresql":
        # An index over many millions of rows takes longer than any other statement may: it would be begun anew for ever.
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ONE_AT_A_TIME})
    if revision(connection) == NEWEST:
        return
    take_steps(connection, to)


def take_steps(connection: Connection, to: str) -> None:
    """Run the steps from where the tables are. Tests repeat its statements for an empty database.

    Raises LedgerError: a newer program wrote the tables.
    """
    # Two processes of a node would carry it all the time, to compare a number at their start: 85 ms and 9 MB each.
    from alembic import command
    from alembic.config import Config
    from alembic.util.exc import CommandError

    configuration = Config()
    configuration.set_main_option("script_location", "protocol.ledger:migrations")
    configuration.set_main_option("path_separator", "os")
    configuration.attributes["connection"] = connection
    try:
        command.upgrade(configuration, to)
    except CommandError as exc:
        raise LedgerError("the ledger was written by a newer scanpost; update this one") from exc


def revision(connection: Connection) -> str | None:
    """The revision the tables have; None for an empty database."""
    if not inspect(connection).has_table(_KEPT_IN):
        return None
    return connection.execute(text(f"SELECT version_num FROM {_KEPT_IN}")).scalar()
