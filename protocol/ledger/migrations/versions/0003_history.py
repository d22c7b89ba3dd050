"""What the history is searched by: causes, groups and rules as columns of their own, and indexes in the order of time."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def where(condition: str) -> dict[str, Any]:
    """A partial index on both databases."""
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


def upgrade() -> None:
    op.add_column("delivery", sa.Column("wanted", sa.String(length=64)))
    op.add_column("delivery", sa.Column("cause", sa.String(length=64)))
    op.create_index("delivery_target", "delivery", ["target", "created"])
    op.create_index("delivery_wanted", "delivery", ["wanted", "created"], **where("wanted <> target"))
    op.create_table(
        "arrival_rule",
        sa.Column("node", sa.String(length=255), nullable=False),
        sa.Column("arrival", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("rule", sa.String(length=64), nullable=False),
        sa.Column("time", sa.Double()),
        sa.PrimaryKeyConstraint("node", "arrival", "rule", name="arrival_rule_pkey"),
    )
    op.create_index("arrival_rule_rule", "arrival_rule", ["rule", "time"])
    op.create_index("arrival_modality", "arrival", ["modality", "opened"])
    op.drop_index("arrival_state", "arrival")
    op.create_index("arrival_state", "arrival", ["state", "opened"])
    op.drop_index("arrival_patient_name", "arrival")
    op.create_index(
        "arrival_patient_name", "arrival", ["patient_folded", "opened", "node", "arrival"],
        postgresql_ops={"patient_folded": "varchar_pattern_ops"},
    )  # fmt: skip
    op.create_index("quarantine_association", "quarantine", ["node", "association"])
    _lighter()
    _fill()


def _lighter() -> None:
    """Events of single images leave all indexes but that of their image."""
    for name in ("type", "subject", "arrival", "delivery", "receipt"):
        op.drop_index(f"event_{name}", "event")
    other = where("type <> 'image.received'")
    op.create_index("event_type", "event", ["type", "time"], **other)
    op.create_index("event_subject", "event", ["subject", "time"], **other)
    of = ["epoch", "seq"]
    op.drop_index("event_time", "event")
    op.create_index("event_time", "event", ["node", "time", *of])
    op.create_index("event_arrival", "event", ["node", "arrival", *of], **where("arrival IS NOT NULL AND receipt IS NULL"))
    op.create_index("event_delivery", "event", ["node", "delivery", *of], **where("delivery IS NOT NULL"))
    op.create_index("event_receipt", "event", ["node", "receipt", *of], **where("receipt IS NOT NULL"))


def _fill() -> None:
    """Of what is there already. Causes of old deliveries stay unknown."""
    op.execute("UPDATE delivery SET wanted = target WHERE wanted IS NULL")
    op.execute("UPDATE arrival SET opened = coalesce(completed, decided, since) WHERE opened IS NULL")
    if op.get_bind().dialect.name == "postgresql":
        rules = "jsonb_array_elements_text(CASE jsonb_typeof(a.rules) WHEN 'array' THEN a.rules ELSE '[]' END)"
        rows = f"FROM arrival a, {rules} AS r(value)"
    else:
        rows = "FROM arrival a, json_each(CASE json_type(a.rules) WHEN 'array' THEN a.rules ELSE '[]' END) AS r"
    op.execute(
        "INSERT INTO arrival_rule (node, arrival, rule, time) SELECT DISTINCT a.node, a.arrival, substr(r.value, 1, 64),"
        f" a.decided {rows} WHERE a.rules IS NOT NULL"
    )
