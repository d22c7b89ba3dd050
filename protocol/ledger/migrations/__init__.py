"""Steps that lead the ledger's tables from nothing to their present form. Only alembic reads this folder."""
