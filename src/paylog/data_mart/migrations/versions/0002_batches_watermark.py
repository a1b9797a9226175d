"""The stored plan of a run (so that a mapped task needs only a batch's name) and the watermark."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB, TSTZMULTIRANGE

revision = "0002"
down_revision = "0001"

MOMENT = sa.DateTime(timezone=True)
NOW = sa.text("now()")


def upgrade() -> None:
    op.create_table(
        "paylog_batch",
        sa.Column("subscription_id", sa.Text, nullable=False),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("batch_id", sa.Text, nullable=False),
        sa.Column("window_start", MOMENT, nullable=False),
        sa.Column("window_end", MOMENT, nullable=False),
        sa.Column("objects", JSONB, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False, server_default=sa.text("'planned'")),
        sa.Column("planned_at", MOMENT, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("subscription_id", "run_id", "batch_id", name="paylog_batch_pkey"),
        sa.CheckConstraint(
            "state IN ('planned', 'committed', 'over_budget')", name=op.f("paylog_batch_state_check")
        ),
    )
    op.create_table(
        "paylog_watermark",
        sa.Column("subscription_id", sa.Text, nullable=False),
        sa.Column("since", MOMENT, nullable=False),
        sa.Column("covered", TSTZMULTIRANGE, nullable=False),
        sa.Column("complete_through", MOMENT, nullable=False),
        sa.Column("late_objects", sa.BigInteger, nullable=False, server_default=sa.text("0")),
        sa.Column("updated_at", MOMENT, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("subscription_id", name="paylog_watermark_pkey"),
    )
