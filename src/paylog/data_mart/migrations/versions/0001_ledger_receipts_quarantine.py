"""Subscriptions, the ledger of objects, receipts and quarantine."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None

MOMENT = sa.DateTime(timezone=True)
NOW = sa.text("now()")


def counts(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.BigInteger, nullable=False, server_default=sa.text("0")) for name in names]


def upgrade() -> None:
    create_subscriptions()
    create_receipts()
    create_objects()
    create_quarantine()


def create_subscriptions() -> None:
    op.create_table(
        "paylog_subscription",
        sa.Column("subscription_id", sa.Text, nullable=False),
        sa.Column("service_provider", sa.Text, nullable=False),
        sa.Column("deployment_id", sa.Text, nullable=False),
        sa.Column("schema_version", sa.Text, nullable=False),
        sa.Column("document", JSONB, nullable=False),
        sa.Column("schema_changes", JSONB, nullable=False, server_default=sa.text("'[]'::jsonb")),
        sa.Column("updated_at", MOMENT, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("subscription_id", name="paylog_subscription_pkey"),
    )


def create_receipts() -> None:
    op.create_table(
        "paylog_receipt",
        sa.Column("receipt_id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("subscription_id", sa.Text, nullable=False),
        sa.Column("batch_id", sa.Text, nullable=False),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("window_start", MOMENT, nullable=False),
        sa.Column("window_end", MOMENT, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("objects", sa.BigInteger, nullable=False),
        *counts("already_loaded"),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        *counts("read", "loaded", "duplicate", "rejected", "filtered", "pending"),
        sa.Column("reasons", JSONB, nullable=False, server_default=sa.text("'{}'::jsonb")),
        sa.Column("seconds", sa.Double, nullable=False),
        sa.Column("schema_version", sa.Text, nullable=False),
        sa.Column("finished_at", MOMENT, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("receipt_id", name="paylog_receipt_pkey"),
        sa.CheckConstraint("state IN ('committed', 'over_budget')", name=op.f("paylog_receipt_state_check")),
        sa.CheckConstraint(
            "state <> 'committed' OR read = loaded + duplicate + rejected + filtered + pending",
            name=op.f("paylog_receipt_conservation_check"),
        ),
    )
    op.create_index(
        "paylog_receipt_subscription_id_run_id_index", "paylog_receipt", ["subscription_id", "run_id"]
    )


def create_objects() -> None:
    op.create_table(
        "paylog_object",
        sa.Column("object_id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("subscription_id", sa.Text, nullable=False),
        sa.Column("uri", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("last_modified", MOMENT, nullable=False),
        sa.Column("state", sa.Text, nullable=False, server_default=sa.text("'loaded'")),
        *counts("read", "loaded", "duplicate", "rejected", "filtered"),
        sa.Column("min_scoring_timestamp", MOMENT),
        sa.Column("max_scoring_timestamp", MOMENT),
        sa.Column("receipt_id", sa.BigInteger, nullable=False),
        sa.Column("schema_version", sa.Text, nullable=False),
        sa.Column("loaded_at", MOMENT, nullable=False, server_default=NOW),
        sa.Column("superseded_at", MOMENT),
        sa.Column("freed_from", MOMENT),
        sa.Column("freed_until", MOMENT),
        sa.PrimaryKeyConstraint("object_id", name="paylog_object_pkey"),
        sa.ForeignKeyConstraint(
            ["receipt_id"],
            ["paylog_receipt.receipt_id"],
            name="paylog_object_receipt_id_fkey",
            deferrable=True,
            initially="DEFERRED",
        ),
        sa.CheckConstraint(
            "state IN ('loaded', 'stale', 'superseded')", name=op.f("paylog_object_state_check")
        ),
    )
    index_objects()


def index_objects() -> None:
    op.create_index(
        "paylog_object_live_index",
        "paylog_object",
        ["subscription_id", "uri"],
        unique=True,
        postgresql_where=sa.text("state <> 'superseded'"),
    )
    op.create_index("paylog_object_receipt_id_index", "paylog_object", ["receipt_id"])
    op.create_index(
        "paylog_object_freed_index",
        "paylog_object",
        ["subscription_id", "superseded_at"],
        postgresql_where=sa.text("freed_from IS NOT NULL"),
    )


def create_quarantine() -> None:
    op.create_table(
        "paylog_quarantine",
        sa.Column("quarantine_id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("subscription_id", sa.Text, nullable=False),
        sa.Column("object_id", sa.BigInteger, nullable=False),
        sa.Column("receipt_id", sa.BigInteger, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("row", sa.Integer),
        sa.Column("rows", sa.Integer, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("column_name", sa.Text),
        sa.Column("raw", sa.LargeBinary, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("quarantine_id", name="paylog_quarantine_pkey"),
        sa.ForeignKeyConstraint(
            ["object_id"], ["paylog_object.object_id"], name="paylog_quarantine_object_id_fkey"
        ),
    )
    op.create_index(
        "paylog_quarantine_subscription_id_reason_index", "paylog_quarantine", ["subscription_id", "reason"]
    )
    op.create_index("paylog_quarantine_object_id_index", "paylog_quarantine", ["object_id"])
