"""What payload records have that the training data has not: counts of each batch, never rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, insert, select

from paylog.data_mart.control_tables import payload_findings, receipts
from paylog.records import Receipt
from paylog.training_data import Severity

if TYPE_CHECKING:
    from paylog.training_data.judgement import PayloadFinding


@dataclass(frozen=True, slots=True)
class StoredFinding:
    """A ``PayloadFinding`` of a batch, with the receipt it belongs to.

    :param state: of the receipt; ``refused`` when the finding kept the batch from loading.
    """

    finding_id: int
    receipt_id: int
    profile_id: int
    run_id: str
    batch_id: str
    state: str
    column: str
    code: str
    severity: Severity
    rows: int | None
    judged: int
    measured: float
    threshold: float
    created_at: datetime

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self) | {
            "severity": self.severity.value,
            "created_at": self.created_at.isoformat(),
        }


def write(
    connection: Connection, receipt: Receipt, profile_id: int, findings: Sequence[PayloadFinding]
) -> None:
    """Keep a batch's findings beside its receipt."""
    rows = []
    for finding in findings:
        values = asdict(finding)
        rows.append(
            values
            | {
                "column_name": values.pop("column"),
                "subscription_id": receipt.subscription_id,
                "receipt_id": receipt.receipt_id,
                "profile_id": profile_id,
            }
        )
    if rows:
        connection.execute(insert(payload_findings), rows)


def read(
    connection: Connection, subscription_id: str, run_id: str | None, limit: int | None
) -> list[StoredFinding]:
    """The newest first."""
    found = payload_findings.c
    query = (
        select(
            found.finding_id, found.receipt_id, found.profile_id, receipts.c.run_id, receipts.c.batch_id,
            receipts.c.state, found.column_name.label("column"), found.code, found.severity, found.rows,
            found.judged, found.measured, found.threshold, found.created_at,
        )
        .join_from(payload_findings, receipts)
        .where(found.subscription_id == subscription_id)
    )  # fmt: skip
    if run_id is not None:
        query = query.where(receipts.c.run_id == run_id)
    rows = connection.execute(query.order_by(found.finding_id.desc()).limit(limit))
    return [StoredFinding(**dict(row._mapping) | {"severity": Severity(row.severity)}) for row in rows]
