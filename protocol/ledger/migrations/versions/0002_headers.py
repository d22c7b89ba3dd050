"""Header values of arrivals in a table of their own, and indexes to forget patient data by."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

PLAIN = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


def where(condition: str) -> dict[str, Any]:
    """A partial index on both databases."""
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


def upgrade() -> None:
    op.create_table(
        "header",
        sa.Column("node", sa.String(length=255), nullable=False),
        sa.Column("arrival", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("received", sa.Double()),
        sa.Column("share", sa.Integer()),
        sa.Column("calling_ae", sa.String(length=64)),
        sa.Column("called_ae", sa.String(length=64)),
        sa.Column("address", sa.String(length=255)),
        sa.Column("source", sa.String(length=255)),
        sa.Column("study_uid", sa.String(length=64)),
        sa.Column("series_uid", sa.String(length=64)),
        sa.Column("addendum_of", sa.BigInteger()),
        sa.Column("images", sa.BigInteger()),
        sa.Column("bytes", sa.BigInteger()),
        sa.Column("dropped", PLAIN),
        sa.Column("first", sa.LargeBinary()),
        sa.Column("columns", sa.LargeBinary()),
        sa.PrimaryKeyConstraint("node", "arrival", name="header_pkey"),
    )
    op.create_index("header_received", "header", ["node", "received", "arrival", "share"])
    op.create_index("header_series", "header", ["node", "series_uid"])
    op.create_index("arrival_described", "arrival", ["node", "completed"], **where("headers IS NOT NULL"))
    private = "phi IS NOT NULL OR (raw IS NOT NULL AND type = 'arrival.completed')"
    op.create_index("event_private", "event", ["node", "time"], **where(private))
