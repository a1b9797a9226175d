"""What was posted to an OpenScale service, a row a request."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0006"
down_revision = "0005"

MOMENT = sa.DateTime(timezone=True)
NOW = sa.text("now()")
ZERO = sa.text("0")


def upgrade() -> None:
    op.create_table(
        "paylog_delivery",
        sa.Column("delivery_id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("subscription_id", sa.Text, nullable=False),
        sa.Column("receipt_id", sa.BigInteger, nullable=False),
        sa.Column("first_object", sa.BigInteger, nullable=False),
        sa.Column("first_position", sa.BigInteger, nullable=False),
        sa.Column("first_row", sa.BigInteger, nullable=False),
        sa.Column("last_object", sa.BigInteger, nullable=False),
        sa.Column("last_position", sa.BigInteger, nullable=False),
        sa.Column("last_row", sa.BigInteger, nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("confirmed", sa.BigInteger, nullable=False, server_default=ZERO),
        sa.Column("failed", sa.BigInteger, nullable=False, server_default=ZERO),
        sa.Column("state", sa.Text, nullable=False, server_default=sa.text("'posting'")),
        sa.Column("request_id", sa.Text),
        sa.Column("count_before", sa.BigInteger),
        sa.Column("attempts", sa.Integer, nullable=False, server_default=ZERO),
        sa.Column("errors", JSONB, nullable=False, server_default=sa.text("'[]'::jsonb")),
        sa.Column("created_at", MOMENT, nullable=False, server_default=NOW),
        sa.Column("updated_at", MOMENT, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("delivery_id", name="paylog_delivery_pkey"),
        sa.CheckConstraint(
            "state IN ('posting', 'accepted', 'confirmed', 'failed')",
            name=op.f("paylog_delivery_state_check"),
        ),
        sa.CheckConstraint(
            "state IN ('posting', 'accepted') OR rows = confirmed + failed",
            name=op.f("paylog_delivery_conservation_check"),
        ),
    )
    op.create_index(
        op.f("paylog_delivery_subscription_id_receipt_id_index"),
        "paylog_delivery",
        ["subscription_id", "receipt_id"],
    )
