"""Control tables of operation: what was taken back, what is wrong, what maintenance removed."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, Identity, Index, LargeBinary, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB

from paylog.data_mart.control_columns import COUNT_NAMES, counters, metadata, moment, named
from paylog.data_mart.control_tables import VERSION_TABLE

__all__ = ["OWNED", "alerts", "audits", "metadata", "raw_columns", "retention"]

# Revision 0009: what maintenance removed. Rows scored before ``retained_from`` are never loaded again, and
# objects written before ``forgotten_before`` that the ledger does not know are not read. The counts are
# those of the receipts that went, so that the account of all time still balances.
retention = Table(
    "paylog_retention",
    metadata,
    Column("subscription_id", Text, primary_key=True),
    moment("retained_from"),
    moment("forgotten_before"),
    *counters("receipts", *COUNT_NAMES, "settled"),
    moment("updated_at", nullable=False, default="now()"),
    CheckConstraint("read = loaded + duplicate + rejected + filtered + pending", name="conservation"),
)

# Revision 0007: who took back what, and why. Counts, never rows.
audits = Table(
    "paylog_audit",
    metadata,
    Column("audit_id", BigInteger, Identity(), primary_key=True),
    named("subscription_id"),
    named("action"),
    named("actor"),
    named("reason"),
    Column("selection", JSONB, nullable=False),
    Column("counts", JSONB, nullable=False),
    Column("receipt_id", BigInteger, nullable=False),
    moment("created_at", nullable=False, default="now()"),
    Index(None, "subscription_id", "audit_id"),
)

# Revision 0008: at most one open alert for each cause of a subscription. Told: when its owners were told.
alerts = Table(
    "paylog_alert",
    metadata,
    Column("alert_id", BigInteger, Identity(), primary_key=True),
    *map(named, ("subscription_id", "cause", "summary")),
    Column("details", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    Column("times", BigInteger, nullable=False, server_default=text("1")),
    *(moment(name, nullable=False, default="now()") for name in ("opened_at", "last_seen_at")),
    *map(moment, ("resolved_at", "told_opened_at", "told_reminder_at", "told_resolved_at")),
    Index(
        "paylog_alert_open_index",
        "subscription_id",
        "cause",
        unique=True,
        postgresql_where=text("resolved_at IS NULL"),
    ),
    Index(None, "subscription_id", "alert_id"),
)

# Only the owner writes these.
OWNED = (VERSION_TABLE, retention.name)


def raw_columns() -> dict[str, list[str]]:
    """Columns with the engines' own bytes, by table: not for readers."""
    held = {
        table.name: [c.name for c in table.columns if isinstance(c.type, LargeBinary)]
        for table in metadata.sorted_tables
    }
    return {name: columns for name, columns in held.items() if columns}
