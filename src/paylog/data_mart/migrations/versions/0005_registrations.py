"""What the Python client registers: the data mart itself, service bindings and subscribed assets."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0005"
down_revision = "0003"

MOMENT = sa.DateTime(timezone=True)
NOW = sa.text("now()")


def upgrade() -> None:
    op.create_table(
        "paylog_data_mart",
        sa.Column("data_mart_id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("data_mart_id", name="paylog_data_mart_pkey"),
    )
    op.create_table(
        "paylog_service_binding",
        sa.Column("binding_id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("service_type", sa.Text, nullable=False),
        sa.Column("instance_id", sa.Text, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("binding_id", name="paylog_service_binding_pkey"),
    )
    op.create_table(
        "paylog_asset",
        sa.Column("subscription_id", sa.Text, nullable=False),
        sa.Column("binding_id", sa.Text, nullable=False),
        sa.Column("asset", JSONB, nullable=False),
        sa.Column("properties", JSONB, nullable=False),
        sa.Column("deployment", JSONB, nullable=False),
        sa.Column("configurations", JSONB, nullable=False, server_default=sa.text("'{}'::jsonb")),
        sa.Column("created_at", MOMENT, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("subscription_id", name="paylog_asset_pkey"),
    )
