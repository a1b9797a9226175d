"""Ids and names that a configuration may hold: subscriptions, connections, schemas."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field, WithJsonSchema

from paylog.subscription.section import problem

_ID = r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}"
_CONNECTION = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}"


def _subscription_id(value: str) -> str:
    if not re.fullmatch(_ID, value):
        raise problem("an id is 1 to 40 letters, digits, '-' and '_', and starts with a letter or digit")
    return value


def _connection_id(value: str) -> str:
    if not re.fullmatch(_CONNECTION, value):
        # The value is not shown: people paste addresses with passwords here.
        raise problem(
            "not a connection id (letters, digits, '_', '-', '.'); an address with its password belongs in "
            "the connection that the id names: Airflow's connections, or an AIRFLOW_CONN_… variable"
        )
    return value


def _bucket_name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}", value):
        raise problem("a bucket's name alone, without 's3://' and without a path (that is the prefix)")
    return value


def _schema_name(value: str) -> str:
    if not value or len(value.encode()) > 63 or '"' in value or any(ord(c) < 32 for c in value):
        raise problem("a schema name is 1 to 63 bytes, without double quotes and control characters")
    if value.startswith("pg_") or value == "information_schema":
        raise problem(f"{value!r} belongs to PostgreSQL; choose another schema")
    return value


SubscriptionId = Annotated[
    str, AfterValidator(_subscription_id), WithJsonSchema({"type": "string", "pattern": f"^{_ID}$"})
]
ConnectionId = Annotated[
    str, AfterValidator(_connection_id), WithJsonSchema({"type": "string", "pattern": f"^{_CONNECTION}$"})
]
BucketName = Annotated[str, AfterValidator(_bucket_name)]
SchemaName = Annotated[str, AfterValidator(_schema_name)]
Text = Annotated[str, Field(min_length=1, max_length=500)]
