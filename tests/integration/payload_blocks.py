"""Generated subscriptions, capture objects and decoded blocks for the tests of the data mart."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pyarrow as pa

from paylog.connections import Connection, postgres_dsn
from paylog.data_mart import DataMart
from paylog.model_schema import ModelSchema
from paylog.records import Block, CaptureObject, Receipt, Reject
from paylog.subscription import Subscription

SCHEMA = "paylog test"
"""Where the fixtures make the control tables: a name that must be quoted."""
NOON = datetime(2024, 3, 15, 12, tzinfo=UTC)
WINDOW = (NOON, NOON + timedelta(hours=1))
FIELDS: tuple[dict[str, Any], ...] = (
    {"name": "age", "type": "integer"},
    {"name": "income", "type": "double"},
    {"name": "purpose", "type": "string"},
    {"name": "owner", "type": "boolean"},
    {"name": "prediction", "type": "string", "role": "prediction"},
    {"name": "probability", "type": "array", "role": "probability"},
)


def subscription(
    name: str = "credit", fields: Sequence[dict[str, Any]] = FIELDS, **budget: object
) -> Subscription:
    """A subscription with that id; ``budget`` is its error budget, unlimited by default."""
    return Subscription.model_validate(
        {
            "id": name,
            "service_provider": "custom_machine_learning",
            "deployment": {"id": "credit-endpoint"},
            "logs": {"prefix": "logs/"},
            "model_schema": {"fields": list(fields), "class_labels": ["No Risk", "Risk"]},
            "data_mart": {"connection": "paylog_data_mart", "schema": "paylog"},
            "error_budget": {"share": None, **budget},
        }
    )


def capture_object(name: str, version: str = "v1", size: int = 100) -> CaptureObject:
    """An object below ``file:///logs/``."""
    return CaptureObject(f"file:///logs/{name}", name, version, size, NOON)


def row_values(schema: ModelSchema, number: int, moment: datetime, position: int) -> dict[str, Any]:
    """Row ``number``: its values and its record id follow from the number alone."""
    values: dict[str, Any] = {
        "scoring_id": f"id-{number}-1",
        "scoring_timestamp": moment,
        "deployment_id": "credit-endpoint",
        "_record_id": hashlib.sha256(str(number).encode()).digest()[:16],
        "_object_id": 0,
        "_position": position,
        "_response_time": 12,
        "age": number % 90,
        "income": number / 7,
        "purpose": f"car {number}" if number % 3 else None,
        "owner": number % 2 == 0,
        "prediction": "Risk",
        "probability": [0.25, 0.75],
        "prediction_probability": 0.75,
    }
    return {column.name: values.get(column.name) for column in schema.columns}


def block(
    owner: Subscription,
    numbers: Sequence[int],
    *,
    start: datetime = NOON,
    step: timedelta = timedelta(milliseconds=1),
    rejects: Sequence[Reject] = (),
    filtered: int = 0,
    **overrides: Any,
) -> Block:
    """Rows with these numbers. Row ``n`` has timestamp ``start + n * step``."""
    schema = owner.model_schema
    rows = [
        row_values(schema, number, start + number * step, position) | overrides
        for position, number in enumerate(numbers)
    ]
    return Block(pa.RecordBatch.from_pylist(rows, schema=schema.arrow_schema), rejects, filtered)


def load(
    mart: DataMart,
    owner: Subscription,
    objects: dict[CaptureObject, Sequence[Block]],
    run: str = "run-1",
    batch_id: str = "0",
) -> Receipt:
    """Load these objects as one batch."""
    with mart.load(owner, batch_id, run, WINDOW) as batch:
        for item, blocks in sorted(objects.items(), key=lambda pair: pair[0].uri):
            with batch.object(item) as target:
                if target is not None:
                    for some in blocks:
                        target.add(some)
        return batch.receipt()


def query(connection: Connection, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
    """Ask the database behind paylog's back."""
    with closing(psycopg.connect(postgres_dsn(connection), autocommit=True)) as link:
        cursor = link.execute(statement.encode(), parameters or None)
        return cursor.fetchall() if cursor.description else []


def payload_keys(connection: Connection, name: str = "credit") -> list[tuple[Any, ...]]:
    """The table's rows, without what depends on the order of loading."""
    return query(
        connection,
        f"SELECT scoring_id, scoring_timestamp, age, income, purpose, owner, prediction, probability "
        f'FROM "{SCHEMA}"."Payload_{name}" ORDER BY 1',
    )
