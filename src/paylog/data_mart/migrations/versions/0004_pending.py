"""Halves of request/response pairs that wait for the other half; objects that grow, read in parts."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

MOMENT = sa.DateTime(timezone=True)
ZERO = sa.text("0")
LIVE = "paylog_object_live_index"


def upgrade() -> None:
    extend_tables()
    create_pending()
    op.create_table(
        "paylog_partner",
        sa.Column("partner_id", sa.BigInteger, nullable=False),
        sa.Column("object_id", sa.BigInteger, nullable=False),
        sa.Column("min_scoring_timestamp", MOMENT),
        sa.Column("max_scoring_timestamp", MOMENT),
        sa.PrimaryKeyConstraint("partner_id", "object_id", name="paylog_partner_pkey"),
    )


def extend_tables() -> None:
    op.add_column("paylog_receipt", sa.Column("settled", sa.BigInteger, nullable=False, server_default=ZERO))
    for name in ("pending", "freed", "freed_rejects"):
        op.add_column("paylog_object", sa.Column(name, sa.BigInteger, nullable=False, server_default=ZERO))
    for name, kind in (("end_byte", sa.BigInteger), ("end_position", sa.BigInteger)):
        op.add_column("paylog_object", sa.Column(name, kind))
    op.add_column("paylog_object", sa.Column("end_digest", sa.LargeBinary))
    check = op.f("paylog_object_state_check")
    op.drop_constraint(check, "paylog_object")
    op.create_check_constraint(
        check, "paylog_object", "state IN ('loaded', 'partial', 'grown', 'stale', 'superseded')"
    )
    op.drop_index(LIVE, "paylog_object")
    columns = ["subscription_id", "uri"]
    live = sa.text("state NOT IN ('superseded', 'grown')")
    op.create_index(LIVE, "paylog_object", columns, unique=True, postgresql_where=live)
    grown = sa.text("state = 'grown'")
    op.create_index("paylog_object_grown_index", "paylog_object", columns, postgresql_where=grown)
    for name in ("partner_id", "partner_position"):
        op.add_column("paylog_quarantine", sa.Column(name, sa.BigInteger))
    given = sa.text("partner_id IS NOT NULL")
    op.create_index(
        "paylog_quarantine_partner_index", "paylog_quarantine", ["partner_id"], postgresql_where=given
    )


def create_pending() -> None:
    op.create_table(
        "paylog_pending",
        sa.Column("subscription_id", sa.Text, nullable=False),
        sa.Column("pair", sa.Uuid, nullable=False),
        sa.Column("request", sa.Boolean, nullable=False),
        sa.Column("object_id", sa.BigInteger, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("about", sa.LargeBinary, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("raw", sa.LargeBinary),
        sa.Column("stored_at", MOMENT, nullable=False, server_default=sa.text("now()")),
        sa.PrimaryKeyConstraint("subscription_id", "pair", "request", name="paylog_pending_pkey"),
    )
    op.create_index("paylog_pending_object_id_index", "paylog_pending", ["object_id"])
    op.create_index(
        "paylog_pending_stored_at_index", "paylog_pending", ["stored_at"], postgresql_using="brin"
    )
