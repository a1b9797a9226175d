"""Payload records for tests, and what they decode to."""

from __future__ import annotations

import json
from typing import Any

from paylog.records import Reject
from paylog.testing.contract import Outcome, Path, declare, outcome

FEATURES = {"age": "integer", "job": "string"}
TIME = "2024-01-19T19:27:57.123456Z"
RESPONSE = {"fields": ["prediction", "probability"], "values": [["Risk", [0.25, 0.75]]]}


def request(*rows: list[Any]) -> dict[str, Any]:
    return {"fields": ["age", "job"], "values": list(rows)}


def response(*rows: tuple[Any, Any]) -> dict[str, Any]:
    return {"fields": ["prediction", "probability"], "values": [list(row) for row in rows]}


def record(given: Any = None, taken: Any = None, scoring_id: Any = "e1", **more: Any) -> dict[str, Any]:
    return {
        "scoring_id": scoring_id,
        "scoring_timestamp": TIME,
        "request": request([27, "clerk"]) if given is None else given,
        "response": RESPONSE if taken is None else taken,
        **more,
    }


def lines(*records: Any) -> bytes:
    return "\n".join(one if isinstance(one, str) else json.dumps(one) for one in records).encode()


def load(path: Path, data: bytes | Any, features: dict[str, str] = FEATURES, **declared: Any) -> Outcome:
    version = declared.pop("version", "v1")
    data = data if isinstance(data, bytes) else lines(data)
    found = outcome(declare("custom_machine_learning", features, **declared), data, path, version=version)
    assert found.balanced
    return found


def values(found: Outcome) -> list[tuple[Any, ...]]:
    names = "scoring_id", "age", "job", "prediction", "probability"
    return [tuple(row[name] for name in names) for row in found.rows]


def only_reject(found: Outcome) -> Reject:
    assert not found.rows
    assert len(found.rejects) == 1
    return found.rejects[0]
