"""BentoML's monitor files under the shared contract; a row's id is where it stands."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from test_engines import FEATURES, bodies

from paylog.subscription import Subscription
from paylog.testing.contract import EngineContract, declare

RECORDS = 20


class TestBentoML(EngineContract):
    named_rows = False

    def subscription(self) -> Subscription:
        return declare("bentoml", FEATURES, timezone="America/New_York")

    def key(self, number: int) -> str:
        return f"credit/data/data.{number}.log" + (".2024-01-19" if number else "")

    def objects(self) -> Sequence[bytes]:
        return ["".join(f"{json.dumps(row)}\n" for row in self.rows()).encode() for _ in range(2)]

    def rows(self) -> Iterator[dict[str, Any]]:
        for i in range(RECORDS):
            for row, (label, vector) in zip(*bodies(i), strict=True):
                scored = {**dict(zip(FEATURES, row, strict=True)), "prediction": label, "probability": vector}
                yield {**scored, "timestamp": f"2024-01-19T19:27:{i:02}.5", "request_id": str(2**63 + i)}
