"""The control tables, which live beside the payload tables in the user's schema.

They carry no schema of their own: every statement on them runs with ``schema_translate_map`` (queries)
or ``search_path`` (set-up). A change here needs a new revision in ``migrations/versions``.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSON, JSONB, TSTZMULTIRANGE

HEAD = "0008"
VERSION_TABLE = "paylog_alembic_version"

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_name)s_fkey",
        "ck": "%(table_name)s_%(constraint_name)s_check",
        "ix": "%(table_name)s_%(column_0_N_name)s_index",
    }
)


def _time(name: str, *, nullable: bool = True, default: str | None = None) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=nullable, server_default=default and text(default))


def _name(name: str, *, nullable: bool = False) -> Column[str]:
    return Column(name, Text, nullable=nullable)


# States of ledger entries that hold no rows any more.
GONE = ("superseded", "retracted")
COUNT_NAMES = ("read", "loaded", "duplicate", "rejected", "filtered", "pending")


def _counts(*names: str) -> list[Column[int]]:
    return [Column(name, BigInteger, nullable=False, server_default=text("0")) for name in names]


subscriptions = Table(
    "paylog_subscription",
    metadata,
    Column("subscription_id", Text, primary_key=True),
    _name("service_provider"),
    _name("deployment_id"),
    _name("schema_version"),
    Column("document", JSONB, nullable=False),
    Column("schema_changes", JSONB, nullable=False, server_default=text("'[]'::jsonb")),
    _time("updated_at", nullable=False, default="now()"),
)

receipts = Table(
    "paylog_receipt",
    metadata,
    Column("receipt_id", BigInteger, Identity(), primary_key=True),
    _name("subscription_id"),
    _name("batch_id"),
    _name("run_id"),
    _time("window_start", nullable=False),
    _time("window_end", nullable=False),
    _name("state"),
    Column("objects", BigInteger, nullable=False),
    Column("already_loaded", BigInteger, nullable=False, server_default=text("0")),
    Column("bytes", BigInteger, nullable=False),
    *_counts(*COUNT_NAMES),
    Column("reasons", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    Column("seconds", Double, nullable=False),
    _name("schema_version"),
    _time("finished_at", nullable=False, default="now()"),
    *_counts("settled"),  # revision 0004: halves that left paylog_pending with this batch
    *_counts("replayed"),  # revision 0007: rows that were in quarantine before, counted as read again
    CheckConstraint("state IN ('committed', 'over_budget', 'refused', 'retracted')", name="state"),
    CheckConstraint(
        "state <> 'committed' OR read = loaded + duplicate + rejected + filtered + pending",
        name="conservation",
    ),
    Index(None, "subscription_id", "run_id"),
)

# One entry per version of an object, or per part of one that grows; at most one is at the head (not
# superseded, not grown: followed by another part). A stale object holds its rows but must be read again:
# a row that it counted as duplicate went away with another object. A partial one ends in an unread line.
# A replayed one, beside the head, holds records of the object's quarantine that were loaded later (or halves
# of it that were wanted again). A retracted one is gone, as a superseded one is, but nothing took its place.
objects = Table(
    "paylog_object",
    metadata,
    Column("object_id", BigInteger, Identity(), primary_key=True),
    _name("subscription_id"),
    _name("uri"),
    _name("version"),
    Column("size", BigInteger, nullable=False),
    _time("last_modified", nullable=False),
    Column("state", Text, nullable=False, server_default=text("'loaded'")),
    *_counts("read", "loaded", "duplicate", "rejected", "filtered"),
    _time("min_scoring_timestamp"),
    _time("max_scoring_timestamp"),
    Column(
        "receipt_id",
        BigInteger,
        ForeignKey("paylog_receipt.receipt_id", deferrable=True, initially="DEFERRED"),
        nullable=False,
    ),
    _name("schema_version"),
    _time("loaded_at", nullable=False, default="now()"),
    _time("superseded_at"),
    _time("freed_from"),
    _time("freed_until"),
    # Revision 0004. Freed: rows and rejects that are gone because their other half's object was replaced;
    # of a replayed entry also the rejects that stay with the entry that they are of.
    *_counts("pending", "freed", "freed_rejects"),
    Column("end_byte", BigInteger),
    Column("end_position", BigInteger),
    Column("end_digest", LargeBinary),
    CheckConstraint(
        "state IN ('loaded', 'partial', 'grown', 'stale', 'superseded', 'replayed', 'retracted')",
        name="state",
    ),
    Index(
        "paylog_object_live_index",
        "subscription_id",
        "uri",
        unique=True,
        postgresql_where=text("state NOT IN ('superseded', 'grown', 'replayed', 'retracted')"),
    ),
    Index(None, "receipt_id"),
    Index(
        "paylog_object_grown_index",
        "subscription_id",
        "uri",
        postgresql_where=text("state IN ('grown', 'replayed')"),
    ),
    Index(
        "paylog_object_freed_index",
        "subscription_id",
        "superseded_at",
        postgresql_where=text("freed_from IS NOT NULL"),
    ),
)

quarantine = Table(
    "paylog_quarantine",
    metadata,
    Column("quarantine_id", BigInteger, Identity(), primary_key=True),
    _name("subscription_id"),
    Column("object_id", BigInteger, ForeignKey("paylog_object.object_id"), nullable=False),
    Column("receipt_id", BigInteger, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("row", Integer),
    Column("rows", Integer, nullable=False),
    _name("reason"),
    _name("column_name", nullable=True),
    Column("raw", LargeBinary, nullable=False),
    _time("created_at", nullable=False, default="now()"),
    # Revision 0004: the other half of a pair that was rejected.
    Column("partner_id", BigInteger),
    Column("partner_position", BigInteger),
    # Revision 0007. What became of the record in a replay, the receipt of which closed it; while it is open,
    # ``reason`` is the last replay's and ``first_reason`` what it was before any.
    Column("state", Text, nullable=False, server_default=text("'open'")),
    Column("closed_by", BigInteger),
    _time("closed_at"),
    _name("first_reason", nullable=True),
    Column("replays", Integer, nullable=False, server_default=text("0")),
    CheckConstraint(
        "state IN ('open', 'loaded', 'duplicate', 'rejected', 'filtered', 'pending')", name="state"
    ),
    CheckConstraint("(state = 'open') = (closed_by IS NULL)", name="closed"),
    Index("paylog_quarantine_closed_by_index", "closed_by", postgresql_where=text("closed_by IS NOT NULL")),
    Index(None, "subscription_id", "reason"),
    Index(None, "object_id"),
    Index("paylog_quarantine_partner_index", "partner_id", postgresql_where=text("partner_id IS NOT NULL")),
)

# Revision 0002.
batches = Table(
    "paylog_batch",
    metadata,
    _name("subscription_id"),
    _name("run_id"),
    _name("batch_id"),
    _time("window_start", nullable=False),
    _time("window_end", nullable=False),
    Column("objects", JSONB, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("state", Text, nullable=False, server_default=text("'planned'")),
    _time("planned_at", nullable=False, default="now()"),
    PrimaryKeyConstraint("subscription_id", "run_id", "batch_id"),
    CheckConstraint("state IN ('planned', 'committed', 'over_budget', 'refused', 'retracted')", name="state"),
)

watermarks = Table(
    "paylog_watermark",
    metadata,
    Column("subscription_id", Text, primary_key=True),
    _time("since", nullable=False),
    Column("covered", TSTZMULTIRANGE, nullable=False),
    _time("complete_through", nullable=False),
    Column("late_objects", BigInteger, nullable=False, server_default=text("0")),
    _time("updated_at", nullable=False, default="now()"),
    # Revision 0007: the last move, and the run that made it.
    _time("moved_from"),
    _name("moved_by", nullable=True),
)

# Revision 0003. A profile is kept once for each content of the training data, a check for each time.
training_profiles = Table(
    "paylog_training_profile",
    metadata,
    Column("profile_id", BigInteger, Identity(), primary_key=True),
    _name("subscription_id"),
    _name("content_hash"),
    _name("schema_version"),
    Column("rows", BigInteger, nullable=False),
    # Not JSONB, which forgets the order of keys: categories are by frequency.
    Column("document", JSON, nullable=False),
    _time("created_at", nullable=False, default="now()"),
    Index(None, "subscription_id", "profile_id"),
)

training_checks = Table(
    "paylog_training_check",
    metadata,
    Column("check_id", BigInteger, Identity(), primary_key=True),
    _name("subscription_id"),
    Column("profile_id", BigInteger, ForeignKey("paylog_training_profile.profile_id")),
    _name("schema_version"),
    _name("status"),
    Column("findings", JSONB, nullable=False),
    Column("seconds", Double, nullable=False),
    _time("checked_at", nullable=False, default="now()"),
    CheckConstraint("status IN ('passed', 'warning', 'error')", name="status"),
    Index(None, "subscription_id", "check_id"),
)

# What the payload records of a batch have that the training data has not: counts, never rows.
payload_findings = Table(
    "paylog_payload_finding",
    metadata,
    Column("finding_id", BigInteger, Identity(), primary_key=True),
    _name("subscription_id"),
    Column("receipt_id", BigInteger, ForeignKey("paylog_receipt.receipt_id"), nullable=False),
    Column("profile_id", BigInteger, ForeignKey("paylog_training_profile.profile_id"), nullable=False),
    _name("column_name"),
    _name("code"),
    _name("severity"),
    Column("rows", BigInteger),
    Column("judged", BigInteger, nullable=False),
    Column("measured", Double, nullable=False),
    Column("threshold", Double, nullable=False),
    _time("created_at", nullable=False, default="now()"),
    CheckConstraint("severity IN ('warning', 'error')", name="severity"),
    Index(None, "subscription_id", "finding_id"),
    Index(None, "receipt_id"),
)

# Revision 0004. Halves that wait for their other half, in ``raw`` None: the body is all of the record.
pending = Table(
    "paylog_pending",
    metadata,
    _name("subscription_id"),
    Column("pair", Uuid, nullable=False),
    Column("request", Boolean, nullable=False),
    Column("object_id", BigInteger, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("about", LargeBinary, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("raw", LargeBinary),
    _time("stored_at", nullable=False, default="now()"),
    PrimaryKeyConstraint("subscription_id", "pair", "request"),
    Index(None, "object_id"),
    Index(None, "stored_at", postgresql_using="brin"),
)

# Which objects' rows hold halves of objects that an earlier batch read, and the time that they span.
partners = Table(
    "paylog_partner",
    metadata,
    Column("partner_id", BigInteger, nullable=False),
    Column("object_id", BigInteger, nullable=False),
    _time("min_scoring_timestamp"),
    _time("max_scoring_timestamp"),
    PrimaryKeyConstraint("partner_id", "object_id"),
)

# Revision 0005: what the Python client registers. No credentials: those stay in connections.
data_marts = Table(
    "paylog_data_mart",
    metadata,
    Column("data_mart_id", Text, primary_key=True),
    _name("name"),
    _time("created_at", nullable=False, default="now()"),
)

bindings = Table(
    "paylog_service_binding",
    metadata,
    Column("binding_id", Text, primary_key=True),
    _name("name"),
    _name("service_type"),
    _name("instance_id"),
    _time("created_at", nullable=False, default="now()"),
)

assets = Table(
    "paylog_asset",
    metadata,
    Column("subscription_id", Text, primary_key=True),
    _name("binding_id"),
    Column("asset", JSONB, nullable=False),
    Column("properties", JSONB, nullable=False),
    Column("deployment", JSONB, nullable=False),
    Column("configurations", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    _time("created_at", nullable=False, default="now()"),
)

# Revision 0006: a row for each request to an OpenScale service. A place is (object, position, row).
deliveries = Table(
    "paylog_delivery",
    metadata,
    Column("delivery_id", BigInteger, Identity(), primary_key=True),
    _name("subscription_id"),
    Column("receipt_id", BigInteger, nullable=False),
    *(
        Column(f"{end}_{part}", BigInteger, nullable=False)
        for end in ("first", "last")
        for part in ("object", "position", "row")
    ),
    Column("rows", BigInteger, nullable=False),
    *_counts("confirmed", "failed"),
    Column("state", Text, nullable=False, server_default=text("'posting'")),
    _name("request_id", nullable=True),
    Column("count_before", BigInteger),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("errors", JSONB, nullable=False, server_default=text("'[]'::jsonb")),
    _time("created_at", nullable=False, default="now()"),
    _time("updated_at", nullable=False, default="now()"),
    *_counts("retracted"),  # revision 0007: rows that the data mart no longer holds, the service may
    CheckConstraint("state IN ('posting', 'accepted', 'confirmed', 'failed')", name="state"),
    CheckConstraint("state IN ('posting', 'accepted') OR rows = confirmed + failed", name="conservation"),
    Index(None, "subscription_id", "receipt_id"),
)

# Revision 0007: who took back what, and why. Counts, never rows.
audits = Table(
    "paylog_audit",
    metadata,
    Column("audit_id", BigInteger, Identity(), primary_key=True),
    _name("subscription_id"),
    _name("action"),
    _name("actor"),
    _name("reason"),
    Column("selection", JSONB, nullable=False),
    Column("counts", JSONB, nullable=False),
    Column("receipt_id", BigInteger, nullable=False),
    _time("created_at", nullable=False, default="now()"),
    Index(None, "subscription_id", "audit_id"),
)

# Revision 0008: at most one open alert for each cause of a subscription. Told: when its owners were told.
alerts = Table(
    "paylog_alert",
    metadata,
    Column("alert_id", BigInteger, Identity(), primary_key=True),
    *map(_name, ("subscription_id", "cause", "summary")),
    Column("details", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    Column("times", BigInteger, nullable=False, server_default=text("1")),
    *(_time(name, nullable=False, default="now()") for name in ("opened_at", "last_seen_at")),
    *map(_time, ("resolved_at", "told_opened_at", "told_reminder_at", "told_resolved_at")),
    Index(
        "paylog_alert_open_index",
        "subscription_id",
        "cause",
        unique=True,
        postgresql_where=text("resolved_at IS NULL"),
    ),
    Index(None, "subscription_id", "alert_id"),
)
