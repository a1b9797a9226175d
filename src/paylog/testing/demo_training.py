"""The demo's training data: what its models were trained on, with one warning planted."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from paylog.errors import MissingExtra
from paylog.field import FieldType
from paylog.testing.db2 import Db2Server, missing_for_standin, standin
from paylog.testing.scored_model import CHURN, CREDIT_RISK, Model

BUCKET = "training-data"
KEY = "credit-risk/german_credit.csv"
PLANTED: dict[str, list[str]] = {"credit-risk": ["DUPLICATE_ROWS"], "churn": []}
"""Codes of what the checks find, by subscription: one warning was planted, all else passes."""
DB2_VARIABLE = "PAYLOG_DEMO_DB2"
DB2_CONNECTION = "paylog_training_db2"
DB2_TABLE = "PAYLOG_DEMO_CHURN"
_ROWS, _REPEATED = 5_000, 150
_IN_DB2 = f"""
training_data:                     # written by the demo, which has found a Db2
  type: db2
  connection: {DB2_CONNECTION}
  table: {DB2_TABLE}
"""
_DB2_TYPES = {
    FieldType.STRING: "VARCHAR(40)",
    FieldType.INTEGER: "INTEGER",
    FieldType.DOUBLE: "DOUBLE",
    FieldType.BOOLEAN: "SMALLINT",
}


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


@contextmanager
def demo_db2(state: Path) -> Iterator[Db2Server | None]:
    """The Db2 of ``PAYLOG_DEMO_DB2``, else the stand-in if it can run here, with a table of training data.

    None without either: the churn model then has no training data.
    """
    uri, driver = os.environ.get(DB2_VARIABLE), find_spec("ibm_db_dbi") is not None
    if uri and not driver:
        raise MissingExtra(f"{DB2_VARIABLE} is set, and Db2's driver is not there: pip install 'paylog[db2]'")
    if uri:
        yield _with_churn(Db2Server(uri))
    elif driver and missing_for_standin() is None:
        with standin(state / "db2") as server:
            yield _with_churn(server)
    else:
        yield None


def subscriptions_with_db2(shipped: Path, state: Path) -> Path:
    """A copy of the shipped subscriptions in which the churn model's training data is in Db2."""
    folder = state / "subscriptions"
    folder.mkdir(parents=True, exist_ok=True)
    for file in shipped.glob("*.yaml"):
        text = file.read_text(encoding="utf-8")
        (folder / file.name).write_text(
            text + (_IN_DB2 if file.name == "churn.yaml" else ""), encoding="utf-8"
        )
    return folder


def _with_churn(server: Db2Server) -> Db2Server:
    if not server.has(DB2_TABLE):
        table = churn_training()
        columns = [f"{f.name.upper()} {_DB2_TYPES[f.type]}" for f in CHURN.features]
        rows = [[int(cell) if isinstance(cell, bool) else cell for cell in row] for row in table.rows]
        server.make(DB2_TABLE, [*columns, "CHURNED INTEGER"], rows)
    return server
