"""SPSS Collaboration and Deployment Services under the shared contract."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from test_engines import FEATURES, bodies
from test_files_contract import as_csv, flat_rows

from paylog.subscription import Subscription
from paylog.testing.contract import EngineContract, declare

COLUMNS = {"$N-risk": "prediction", "$NP-No Risk": "P(No Risk)", "$NP-Risk": "P(Risk)"}


def scored(i: int) -> dict[str, Any]:
    """A payload record with the scoring service's own bodies: every cell is text."""
    rows, answers = bodies(i)
    inputs = [
        {"input": [{"name": name, "value": str(cell)} for name, cell in zip(FEATURES, row, strict=True)]}
        for row in rows
    ]
    values = [
        {"value": [{"value": label}, *({"value": str(score)} for score in vector)]}
        for label, vector in answers
    ]
    return {
        "scoring_id": f"s-{i}",
        "scoring_timestamp": f"2024-01-19T19:27:{i:02}Z",
        "request": {"requestInputTable": [{"id": "table", "requestInputRow": inputs}]},
        "response": {"columnNames": {"name": list(COLUMNS)}, "rowValues": values},
    }


class TestSPSS(EngineContract):
    def subscription(self) -> Subscription:
        return declare("spss_collaboration_and_deployment_services", FEATURES, response=COLUMNS)

    def objects(self) -> Sequence[bytes]:
        return ["\n".join(json.dumps(scored(i)) for i in range(20)).encode()]


class TestSPSSFlat(EngineContract):
    json_lines = False

    def subscription(self) -> Subscription:
        return declare("spss_collaboration_and_deployment_services", FEATURES)

    def objects(self) -> Sequence[bytes]:
        return [as_csv(flat_rows("a"), header=True)]

    def key(self, number: int) -> str:
        return "payload.csv"
