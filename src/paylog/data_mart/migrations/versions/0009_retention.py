"""What maintenance removed, and partitions that a role without rights on the schema may ask for."""

import sqlalchemy as sa
from alembic import op

from paylog.data_mart import partition_function

revision = "0009"
down_revision = "0008"

MOMENT = sa.DateTime(timezone=True)
ZERO = sa.text("0")
COUNTS = ("receipts", "read", "loaded", "duplicate", "rejected", "filtered", "pending", "settled")


def upgrade() -> None:
    op.create_table(
        "paylog_retention",
        sa.Column("subscription_id", sa.Text, nullable=False),
        sa.Column("retained_from", MOMENT),
        sa.Column("forgotten_before", MOMENT),
        *(sa.Column(name, sa.BigInteger, nullable=False, server_default=ZERO) for name in COUNTS),
        sa.Column("updated_at", MOMENT, nullable=False, server_default=sa.text("now()")),
        sa.PrimaryKeyConstraint("subscription_id", name="paylog_retention_pkey"),
        sa.CheckConstraint(
            "read = loaded + duplicate + rejected + filtered + pending",
            name=op.f("paylog_retention_conservation_check"),
        ),
    )
    partition_function.create(op.get_bind())
