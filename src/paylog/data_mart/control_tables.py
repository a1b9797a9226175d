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
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSON, JSONB, TSTZMULTIRANGE

from paylog.data_mart.control_columns import COUNT_NAMES, counters, metadata, moment, named

HEAD = "0009"
VERSION_TABLE = "paylog_alembic_version"

# States of ledger entries that hold no rows any more.
GONE = ("superseded", "retracted")


subscriptions = Table(
    "paylog_subscription",
    metadata,
    Column("subscription_id", Text, primary_key=True),
    named("service_provider"),
    named("deployment_id"),
    named("schema_version"),
    Column("document", JSONB, nullable=False),
    Column("schema_changes", JSONB, nullable=False, server_default=text("'[]'::jsonb")),
    moment("updated_at", nullable=False, default="now()"),
)

receipts = Table(
    "paylog_receipt",
    metadata,
    Column("receipt_id", BigInteger, Identity(), primary_key=True),
    named("subscription_id"),
    named("batch_id"),
    named("run_id"),
    moment("window_start", nullable=False),
    moment("window_end", nullable=False),
    named("state"),
    Column("objects", BigInteger, nullable=False),
    Column("already_loaded", BigInteger, nullable=False, server_default=text("0")),
    Column("bytes", BigInteger, nullable=False),
    *counters(*COUNT_NAMES),
    Column("reasons", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    Column("seconds", Double, nullable=False),
    named("schema_version"),
    moment("finished_at", nullable=False, default="now()"),
    *counters("settled"),  # revision 0004: halves that left paylog_pending with this batch
    *counters("replayed"),  # revision 0007: rows that were in quarantine before, counted as read again
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
    named("subscription_id"),
    named("uri"),
    named("version"),
    Column("size", BigInteger, nullable=False),
    moment("last_modified", nullable=False),
    Column("state", Text, nullable=False, server_default=text("'loaded'")),
    *counters("read", "loaded", "duplicate", "rejected", "filtered"),
    moment("min_scoring_timestamp"),
    moment("max_scoring_timestamp"),
    Column(
        "receipt_id",
        BigInteger,
        ForeignKey("paylog_receipt.receipt_id", deferrable=True, initially="DEFERRED"),
        nullable=False,
    ),
    named("schema_version"),
    moment("loaded_at", nullable=False, default="now()"),
    moment("superseded_at"),
    moment("freed_from"),
    moment("freed_until"),
    # Revision 0004. Freed: rows and rejects that are gone because their other half's object was replaced;
    # of a replayed entry also the rejects that stay with the entry that they are of.
    *counters("pending", "freed", "freed_rejects"),
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
    named("subscription_id"),
    Column("object_id", BigInteger, ForeignKey("paylog_object.object_id"), nullable=False),
    Column("receipt_id", BigInteger, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("row", Integer),
    Column("rows", Integer, nullable=False),
    named("reason"),
    named("column_name", nullable=True),
    Column("raw", LargeBinary, nullable=False),
    moment("created_at", nullable=False, default="now()"),
    # Revision 0004: the other half of a pair that was rejected.
    Column("partner_id", BigInteger),
    Column("partner_position", BigInteger),
    # Revision 0007. What became of the record in a replay, the receipt of which closed it; while it is open,
    # ``reason`` is the last replay's and ``first_reason`` what it was before any.
    Column("state", Text, nullable=False, server_default=text("'open'")),
    Column("closed_by", BigInteger),
    moment("closed_at"),
    named("first_reason", nullable=True),
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
    named("subscription_id"),
    named("run_id"),
    named("batch_id"),
    moment("window_start", nullable=False),
    moment("window_end", nullable=False),
    Column("objects", JSONB, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("state", Text, nullable=False, server_default=text("'planned'")),
    moment("planned_at", nullable=False, default="now()"),
    PrimaryKeyConstraint("subscription_id", "run_id", "batch_id"),
    CheckConstraint("state IN ('planned', 'committed', 'over_budget', 'refused', 'retracted')", name="state"),
)

watermarks = Table(
    "paylog_watermark",
    metadata,
    Column("subscription_id", Text, primary_key=True),
    moment("since", nullable=False),
    Column("covered", TSTZMULTIRANGE, nullable=False),
    moment("complete_through", nullable=False),
    Column("late_objects", BigInteger, nullable=False, server_default=text("0")),
    moment("updated_at", nullable=False, default="now()"),
    # Revision 0007: the last move, and the run that made it.
    moment("moved_from"),
    named("moved_by", nullable=True),
)

# Revision 0003. A profile is kept once for each content of the training data, a check for each time.
training_profiles = Table(
    "paylog_training_profile",
    metadata,
    Column("profile_id", BigInteger, Identity(), primary_key=True),
    named("subscription_id"),
    named("content_hash"),
    named("schema_version"),
    Column("rows", BigInteger, nullable=False),
    # Not JSONB, which forgets the order of keys: categories are by frequency.
    Column("document", JSON, nullable=False),
    moment("created_at", nullable=False, default="now()"),
    Index(None, "subscription_id", "profile_id"),
)

training_checks = Table(
    "paylog_training_check",
    metadata,
    Column("check_id", BigInteger, Identity(), primary_key=True),
    named("subscription_id"),
    Column("profile_id", BigInteger, ForeignKey("paylog_training_profile.profile_id")),
    named("schema_version"),
    named("status"),
    Column("findings", JSONB, nullable=False),
    Column("seconds", Double, nullable=False),
    moment("checked_at", nullable=False, default="now()"),
    CheckConstraint("status IN ('passed', 'warning', 'error')", name="status"),
    Index(None, "subscription_id", "check_id"),
)

# What the payload records of a batch have that the training data has not: counts, never rows.
payload_findings = Table(
    "paylog_payload_finding",
    metadata,
    Column("finding_id", BigInteger, Identity(), primary_key=True),
    named("subscription_id"),
    Column("receipt_id", BigInteger, ForeignKey("paylog_receipt.receipt_id"), nullable=False),
    Column("profile_id", BigInteger, ForeignKey("paylog_training_profile.profile_id"), nullable=False),
    named("column_name"),
    named("code"),
    named("severity"),
    Column("rows", BigInteger),
    Column("judged", BigInteger, nullable=False),
    Column("measured", Double, nullable=False),
    Column("threshold", Double, nullable=False),
    moment("created_at", nullable=False, default="now()"),
    CheckConstraint("severity IN ('warning', 'error')", name="severity"),
    Index(None, "subscription_id", "finding_id"),
    Index(None, "receipt_id"),
)

# Revision 0004. Halves that wait for their other half, in ``raw`` None: the body is all of the record.
pending = Table(
    "paylog_pending",
    metadata,
    named("subscription_id"),
    Column("pair", Uuid, nullable=False),
    Column("request", Boolean, nullable=False),
    Column("object_id", BigInteger, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("about", LargeBinary, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("raw", LargeBinary),
    moment("stored_at", nullable=False, default="now()"),
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
    moment("min_scoring_timestamp"),
    moment("max_scoring_timestamp"),
    PrimaryKeyConstraint("partner_id", "object_id"),
)

# Revision 0005: what the Python client registers. No credentials: those stay in connections.
data_marts = Table(
    "paylog_data_mart",
    metadata,
    Column("data_mart_id", Text, primary_key=True),
    named("name"),
    moment("created_at", nullable=False, default="now()"),
)

bindings = Table(
    "paylog_service_binding",
    metadata,
    Column("binding_id", Text, primary_key=True),
    named("name"),
    named("service_type"),
    named("instance_id"),
    moment("created_at", nullable=False, default="now()"),
)

assets = Table(
    "paylog_asset",
    metadata,
    Column("subscription_id", Text, primary_key=True),
    named("binding_id"),
    Column("asset", JSONB, nullable=False),
    Column("properties", JSONB, nullable=False),
    Column("deployment", JSONB, nullable=False),
    Column("configurations", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    moment("created_at", nullable=False, default="now()"),
)

# Revision 0006: a row for each request to an OpenScale service. A place is (object, position, row).
deliveries = Table(
    "paylog_delivery",
    metadata,
    Column("delivery_id", BigInteger, Identity(), primary_key=True),
    named("subscription_id"),
    Column("receipt_id", BigInteger, nullable=False),
    *(
        Column(f"{end}_{part}", BigInteger, nullable=False)
        for end in ("first", "last")
        for part in ("object", "position", "row")
    ),
    Column("rows", BigInteger, nullable=False),
    *counters("confirmed", "failed"),
    Column("state", Text, nullable=False, server_default=text("'posting'")),
    named("request_id", nullable=True),
    Column("count_before", BigInteger),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("errors", JSONB, nullable=False, server_default=text("'[]'::jsonb")),
    moment("created_at", nullable=False, default="now()"),
    moment("updated_at", nullable=False, default="now()"),
    *counters("retracted"),  # revision 0007: rows that the data mart no longer holds, the service may
    CheckConstraint("state IN ('posting', 'accepted', 'confirmed', 'failed')", name="state"),
    CheckConstraint("state IN ('posting', 'accepted') OR rows = confirmed + failed", name="conservation"),
    Index(None, "subscription_id", "receipt_id"),
)
