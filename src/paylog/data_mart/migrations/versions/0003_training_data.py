"""Training data: its profiles and checks, and what payload records have that it has not."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSON, JSONB

revision = "0003"
down_revision = "0002"

MOMENT = sa.DateTime(timezone=True)
NOW = sa.text("now()")
STATES = {
    "paylog_receipt": "'committed', 'over_budget', 'refused'",
    "paylog_batch": "'planned', 'committed', 'over_budget', 'refused'",
}


def upgrade() -> None:
    for table, states in STATES.items():
        op.drop_constraint(op.f(f"{table}_state_check"), table, type_="check")
        op.create_check_constraint(op.f(f"{table}_state_check"), table, f"state IN ({states})")
    create_profiles()
    create_checks()
    create_findings()


def create_profiles() -> None:
    op.create_table(
        "paylog_training_profile",
        sa.Column("profile_id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("subscription_id", sa.Text, nullable=False),
        sa.Column("content_hash", sa.Text, nullable=False),
        sa.Column("schema_version", sa.Text, nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("document", JSON, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("profile_id", name="paylog_training_profile_pkey"),
    )
    op.create_index(
        "paylog_training_profile_subscription_id_profile_id_index",
        "paylog_training_profile",
        ["subscription_id", "profile_id"],
    )


def create_checks() -> None:
    op.create_table(
        "paylog_training_check",
        sa.Column("check_id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("subscription_id", sa.Text, nullable=False),
        sa.Column("profile_id", sa.BigInteger),
        sa.Column("schema_version", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("findings", JSONB, nullable=False),
        sa.Column("seconds", sa.Double, nullable=False),
        sa.Column("checked_at", MOMENT, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("check_id", name="paylog_training_check_pkey"),
        sa.ForeignKeyConstraint(
            ["profile_id"],
            ["paylog_training_profile.profile_id"],
            name="paylog_training_check_profile_id_fkey",
        ),
        sa.CheckConstraint(
            "status IN ('passed', 'warning', 'error')", name=op.f("paylog_training_check_status_check")
        ),
    )
    op.create_index(
        "paylog_training_check_subscription_id_check_id_index",
        "paylog_training_check",
        ["subscription_id", "check_id"],
    )


def create_findings() -> None:
    op.create_table(
        "paylog_payload_finding",
        sa.Column("finding_id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("subscription_id", sa.Text, nullable=False),
        sa.Column("receipt_id", sa.BigInteger, nullable=False),
        sa.Column("profile_id", sa.BigInteger, nullable=False),
        sa.Column("column_name", sa.Text, nullable=False),
        sa.Column("code", sa.Text, nullable=False),
        sa.Column("severity", sa.Text, nullable=False),
        sa.Column("rows", sa.BigInteger),
        sa.Column("judged", sa.BigInteger, nullable=False),
        sa.Column("measured", sa.Double, nullable=False),
        sa.Column("threshold", sa.Double, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("finding_id", name="paylog_payload_finding_pkey"),
        sa.ForeignKeyConstraint(
            ["receipt_id"], ["paylog_receipt.receipt_id"], name="paylog_payload_finding_receipt_id_fkey"
        ),
        sa.ForeignKeyConstraint(
            ["profile_id"],
            ["paylog_training_profile.profile_id"],
            name="paylog_payload_finding_profile_id_fkey",
        ),
        sa.CheckConstraint(
            "severity IN ('warning', 'error')", name=op.f("paylog_payload_finding_severity_check")
        ),
    )
    op.create_index(
        "paylog_payload_finding_subscription_id_finding_id_index",
        "paylog_payload_finding",
        ["subscription_id", "finding_id"],
    )
    op.create_index("paylog_payload_finding_receipt_id_index", "paylog_payload_finding", ["receipt_id"])
