"""The demo's training data: what its models were trained on, with one warning planted."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import Any

import numpy as np

from paylog.testing.scored_model import CHURN, CREDIT_RISK, Model

BUCKET = "training-data"
KEY = "credit-risk/german_credit.csv"
PLANTED: dict[str, list[str]] = {"credit-risk": ["DUPLICATE_ROWS"], "churn": []}
"""Codes of what the checks find, by subscription: one warning was planted, all else passes."""
_ROWS, _REPEATED = 5_000, 150


@dataclass(frozen=True)
class TrainingTable:
    """Rows of features and label."""

    names: tuple[str, ...]
    rows: list[tuple[Any, ...]]

    def as_csv(self) -> bytes:
        """UTF-8, with a header."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.names)
        writer.writerows(self.rows)
        return text.getvalue().encode()


def training_table(
    model: Model, label: str, *, rows: int = _ROWS, repeated: int = 0, seed: int = 7
) -> TrainingTable:
    """People of a model's population with what became of them, always the same for a seed.

    :param repeated: so many rows are there a second time.
    """
    rng = np.random.default_rng(seed)
    columns, probability = model.score(rng, rows)
    outcomes = (rng.random(rows) < probability).astype(int).tolist()
    labels = [model.class_labels[outcome] for outcome in outcomes]
    people = list(zip(*(column.tolist() for column in columns.values()), labels, strict=True))
    return TrainingTable((*columns, label), people + people[:repeated])


def credit_training() -> TrainingTable:
    """Of the model of an engine of your own; some people are in it twice."""
    return training_table(CREDIT_RISK, "Risk", repeated=_REPEATED)


def churn_training() -> TrainingTable:
    """Of the model on SageMaker."""
    return training_table(CHURN, "churned", seed=8)


def write_training_data(client: Any) -> bool:
    """Put the credit risk model's training data into the object store; False when it is there.

    :param client: the SDK's S3 client.
    """
    if BUCKET not in {bucket["Name"] for bucket in client.list_buckets().get("Buckets", ())}:
        client.create_bucket(Bucket=BUCKET)
    if client.list_objects_v2(Bucket=BUCKET, Prefix=KEY).get("KeyCount"):
        return False
    client.put_object(Bucket=BUCKET, Key=KEY, Body=credit_training().as_csv())
    return True
