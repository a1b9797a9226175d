"""Receipts: the balanced account of each committed batch, and of batches over their error budget."""

from __future__ import annotations

from dataclasses import asdict

from sqlalchemy import Connection, func, insert, select, text, update

from paylog.data_mart.control_columns import COUNT_NAMES
from paylog.data_mart.control_tables import batches, receipts
from paylog.data_mart.session import quoted
from paylog.records import Counts, Receipt


def next_id(connection: Connection, schema: str) -> int:
    """A receipt id, for the ledger entries that are written before their receipt."""
    query = text("SELECT nextval(pg_catalog.pg_get_serial_sequence(:receipts, 'receipt_id'))")
    return int(connection.execute(query, {"receipts": quoted(schema, receipts.name)}).scalar_one())


def write(connection: Connection, receipt: Receipt, schema_version: str, already_loaded: int = 0) -> None:
    """Keep the receipt, and its state with the planned batch."""
    values = asdict(receipt)
    values |= values.pop("counts") | {"schema_version": schema_version, "already_loaded": already_loaded}
    connection.execute(insert(receipts).values(**values, finished_at=func.clock_timestamp()))
    connection.execute(
        update(batches)
        .where(
            batches.c.subscription_id == receipt.subscription_id,
            batches.c.run_id == receipt.run_id,
            batches.c.batch_id == receipt.batch_id,
        )
        .values(state=receipt.state)
    )


def read(
    connection: Connection, subscription_id: str, run_id: str | None, limit: int | None
) -> list[Receipt]:
    """The newest receipts first."""
    query = select(receipts).where(receipts.c.subscription_id == subscription_id)
    if run_id is not None:
        query = query.where(receipts.c.run_id == run_id)
    found = []
    for row in connection.execute(query.order_by(receipts.c.receipt_id.desc()).limit(limit)):
        values = dict(row._mapping)
        for name in ("schema_version", "already_loaded", "finished_at"):
            del values[name]
        counts = Counts(**{name: values.pop(name) for name in COUNT_NAMES})
        found.append(Receipt(counts=counts, **values))
    return found
