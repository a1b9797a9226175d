"""The data collector under the shared contract: halves in blobs that grow, and both sides in one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from paylog.subscription import Subscription
from paylog.testing.collector_logs import BOTH, INPUTS, OUTPUTS, collected
from paylog.testing.contract import EngineContract, declare

FEATURES = {"age": "integer", "job": "string", "amount": "double"}


def rows(i: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Inputs and outputs of call ``i``: every fifth has three rows."""
    count = 3 if i % 5 == 0 else 1
    inputs = [{"age": 20 + i + n, "job": f'clerk, "{n}"', "amount": i / 7} for n in range(count)]
    return inputs, [{"prediction": "Risk", "probability": [0.25, 0.75]} for _ in range(count)]


def ndjson(records: Sequence[dict[str, Any]]) -> bytes:
    return "".join(f"{json.dumps(record)}\n" for record in records).encode()


class TestCollections(EngineContract):
    def subscription(self) -> Subscription:
        return declare("azure_machine_learning_service", FEATURES)

    def objects(self) -> Sequence[bytes]:
        calls = [(f"call-{i}", f"2024-01-19T19:27:{i:02}", *rows(i)) for i in range(30)]
        both = [
            collected(BOTH, [{**a, **b} for a, b in zip(given, said, strict=True)], f"x-{key}", time)
            for key, time, given, said in calls
        ]
        halves = [
            [collected(INPUTS, given, key, time) for key, time, given, _ in calls],
            [collected(OUTPUTS, said, key, time) for key, time, _, said in calls],
        ]
        return [ndjson(both), *map(ndjson, halves)]

    def key(self, number: int) -> str:
        return f"{(BOTH, INPUTS, OUTPUTS)[number]}/2024/01/19/19/blob.jsonl"
