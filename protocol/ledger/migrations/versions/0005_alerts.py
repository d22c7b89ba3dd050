"""Alerts with their severity and who takes care of them, and each time that one was raised."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

NEW: tuple[tuple[str, Any], ...] = (
    ("severity", sa.String(length=64)),
    ("about", sa.String(length=255)),
    ("count", sa.BigInteger()),
    ("acknowledged", sa.Double()),
    ("by", sa.String(length=255)),
    ("note", sa.Text()),
)


def upgrade() -> None:
    for name, kind in NEW:
        op.add_column("alert", sa.Column(name, kind))
    op.create_table(
        "alert_episode",
        sa.Column("node", sa.String(length=255), nullable=False),
        sa.Column("alert", sa.String(length=255), nullable=False),
        sa.Column("raised", sa.Double(), nullable=False),
        sa.Column("text", sa.Text()),
        sa.Column("cleared", sa.Double()),
        *(sa.Column(name, kind) for name, kind in NEW),
        sa.PrimaryKeyConstraint("node", "alert", "raised", name="alert_episode_pkey"),
    )
    op.create_index("alert_episode_raised", "alert_episode", ["node", "raised"])
