"""Brings the ledger's database to the form this program knows: `upgrade`. Steps are additive and never go back.
What the steps are stands in migrations/versions; this file must not name a table.
"""

from __future__ import annotations

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Connection, Engine, text

from protocol.errors import LedgerError
from protocol.ledger.engine import database_errors

_ONE_AT_A_TIME = 0x5CA47057  # advisory lock: several nodes may start on one PostgreSQL


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
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ONE_AT_A_TIME})
    if revision(connection) == newest_revision():
        return
    try:
        take_steps(connection, to)
    except CommandError as exc:
        raise LedgerError("the ledger was written by a newer scanpost; update this one") from exc


def take_steps(connection: Connection, to: str) -> None:
    """Run the steps from where the tables are. Tests repeat its statements for an empty database."""
    configuration = _configuration()
    configuration.attributes["connection"] = connection
    command.upgrade(configuration, to)


def revision(connection: Connection) -> str | None:
    """The revision the tables have; None for an empty database."""
    return MigrationContext.configure(connection).get_current_revision()


def newest_revision() -> str | None:
    """The revision that this program's tables have."""
    return ScriptDirectory.from_config(_configuration()).get_current_head()


def _configuration() -> Config:
    configuration = Config()
    configuration.set_main_option("script_location", "protocol.ledger:migrations")
    configuration.set_main_option("path_separator", "os")
    return configuration
