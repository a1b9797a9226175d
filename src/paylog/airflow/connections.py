"""Airflow's connections as paylog's: tasks and the CLI resolve the same names."""

from __future__ import annotations

from typing import Any

from paylog.connections import Connection, use_resolver
from paylog.errors import ConfigurationError


def use_airflow_connections() -> None:
    """Make ``paylog.connections.resolve`` ask Airflow: environment, secrets backends, then its database."""
    use_resolver(airflow_connection)


def airflow_connection(conn_id: str) -> Connection:
    """The Airflow connection ``conn_id``.

    Raises ``ConfigurationError`` when Airflow knows no connection of that name.
    """
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        found = BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        raise ConfigurationError(
            f"Airflow has no connection {conn_id!r}: add it under Admin > Connections, "
            f"or set AIRFLOW_CONN_{conn_id.upper()}."
        ) from None
    return as_paylog(found)


def as_paylog(found: Any) -> Connection:
    """paylog's view of an ``airflow.sdk.Connection`` (or of a form's values, which has the same fields)."""
    return Connection(
        conn_id=found.conn_id or "",
        conn_type=found.conn_type or "",
        host=found.host or "",
        login=found.login or "",
        password=found.password or "",
        port=found.port,
        schema=found.schema or "",
        extra=dict(found.extra_dejson),
    )
