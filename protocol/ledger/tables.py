"""The ledger's tables as SQLAlchemy Core objects: what became of every image, arrival and delivery, and every event.
They are the present form only; migrations/ leads there step by step, and a test holds both to be equal.

Every row carries its node, so that many nodes can write into one PostgreSQL. Times are seconds since 1970 UTC.
Only key columns are mandatory: a fact about an object whose beginning the ledger never saw is kept all the same.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from protocol.ledger.tables_mining import dose_tables, series_table

NAME, UID, ID, LABEL = 64, 64, 64, 255  # characters
# JSONB so that values can be mined by index; none_as_null keeps "absent" and "null" one thing
PLAIN = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")

metadata = MetaData(naming_convention={"pk": "%(table_name)s_pkey"})
series = series_table(metadata)
dose_report, dose_event = dose_tables(metadata)


def _node() -> Column[str]:
    return Column("node", String(LABEL), primary_key=True)


event = Table(
    "event", metadata,
    Column("id", String(ID), primary_key=True),
    Column("node", String(LABEL), nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("type", String(LABEL), nullable=False),
    Column("subject", String(LABEL), nullable=False),
    Column("time", Double, nullable=False),
    Column("recorded", Double, nullable=False),  # when the ledger got it
    Column("correlation", String(LABEL), nullable=False),
    Column("causation", String(LABEL), nullable=False),
    Column("severity", Integer, nullable=False),
    Column("source", String(LABEL), nullable=False),
    Column("arrival", BigInteger),
    Column("delivery", BigInteger),
    Column("receipt", String(ID)),
    Column("data", PLAIN, nullable=False),
    Column("phi", PLAIN),
    Column("flag", Text),  # why the columns above are not the whole truth; then `raw` is
    Column("raw", LargeBinary),  # the envelope as msgpack, to the bit
    Index("event_order", "node", "epoch", "seq"),
    Index("event_time", "node", "time", "epoch", "seq"),
)  # fmt: skip
# Nine of ten events tell that one image came. They are found by the image, and keep out of the other indexes, which
# would cost more than all the rest of writing.
TOLD_BY_IMAGE = "image.received"
_other = text(f"type <> '{TOLD_BY_IMAGE}'")
Index("event_type", event.c.type, event.c.time, sqlite_where=_other, postgresql_where=_other)
Index("event_subject", event.c.subject, event.c.time, sqlite_where=_other, postgresql_where=_other)
for _name, _present in (
    ("arrival", text("arrival IS NOT NULL AND receipt IS NULL")),
    ("delivery", text("delivery IS NOT NULL")),
    ("receipt", text("receipt IS NOT NULL")),
):
    Index(f"event_{_name}", event.c.node, event.c[_name], event.c.epoch, event.c.seq,
          sqlite_where=_present, postgresql_where=_present)  # fmt: skip
_serious = text("severity >= 13")
Index("event_serious", event.c.time, sqlite_where=_serious, postgresql_where=_serious)
_flagged = text("flag IS NOT NULL")
Index("event_flagged", event.c.node, event.c.seq, sqlite_where=_flagged, postgresql_where=_flagged)
PRIVATE = "phi IS NOT NULL OR (raw IS NOT NULL AND type = 'arrival.completed')"
"""Events that hold patient data."""
Index("event_private", event.c.node, event.c.time, sqlite_where=text(PRIVATE), postgresql_where=text(PRIVATE))

association = Table(
    "association", metadata,
    _node(),
    Column("association", String(ID), primary_key=True),
    Column("calling_ae", String(NAME)),
    Column("called_ae", String(NAME)),
    Column("address", String(LABEL)),
    Column("state", String(NAME)),
    Column("opened", Double),
    Column("closed", Double),
    Column("images", BigInteger),
    Column("bytes", BigInteger),
    Index("association_source", "calling_ae", "opened"),
    Index("association_closed", "node", "closed"),
)  # fmt: skip

arrival = Table(
    "arrival", metadata,
    _node(),
    Column("arrival", BigInteger, primary_key=True, autoincrement=False),
    Column("calling_ae", String(NAME)),
    Column("called_ae", String(NAME)),
    Column("study_uid", String(UID)),
    Column("series_uid", String(UID)),
    Column("addendum_of", BigInteger),
    Column("modality", String(NAME)),
    Column("state", String(NAME)),
    Column("since", Double),  # of the state
    Column("reason", Text),  # for the state
    Column("opened", Double),
    Column("completed", Double),
    Column("why", String(LABEL)),  # it counted as complete
    Column("images", BigInteger),
    Column("bytes", BigInteger),
    Column("decided", Double),
    Column("decision", BigInteger),
    Column("revision", BigInteger),
    Column("outcome", String(NAME)),
    Column("targets", PLAIN),
    Column("rules", PLAIN),
    Column("command", BigInteger),
    Column("delivered", Double),
    Column("deleted", Double),
    Column("headers", PLAIN),  # patient data: the header values of the series
    Column("patient_id", String(LABEL)),
    Column("patient_folded", String(LABEL)),  # patient's name, case folded, for search by its beginning
    Column("accession", String(LABEL)),
    Column("erased", Double),  # when what identifies its patient was taken out on request
    Index("arrival_opened", "node", "opened"),
    Index("arrival_source", "calling_ae", "opened"),
    Index("arrival_modality", "modality", "opened"),
    Index("arrival_study", "study_uid"),
    Index("arrival_series", "series_uid"),
    Index("arrival_accession", "accession"),
    Index("arrival_patient", "patient_id"),
    # Names are found by their beginning, thousands at a time, and only the newest shown: so the index alone must do.
    Index("arrival_patient_name", "patient_folded", "opened", "node", "arrival",
          postgresql_ops={"patient_folded": "varchar_pattern_ops"}),
    Index("arrival_state", "state", "opened"),
)  # fmt: skip
NAMED = "(patient_id IS NOT NULL OR patient_folded IS NOT NULL OR accession IS NOT NULL)"
"""Arrivals of which is known who the patient was."""
Index("arrival_named", arrival.c.node, arrival.c.completed, sqlite_where=text(NAMED), postgresql_where=text(NAMED))
_gone = text("deleted IS NOT NULL")
Index("arrival_gone", arrival.c.node, arrival.c.deleted, sqlite_where=_gone, postgresql_where=_gone)
_described = text("headers IS NOT NULL")
Index("arrival_described", arrival.c.node, arrival.c.completed,
      sqlite_where=_described, postgresql_where=_described)  # fmt: skip

# Patient data: what rules may read of an arrival, so that other rules can be asked about it later. Kept apart, so that
# lists of arrivals stay fast, and with its origin, so that a backtest reads this table alone.
header = Table(
    "header", metadata,
    _node(),
    Column("arrival", BigInteger, primary_key=True, autoincrement=False),
    Column("received", Double),  # its first image
    Column("share", Integer),  # of its study, 0 to 255: readers divide the work by it
    Column("calling_ae", String(NAME)),
    Column("called_ae", String(NAME)),
    Column("address", String(LABEL)),
    Column("source", String(LABEL)),
    Column("study_uid", String(UID)),
    Column("series_uid", String(UID)),
    Column("addendum_of", BigInteger),
    Column("images", BigInteger),  # without superseded ones
    Column("bytes", BigInteger),
    Column("dropped", PLAIN),  # keywords of which only the first image's value is kept; null: none
    Column("first", LargeBinary),  # the first image's header, protocol/header/packed
    Column("columns", LargeBinary),  # what differs between the images, protocol/header/packed; null: nothing
    Index("header_received", "node", "received", "arrival", "share"),
    Index("header_series", "node", "series_uid"),
)  # fmt: skip

image = Table(
    "image", metadata,
    _node(),
    Column("receipt", String(ID), primary_key=True),
    Column("arrival", BigInteger),
    Column("association", String(ID)),
    Column("sop_uid", String(UID)),
    Column("sop_class_uid", String(UID)),
    Column("transfer_syntax_uid", String(UID)),
    Column("bytes", BigInteger),
    Column("digest", String(NAME)),
    Column("received", Double),
    Column("why", String(LABEL)),  # received, or adopted after a crash
    Column("mark", String(NAME)),  # none, superseded or duplicate; its state is that of its arrival
    Column("twin", String(ID)),  # the newer image, or the one it repeats
    Index("image_arrival", "node", "arrival"),
    Index("image_sop", "sop_uid"),
)  # fmt: skip

quarantine = Table(
    "quarantine", metadata,
    _node(),
    Column("receipt", String(ID), primary_key=True),
    Column("association", String(ID)),
    Column("calling_ae", String(NAME)),
    Column("bytes", BigInteger),
    Column("reason", Text),
    Column("received", Double),
    Index("quarantine_association", "node", "association"),
)  # fmt: skip

delivery = Table(
    "delivery", metadata,
    _node(),
    Column("delivery", BigInteger, primary_key=True, autoincrement=False),
    Column("arrival", BigInteger),
    Column("target", String(NAME)),  # where it goes now: of a group the member that has it
    Column("wanted", String(NAME)),  # where it was to go: a target or a group
    Column("priority", String(NAME)),
    Column("state", String(NAME)),
    Column("attempts", BigInteger),
    Column("owner", String(LABEL)),
    Column("images", BigInteger),
    Column("bytes", BigInteger),
    Column("created", Double),
    Column("claimed", Double),  # last attempt began
    Column("retry_at", Double),
    Column("finished", Double),
    Column("seconds", Double),
    Column("warnings", BigInteger),
    Column("error", Text),
    Column("cause", String(NAME)),  # of the error, protocol/causes
    Column("command", BigInteger),
    Index("delivery_arrival", "node", "arrival"),
    Index("delivery_state", "state", "target", "retry_at"),
)  # fmt: skip

_bound = text("wanted <> target")
Index("delivery_target", delivery.c.target, delivery.c.created)
Index("delivery_wanted", delivery.c.wanted, delivery.c.created, sqlite_where=_bound, postgresql_where=_bound)

# Which rules decided about an arrival, one row each: a list inside a row cannot be searched in the order of time.
arrival_rule = Table(
    "arrival_rule", metadata,
    _node(),
    Column("arrival", BigInteger, primary_key=True, autoincrement=False),
    Column("rule", String(NAME), primary_key=True),
    Column("time", Double),  # of the latest decision
    Index("arrival_rule_rule", "rule", "time"),
)  # fmt: skip

delivery_image = Table(
    "delivery_image", metadata,
    _node(),
    Column("delivery", BigInteger, primary_key=True, autoincrement=False),
    Column("receipt", String(ID), primary_key=True),
    Column("arrival", BigInteger),
    Column("target", String(NAME)),
    Column("status", Integer),  # the target's answer, PS3.7 Annex C
    Column("time", Double),
    Index("delivery_image_receipt", "node", "receipt"),
)  # fmt: skip

alert = Table(
    "alert", metadata,
    _node(),
    Column("alert", String(LABEL), primary_key=True),
    Column("text", Text),
    Column("raised", Double),
    Column("cleared", Double),
    Column("severity", String(NAME)),
    Column("about", String(LABEL)),
    Column("count", BigInteger),
    Column("acknowledged", Double),
    Column("by", String(LABEL)),
    Column("note", Text),
)  # fmt: skip

alert_episode = Table(  # each time that an alert was raised
    "alert_episode", metadata,
    _node(),
    Column("alert", String(LABEL), primary_key=True),
    Column("raised", Double, primary_key=True),
    Column("text", Text),
    Column("cleared", Double),
    Column("severity", String(NAME)),
    Column("about", String(LABEL)),
    Column("count", BigInteger),
    Column("acknowledged", Double),
    Column("by", String(LABEL)),
    Column("note", Text),
    Index("alert_episode_raised", "node", "raised"),
)  # fmt: skip

cursor = Table(
    "cursor", metadata,
    _node(),
    Column("consumer", String(NAME), primary_key=True),
    Column("epoch", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("time", Double, nullable=False),
)  # fmt: skip
