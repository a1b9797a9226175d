"""The subscriptions that a data mart holds, each as it was when it last loaded."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import Connection, func, select
from sqlalchemy.dialects.postgresql import insert

from paylog.data_mart import ledger
from paylog.data_mart.control_tables import subscriptions
from paylog.data_mart.payload_table import PayloadTable, read_columns
from paylog.data_mart.schema_changes import SchemaChange, refusals

if TYPE_CHECKING:
    from paylog.subscription import Subscription


def schema_change(connection: Connection, subscription: Subscription, table: PayloadTable) -> SchemaChange:
    """The subscription's model schema beside its table and the version that was registered last."""
    statements, refused = table.compare(connection)
    query = select(subscriptions.c.schema_version, subscriptions.c.document)
    known = connection.execute(query.where(subscriptions.c.subscription_id == subscription.id)).one_or_none()
    after = subscription.model_schema.version
    if known is None:
        return SchemaChange(None, after, statements, refused)
    if known.schema_version != after and ledger.holds_rows(connection, subscription.id):
        columns = read_columns(connection, table.schema, table.name)
        before = known.document.get("model_schema") or {}
        refused += refusals(before, subscription.model_schema, columns)
    return SchemaChange(known.schema_version, after, statements, refused)


def register(connection: Connection, subscription: Subscription, changes: Sequence[str]) -> None:
    """Keep the subscription's document, and the history of changes to its payload table."""
    values = {
        "service_provider": str(subscription.service_provider),
        "deployment_id": subscription.deployment.id,
        "schema_version": subscription.model_schema.version,
        "document": subscription.document(),
    }
    known = connection.execute(
        select(*(subscriptions.c[name] for name in values)).where(
            subscriptions.c.subscription_id == subscription.id
        )
    ).one_or_none()
    if known is not None and dict(known._mapping) == values and not changes:
        return
    made = [
        {"at": datetime.now(UTC).isoformat(), "to": values["schema_version"], "change": change}
        for change in changes
    ]
    statement = insert(subscriptions).values(subscription_id=subscription.id, **values, schema_changes=made)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["subscription_id"],
            set_={
                **values,
                "schema_changes": subscriptions.c.schema_changes.concat(statement.excluded.schema_changes),
                "updated_at": func.now(),
            },
        )
    )
