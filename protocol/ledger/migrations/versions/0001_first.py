"""First form of the ledger."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

PLAIN = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


def where(condition: str) -> dict[str, Any]:
    """A partial index on both databases."""
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


def upgrade() -> None:
    op.create_table(
        "alert",
        sa.Column("node", sa.String(length=255), nullable=False),
        sa.Column("alert", sa.String(length=255), nullable=False),
        sa.Column("text", sa.Text()),
        sa.Column("raised", sa.Double()),
        sa.Column("cleared", sa.Double()),
        sa.PrimaryKeyConstraint("node", "alert", name="alert_pkey"),
    )
    op.create_table(
        "arrival",
        sa.Column("node", sa.String(length=255), nullable=False),
        sa.Column("arrival", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("calling_ae", sa.String(length=64)),
        sa.Column("called_ae", sa.String(length=64)),
        sa.Column("study_uid", sa.String(length=64)),
        sa.Column("series_uid", sa.String(length=64)),
        sa.Column("addendum_of", sa.BigInteger()),
        sa.Column("modality", sa.String(length=64)),
        sa.Column("state", sa.String(length=64)),
        sa.Column("since", sa.Double()),
        sa.Column("reason", sa.Text()),
        sa.Column("opened", sa.Double()),
        sa.Column("completed", sa.Double()),
        sa.Column("why", sa.String(length=255)),
        sa.Column("images", sa.BigInteger()),
        sa.Column("bytes", sa.BigInteger()),
        sa.Column("decided", sa.Double()),
        sa.Column("decision", sa.BigInteger()),
        sa.Column("revision", sa.BigInteger()),
        sa.Column("outcome", sa.String(length=64)),
        sa.Column("targets", PLAIN),
        sa.Column("rules", PLAIN),
        sa.Column("command", sa.BigInteger()),
        sa.Column("delivered", sa.Double()),
        sa.Column("deleted", sa.Double()),
        sa.Column("headers", PLAIN),
        sa.Column("patient_id", sa.String(length=255)),
        sa.Column("patient_folded", sa.String(length=255)),
        sa.Column("accession", sa.String(length=255)),
        sa.PrimaryKeyConstraint("node", "arrival", name="arrival_pkey"),
    )
    op.create_index("arrival_accession", "arrival", ["accession"])
    op.create_index("arrival_opened", "arrival", ["node", "opened"])
    op.create_index("arrival_patient", "arrival", ["patient_id"])
    op.create_index(
        "arrival_patient_name", "arrival", ["patient_folded"], postgresql_ops={"patient_folded": "varchar_pattern_ops"}
    )
    op.create_index("arrival_series", "arrival", ["series_uid"])
    op.create_index("arrival_source", "arrival", ["calling_ae", "opened"])
    op.create_index("arrival_state", "arrival", ["node", "state"])
    op.create_index("arrival_study", "arrival", ["study_uid"])
    op.create_table(
        "association",
        sa.Column("node", sa.String(length=255), nullable=False),
        sa.Column("association", sa.String(length=64), nullable=False),
        sa.Column("calling_ae", sa.String(length=64)),
        sa.Column("called_ae", sa.String(length=64)),
        sa.Column("address", sa.String(length=255)),
        sa.Column("state", sa.String(length=64)),
        sa.Column("opened", sa.Double()),
        sa.Column("closed", sa.Double()),
        sa.Column("images", sa.BigInteger()),
        sa.Column("bytes", sa.BigInteger()),
        sa.PrimaryKeyConstraint("node", "association", name="association_pkey"),
    )
    op.create_index("association_source", "association", ["calling_ae", "opened"])
    op.create_table(
        "cursor",
        sa.Column("node", sa.String(length=255), nullable=False),
        sa.Column("consumer", sa.String(length=64), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("time", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("node", "consumer", name="cursor_pkey"),
    )
    op.create_table(
        "delivery",
        sa.Column("node", sa.String(length=255), nullable=False),
        sa.Column("delivery", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("arrival", sa.BigInteger()),
        sa.Column("target", sa.String(length=64)),
        sa.Column("priority", sa.String(length=64)),
        sa.Column("state", sa.String(length=64)),
        sa.Column("attempts", sa.BigInteger()),
        sa.Column("owner", sa.String(length=255)),
        sa.Column("images", sa.BigInteger()),
        sa.Column("bytes", sa.BigInteger()),
        sa.Column("created", sa.Double()),
        sa.Column("claimed", sa.Double()),
        sa.Column("retry_at", sa.Double()),
        sa.Column("finished", sa.Double()),
        sa.Column("seconds", sa.Double()),
        sa.Column("warnings", sa.BigInteger()),
        sa.Column("error", sa.Text()),
        sa.Column("command", sa.BigInteger()),
        sa.PrimaryKeyConstraint("node", "delivery", name="delivery_pkey"),
    )
    op.create_index("delivery_arrival", "delivery", ["node", "arrival"])
    op.create_index("delivery_state", "delivery", ["state", "target", "retry_at"])
    op.create_table(
        "delivery_image",
        sa.Column("node", sa.String(length=255), nullable=False),
        sa.Column("delivery", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("receipt", sa.String(length=64), nullable=False),
        sa.Column("arrival", sa.BigInteger()),
        sa.Column("target", sa.String(length=64)),
        sa.Column("status", sa.Integer()),
        sa.Column("time", sa.Double()),
        sa.PrimaryKeyConstraint("node", "delivery", "receipt", name="delivery_image_pkey"),
    )
    op.create_index("delivery_image_receipt", "delivery_image", ["node", "receipt"])
    op.create_table(
        "event",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("node", sa.String(length=255), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("type", sa.String(length=255), nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("time", sa.Double(), nullable=False),
        sa.Column("recorded", sa.Double(), nullable=False),
        sa.Column("correlation", sa.String(length=255), nullable=False),
        sa.Column("causation", sa.String(length=255), nullable=False),
        sa.Column("severity", sa.Integer(), nullable=False),
        sa.Column("source", sa.String(length=255), nullable=False),
        sa.Column("arrival", sa.BigInteger()),
        sa.Column("delivery", sa.BigInteger()),
        sa.Column("receipt", sa.String(length=64)),
        sa.Column("data", PLAIN, nullable=False),
        sa.Column("phi", PLAIN),
        sa.Column("flag", sa.Text()),
        sa.Column("raw", sa.LargeBinary()),
        sa.PrimaryKeyConstraint("id", name="event_pkey"),
    )
    op.create_index("event_arrival", "event", ["node", "arrival", "seq"], **where("arrival IS NOT NULL"))
    op.create_index("event_delivery", "event", ["node", "delivery", "seq"], **where("delivery IS NOT NULL"))
    op.create_index("event_flagged", "event", ["node", "seq"], **where("flag IS NOT NULL"))
    op.create_index("event_order", "event", ["node", "epoch", "seq"])
    op.create_index("event_receipt", "event", ["node", "receipt", "seq"], **where("receipt IS NOT NULL"))
    op.create_index("event_serious", "event", ["time"], **where("severity >= 13"))
    op.create_index("event_subject", "event", ["subject", "time"])
    op.create_index("event_time", "event", ["time"])
    op.create_index("event_type", "event", ["type", "time"])
    op.create_table(
        "image",
        sa.Column("node", sa.String(length=255), nullable=False),
        sa.Column("receipt", sa.String(length=64), nullable=False),
        sa.Column("arrival", sa.BigInteger()),
        sa.Column("association", sa.String(length=64)),
        sa.Column("sop_uid", sa.String(length=64)),
        sa.Column("sop_class_uid", sa.String(length=64)),
        sa.Column("transfer_syntax_uid", sa.String(length=64)),
        sa.Column("bytes", sa.BigInteger()),
        sa.Column("digest", sa.String(length=64)),
        sa.Column("received", sa.Double()),
        sa.Column("why", sa.String(length=255)),
        sa.Column("mark", sa.String(length=64)),
        sa.Column("twin", sa.String(length=64)),
        sa.PrimaryKeyConstraint("node", "receipt", name="image_pkey"),
    )
    op.create_index("image_arrival", "image", ["node", "arrival"])
    op.create_index("image_sop", "image", ["sop_uid"])
    op.create_table(
        "quarantine",
        sa.Column("node", sa.String(length=255), nullable=False),
        sa.Column("receipt", sa.String(length=64), nullable=False),
        sa.Column("association", sa.String(length=64)),
        sa.Column("calling_ae", sa.String(length=64)),
        sa.Column("bytes", sa.BigInteger()),
        sa.Column("reason", sa.Text()),
        sa.Column("received", sa.Double()),
        sa.PrimaryKeyConstraint("node", "receipt", name="quarantine_pkey"),
    )
