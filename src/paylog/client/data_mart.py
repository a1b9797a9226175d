"""``client.data_mart``: set the data mart up, look at it, take it down."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from paylog.client.credentials import postgres_connection
from paylog.client.service_bindings import ServiceBindings
from paylog.client.subscriptions import Subscriptions
from paylog.errors import ConfigurationError

if TYPE_CHECKING:
    from paylog.connections import Connection
    from paylog.data_mart import DataMart

log = logging.getLogger(__name__)

DEFAULT_SCHEMA = "public"


class DataMartClient:
    """The data mart of one OpenScale instance.

    :param data_mart_id: the instance's id.
    """

    def __init__(self, data_mart_id: str) -> None:
        self.data_mart_id = data_mart_id
        self.connection: Connection | None = None
        self._mart: DataMart | None = None
        self.bindings = ServiceBindings(self)
        self.subscriptions = Subscriptions(self)

    @property
    def mart(self) -> DataMart:
        """The data mart itself.

        :raises ConfigurationError: neither ``setup`` was called nor a connection named.
        """
        if self._mart is None:
            raise ConfigurationError(
                "which data mart? Call client.data_mart.setup(db_credentials=…, schema=…) first (it changes "
                "nothing where one exists), or APIClient(…, connection='postgres_default', schema='…')"
            )
        return self._mart

    def use(self, connection: Connection, schema: str | None) -> None:
        """Work with the data mart in that database and schema from now on. Not connected yet."""
        from paylog.data_mart import DataMart

        if self._mart is not None:
            self._mart.close()
        self.connection, self._mart = connection, DataMart(connection, schema or DEFAULT_SCHEMA)

    def setup(
        self,
        db_credentials: Mapping[str, Any] | None = None,
        schema: str | None = None,
        internal_db: bool = False,
    ) -> None:
        """Create the data mart: the schema (if absent) and its control tables. A second call changes nothing.

        :param schema: left out: ``public``. Never dropped, by any call.
        :raises ConfigurationError: unreadable credentials, or the schema holds another instance's data mart.
        :raises AccessDenied: the role lacks a right, which the message names.
        """
        if internal_db or db_credentials is None:
            raise ConfigurationError(
                "paylog has no internal database: pass db_credentials of your PostgreSQL to data_mart.setup"
            )
        self.use(postgres_connection(db_credentials), schema)
        if not self.set_up():
            print(f"The data mart {self.data_mart_id} is already defined in schema {self.mart.schema!r}.")

    def update(self, db_credentials: Mapping[str, Any], schema: str | None = None) -> None:
        """Work with another database or schema from now on; it is set up there. No data is moved."""
        self.use(postgres_connection(db_credentials), schema)
        self.set_up()

    def get_details(self) -> dict[str, Any]:
        """The data mart in the words of IBM's client, without a secret.

        :raises ConfigurationError: it was never set up.
        """
        mart, connection = self.mart, self.connection
        registered = mart.registry.data_mart() if mart.is_set_up() else None
        if registered is None or connection is None:
            raise ConfigurationError(f"there is no data mart in schema {mart.schema!r}: call data_mart.setup")
        return {
            "metadata": {
                "guid": registered.data_mart_id,
                "url": f"/v1/data_marts/{registered.data_mart_id}",
                "created_at": registered.created_at.isoformat(),
            },
            "database_configuration": {
                "database_type": "postgresql",
                "name": registered.name,
                "credentials": {
                    "hostname": connection.host,
                    "port": connection.port,
                    "db": connection.schema,
                    "username": connection.login,
                },
                "location": {"schema": mart.schema},
            },
            "internal_database": False,
            "status": {"state": "active"},
        }

    def delete(self, force: bool = False, background_mode: bool = False) -> None:
        """Remove what paylog made: payload and feedback tables with their records, and the control tables.

        :param force: must be True, because payload records cannot be brought back.
        :raises ConfigurationError: without ``force``.
        """
        mart = self.mart
        if force is not True:
            raise ConfigurationError(
                f"this removes every payload record in schema {mart.schema!r}: "
                "call data_mart.delete(force=True) if that is what you want"
            )
        if mart.is_set_up():
            mart.registry.remove_everything()

    def set_up(self) -> bool:
        """Set up the data mart in use, if it is not; whether it was done now.

        :raises ConfigurationError: the schema holds the data mart of another instance.
        """
        mart = self.mart
        mart.setup()
        registered = mart.registry.data_mart()
        if registered is None:
            name = self.connection.schema if self.connection else mart.schema
            return mart.registry.register_data_mart(self.data_mart_id, name)
        if registered.data_mart_id != self.data_mart_id:
            raise ConfigurationError(
                f"schema {mart.schema!r} holds the data mart of another instance "
                f"({registered.data_mart_id}); choose another schema"
            )
        return False
