"""``APIClient``: the entry to the documented client."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from paylog import __version__
from paylog.client.credentials import instance_guid
from paylog.client.data_mart import DataMartClient
from paylog.connections import resolve


class APIClient:
    """The documented client. Sends no request: the data mart is the user's own PostgreSQL.

    :param aios_credentials: ``instance_guid`` (or ``instance_id``, ``data_mart_id``), ``url``, ``apikey``;
        only the id is used, it names the data mart. The mapping is not changed.
    :param connection: id of a connection to a data mart that is set up, in place of ``data_mart.setup``.
    :param schema: its schema; needed with ``connection``.
    :raises ConfigurationError: the credentials name no instance, or the connection is unusable.
    """

    def __init__(
        self,
        aios_credentials: Mapping[str, Any],
        *,
        connection: str | None = None,
        schema: str | None = None,
    ) -> None:
        self.version = __version__
        self.data_mart = DataMartClient(instance_guid(aios_credentials))
        if connection is not None:
            self.data_mart.use(resolve(connection), schema)

    def __repr__(self) -> str:
        return f"APIClient(data_mart_id={self.data_mart.data_mart_id!r})"
