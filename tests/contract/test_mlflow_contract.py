"""Databricks inference tables and MLflow's bodies under the shared contract."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_engines import FEATURES, bodies

from paylog.subscription import Subscription
from paylog.testing.contract import EngineContract, declare

RECORDS = 12
Rows = list[list[Any]]
REQUESTS: dict[str, Callable[[Rows], Any]] = {
    "dataframe_split": lambda rows: {
        "index": list(range(len(rows))),
        "columns": list(FEATURES),
        "data": rows,
    },
    "dataframe_records": lambda rows: [dict(zip(FEATURES, row, strict=True)) for row in rows],
    "instances": lambda rows: rows,
    "inputs": lambda rows: dict(zip(FEATURES, map(list, zip(*rows, strict=True)), strict=True)),
}
RESPONSES: tuple[Callable[[Rows], Any], ...] = (
    lambda rows: [{"prediction": label, "probability": vector} for label, vector in rows],
    lambda rows: {"prediction": [label for label, _ in rows], "probability": [vector for _, vector in rows]},
    lambda rows: [[label, *vector] for label, vector in rows],
    lambda rows: [{"prediction": label, "probability": vector, "n": float("nan")} for label, vector in rows],
)


def pair(i: int, shape: str) -> tuple[str, str]:
    """Request and response of record ``i``."""
    rows, answers = bodies(i)
    answer = RESPONSES[list(REQUESTS).index(shape)](answers)
    return json.dumps({shape: REQUESTS[shape](rows)}), json.dumps({"predictions": answer})


def inference_rows(shape: str) -> list[dict[str, Any]]:
    """The table of AI Gateway."""
    rows = []
    for i in range(RECORDS):
        request, response = pair(i, shape)
        when = datetime(2024, 1, 19, 19, 27, i, 5, UTC)
        head = {"databricks_request_id": f"{shape}-{i}", "request_time": when, "status_code": 200}
        rows.append({**head, "execution_duration_ms": i, "request": request, "response": response})
    return rows


def as_lines(rows: list[dict[str, Any]]) -> bytes:
    return "\n".join(json.dumps(row, default=datetime.isoformat) for row in rows).encode()


@pytest.mark.parametrize("shape", REQUESTS)
class TestInferenceTable(EngineContract):
    @pytest.fixture(autouse=True)
    def _shape(self, shape: str) -> None:
        self.shape = shape

    def subscription(self) -> Subscription:
        return declare("databricks", FEATURES)

    def objects(self) -> Sequence[bytes]:
        return [as_lines(inference_rows(self.shape))]


class TestInferenceTableInParquet(EngineContract):
    def subscription(self) -> Subscription:
        return declare("databricks", FEATURES)

    def objects(self) -> Sequence[bytes]:
        file = io.BytesIO()
        mixed = [row for rows in zip(*map(inference_rows, REQUESTS), strict=True) for row in rows]
        pq.write_table(pa.Table.from_pylist(mixed), file, row_group_size=20)
        return [file.getvalue()]
