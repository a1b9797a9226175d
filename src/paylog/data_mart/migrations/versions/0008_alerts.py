"""What somebody must know of, and whether they were told."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0008"
down_revision = "0007"

MOMENT = sa.DateTime(timezone=True)
NOW = sa.text("now()")


def upgrade() -> None:
    op.create_table(
        "paylog_alert",
        sa.Column("alert_id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("subscription_id", sa.Text, nullable=False),
        sa.Column("cause", sa.Text, nullable=False),
        sa.Column("summary", sa.Text, nullable=False),
        sa.Column("details", JSONB, nullable=False, server_default=sa.text("'{}'::jsonb")),
        sa.Column("times", sa.BigInteger, nullable=False, server_default=sa.text("1")),
        sa.Column("opened_at", MOMENT, nullable=False, server_default=NOW),
        sa.Column("last_seen_at", MOMENT, nullable=False, server_default=NOW),
        sa.Column("resolved_at", MOMENT),
        sa.Column("told_opened_at", MOMENT),
        sa.Column("told_reminder_at", MOMENT),
        sa.Column("told_resolved_at", MOMENT),
        sa.PrimaryKeyConstraint("alert_id", name="paylog_alert_pkey"),
    )
    op.create_index(
        "paylog_alert_open_index",
        "paylog_alert",
        ["subscription_id", "cause"],
        unique=True,
        postgresql_where=sa.text("resolved_at IS NULL"),
    )
    op.create_index(
        op.f("paylog_alert_subscription_id_alert_id_index"), "paylog_alert", ["subscription_id", "alert_id"]
    )
