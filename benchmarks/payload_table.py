"""The keyed, partitioned table that every contestant loads, as paylog makes it for credit risk."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

from paylog.model_schema import Field, FieldType, ModelSchema, Role
from paylog.testing.scored_model import CREDIT_RISK

START, END = datetime(2024, 1, 16, tzinfo=UTC), datetime(2024, 2, 16, tzinfo=UTC)
SCHEMA = "bench"
SUBSCRIPTION = "credit"
NAME = f"Payload_{SUBSCRIPTION}"
ENGINES = {"custom": "custom_machine_learning", "sagemaker": "amazon_sagemaker"}
_MONTHS = ("2024-01-01", "2024-02-01", "2024-03-01")

MODEL_SCHEMA = ModelSchema(
    fields=(
        *CREDIT_RISK.features,
        Field("prediction", FieldType.STRING, Role.PREDICTION),
        Field("probability", FieldType.ARRAY, Role.PROBABILITY),
    ),
    class_labels=CREDIT_RISK.class_labels,
)


def statements(name: str = NAME, *, keyed: bool = True) -> list[str]:
    """SQL that makes schema, table and monthly partitions anew."""
    table = f'"{SCHEMA}"."{name}"'
    columns = [f'"{c.name}" {c.pg_type}{"" if c.nullable else " NOT NULL"}' for c in MODEL_SCHEMA.columns]
    if keyed:
        columns.append("PRIMARY KEY (scoring_timestamp, _record_id)")
    return [
        f'CREATE SCHEMA IF NOT EXISTS "{SCHEMA}"',
        f"DROP TABLE IF EXISTS {table}",
        f"CREATE TABLE {table} ({', '.join(columns)}) PARTITION BY RANGE (scoring_timestamp)",
        *partitions(SCHEMA, name),
    ]


def partitions(schema: str, name: str) -> list[str]:
    """SQL that makes the monthly partitions of a table."""
    return [
        f'CREATE TABLE "{schema}"."{name}_{first[:7].replace("-", "_")}" PARTITION OF "{schema}"."{name}" '
        f"FOR VALUES FROM ('{first} 00:00:00+00') TO ('{after} 00:00:00+00')"
        for first, after in pairwise(_MONTHS)
    ]
