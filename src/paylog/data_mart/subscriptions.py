"""The subscriptions that a data mart holds, each as it was when it last loaded."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import Connection, func, select
from sqlalchemy.dialects.postgresql import insert

from paylog.data_mart.control_tables import subscriptions

if TYPE_CHECKING:
    from paylog.subscription import Subscription


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
