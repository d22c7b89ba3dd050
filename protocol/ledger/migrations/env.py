"""Runs steps on the connection that protocol/ledger/migrate.py hands over. It opens nothing itself."""

from alembic import context

from protocol.ledger.tables import metadata

context.configure(
    connection=context.config.attributes["connection"], target_metadata=metadata, transactional_ddl=True,
)  # fmt: skip
with context.begin_transaction():
    context.run_migrations()
