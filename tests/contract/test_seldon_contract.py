"""Seldon's documents and CloudEvents under the shared contract."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from test_engines import FEATURES, bodies

from paylog.subscription import Subscription
from paylog.testing.contract import EngineContract, declare

RECORDS = 12


class TestSeldonDocuments(EngineContract):
    def subscription(self) -> Subscription:
        scores = {"prediction": "prediction", "proba_0": "P(No Risk)", "proba_1": "P(Risk)"}
        return declare("seldon", FEATURES, response=scores)

    def objects(self) -> Sequence[bytes]:
        return ["\n".join(map(json.dumps, self.documents(name))).encode() for name in "ab"]

    def documents(self, name: str) -> Iterator[dict[str, Any]]:
        for i in range(RECORDS):
            rows, answers = bodies(i)
            for n, (row, (label, vector)) in enumerate(zip(rows, answers, strict=True)):
                outputs = {"prediction": label, "proba_0": vector[0], "proba_1": vector[1]}
                source = {
                    "request": {"elements": dict(zip(FEATURES, row, strict=True)), "instance": row},
                    "response": {"elements": outputs, "instance": vector},
                    "@timestamp": f"2024-01-19T19:27:{i:02}.123456+00:00",
                    "RequestId": f"{name}{i}",
                }
                yield {"_id": f"{name}{i}" if len(rows) == 1 else f"{name}{i}-item-{n}", "_source": source}


class TestSeldonCloudEvents(EngineContract):
    def subscription(self) -> Subscription:
        return declare("seldon", FEATURES)

    def objects(self) -> Sequence[bytes]:
        events = list(self.events())
        return [
            "\n".join(map(json.dumps, part)).encode()
            for part in (events[: RECORDS + 1], events[RECORDS + 1 :])
        ]

    def events(self) -> Iterator[dict[str, Any]]:
        for i in range(RECORDS):
            rows, answers = bodies(i)
            for side, names, table in (
                ("request", list(FEATURES), rows),
                ("response", ["prediction", "probability"], answers),
            ):
                kind = f"io.seldon.serving.inference.{side}"
                about = {"specversion": "1.0", "id": f"{side}{i}", "requestid": f"r{i}", "type": kind}
                data = {"data": {"names": names, "ndarray": table}, "meta": {}}
                yield {**about, "time": f"2024-01-19T19:27:{i:02}Z", "modelid": "credit", "data": data}
