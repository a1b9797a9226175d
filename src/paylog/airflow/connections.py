"""Airflow's connections as paylog's: tasks and the CLI resolve the same names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from paylog.connections import Connection, use_resolver
from paylog.errors import ConfigurationError

# scheme://user:password@host; PWD=…; of Db2; AccountKey=…; and ?sig= of Azure.
_WITHIN = re.compile(
    r"://[^/?#:@]*:([^@/?#]+)@"
    r"|(?i:\b(?:pwd|password|accountkey|sharedaccesssignature))\s*=\s*([^;]+)"
    r"|[?&]sig=([^&;]+)"
)


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


def embedded_secrets(extra: Any) -> Iterator[str]:
    """Passwords within addresses and connection strings, at any depth, as written and as meant."""
    if isinstance(extra, Mapping):
        for value in extra.values():
            yield from embedded_secrets(value)
    elif isinstance(extra, list):
        for value in extra:
            yield from embedded_secrets(value)
    elif isinstance(extra, str):
        for groups in _WITHIN.findall(extra):
            for password in filter(None, groups):
                yield password
                yield unquote(password)


def as_paylog(found: Any) -> Connection:
    """paylog's view of an ``airflow.sdk.Connection`` (or of a form's values, which has the same fields).

    Airflow masks the password, and extras whose names look secret; what others hold is masked here.
    """
    from airflow.sdk.log import mask_secret

    for secret in embedded_secrets(found.extra_dejson):
        mask_secret(secret)
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
