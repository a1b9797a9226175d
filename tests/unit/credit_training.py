"""A small model's subscription, training data in memory, and payload blocks, for unit tests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from paylog.records import Block, Reject
from paylog.subscription import Subscription
from paylog.training_data import DataVersion, Profile, SourceColumn, profile

FIELDS: tuple[dict[str, Any], ...] = (
    {"name": "purpose", "type": "string", "categorical": True},
    {"name": "amount", "type": "integer"},
    {"name": "rate", "type": "double"},
    {"name": "points", "type": "double"},
    {"name": "owner", "type": "boolean"},
    {"name": "note", "type": "string"},
    {"name": "Risk", "type": "string", "role": "target"},
    {"name": "prediction", "type": "string", "role": "prediction"},
)
PURPOSES = ["car", "furniture", "repairs"]


def subscription(**changes: Any) -> Subscription:
    """With training data in a store that nobody asks."""
    return Subscription.model_validate(
        {
            "id": "credit",
            "service_provider": "custom_machine_learning",
            "deployment": {"id": "credit"},
            "logs": {"prefix": "logs/"},
            "model_schema": {"fields": list(FIELDS), "class_labels": ["No Risk", "Risk"]},
            "data_mart": {"schema": "paylog"},
            "training_data": {"type": "cos", "bucket": "training", "object": "credit.csv"},
        }
        | changes
    )


class TrainingRows:
    """Training data in memory."""

    version = DataVersion("memory://credit", "1")

    def __init__(self, rows: pa.RecordBatch) -> None:
        self._rows = rows
        self.columns = tuple(SourceColumn(f.name, str(f.type)) for f in rows.schema)

    def chunks(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        yield self._rows.select(list(names))


def people(rows: int, seed: int = 1, **replaced: Any) -> dict[str, Any]:
    """Columns of applicants; ``replaced`` columns are as given."""
    rng = np.random.default_rng(seed)
    columns: dict[str, Any] = {
        "purpose": rng.choice(PURPOSES, rows, p=[0.5, 0.3, 0.2]).tolist(),
        "amount": rng.integers(250, 10_000, rows).tolist(),
        "rate": rng.normal(4, 1, rows).tolist(),
        "points": rng.integers(0, 50, rows).astype(float).tolist(),
        "owner": (rng.random(rows) < 0.3).tolist(),
        "note": [f"note {n}" for n in range(rows)],
    }
    return columns | replaced


def training_rows(rows: int = 4_000) -> pa.RecordBatch:
    """What the model was trained on."""
    labels = ["Risk" if n % 4 == 0 else "No Risk" for n in range(rows)]
    return pa.RecordBatch.from_pydict(people(rows) | {"Risk": labels})


def credit_profile(owner: Subscription | None = None) -> Profile:
    """The profile of ``training_rows``."""
    return profile(TrainingRows(training_rows()), owner or subscription())


def block(columns: dict[str, Any], rejects: Sequence[Reject] = ()) -> Block:
    """A decoded block with these features; the other columns are null."""
    schema = subscription().model_schema.arrow_schema
    rows = len(next(iter(columns.values())))
    arrays = [
        pa.array(columns[f.name], f.type) if f.name in columns else pa.nulls(rows, f.type) for f in schema
    ]
    nullable = pa.schema([pa.field(f.name, f.type) for f in schema])
    return Block(pa.RecordBatch.from_arrays(arrays, schema=nullable), rejects)
