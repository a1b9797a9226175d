"""Vertex AI's logging table under the shared contract: NDJSON and Parquet, payloads and whole bodies."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from test_engines import FEATURES, bodies

from paylog.subscription import Subscription
from paylog.testing.contract import EngineContract, declare

RECORDS = 15
LARGE = 2**60


def logged(i: int) -> dict[str, Any]:
    """A row of the table; every third lists its classes the other way round."""
    rows, answers = bodies(i)
    instances = [json.dumps(dict(zip(FEATURES, row, strict=True))) for row in rows]
    step = -1 if i % 3 == 0 else 1
    predictions = [
        json.dumps({"classes": ["No Risk", "Risk"][::step], "scores": vector[::step]})
        for _, vector in answers
    ]
    head = {"logging_time": f"2024-01-19 19:27:{i:02}.5 UTC", "deployed_model_id": "3"}
    return {**head, "request_payload": instances, "response_payload": predictions}


class TestVertexAI(EngineContract):
    def subscription(self) -> Subscription:
        return declare("vertex_ai", FEATURES, response={"scores": "probability", "classes": "ignore"})

    def objects(self) -> Sequence[bytes]:
        return [self.lines(), self.whole(), self.parquet()]

    def lines(self) -> bytes:
        return "\n".join(
            json.dumps({"request_id": str(LARGE + i), **logged(i)}) for i in range(RECORDS)
        ).encode()

    def whole(self) -> bytes:
        """Rows without payloads, with the whole bodies instead."""
        rows = []
        for i in range(RECORDS):
            request, response = (
                {key: [json.loads(one) for one in logged(i)[f"{side}_payload"]]}
                for side, key in (("request", "instances"), ("response", "predictions"))
            )
            head = {"request_id": str(2 * LARGE + i), "logging_time": f"2024-01-19 19:27:{i:02} UTC"}
            rows.append(json.dumps({**head, "full_request": request, "full_response": response}))
        return "\n".join(rows).encode()

    def parquet(self) -> bytes:
        rows = [{"request_id": Decimal(3 * LARGE + i), **logged(i)} for i in range(RECORDS)]
        table = pa.Table.from_pylist(rows)
        table = table.set_column(0, "request_id", table["request_id"].cast(pa.decimal128(38, 9)))
        file = io.BytesIO()
        pq.write_table(table, file)
        return file.getvalue()
