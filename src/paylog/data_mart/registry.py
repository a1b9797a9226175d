"""What the Python client registers in a data mart: itself, service bindings, subscribed assets."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Table, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from paylog.data_mart import partition_function
from paylog.data_mart.control_tables import (
    VERSION_TABLE,
    assets,
    bindings,
    data_marts,
    subscriptions,
)
from paylog.data_mart.feedback import feedback_table_name
from paylog.data_mart.operation_tables import metadata
from paylog.data_mart.payload_table import payload_table_name
from paylog.data_mart.session import Sessions, quoted, run

PAYLOAD_LOGGING = "payload_logging"
"""Name of the configuration that says whether payload records are taken."""


@dataclass(frozen=True, slots=True)
class RegisteredMart:
    """The data mart under the id of its OpenScale instance."""

    data_mart_id: str
    name: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ServiceBinding:
    """A service provider bound to the data mart. Its credentials are not kept."""

    binding_id: str
    name: str
    service_type: str
    instance_id: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class SubscribedAsset:
    """A deployment that was subscribed in Python.

    :param properties: asset properties in OpenScale's words (``prediction_field``, …).
    :param configurations: by name (``payload_logging``, monitors): whether it is enabled, and its parameters.
    """

    subscription_id: str
    binding_id: str
    asset: dict[str, Any]
    properties: dict[str, Any]
    deployment: dict[str, Any]
    configurations: dict[str, Any]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Receiving:
    """Whether a subscription takes payload records, and its document once it has a payload table."""

    enabled: bool
    document: dict[str, Any] | None


class Registry:
    """Registrations of one data mart. Errors as ``DataMart``'s."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def data_mart(self) -> RegisteredMart | None:
        """The registration of the data mart itself, None before the first."""
        with self._sessions.transaction("read the data mart's registration") as connection:
            row = connection.execute(select(data_marts).limit(1)).one_or_none()
        return RegisteredMart(*row) if row else None

    def register_data_mart(self, data_mart_id: str, name: str) -> bool:
        """Whether it was registered now; False: it was before."""
        return self._inserted(data_marts, {"data_mart_id": data_mart_id, "name": name})

    def bindings(self) -> list[ServiceBinding]:
        """All service bindings, the oldest first."""
        with self._sessions.transaction("read the service bindings") as connection:
            rows = connection.execute(select(bindings).order_by(bindings.c.created_at, bindings.c.binding_id))
            return [ServiceBinding(*row) for row in rows]

    def add_binding(self, binding_id: str, name: str, service_type: str, instance_id: str) -> bool:
        """Whether it is new; the same binding again changes nothing."""
        values = {
            "binding_id": binding_id,
            "name": name,
            "service_type": service_type,
            "instance_id": instance_id,
        }
        return self._inserted(bindings, values)

    def delete_binding(self, binding_id: str) -> None:
        """Forget a binding; its subscriptions and their tables stay."""
        with self._sessions.transaction(f"delete service binding {binding_id!r}") as connection:
            connection.execute(delete(bindings).where(bindings.c.binding_id == binding_id))

    def assets(self) -> list[SubscribedAsset]:
        """All assets subscribed in Python, the oldest first."""
        with self._sessions.transaction("read the subscribed assets") as connection:
            rows = connection.execute(select(assets).order_by(assets.c.created_at, assets.c.subscription_id))
            return [SubscribedAsset(*row) for row in rows]

    def asset(self, subscription_id: str) -> SubscribedAsset | None:
        """One asset subscribed in Python, None when it was not."""
        query = select(assets).where(assets.c.subscription_id == subscription_id)
        with self._sessions.transaction(f"read the asset of {subscription_id!r}") as connection:
            row = connection.execute(query).one_or_none()
        return SubscribedAsset(*row) if row else None

    def document(self, subscription_id: str) -> dict[str, Any] | None:
        """The document of a subscription that has a payload table, None without one."""
        query = select(subscriptions.c.document).where(subscriptions.c.subscription_id == subscription_id)
        with self._sessions.transaction(f"read subscription {subscription_id!r}") as connection:
            return connection.execute(query).scalar_one_or_none()

    def receiving(self, subscription_id: str) -> Receiving | None:
        """What storing payload records needs to know, in one query; None: there is no such subscription."""
        known = (
            select(column).where(table.c.subscription_id == subscription_id).scalar_subquery()
            for table, column in (
                (assets, assets.c.configurations),
                (subscriptions, subscriptions.c.document),
            )
        )
        with self._sessions.transaction(f"read subscription {subscription_id!r}") as connection:
            configurations, document = connection.execute(select(*known)).one()
        if configurations is None:
            return None if document is None else Receiving(True, document)
        return Receiving(bool(configurations.get(PAYLOAD_LOGGING, {}).get("enabled")), document)

    def subscription_ids(self) -> list[str]:
        """Ids of all subscriptions, made in Python or loaded by a DAG."""
        query = select(assets.c.subscription_id).union(select(subscriptions.c.subscription_id))
        with self._sessions.transaction("read the subscriptions") as connection:
            return sorted(connection.execute(query).scalars())

    def add_asset(
        self,
        subscription_id: str,
        binding_id: str,
        asset: dict[str, Any],
        properties: dict[str, Any],
        deployment: dict[str, Any],
    ) -> bool:
        """Whether it is new; the same deployment again changes nothing."""
        values = {
            "subscription_id": subscription_id,
            "binding_id": binding_id,
            "asset": asset,
            "properties": properties,
            "deployment": deployment,
        }
        return self._inserted(assets, values)

    def configure(self, subscription_id: str, name: str, configuration: dict[str, Any]) -> None:
        """Keep one configuration of a subscription, in place of what it was."""
        merged = assets.c.configurations.concat(func.jsonb_build_object(name, _json(configuration)))
        statement = update(assets).where(assets.c.subscription_id == subscription_id)
        with self._sessions.transaction(
            f"configure {name} of subscription {subscription_id!r}"
        ) as connection:
            connection.execute(statement.values(configurations=merged))

    def describe(self, subscription_id: str, properties: dict[str, Any]) -> None:
        """Keep a subscription's asset properties, in place of what they were."""
        statement = update(assets).where(assets.c.subscription_id == subscription_id)
        with self._sessions.transaction(f"describe the asset of {subscription_id!r}") as connection:
            connection.execute(statement.values(properties=properties))

    def documents(self) -> dict[str, dict[str, Any]]:
        """By subscription id, the documents of all subscriptions that have a payload table."""
        query = select(subscriptions.c.subscription_id, subscriptions.c.document)
        with self._sessions.transaction("read the subscriptions") as connection:
            rows = connection.execute(query.order_by(subscriptions.c.subscription_id))
            return {row.subscription_id: row.document for row in rows}

    def forget(self, subscription_id: str) -> None:
        """Remove a subscription's registration. Its payload records, ledger and receipts stay."""
        with self._sessions.transaction(f"delete subscription {subscription_id!r}") as connection:
            connection.execute(delete(assets).where(assets.c.subscription_id == subscription_id))
            connection.execute(
                delete(subscriptions).where(subscriptions.c.subscription_id == subscription_id)
            )

    def remove_everything(self) -> None:
        """Drop the tables that paylog made in the schema, and nothing else; the schema stays."""
        with self._sessions.transaction("delete the data mart") as connection:
            known = connection.execute(
                select(subscriptions.c.subscription_id).union(select(assets.c.subscription_id))
            ).scalars()
            tables = [name for one in known for name in (payload_table_name(one), feedback_table_name(one))]
            tables += [*(table.name for table in metadata.sorted_tables), VERSION_TABLE]
            for name in tables:
                run(connection, f"DROP TABLE IF EXISTS {quoted(self._sessions.schema, name)} CASCADE")
            function = quoted(self._sessions.schema, partition_function.NAME)
            run(connection, f"DROP FUNCTION IF EXISTS {function}")

    def _inserted(self, table: Table, values: dict[str, Any]) -> bool:
        statement = insert(table).values(values).on_conflict_do_nothing()
        with self._sessions.transaction(f"register in {table.name}") as connection:
            return bool(connection.execute(statement).rowcount)


def _json(value: dict[str, Any]) -> Any:
    from sqlalchemy import cast
    from sqlalchemy.dialects.postgresql import JSONB

    return cast(value, JSONB)
