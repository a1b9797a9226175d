"""Both engines under the shared contract."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

from paylog.subscription import Subscription
from paylog.testing.contract import EngineContract, declare

FEATURES = {"age": "integer", "job": "string", "amount": "double"}
ROWS = [[20 + i, f'clerk, "{i}"' if i % 9 == 4 else "clerk", i / 7] for i in range(40)]


def bodies(i: int) -> tuple[list[list[Any]], list[list[Any]]]:
    """Request and response rows of record ``i``: every fifth has three rows."""
    rows = ROWS[i : i + (3 if i % 5 == 0 else 1)]
    return rows, [["Risk" if i % 2 else "No Risk", [1 - i / 64, i / 64]] for _ in rows]


class TestCustomMachineLearning(EngineContract):
    def subscription(self) -> Subscription:
        return declare("custom_machine_learning", FEATURES)

    def objects(self) -> Sequence[bytes]:
        pairs, flat = [], []
        for i in range(30):
            request, response = bodies(i)
            head = {"scoring_id": f"id-{i}", "scoring_timestamp": f"2024-01-19T19:27:{i:02}.5Z"}
            sides = {
                "request": {"fields": list(FEATURES), "values": request},
                "response": {"fields": ["prediction", "probability"], "values": response},
            }
            pairs.append(json.dumps({**head, **sides, "response_time": i}))
            row = dict(
                zip([*FEATURES, "prediction", "probability"], [*request[0], *response[0]], strict=True)
            )
            flat.append(json.dumps({**row, **head, "scoring_id": f"row-{i}-1"}))
        return ["\n".join(pairs).encode(), "\n".join(flat).encode()]


class TestAmazonSageMaker(EngineContract):
    def subscription(self) -> Subscription:
        response = {"predicted_label": "prediction", "score": "P(Risk)"}
        return declare("amazon_sagemaker", FEATURES, response=response)

    def objects(self) -> Sequence[bytes]:
        return [
            "\n".join(self.record(i, kind) for i in range(30)).encode() for kind in ("csv", "json", "base64")
        ]

    def record(self, i: int, kind: str) -> str:
        request, response = bodies(i)
        answers = [{"predicted_label": label, "score": vector[1]} for label, vector in response]
        data = json.dumps({"predictions": answers})
        if kind == "csv":
            given = {"observedContentType": "text/csv", "encoding": "CSV", "data": csv_text(request)}
        else:
            lines = "\n".join(json.dumps({"features": row}) for row in request)
            given = {"observedContentType": "application/jsonlines", "encoding": "JSON", "data": lines}
        taken: dict[str, Any] = {"observedContentType": "application/json", "encoding": "JSON", "data": data}
        if kind == "base64":
            encoded = base64.b64encode(data.encode()).decode()
            taken = {"observedContentType": None, "encoding": "BASE64", "data": encoded}
        metadata = {"eventId": f"{kind}-{i}", "inferenceTime": f"2024-01-19T19:27:{i:02}Z"}
        captured = {"endpointInput": given, "endpointOutput": taken}
        return json.dumps({"captureData": captured, "eventMetadata": metadata, "eventVersion": "0"})


def csv_text(rows: list[list[Any]]) -> str:
    def cell(value: Any) -> str:
        text = str(value)
        return '"' + text.replace('"', '""') + '"' if "," in text else text

    return "".join(",".join(map(cell, row)) + "\n" for row in rows)
