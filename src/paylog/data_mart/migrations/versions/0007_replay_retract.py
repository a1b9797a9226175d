"""Replays of quarantined records, retracted batches, and who did it; what a run moved the watermark from."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0007"
down_revision = "0006"

MOMENT = sa.DateTime(timezone=True)
NOW = sa.text("now()")
ZERO = sa.text("0")
LIVE = "paylog_object_live_index"
GROWN = "paylog_object_grown_index"


def upgrade() -> None:
    extend_states()
    index_objects()
    op.add_column("paylog_receipt", sa.Column("replayed", sa.BigInteger, nullable=False, server_default=ZERO))
    extend_quarantine()
    op.add_column(
        "paylog_delivery", sa.Column("retracted", sa.BigInteger, nullable=False, server_default=ZERO)
    )
    op.add_column("paylog_watermark", sa.Column("moved_from", MOMENT))
    op.add_column("paylog_watermark", sa.Column("moved_by", sa.Text))
    create_audit()


def extend_states() -> None:
    states = {
        "object": ("loaded", "partial", "grown", "stale", "superseded", "replayed", "retracted"),
        "receipt": ("committed", "over_budget", "refused", "retracted"),
        "batch": ("planned", "committed", "over_budget", "refused", "retracted"),
    }
    for name, known in states.items():
        check = op.f(f"paylog_{name}_state_check")
        op.drop_constraint(check, f"paylog_{name}")
        op.create_check_constraint(
            check, f"paylog_{name}", f"state IN ({', '.join(repr(state) for state in known)})"
        )


def index_objects() -> None:
    columns = ["subscription_id", "uri"]
    heads = sa.text("state NOT IN ('superseded', 'grown', 'replayed', 'retracted')")
    parts = sa.text("state IN ('grown', 'replayed')")
    for name, unique, where in ((LIVE, True, heads), (GROWN, False, parts)):
        op.drop_index(name, "paylog_object")
        op.create_index(name, "paylog_object", columns, unique=unique, postgresql_where=where)


def extend_quarantine() -> None:
    table = "paylog_quarantine"
    op.add_column(table, sa.Column("state", sa.Text, nullable=False, server_default=sa.text("'open'")))
    op.add_column(table, sa.Column("closed_by", sa.BigInteger))
    op.add_column(table, sa.Column("closed_at", MOMENT))
    op.add_column(table, sa.Column("first_reason", sa.Text))
    op.add_column(table, sa.Column("replays", sa.Integer, nullable=False, server_default=ZERO))
    op.create_check_constraint(
        op.f("paylog_quarantine_state_check"),
        table,
        "state IN ('open', 'loaded', 'duplicate', 'rejected', 'filtered', 'pending')",
    )
    op.create_check_constraint(
        op.f("paylog_quarantine_closed_check"), table, "(state = 'open') = (closed_by IS NULL)"
    )
    op.create_index(
        "paylog_quarantine_closed_by_index",
        table,
        ["closed_by"],
        postgresql_where=sa.text("closed_by IS NOT NULL"),
    )


def create_audit() -> None:
    op.create_table(
        "paylog_audit",
        sa.Column("audit_id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("subscription_id", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("selection", JSONB, nullable=False),
        sa.Column("counts", JSONB, nullable=False),
        sa.Column("receipt_id", sa.BigInteger, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("audit_id", name="paylog_audit_pkey"),
    )
    op.create_index(
        op.f("paylog_audit_subscription_id_audit_id_index"), "paylog_audit", ["subscription_id", "audit_id"]
    )
